// SPDX-License-Identifier: BSD-2-Clause
/*
 * The daemon's life: start its parts in the order in which they can fail, run the loop, stop. Small callbacks report
 * events to the model and call daemon_changed(); settle.c applies what follows.
 */
#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include "conf/conf.h"
#include "daemon/daemon.h"
#include "util/capability.h"
#include "util/clock.h"
#include "util/log.h"

#define DESCRIPTORS_MIN 128 /* the start needs 40, clients and probes need more */
#define LAST_WORDS_S	3.0 /* for `notify` to report the stop */

static void on_heartbeat(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop;
	(void)timer;
	(void)events;
	notify_send("WATCHDOG=1");
}

static void on_signal(struct ev_loop *loop, ev_signal *signal, int events)
{
	struct daemon *d = signal->data;
	struct buf errors = {0};

	(void)events;
	if (signal->signum != SIGHUP) {
		d->stopped_by = signal->signum == SIGTERM ? "SIGTERM" : "SIGINT";
		ev_break(loop, EVBREAK_ALL);
		return;
	}
	daemon_reload(d, "SIGHUP", &errors);
	buf_free(&errors);
}

static int start_model(struct daemon *d)
{
	struct model_adopted *adopted;
	unsigned n;
	int err = datapath_adopted(d->datapath, &adopted, &n);

	if (err)
		return err;
	err = model_create(d->config, adopted, n, clock_now(), &d->model);
	/* removes the rule, table and neighbour of servers that no longer exist */
	for (unsigned i = 0; i < n && !err; i++)
		if (!model_server(d->model, adopted[i].server_id, NULL))
			netlink_probe_route_remove(d->netlink, adopted[i].server_id);
	free(adopted);
	if (!err && n)
		log_info("event=adopted backends=%u", n);
	if (!err)
		orders_restore(d);
	return err;
}

/*
 * After the load no other program is loaded, so CAP_PERFMON is dropped, and with it CAP_SETPCAP, which the unit grants
 * for this step only (the bounding set). As root CAP_SETPCAP is kept, because the probe child empties its bounding set
 * with it.
 */
static int drop_load_rights(void)
{
	int err = capability_drop(CAP_PERFMON);

	if (err == -EPERM && !capability_held(CAP_PERFMON)) {
		if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
			log_warn(
				"event=capability_kept name=CAP_PERFMON set=bounding advice=\"grant "
				"CAP_SETPCAP or set NoNewPrivileges=, as mxlb.service does\"");
		err = 0;
	}
	if (!err && geteuid())
		err = capability_drop(CAP_SETPCAP);
	if (err == -EPERM && !capability_held(CAP_SETPCAP))
		err = 0;
	if (err)
		log_error(
			"event=refused what=\"drop CAP_PERFMON\" error=\"%s\" advice=\"report this\"",
			strerror(-err));
	return err;
}

/* The steps that cannot fail once all parts exist. */
static void start_watching(struct daemon *d)
{
	table_start(d);
	watches_start(d);
	/*
	 * The first plan uses what the kernel knows now: a tunnel's MTU, for instance, is in no record of an earlier
	 * mxlbd.
	 */
	netlink_settle(d->netlink);
	hints_start(d);
	traffic_start(d);
	rejected_start(d);
	connlog_update(d);
	interfaces_keep(d);
	owners_start(d);
	own_start(d);
}

/* The sets of the last run, before anything else sees the configuration. */
static int start_zones(struct daemon *d)
{
	struct zones_draft *zones;
	int err = zones_draft(d, d->config, &zones);

	if (!err)
		zones_commit(d, zones, daemon_replace_config);
	return err;
}

