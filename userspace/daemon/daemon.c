// SPDX-License-Identifier: BSD-2-Clause
/*
 * The daemon's life: start its parts in the order in which they can fail, run the loop, stop. Small callbacks report
 * events to the model and set .dirty; once per turn, before the loop sleeps, settle() logs the model's new events and
 * applies its plan, however many events there were.
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

#define ANNOUNCEMENTS	    3 /* RFC 5227 section 2.3 requires two; one more in case a frame is lost */
#define ANNOUNCE_INTERVAL_S 1.0
#define DESCRIPTORS_MIN	    128 /* the start needs 40, clients and probes need more */
#define LAST_WORDS_S	    3.0 /* for `notify` to report the stop */

void daemon_changed(struct daemon *d)
{
	d->dirty = true;
}

/*
 * Servers send the answers to probes to this box's own addresses, and learn a new MAC address only from these
 * announcements: the route of a probe to an IPv6 VIP causes no neighbour discovery.
 */
static void announce_self(struct daemon *d, const struct service *s)
{
	const struct nexthop *told = NULL;

	for (unsigned i = 0; i < s->n_backends; i++) {
		const struct nexthop *nh = &s->backends[i].nexthop;

		if (nh->state == NEXTHOP_UNRESOLVED || addr_is_zero(&nh->source))
			continue;
		if (!told || told->interface != nh->interface ||
		    !addr_equal(&told->source, &nh->source))
			netlink_announce(d->netlink, nh->interface, &nh->source);
		told = nh;
	}
}

static void announce_all(struct daemon *d)
{
	for (unsigned i = 0; i < d->model->n_services; i++) {
		const struct service *s = &d->model->services[i];

		announce_self(d, s);
		if (s->conf.advertise != ADVERTISE_ARP || s->tier.state == SERVICE_NOT_READY)
			continue;
		netlink_join_solicited(d->netlink, s->conf.interface, &s->conf.address);
		if (!daemon_is_active(d))
			continue;
		netlink_announce(d->netlink, s->conf.interface, &s->conf.address);
		d->announcements++;
	}
}

void daemon_announce_once(struct daemon *d)
{
	if (!ev_is_active(&d->announce)) /* else it is being announced anyway */
		announce_all(d);
}

void daemon_announce(struct daemon *d)
{
	d->announcements_left = ANNOUNCEMENTS;
	ev_timer_stop(d->loop, &d->announce);
	ev_timer_set(&d->announce, 0, ANNOUNCE_INTERVAL_S);
	ev_timer_start(d->loop, &d->announce);
}

static void on_announce(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct daemon *d = timer->data;

	(void)events;
	announce_all(d);
	if (--d->announcements_left == 0)
		ev_timer_stop(loop, timer);
}

#define STOP_APPLY_MS 500

_Static_assert(MXLB_MAX_SERVICES <= 64, "a bit each");

/* One bit per service, by its id. */
static uint64_t ready_services(const struct model *m)
{
	uint64_t ready = 0;

	for (unsigned i = 0; i < m->n_services; i++)
		if (m->services[i].tier.state != SERVICE_NOT_READY)
			ready |= 1ULL << m->services[i].id;
	return ready;
}

static void remember_all(struct daemon *d)
{
	for (unsigned i = 0; i < d->model->n_services; i++)
		for (unsigned j = 0; j < d->model->services[i].n_backends; j++)
			datapath_remember(d->datapath, &d->model->services[i],
					  &d->model->services[i].backends[j]);
	orders_save(d);
}

static void again_in(struct daemon *d, int ms)
{
	ev_timer_stop(d->loop, &d->again);
	ev_timer_set(&d->again, ms / 1000.0, 0);
	ev_timer_start(d->loop, &d->again);
}

static void apply(struct daemon *d)
{
	struct plan plan;
	int ret = plan_build(d->model, &plan);

	if (!ret) {
		remember_all(d);
		datapath_tunnel_probes(d->datapath, &plan);
		ret = datapath_apply(d->datapath, &plan, clock_now().mono_ms);
		plan_free(&plan);
	}
	if (ret)
		again_in(d, ret > 0 ? ret : 1000);
}

/* What is in force at a stop stays in force: a change that still waits for readers of the old state is applied before. */
static void finish_apply(struct daemon *d)
{
	uint64_t until_ms = clock_now().mono_ms + STOP_APPLY_MS;

	while (!d->detached && (d->dirty || ev_is_active(&d->again)) &&
	       clock_now().mono_ms < until_ms)
		ev_run(d->loop, d->dirty ? EVRUN_NOWAIT : EVRUN_ONCE);
}

