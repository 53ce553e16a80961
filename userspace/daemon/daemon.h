/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The daemon: the only folder that includes all others. It owns the loop and all parts, reports events (probes,
 * neighbours, links, operators) to the model, and applies the model's plan to the datapath.
 */
#ifndef MXLB_DAEMON_H
#define MXLB_DAEMON_H

#include <ev.h>
#include "control/control.h"
#include "web/http.h"
#include "core/model.h"
#include "core/reach.h"
#include "core/resets.h"
#include "core/schedule.h"
#include "datapath/datapath.h"
#include "datapath/rst_frame.h"
#include "net/netlink.h"
#include "daemon/connlog_writer.h"
#include "daemon/hook.h"
#include "daemon/ha_role.h"
#include "daemon/ha_routes.h"
#include "daemon/zones.h"
#include "daemon/periodic.h"
#include "probe/prober.h"

enum exit_code {
	EXIT_CLEAN,
	EXIT_CONFIG, /* usage, or the configuration */
	EXIT_SYSTEM, /* may pass: an interface, memory, the pins' file system, another mxlbd */
	EXIT_KERNEL, /* waiting does not help: this kernel or these capabilities cannot load the program */
};

struct watch { /* the daemon's state of one server */
	struct daemon *daemon;
	uint32_t id; /* 0: free */
	ev_timer due;
	struct schedule when;
	uint64_t began_ms; /* when its last probe began; 0: never */
	bool tunnel;	   /* its probe's route is made for a tunnel */
	bool hinted;	   /* the next or running probe was caused by a hint */
	struct reach reach;
	struct refusal *refused; /* evidence.c: a result held until it is judged; NULL: none */
	bool judged;		 /* it has been judged, but clients may still contradict it */
	uint64_t refused_ms;	 /* since when all probes have been refused; 0: they are not */
	uint64_t opened_ms;	 /* when a client was last seen to connect; 0: never */
	struct passive_silence silence; /* of its clients */
	struct passive_pace pace;	/* of its clients */
	uint64_t suspect_again_ms;	/* when that may be a hint again */
	uint64_t tried, retried;	/* its clients' SYNs, as last counted */
	uint32_t greeting_ms;		/* its usual time to greet a probe */
	uint64_t
		mute_ms; /* since when the running probe has received nothing, by .quiet, as last reported */
	uint64_t mute_told_ms;
	uint64_t greeted_ms; /* when a probe was last greeted, by .quiet; 0: never */
	const char *warned;  /* why it cannot be reached, as last logged */
};

#define EVIDENCE_SLOTS 64 /* servers whose refusals are judged in one pass over the flow table */

struct evidence { /* evidence.c */
	ev_timer timer;
	struct flow_places left; /* still to be scanned */
	bool running, wanted;
	bool left_out; /* more servers refuse than one pass has slots for */
	uint32_t pass; /* over the table */
	uint32_t
		last_id; /* the last server of a pass that was full; the next one begins behind it */
	struct evidence_slot *slots;
	struct evidence_place *was,
		*is; /* connections that had just ended at the last look, at this one */
	unsigned n_was, n_is, next;
	unsigned n_slots;
	uint8_t slot_of[MXLB_MAX_SERVERS]; /* one more than the slot; 0: none */
};

struct settling {	/* settle.c */
	bool changed;	/* the plan may differ from the one in force */
	uint64_t ready; /* services that were ready at the last plan, one bit each */
	ev_timer tick, again;
	struct periodic clock;
	ev_prepare settle;
	ev_check woken;
	uint64_t woken_ms;	 /* when the loop last woke; 0: it has not, or sleeps */
	uint32_t turn_max_ms[2]; /* the longest turn of these ten seconds, and of the ten before */
};

struct announcer { /* announcer.c */
	ev_timer timer;
	unsigned left;
	uint64_t sent; /* announcements of VIPs, since the start */
};

