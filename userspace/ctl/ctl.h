/* SPDX-License-Identifier: BSD-2-Clause */
/* Shared by mxlbctl's commands: the options, requests to the daemon, finding a server in its answer, error messages. */
#ifndef MXLB_CTL_CTL_H
#define MXLB_CTL_CTL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include "ctl/socket.h"
#include "mxlb/limits.h"

struct ctl_probe { /* how a host is probed from here; NULL: the default */
	const char *tls, *tls_domain, *certificate_name, *tlsa, *helo, *sender, *sni, *ca_file,
		*depth;
};

struct ctl {
	const char *socket;
	bool socket_given;
	bool json;
	bool wait;		 /* until the last flow has gone */
	bool force;		 /* also the last server that takes mail */
	bool batch;		 /* no screen */
	unsigned count, delay_s; /* of looks, 0 for ever; between them, 0 for the default */
	bool follow;		 /* events to come, too */
	unsigned timeout_s;	 /* for so long at most; 0: for ever */
	unsigned for_s;		 /* an order's duration; 0: permanent */
	const char *
		file; /* -c. plan: the configuration; detach, doctor: the daemon's; check: days; NULL */
	bool file_named;		/* as --config, not as -c */
	const char *warning, *critical; /* check: days of a certificate; NULL: the default */
	struct ctl_probe probe;
	const char *given_as
		[16]; /* names of the options that only some commands have, by the bit of TAKES_ */
	const char *bundle; /* of CA certificates: probe.ca_file, the system's, or NULL */
};

struct ctl_found { /* borrowed from the document */
	json_t *service, *tier, *server;
};

#define CTL_FOUND_MAX MXLB_MAX_SERVICES /* a name is there once in a service */

/* The status document; the caller's to json_decref(). */
enum ctl_exit ctl_status(const struct ctl *ctl, json_t **document);
/* The same; *stopped: no mxlbd runs, and it is what the pinned maps say (pinned.h). */
enum ctl_exit ctl_status_or_pinned(const struct ctl *ctl, json_t **document, bool *stopped);
/* All that "SERVER" or "SERVICE/SERVER" means. How many. */
size_t ctl_find(const json_t *document, const char *wanted, struct ctl_found out[CTL_FOUND_MAX]);

void ctl_print_json(const json_t *json);
/* Foreign text, made safe for a terminal. */
void ctl_print_lines(FILE *to, const char *text);
/* Prints the daemon's sentence, on stderr or as JSON. Returns CTL_REFUSED. */
enum ctl_exit ctl_refused(const struct ctl *ctl, const char *sentence);
/* The same for a sentence of our own. */
enum ctl_exit ctl_failed(const struct ctl *ctl, const char *sentence);

#endif
