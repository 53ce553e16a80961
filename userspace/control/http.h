/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * HTTP for who wants to look and not to change: /metrics and the status page (documents.h). GET and HEAD alone,
 * no name and no password: who may connect may read, so the address that it listens on is the permission.
 */
#ifndef MXLB_CONTROL_HTTP_H
#define MXLB_CONTROL_HTTP_H

#include "control/control.h"

struct http;

/*
 * Listens where conf->http says; *out is NULL where it says nothing. An address that is taken or not there is logged and
 * tried again every few seconds: mail matters more than its picture. 0 or -ENOMEM, logged.
 */
int http_new(struct ev_loop *loop, const struct control_conf *conf, struct model *model,
	     const struct control_callbacks *cb, struct http **out);
void http_free(struct http *h); /* NULL is fine */

#endif