struct daemon {
	struct ev_loop *loop;
	const char *file;
	struct config *config;
	struct model *model;
	struct datapath *datapath;
	struct netlink *netlink;
	struct prober *prober;
	struct control *control;
	struct messenger *messenger;
	struct connlog *connlog; /* NULL: none is wanted */
	struct http *http;
	struct role_keeper *role;
	const struct role_state *role_state; /* its part that others read; NULL: not started */
	struct zones *zones;		     /* NULL: nothing was ever to come from DNS */
	enum route_state routes[MXLB_MAX_SERVICES]; /* by service id */
	int route_err;				    /* as last logged */
	const char *route_states[MXLB_MAX_SERVICES];
	char digests[MXLB_MAX_SERVICES][17], box_digest[17];

	bool detached; /* stopping: must restore nothing */
	uint64_t logged_seq;
	const char *modes[MXLB_MAX_PORTS], *links[MXLB_MAX_PORTS]; /* as last told */
	const char *sight[MXLB_MAX_PORTS];  /* "sees" "blind" "unknown"; NULL: not looked at yet */
	const char *sights[MXLB_MAX_PORTS]; /* as last told; NULL: it was never blind */
	struct settling settling;
	struct announcer announcer;
	ev_timer heartbeat, resets;
	struct periodic epoch, sweep, keep, owners, own;
	struct own_told { /* what was restored and not yet reported; when it was last reported */
		unsigned n;
		uint64_t at_ms;
	} own_told[OWN_KINDS];
	uint64_t filters_gone_ms; /* when a filter of the probes was last found missing; 0: never */
	uint32_t mtu[MXLB_MAX_PORTS]; /* of config.interfaces, as last seen */
	ev_signal on_term, on_int, on_hup;
	const char *stopped_by; /* "SIGTERM", "SIGINT"; NULL: detach */
	struct watch watches[MXLB_MAX_SERVERS];
	struct hint_budget hint_budget;
	uint64_t hinted; /* probes started because of a hint or rule 8 of schedule.c */
	struct lateness lateness;
	struct evidence evidence;
	ev_timer look;
	uint32_t look_ms;			/* between the last look and the next */
	struct passive_clock quiet;		/* by which silences are measured */
	uint64_t retransmits[MXLB_MAX_SERVERS]; /* as seen by the last look */
	bool looked;

	char *orders; /* as last written to the state directory; NULL: not yet */
	uint64_t started_ms;
	int64_t loaded_wall_ms;
	int64_t allow_changed_wall_ms
		[MXLB_MAX_SERVICES]; /* of allow-files, by service id; 0: none */
	char last_error[1024];
	uint64_t reloads_ok, reloads_failed;
	struct datapath_counts counts;
	struct rejected_summary
		rejected[MXLB_MAX_SERVICES + 1]; /* by service id; the last: of none */
	struct rejected_told { /* rejected_log.c: what the log said last of a service's kind */
		uint64_t at_ms, packets;
	} rejected_told[MXLB_MAX_SERVICES + 1][REJECTED_KINDS];
	struct periodic rejected_look;
	uint64_t refreshed_ms; /* when .counts and the model's traffic were read; 0: never */
	struct {	       /* traffic.c, once a second */
		struct periodic timer;
		uint64_t at_ms, cpu_ms;
		unsigned idle_pct;
		struct tally_rate rate; /* of all services */
	} second;
	uint64_t claims;  /* of a VIP by other hosts, as last seen */
	unsigned claimed; /* looks until the end of the conflict is reported */
	uint32_t flows[MXLB_MAX_SERVERS], empty[MXLB_MAX_SERVERS]; /* counted at .flows_ms */
	struct survey { /* of the flow table, part by part; flow_jobs.c */
		enum { SURVEY_NONE, SURVEY_COUNT, SURVEY_FREE } stage;
		uint64_t at;
		uint32_t counts[MXLB_MAX_SERVERS], empty[MXLB_MAX_SERVERS];
		ev_timer more;
	} survey;
	uint64_t flows_ms;
	struct forge *forge;
	struct resets resets_list; /* flows of unreachable servers still to be reset */
	bool resets_new;	   /* another server became unreachable: collect the flows again */
	struct reset_rounds {
		uint64_t at_ms; /* the next one */
		unsigned left;	/* the last one only counts */
		bool in_round;
		uint64_t sent, open,
			silent; /* packets; flows that have carried data, and that have not */
	} rounds[MXLB_MAX_SERVERS];
};