static int start_parts(struct daemon *d)
{
	struct prober_callbacks probing = {
		.on_result = on_result,
		.on_slow_connect = on_slow_connect,
		.on_mute = on_mute,
		.on_started = on_started,
		.on_child = on_child,
		.on_cost = on_cost,
		.ctx = d,
	};
	struct netlink_callbacks network = {
		.on_link = on_link,
		.on_nexthop = on_nexthop,
		.on_unreachable = on_unreachable,
		.on_put_back = on_put_back,
		.on_address = on_address,
		.on_filter_gone = on_filter_gone,
		.ctx = d,
	};
	int err;

	err = start_zones(d);
	if (!err)
		err = messenger_new(d->loop, &d->messenger);
	if (err)
		return err;
	messenger_set_command(d->messenger, d->config->notify);
	err = netlink_new(d->loop, d->config, &network, &d->netlink);
	if (!err)
		err = daemon_check_system(d->netlink, d->config);
	if (!err)
		err = datapath_open(&d->config->datapath, &d->datapath);
	if (!err)
		err = drop_load_rights();
	if (!err)
		err = start_model(d);
	if (!err)
		err = answers_start(d);
	if (!err)
		err = prober_new(d->loop, &probing, d->config->probes, d->config->n_probes,
				 &d->prober);
	if (!err)
		err = resets_start(d);
	if (!err)
		err = evidence_start(d);
	if (!err)
		err = role_start(d);
	if (!err)
		err = interfaces_start(d);
	if (!err) {
		start_watching(d);
		zones_start(d);
	}
	return err;
}

static void signal_start(ev_signal *signal, struct daemon *d, int number)
{
	ev_signal_init(signal, on_signal, number);
	signal->data = d;
	ev_signal_start(d->loop, signal);
}

static void start_loop(struct daemon *d)
{
	double watchdog_s = notify_watchdog_s();

	signal_start(&d->on_term, d, SIGTERM);
	signal_start(&d->on_int, d, SIGINT);
	signal_start(&d->on_hup, d, SIGHUP);
	settle_start(d);
	ev_init(&d->heartbeat, on_heartbeat);
	if (watchdog_s > 0) {
		ev_timer_set(&d->heartbeat, watchdog_s, watchdog_s);
		ev_timer_start(d->loop, &d->heartbeat);
	}
}

static void daemon_stop(struct daemon *d)
{
	messenger_free(d->messenger, LAST_WORDS_S);
	control_free(d->control);
	http_free(d->http);
	zones_stop(d);
	if (d->prober)
		watches_stop_all(d);
	prober_free(d->prober);
	resets_stop(d);
	evidence_stop(d);
	connlog_free(d->connlog);
	if (d->datapath && d->model)
		settle_remember(d);
	role_stop(d);
	datapath_close(d->datapath);
	netlink_free(d->netlink);
	model_free(d->model);
	config_free(d->config);
	if (d->loop)
		ev_loop_destroy(d->loop);
	free(d->orders);
	free(d);
}

/*
 * libev aborts if there are no descriptors left. So there must be enough for the start, and the limit is raised as far
 * as possible. Returns whether there are enough, logged.
 */
static bool has_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return true;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_max >= DESCRIPTORS_MIN)
		return true;
	log_error("event=refused what=\"%lu descriptors\" error=\"%s\" "
		  "advice=\"mxlbd needs %u at least: LimitNOFILE= in the unit, or ulimit -n\"",
		  (unsigned long)limit.rlim_max, strerror(EMFILE), DESCRIPTORS_MIN);
	return false;
}

enum exit_code daemon_run(const char *file, struct config *config)
{
	struct daemon *d = calloc(1, sizeof(*d));
	enum exit_code code = EXIT_SYSTEM;
	int err;

	if (!d) {
		config_free(config);
		return EXIT_SYSTEM;
	}
	d->file = file;
	d->config = config;
	d->started_ms = clock_now().mono_ms;
	d->loaded_wall_ms = clock_now().wall_ms;
	d->loop = ev_loop_new(EVFLAG_AUTO);
	if (!d->loop)
		goto out;
	signal(SIGPIPE, SIG_IGN);
	settle_init(d);
	announcer_init(d);
	if (!has_descriptors())
		goto out;
	err = start_parts(d);
	if (err) {
		code = err == -ENOEXEC ? EXIT_KERNEL : EXIT_SYSTEM;
		goto out;
	}
	start_loop(d);
	note_start(d);
	notify_send("READY=1");
	ev_run(d->loop, 0);
	settle_finish(d);
	notify_send("STOPPING=1");
	note_stop(d);
	code = EXIT_CLEAN;
out:
	daemon_stop(d);
	return code;
}
