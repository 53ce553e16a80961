/* SPDX-License-Identifier: BSD-2-Clause */
/* The contents of the flow table for the rest of the program: plain values, filled by datapath/. */
#ifndef MXLB_CORE_FLOW_H
#define MXLB_CORE_FLOW_H

#include <stdbool.h>
#include <stdint.h>
#include "util/addr.h"

struct flow_row { /* one entry */
	struct addr client;
	uint16_t port, service_id;
	uint32_t server_id;
	uint16_t idle_s; /* seconds since it was last used */
	uint32_t seq;	 /* where the flow continues, in units of 256 bytes */
	bool by_miss;	 /* its SYN was not seen */
	bool closed;	 /* a FIN or RST was seen */
	bool data;	 /* its client has sent data */
	bool counts; /* counts as a flow: not closed, used within 15 minutes, or one minute without data */
};

struct flow_place {	       /* the path of a client's packets */
	uint32_t slot;	       /* of the ring */
	uint32_t ring_server;  /* the server of that slot in the ring in force; 0: none */
	uint32_t entry_server; /* the server of the client's entry; 0: it has no entry */
	bool closed, by_miss;  /* of the entry */
	uint16_t idle_s;
};

#endif
