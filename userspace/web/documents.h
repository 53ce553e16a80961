/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is under each path of HTTP: the page, its JSON, /metrics. For http.c alone.
 */
#ifndef MXLB_CONTROL_DOCUMENTS_H
#define MXLB_CONTROL_DOCUMENTS_H

#include <microhttpd.h>
#include "control/control.h"

struct documents;

/* local: it is listened on loopback alone. 0 or -ENOMEM. */
int documents_new(struct ev_loop *loop, struct model *model, const struct control_callbacks *cb,
		  bool local, struct documents **out);
void documents_free(struct documents *d); /* after the server; NULL is fine */

/* Queues a reply in any case; MHD_NO: there is no memory for one, and the connection is closed. */
enum MHD_Result documents_answer(struct documents *d, struct MHD_Connection *connection,
				 const char *method, const char *path);

#endif