static void set_tick(struct daemon *d)
{
	uint64_t at = model_next_tick(d->model), now = clock_now().mono_ms;

	ev_timer_stop(d->loop, &d->tick);
	if (!at)
		return;
	ev_timer_set(&d->tick, at > now ? (at - now) / 1000.0 : 0, 0);
	ev_timer_start(d->loop, &d->tick);
}

/* Applies what has changed; runs before the loop sleeps. */
static void settle(struct daemon *d)
{
	uint64_t ready = ready_services(d->model);

	if (d->dirty && !d->detached)
		role_update(d);
	notes_log(d);
	if (!d->dirty || d->detached)
		return;
	d->dirty = false;
	apply(d);
	set_tick(d);
	if (ready & ~d->ready)
		daemon_announce(d);
	d->ready = ready;
}

static void on_settle(struct ev_loop *loop, ev_prepare *prepare, int events)
{
	struct daemon *d = prepare->data;
	uint64_t turn_ms;

	(void)loop;
	(void)events;
	settle(d);
	turn_ms = d->woken_ms ? clock_now().mono_ms - d->woken_ms : 0;
	if (turn_ms > d->turn_max_ms[0])
		d->turn_max_ms[0] = turn_ms;
}

/* The loop runs this one first of all that is due: ev_check's priority is the highest. */
static void on_woken(struct ev_loop *loop, ev_check *check, int events)
{
	struct daemon *d = check->data;

	(void)loop;
	(void)events;
	d->woken_ms = clock_now().mono_ms;
}

static void on_again(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop;
	(void)events;
	daemon_changed(timer->data);
}

static void on_tick(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct daemon *d = timer->data;

	(void)loop;
	(void)events;
	if (model_tick(d->model, clock_now()))
		daemon_changed(d);
	set_tick(d);
}

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

static void on_refresh(void *ctx, struct control_info *info)
{
	struct daemon *d = ctx;

	traffic_refresh(d);
	info->version = MXLB_VERSION;
	info->build = MXLB_BUILD;
	info->rate = &d->second.rate;
	info->idle_pct = d->second.idle_pct;
	info->pid = getpid();
	info->uptime_s = (clock_now().mono_ms - d->started_ms) / 1000;
	info->config_file = d->file;
	info->config_loaded_wall_ms = d->loaded_wall_ms;
	info->config_last_error = d->last_error;
	info->counters = d->counts.total;
	info->reloads_ok = d->reloads_ok;
	info->reloads_failed = d->reloads_failed;
	info->service_drops = d->counts.service;
	info->rejected = d->rejected;
	for (unsigned i = 0; i < d->config->n_interfaces; i++) {
		info->xdp_mode[i] = datapath_xdp_mode(d->datapath, i);
		info->sight[i] = d->sight[i] ?: "unknown";
	}
	info->probe_child_restarts = prober_child_restarts(d->prober);
	info->maps_changed = datapath_maps_changed(d->datapath);
	info->probes = d->lateness.n;
	info->probes_hinted = d->hinted;
	info->probe_late_p50_ms = lateness_percentile(&d->lateness, 50);
	info->probe_late_p99_ms = lateness_percentile(&d->lateness, 99);
	info->probe_late_max_ms = d->lateness.max_ms;
	info->role = role_state(d);
	info->ha = &d->config->ha;
	info->role_lease_left_ms = role_lease_left_ms(d);
	info->leases_expired = role_leases_expired(d);
	info->announcements = d->announcements;
	info->box_digest = d->box_digest;
	info->service_digests = (const char(*)[17])d->digests;
	info->route_states = d->route_states;
	info->allow_changed_wall_ms = d->allow_changed_wall_ms;
	info->notify = messenger_state(d->messenger);
	info->turn_max_ms =
		d->turn_max_ms[0] > d->turn_max_ms[1] ? d->turn_max_ms[0] : d->turn_max_ms[1];
}

static int on_reload(void *ctx, const char *who, struct buf *errors)
{
	return daemon_reload(ctx, who, errors);
}

static int on_plan(void *ctx, const char *name, const struct buf *text, struct buf *out)
{
	return daemon_plan(ctx, name, text, out);
}

