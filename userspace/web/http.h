/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * HTTP, read-only: /metrics and the status page (documents.h). GET and HEAD only, without authentication: everyone who
 * can connect may read, so access is controlled by the address on which it listens.
 */
#ifndef MXLB_CONTROL_HTTP_H
#define MXLB_CONTROL_HTTP_H

#include "control/control.h"

struct http;

/*
 * Listens on conf->http; *out is NULL if that is empty. If the address is in use or missing, this is logged and
 * retried every few seconds, because mail matters more than its page. 0 or -ENOMEM, logged.
 */
int http_new(struct ev_loop *loop, const struct control_conf *conf, struct model *model,
	     const struct control_callbacks *cb, struct http **out);
void http_free(struct http *h); /* NULL is fine */

#endif