/* Runs until it is stopped. file: the configuration's path; config: loaded and checked, owned by the daemon from now on. */
enum exit_code daemon_run(const char *file, struct config *config);

/* The plan must be made again before the loop sleeps. */
static inline void daemon_changed(struct daemon *d)
{
	d->settling.changed = true;
}

/* settle.c */
void settle_init(struct daemon *d);
void settle_start(struct daemon *d);
/* What is in force at a stop stays in force: a change that still waits for readers of the old state is applied before. */
void settle_finish(struct daemon *d);
/* Writes verdicts and overrides where the next mxlbd finds them. */
void settle_remember(struct daemon *d);

/* answers.c: opens the socket and HTTP. 0 or -errno, logged. */
int answers_start(struct daemon *d);

/* announcer.c */
void announcer_init(struct daemon *d);
/* Announces the VIPs a few times, after anything that may have made neighbours forget them. */
void daemon_announce(struct daemon *d);
/* The same, once: repeated while this box is active. */
void daemon_announce_once(struct daemon *d);

/* events.c: transitions. */
/* Adds an event of the daemon itself; the caller fills it, and it is logged before the loop sleeps. */
struct event *daemon_event(struct daemon *d, enum event_kind kind);
/* Logs all events that have not been logged yet. */
void notes_log(struct daemon *d);
/* If changed: whether the interface carries the program, and in which mode; the state of its link. */
void note_mode(struct daemon *d, unsigned interface);
void note_sight(struct daemon *d, unsigned interface);
void note_undeclared(void *ctx, int ifindex); /* of datapath_detach_undeclared() */
void note_link(struct daemon *d, unsigned interface, const struct netlink_link *link);
void note_start(struct daemon *d);
int note_notify_test(void *ctx, const char *who, uint64_t *seq); /* see control_callbacks */
void note_stop(struct daemon *d);
void on_child(void *ctx, const char *why);
void on_cost(void *ctx, uint32_t server_id, bool expensive, uint32_t cpu_ms);

/* reload.c: reads the file again and applies it. 0, or -errno with the reasons in errors. */
int daemon_reload(struct daemon *d, const char *who, struct buf *errors);
/* Brings another configuration into force, whose zones are filled in here. 0: it is the daemon's; or -errno. */
int daemon_replace_config(struct daemon *d, const char *who, struct config *config);
/* Appends the lines of compare_config() about this configuration. 0 or -errno. */
int daemon_compare(struct daemon *d, const struct config *next, struct buf *out);
/* What this text would change as a configuration. 0 and the lines, or -errno and the errors. */
int daemon_plan(struct daemon *d, const char *name, const struct buf *text, struct buf *out);
/* Whether this system can run the configuration: 0, or -errno and a logged line with the remedy. */
int daemon_check_system(struct netlink *netlink, const struct config *config);

/* interfaces.c: the program on them. */
int interfaces_start(struct daemon *d); /* 0 or -errno, logged; then nothing new is attached */
/* From now on, whatever is detached by others is attached again. */
void interfaces_keep(struct daemon *d);
void on_link(void *ctx, unsigned interface, const struct netlink_link *link);

/* put_back.c: what mxlbd has put into the system and other programs may remove. */
void own_start(struct daemon *d);
void on_put_back(void *ctx, enum own_kind kind, unsigned n);
void on_address(void *ctx);
void on_filter_gone(void *ctx);
/* A problem of this box begins, goes on or (text NULL) ends; see problem_set(). */
void own_problem(struct daemon *d, const char *name, const char *about, bool critical,
		 const char *text);
/*
 * Why a probe of this server is not about the server: at this moment, or at any time since then (0: at this moment).
 * NULL: it is. look: ask the kernel; otherwise use what is known.
 */
const char *own_probe_trouble(struct daemon *d, const struct service *s, const struct server *b,
			      bool look, uint64_t since_ms);
/* Whether this box is the active one. */
static inline bool daemon_is_active(const struct daemon *d)
{
	return !d->role_state || d->role_state->role == ROLE_ACTIVE;
}