static int on_config(void *ctx, bool secrets, struct buf *out)
{
	struct daemon *d = ctx;
	json_t *json = conf_json(d->config, secrets);
	char key[DATAPATH_KEY_TEXT_SIZE], *text;

	if (secrets && !d->config->datapath.hash_key[0]) {
		datapath_hash_key_text(d->datapath, key);
		json_object_set_new(json_object_get(json, "datapath"), "hash-key",
				    json_string(key));
	}
	text = json_dumps(json, JSON_COMPACT);

	if (text)
		buf_printf(out, "%s\n", text);
	free(text);
	json_decref(json);
	return text ? 0 : -ENOMEM;
}

static int on_detach(void *ctx, const char *who)
{
	return daemon_detach(ctx, who);
}

static void on_role(void *ctx, int wanted, const char *who, uint64_t for_ms)
{
	role_give_order(ctx, wanted, who, for_ms);
}

static void on_changed(void *ctx)
{
	daemon_changed(ctx);
}

static bool on_each_flow(void *ctx, uint64_t first, uint64_t n,
			 void (*row)(void *row_ctx, const struct flow_row *r), void *row_ctx)
{
	struct daemon *d = ctx;

	return datapath_each_flow(d->datapath, first, n, row, row_ctx);
}

static void on_each_rejected(void *ctx, void (*row)(void *row_ctx, const struct rejected_row *r),
			     void *row_ctx)
{
	struct daemon *d = ctx;

	datapath_each_rejected(d->datapath, row, row_ctx);
}

static int on_explain(void *ctx, const struct service *s, const struct addr *client, uint16_t port,
		      struct flow_place *out)
{
	struct daemon *d = ctx;

	return datapath_explain(d->datapath, s->id, client, port, out);
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
		if (!model_backend(d->model, adopted[i].backend_id, NULL))
			netlink_probe_route_remove(d->netlink, adopted[i].backend_id);
	free(adopted);
	if (!err && n)
		log_info("event=adopted backends=%u", n);
	if (!err)
		orders_restore(d);
	return err;
}

/* The interfaces to clients: the socket and HTTP. */
static int start_control(struct daemon *d)
{
	struct control_callbacks asking = {
		.refresh = on_refresh,
		.reload = on_reload,
		.plan = on_plan,
		.config = on_config,
		.detach = on_detach,
		.role = on_role,
		.notify_test = note_notify_test,
		.changed = on_changed,
		.each_flow = on_each_flow,
		.explain = on_explain,
		.each_rejected = on_each_rejected,
		.probe = asked_probe,
		.probe_stop = asked_stop,
		.ctx = d,
	};
	int err = control_new(d->loop, &d->config->control, d->model, &asking, &d->control);

	return err ? err : http_new(d->loop, &d->config->control, d->model, &asking, &d->http);
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
		err = start_control(d);
	if (!err)
		err = prober_new(d->loop, &probing, d->config->probes, d->config->n_probes,
				 &d->prober);
	if (!err)
		err = table_start(d);
	if (!err)
		err = resets_start(d);
	if (!err)
		err = evidence_start(d);
	if (!err)
		err = role_start(d);
	if (!err)
		err = interfaces_start(d);
	if (!err)
		start_watching(d);
	return err;
}

static void timer_init(ev_timer *timer, struct daemon *d,
		       void (*cb)(struct ev_loop *, ev_timer *, int))
{
	ev_timer_init(timer, cb, 0, 0);
	timer->data = d;
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
	ev_prepare_init(&d->settle, on_settle);
	d->settle.data = d;
	ev_prepare_start(d->loop, &d->settle);
	ev_check_init(&d->woken, on_woken);
	ev_set_priority(&d->woken, EV_MAXPRI);
	d->woken.data = d;
	ev_check_start(d->loop, &d->woken);
	timer_init(&d->heartbeat, d, on_heartbeat);
	if (watchdog_s > 0) {
		ev_timer_set(&d->heartbeat, watchdog_s, watchdog_s);
		ev_timer_start(d->loop, &d->heartbeat);
	}
	d->dirty = true;
}

static void stop(struct daemon *d)
{
	messenger_free(d->messenger, LAST_WORDS_S);
	control_free(d->control);
	http_free(d->http);
	if (d->prober)
		watches_stop_all(d);
	prober_free(d->prober);
	resets_stop(d);
	evidence_stop(d);
	connlog_free(d->connlog);
	if (d->datapath && d->model)
		remember_all(d);
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
	timer_init(&d->tick, d, on_tick);
	timer_init(&d->again, d, on_again);
	timer_init(&d->announce, d, on_announce);
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
	finish_apply(d);
	notify_send("STOPPING=1");
	note_stop(d);
	code = EXIT_CLEAN;
out:
	stop(d);
	return code;
}
