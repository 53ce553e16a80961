/* SPDX-License-Identifier: BSD-2-Clause */
/* What the flow table says, as the rest of the program sees it: plain values, filled by datapath/. */
#ifndef MXLB_CORE_FLOW_H
#define MXLB_CORE_FLOW_H

#include <stdbool.h>
#include <stdint.h>
#include "util/addr.h"

struct flow_row { /* one entry */
	struct addr client;
	uint16_t port, service_id;
	uint32_t backend_id;
	uint16_t idle_s; /* seconds since it was last used */
	uint32_t seq;	 /* where the flow goes on, in units of 256 bytes */
	bool by_miss;	 /* nobody was seen to open it */
	bool closed;	 /* a FIN or RST was seen */
	bool data;	 /* its client has sent data */
	bool counts; /* as a flow: not closed, used within 15 minutes; one without data: within one */
};

struct flow_place {		/* where a client's packets go */
	uint32_t slot;		/* of the ring */
	uint32_t ring_backend;	/* whom the ring in force has there; 0: nobody */
	uint32_t entry_backend; /* whom the client's entry names; 0: it has none */
	bool closed, by_miss;	/* of the entry */
	uint16_t idle_s;
};

#endif