/* vip_conflict.c: other hosts that claim a VIP. */
void owners_start(struct daemon *d);

/* watch.c: probes and next hops. */
/*
 * Starts watching every server of the model that is not watched yet; others follow their probe's new interval. Follows
 * errors about tunnels if there are any.
 */
void watches_start(struct daemon *d);
void watches_stop_removed(struct daemon *d);
void watches_stop_all(struct daemon *d);
void on_nexthop(void *ctx, uint32_t server_id, const struct nexthop *nh);
void on_unreachable(void *ctx, uint32_t server_id);
void on_slow_connect(void *ctx, uint32_t server_id);
void on_started(void *ctx, uint32_t server_id);
void on_result(void *ctx, uint32_t server_id, const struct probe_result *r);
struct prober_job watch_job(const struct daemon *d, const struct service *s,
			    const struct server *b);

/* A hint against a server (or for a dead one): probe it as soon as allowed. False: too many hints. */
bool watch_hint(struct daemon *d, uint32_t server_id);

/* The counts of its clients since the last look. */
void watch_clients(struct daemon *d, uint32_t server_id, const struct traffic *seen);
/* The running probe has received nothing for another WIRE_SLOW_MS. */
void on_mute(void *ctx, uint32_t server_id);

/* hints.c: hints from the datapath's counters. */
void hints_start(struct daemon *d);

/* evidence.c: refusals that wait for evidence from clients. */
int evidence_start(struct daemon *d);
void evidence_stop(struct daemon *d);
/*
 * True: the result is held and will be judged; false: it is not a refusal by a server that was up, and any held one is
 * dropped.
 */
bool evidence_take(struct daemon *d, struct watch *w, const struct server *b,
		   const struct probe_result *r);
void evidence_drop(struct watch *w);
/* Its clients seem to be refused: connections that end from now on are examined, in case its probe is refused too. */
void evidence_suspect(struct daemon *d, struct watch *w);

/* rejected_log.c: clients that were turned away. */
void rejected_start(struct daemon *d);
void rejected_refresh(struct daemon *d); /* after .counts were read */
/* Fills MXLB_MAX_SERVICES + 1 summaries by the counters; without a last client. */
void rejected_sum(struct rejected_summary *all, const struct datapath_counts *counts);

/* pinned_answers.c: answers a command of the control socket from the pinned maps, while no mxlbd runs. config: now its own. */
enum exit_code daemon_answer_stopped(const char *file, struct config *config, char *command);

/* detach_all.c: removes the datapath and ends the loop, even if something remains: 0 or -errno, logged. */
int daemon_detach(struct daemon *d, const char *who);
/* Removes what a stopped mxlbd has left. config: owned by the callee. */
enum exit_code daemon_detach_left(struct config *config);

/* manual_probe.c: probes requested by operators; see control_callbacks. */
int asked_probe(void *ctx, uint32_t server_id, void (*done)(void *done_ctx, const char *report),
		void *done_ctx, void **probe);
void asked_stop(void *ctx, void *probe);

/* flow_jobs.c: what needs the flow table. */
void table_start(struct daemon *d);
/* Updates the model's flow counts from a scan of the table that is at most a second old. */
void table_refresh(struct daemon *d);
/* traffic.c: the counters of the datapath, into the model and .counts, unless they are fresh. */
void traffic_refresh(struct daemon *d);
void traffic_start(struct daemon *d);
/* kept_overrides.c: operators' overrides, over a detach and a reboot. */
void orders_save(struct daemon *d);
void orders_restore(struct daemon *d); /* those that are not in the pinned records */
void orders_restore_role(struct daemon *d, struct role_state *r);

/* reset_rounds.c */
int resets_start(struct daemon *d); /* 0 or -errno */
void resets_stop(struct daemon *d);
/* A server is unreachable: resets its idle flows, and some seconds later those that are left. */
void resets_of(struct daemon *d, uint32_t server_id);

/* sdnotify.c: systemd's notify protocol (sd_notify(3)); nothing when NOTIFY_SOCKET is not set. */
void notify_send(const char *state);
/* Half of WATCHDOG_USEC in seconds; 0: no watchdog. */
double notify_watchdog_s(void);

#endif
