/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The control socket: one line in, a reply, an empty line ends it (HAProxy's runtime API). It reads the model; changes
 * are requested from the daemon by callbacks. Clients, line length, idle time and unread output are limited.
 */
#ifndef MXLB_CONTROL_H
#define MXLB_CONTROL_H

#include <ev.h>
#include <sys/types.h>
#include "core/flow_values.h"
#include "core/model.h"
#include "core/rejected.h"
#include "core/role.h"
#include "core/zone_report.h"
#include "mxlb/counters.h"
#include "util/buf.h"

struct control;

struct control_info {	     /* data that is not in the model; filled by the daemon on request */
	const char *version; /* "0.9.0" */
	const char *build; /* what it was built from: git's description, or the package's version */
	pid_t pid;
	uint64_t uptime_s;
	const char *config_file;
	int64_t config_loaded_wall_ms;
	const char *config_last_error; /* "" when the last load was good */
	const uint64_t *counters;      /* of the whole box; by enum mxlb_counter; NULL: zeros */
	const uint64_t (*service_drops)
		[MXLB_DROP_COUNT]; /* MXLB_MAX_SERVICES rows, by service.id; NULL: zeros */
	const char *
		xdp_mode[MXLB_MAX_PORTS]; /* per config.interfaces: "native" "generic" "detached" */
	/* Whether the program sees arriving packets: "sees" "blind" "unknown" */
	const char *sight[MXLB_MAX_PORTS];
	uint64_t reloads_ok, reloads_failed; /* since mxlbd began, its start aside */
	uint64_t probe_child_restarts;
	uint64_t maps_changed; /* number of foreign writes to the maps that were found and undone */
	uint64_t probes, probes_hinted; /* started; and those of them that a hint caused */
	uint32_t probe_late_p50_ms, probe_late_p99_ms, probe_late_max_ms; /* after their time */
	const struct tally_rate *rate; /* of all services together; NULL: not known */
	unsigned idle_pct;	       /* share of a CPU that mxlbd left idle in the last second */
	const struct role_state *role; /* NULL: not known (tests) */
	const struct ha_conf *ha;
	uint64_t role_lease_left_ms; /* 0: there is no lease, or it is over */
	uint64_t leases_expired, announcements;
	const char *box_digest; /* "": not known */
	const char (*service_digests)
		[17]; /* MXLB_MAX_SERVICES of them, by service.id; NULL: not known */
	const char *const
		*route_states; /* by service.id; NULL: not known, or no service has a route */
	const struct rejected_summary *
		rejected; /* MXLB_MAX_SERVICES + 1, by service.id; the last: of no known service; NULL: not known */
	bool stopped; /* no mxlbd runs: this is what the pinned maps say (daemon/pinned_answers.c) */
	int64_t as_of_wall_ms; /* then: when one last ran; 0: not known, or now */
	const int64_t *
		allow_changed_wall_ms; /* of allow-files, by service.id, 0: not known; NULL: none is */
	const struct notify_state *notify; /* NULL: not known (tests) */
	const struct zone_report *zones;   /* NULL: nothing comes from DNS, or it is not known */
	uint32_t turn_max_ms; /* the longest turn of the loop within ten seconds, or twenty */
};

#define NOTIFY_TEXT_SIZE 240

struct notify_state {		      /* of the program of `notify` */
	const char *command;	      /* "": none is configured */
	uint64_t ok, failed, dropped; /* runs by their end, and events that were never told */
	uint64_t last_seq;	      /* of the event of the last run that ended; 0: none has */
	int64_t last_wall_ms;	      /* when it ended */
	bool last_failed;
	char last[NOTIFY_TEXT_SIZE]; /* "exit 3: no such host"; printable */
};

struct control_callbacks {
	/* Refreshes traffic counters in the model and fills info. */
	void (*refresh)(void *ctx, struct control_info *info);
	/* Reloads the config; 0, or -errno and the errors' text. */
	int (*reload)(void *ctx, const char *who, struct buf *errors);
	/* What the configuration in this text would change. 0 and the lines, or -errno and the errors' text. */
	int (*plan)(void *ctx, const char *name, const struct buf *text, struct buf *out);
	/* The configuration in force as a line of JSON (conf.h), with its secrets or without. 0 or -ENOMEM. */
	int (*config)(void *ctx, bool secrets, struct buf *out);
	/* Removes the datapath and stops the daemon. 0, or -errno: something could not be removed. */
	int (*detach)(void *ctx, const char *who);
	/* Sets the role of this box (enum role_order) for this time; 0: until the next order. */
	void (*role)(void *ctx, int wanted, const char *who, uint64_t for_ms);
	/* Tells the program of `notify` an event of its own. 0 and its number, -ENOENT: none is configured, -EBUSY: the queue is full. */
	int (*notify_test)(void *ctx, const char *who, uint64_t *seq);
	/* Looks a service's zone up now. 0, or -ENOENT: it has none. */
	int (*zone_read)(void *ctx, const char *service);
	/* Applies what is held back of it. 0, -ENOENT, or -EAGAIN: nothing is. */
	int (*zone_accept)(void *ctx, const char *service, const char *who);
	/* What that would change, line by line. */
	void (*zone_held)(void *ctx, const char *service, struct buf *out);
	/* Brings the model's change into force (after an admin command). */
	void (*changed)(void *ctx);
	/* Calls row for each entry in n places of the flow table, from `first` on. True: there are more places. */
	bool (*each_flow)(void *ctx, uint64_t first, uint64_t n,
			  void (*row)(void *row_ctx, const struct flow_row *r), void *row_ctx);
	/* Calls row for each client that was turned away, as far as they are remembered. */
	void (*each_rejected)(void *ctx, void (*row)(void *row_ctx, const struct rejected_row *r),
			      void *row_ctx);
	/* Where this client of the service goes. 0 or -errno. */
	int (*explain)(void *ctx, const struct service *s, const struct addr *client, uint16_t port,
		       struct flow_place *out);
	/*
	 * Probes the server on request, without an effect on its verdict. 0 and *probe, then one call of done() with
	 * the report, a line of JSON, but never from within; -EBUSY: too many are running; -errno.
	 */
	int (*probe)(void *ctx, uint32_t server_id,
		     void (*done)(void *done_ctx, const char *report), void *done_ctx,
		     void **probe);
	void (*probe_stop)(void *ctx, void *probe); /* done() will not be called */
	void *ctx;
};

/* Binds the socket (mode 0660 and group, else 0600), replacing a dead one only. 0 or -errno, logged. */
int control_new(struct ev_loop *loop, const struct control_conf *conf, struct model *model,
		const struct control_callbacks *cb, struct control **out);
void control_free(struct control *c); /* unlinks the socket */

#endif
