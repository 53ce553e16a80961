/* SPDX-License-Identifier: BSD-2-Clause */
/* One probe inside the child: from the socket that came with the request to the result. */
#ifndef MXLB_SESSION_H
#define MXLB_SESSION_H

#include <sys/queue.h>
#include "probe/pulse.h"
#include "probe/stall.h"
#include "probe/tls.h"
#include "probe/wallclock.h"
#include "probe/wire.h"

struct session;

/* Shared by all sessions of a child, which owns it. */
struct session_host {
	struct ev_loop *loop;
	SSL_CTX *tls;
	X509_STORE *bundles[CONFIG_MAX_PROBES]; /* NULL: could not be loaded */
	unsigned n_bundles;
	struct wallclock wallclock;
	struct stall stall;
	struct pulse *pulse;
	uint32_t steps;
	TAILQ_HEAD(session_list, session) running;
	unsigned n_running;
	void (*answer)(struct session_host *h, const struct wire_answer *a);
};

/* Takes the socket over and ends in one WIRE_RESULT. 0, or -ENOMEM: then the socket is still the caller's. */
int session_start(struct session_host *h, const struct wire_request *req, int socket);
void session_end_all(struct session_host *h); /* without results */

#endif
