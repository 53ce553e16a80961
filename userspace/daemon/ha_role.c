// SPDX-License-Identifier: BSD-2-Clause
/*
 * Active or standby: passes what keepalived writes to its FIFO to core/role.c, and applies its decision: the word in
 * the map `role`, which ARP and neighbour discovery read, and the number in the priority file, which keepalived reads.
 * Without `ha` in the configuration the box is active, and one store at the start is all that happens here.
 *
 * A read of a FIFO without a writer returns end of file at once; so after that it is polled instead of watched until
 * there is a writer again. It is opened again if the path leads to another FIFO, because keepalived may have created a
 * new one.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "conf/digest.h"
#include "core/override.h"
#include "daemon/daemon.h"
#include "daemon/ha_files.h"
#include "util/clock.h"
#include "util/log.h"

#define TICK_S		1.0
#define POLL_S		0.1
#define BACKLOG_MAX	(60 * 1024) /* of a FIFO's 64 KiB: its end may be missing */
#define READ_AT_ONCE	4096
#define ANNOUNCE_GAP_MS 1000 /* for MASTER_RX_LOWER_PRI, which comes 24 times in 0.2 s */

struct role_keeper {
	struct daemon *daemon;
	struct role_state state;
	ev_timer tick, poll, due, refresh;
	ev_io readable;
	int fd;		       /* the FIFO; -1: not open */
	uint64_t ended_ms;     /* when the FIFO was first found without a writer; 0: it has one */
	uint64_t announced_ms; /* for MASTER_RX_LOWER_PRI */
	char line[ROLE_LINE_SIZE];
	size_t len;
	bool skip;		  /* the rest of a line that was too long */
	bool discarded;		  /* a backlog, which may have had a change of the role */
	int opened_err;		  /* as last logged */
	int written_err, written; /* of the priority file */
	bool has_written, is_kept;
	enum role kept;	  /* if .is_kept: the role as stored */
	uint64_t expired; /* leases that ended while this process ran */
};

static const struct ha_conf *conf_of(const struct role_keeper *k)
{
	return &k->daemon->config->ha;
}

static bool follows(const struct role_keeper *k)
{
	return conf_of(k)->role == HA_ROLE_KEEPALIVED;
}

static void ha_role_note(struct role_keeper *k, enum event_kind kind, const char *from,
			 const char *to, const char *user, const char *cause)
{
	struct event *e = daemon_event(k->daemon, kind);

	snprintf(e->from, sizeof(e->from), "%s", from);
	snprintf(e->to, sizeof(e->to), "%s", to);
	snprintf(e->user, sizeof(e->user), "%s", user);
	snprintf(e->cause, sizeof(e->cause), "%s", cause);
}

/* --- the datapath's word --- */

static void ha_role_write_word(struct role_keeper *k)
{
	struct datapath *dp = k->daemon->datapath;
	uint64_t was = datapath_role(dp), now = clock_ns();
	uint64_t word = role_word(&k->state, conf_of(k), now);

	if (was > ROLE_WORD_NEVER && was <= now)
		k->expired++;
	datapath_set_role(dp, word);
}

uint64_t role_lease_left_ms(const struct daemon *d)
{
	uint64_t word = datapath_role(d->datapath), now = clock_ns();

	return word > now ? (word - now) / 1000000 : 0;
}

uint64_t role_leases_expired(const struct daemon *d)
{
	return d->role ? d->role->expired : 0;
}

/* --- the priority file --- */

static void ha_role_write_priority(struct role_keeper *k)
{
	const struct ha_conf *conf = conf_of(k);
	int err;

	if (!follows(k) || (k->has_written && k->written == k->state.priority))
		return;
	err = ha_files_write_priority(conf, k->state.priority);
	k->has_written = !err;
	k->written = k->state.priority;
	if (err && err != k->written_err)
		log_error(
			"event=priority_file path=%s error=\"%s\" advice=\"keepalived cannot compare the boxes: "
			"make its directory writable for mxlbd (tmpfiles.d of scripts/ha)\"",
			conf->priority_file, strerror(-err));
	k->written_err = err;
}

/* Without an error of its own: the priority file is in the same directory. */
static void ha_role_keep(struct role_keeper *k)
{
	if (!conf_of(k)->given || (k->is_kept && k->kept == k->state.role))
		return;
	k->is_kept = !ha_files_keep_role(conf_of(k), k->state.role);
	k->kept = k->state.role;
}

/* --- decisions --- */

/* Of an interface that a service uses, or a next hop of its active tier. */
static bool interface_fails(struct daemon *d, unsigned i)
{
	const struct netlink_link *link = netlink_link(d->netlink, i);

	return !link->ifindex || !link->up || !link->carrier ||
	       (d->modes[i] && !strcmp(d->modes[i], "detached"));
}

static bool service_fails(struct daemon *d, const struct service *s)
{
	if (interface_fails(d, s->conf.interface))
		return true;
	for (unsigned i = 0; i < s->n_servers; i++) {
		const struct server *b = &s->servers[i];

		if (s->tier.has_active && b->conf.preference == s->tier.active &&
		    b->nexthop.state != NEXTHOP_UNRESOLVED &&
		    interface_fails(d, b->nexthop.interface))
			return true;
	}
	return false;
}

static unsigned causes(struct daemon *d)
{
	unsigned found = role_causes(d->model);

	for (unsigned i = 0; i < d->model->n_services; i++)
		if (service_fails(d, &d->model->services[i]))
			found |= 1u << ROLE_FAULT_SERVING;
	return found;
}

static void set_due(struct role_keeper *k)
{
	uint64_t at = role_next_ms(&k->state), drained = viproutes_next_ms(k->daemon);
	uint64_t now = clock_now().mono_ms;
	struct ev_loop *loop = k->daemon->loop;

	ev_timer_stop(loop, &k->due);
	if (drained && (!at || drained < at))
		at = drained;
	if (!at)
		return;
	ev_timer_set(&k->due, at > now ? (double)(at - now) / 1000 : 0.001, 0);
	ev_timer_start(loop, &k->due);
}

static void cause_text(const struct role_keeper *k, char *text, size_t size)
{
	const struct role_state *r = &k->state;

	switch (r->source) {
	case ROLE_FROM_KEEPALIVED:
		snprintf(text, size, "keepalived: instance %s is %s", r->instance,
			 r->vrrp == VRRP_MASTER	  ? "MASTER"
			 : r->vrrp == VRRP_BACKUP ? "BACKUP"
			 : r->vrrp == VRRP_FAULT  ? "FAULT"
			 : r->vrrp == VRRP_STOP	  ? "STOP"
						  : "DELETED");
		break;
	case ROLE_FROM_OPERATOR:
		snprintf(text, size, "set by %s", r->order.who);
		break;
	default:
		snprintf(text, size, "ha.role in the configuration");
	}
}

static void ha_role_decide(struct role_keeper *k)
{
	struct daemon *d = k->daemon;
	enum role was = k->state.role;
	enum role_order wanted = k->state.wanted;
	char why[EVENT_TEXT_SIZE];

	if (role_decide(&k->state, conf_of(k), causes(d), clock_now())) {
		cause_text(k, why, sizeof(why));
		ha_role_note(k, EVENT_ROLE, role_name(was), role_name(k->state.role),
			     k->state.source == ROLE_FROM_OPERATOR ? k->state.order.who : "", why);
		ha_role_write_word(k);
		ha_role_keep(k);
		if (k->state.role == ROLE_ACTIVE) {
			model_restart_holds(d->model, clock_now());
			daemon_changed(d);
			daemon_announce(d);
		}
	}
	ha_role_write_priority(k);
	viproutes_update(d);
	set_due(k);
	if (k->state.wanted != wanted) /* it has expired */
		orders_save(d);
}

void role_update(struct daemon *d)
{
	if (d->role && d->config->ha.given)
		ha_role_decide(d->role);
}

void role_give_order(struct daemon *d, enum role_order wanted, const char *who, uint64_t for_ms)
{
	if (!d->role)
		return;
	role_order_give(&d->role->state, wanted, who, for_ms, clock_now());
	ha_role_decide(d->role);
	orders_save(d);
}

/* --- keepalived's FIFO --- */

static void set_lost(struct role_keeper *k, bool lost)
{
	if (k->state.lost == lost)
		return;
	role_set_lost(&k->state, conf_of(k), lost);
	ha_role_note(k, EVENT_ROLE_SOURCE, lost ? "keepalived" : "lost",
		     lost ? "lost" : "keepalived", "",
		     lost ? "ha.fifo has no writer: systemctl status keepalived" : "");
	own_problem(
		k->daemon, "keepalived_lost", "", false,
		lost ? "keepalived does not run, so the roles of the machines do not change; systemctl status keepalived"
		     : NULL);
	ha_role_decide(k);
}

/* True: it says something of the instance. */
static bool ha_role_take_line(struct role_keeper *k)
{
	uint64_t now = clock_now().mono_ms;
	enum vrrp_state state;

	k->line[k->len] = '\0';
	state = role_line(&k->state, conf_of(k), k->line);
	if (state == VRRP_RX_LOWER && now - k->announced_ms >= ANNOUNCE_GAP_MS &&
	    k->state.role == ROLE_ACTIVE) {
		k->announced_ms = now;
		daemon_announce(k->daemon);
	}
	return state != VRRP_OTHER;
}

/* Decides once: keepalived's BACKUP and MASTER may both have waited for a mxlbd that starts. */
static void ha_role_take_bytes(struct role_keeper *k, const char *bytes, size_t n)
{
	bool heard = false;

	for (size_t i = 0; i < n; i++) {
		if (bytes[i] == '\n') {
			if (!k->skip)
				heard |= ha_role_take_line(k);
			k->skip = false;
			k->len = 0;
		} else if (k->len + 1 < sizeof(k->line)) {
			k->line[k->len++] = bytes[i];
		} else {
			k->skip = true;
		}
	}
	if (heard && k->state.lost)
		set_lost(k, false);
	else if (heard)
		ha_role_decide(k);
}

/* The last lines of an overflowing FIFO may be missing, so none of it is used. */
static void discard_backlog(struct role_keeper *k)
{
	char bytes[READ_AT_ONCE];
	int waiting = 0;

	if (ioctl(k->fd, FIONREAD, &waiting) || waiting < BACKLOG_MAX)
		return;
	for (ssize_t n = 0; waiting > 0; waiting -= (int)n) {
		n = read(k->fd, bytes, waiting < READ_AT_ONCE ? (size_t)waiting : sizeof(bytes));
		if (n <= 0)
			break;
		k->skip = bytes[n - 1] != '\n'; /* else the next line is whole */
	}
	k->len = 0;
	k->discarded = true;
	role_forget_line(&k->state, conf_of(k));
	ha_role_note(k, EVENT_ROLE_SOURCE, "", "keepalived", "",
		     "a full FIFO was discarded: the role stays until keepalived's next change");
}

enum fifo { FIFO_WRITTEN, FIFO_WITHOUT_WRITER, FIFO_BROKEN };

static enum fifo read_some(struct role_keeper *k)
{
	char bytes[READ_AT_ONCE];
	ssize_t n = read(k->fd, bytes, sizeof(bytes));

	if (n > 0)
		ha_role_take_bytes(k, bytes, (size_t)n);
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		return FIFO_BROKEN;
	return n ? FIFO_WRITTEN : FIFO_WITHOUT_WRITER;
}

static void close_fifo(struct role_keeper *k)
{
	ev_io_stop(k->daemon->loop, &k->readable);
	if (k->fd >= 0)
		close(k->fd);
	k->fd = -1;
	k->len = 0;
	k->skip = false;
}

static void has_writer(struct role_keeper *k)
{
	k->ended_ms = 0;
	ev_timer_stop(k->daemon->loop, &k->poll);
	set_lost(k, false);
	ev_io_start(k->daemon->loop, &k->readable);
}

static void has_none(struct role_keeper *k)
{
	uint64_t now = clock_now().mono_ms;

	ev_io_stop(k->daemon->loop, &k->readable);
	if (!k->ended_ms)
		k->ended_ms = now;
	if (now - k->ended_ms >= ROLE_LOST_MS)
		set_lost(k, true);
	ev_timer_again(k->daemon->loop, &k->poll);
}

static void ha_role_look(struct role_keeper *k)
{
	enum fifo fifo = k->fd < 0 ? FIFO_WITHOUT_WRITER : read_some(k);

	if (fifo == FIFO_BROKEN)
		close_fifo(k);
	if (fifo == FIFO_WRITTEN)
		has_writer(k);
	else
		has_none(k);
}

static void open_fifo(struct role_keeper *k)
{
	const char *path = conf_of(k)->fifo;
	struct stat st;
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW), err = 0;

	if (fd < 0)
		err = -errno;
	else if (fstat(fd, &st) || !S_ISFIFO(st.st_mode))
		err = -EINVAL;
	if (err) {
		if (fd >= 0)
			close(fd);
		if (err != k->opened_err)
			log_error(
				"event=role_source path=%s error=\"%s\" advice=\"the role stays %s; make the FIFO "
				"before keepalived starts (tmpfiles.d of scripts/ha)\"",
				path, err == -EINVAL ? "it is not a FIFO" : strerror(-err),
				role_name(k->state.role));
		k->opened_err = err;
		return;
	}
	k->opened_err = 0;
	k->fd = fd;
	ev_io_set(&k->readable, fd, EV_READ);
	discard_backlog(k);
}

/* Whether the path leads to another FIFO than the open one. */
static bool fifo_moved(const struct role_keeper *k)
{
	struct stat open_one, there;

	return k->fd >= 0 && !fstat(k->fd, &open_one) &&
	       (lstat(conf_of(k)->fifo, &there) || there.st_ino != open_one.st_ino ||
		there.st_dev != open_one.st_dev);
}

static void on_ha_role_readable(struct ev_loop *loop, ev_io *io, int events)
{
	(void)loop;
	(void)events;
	ha_role_look(io->data);
}

static void on_poll(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop;
	(void)events;
	ha_role_look(timer->data);
}

static void on_ha_role_tick(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct role_keeper *k = timer->data;

	(void)loop;
	(void)events;
	if (k->daemon->detached)
		return;
	if (follows(k)) {
		if (fifo_moved(k))
			close_fifo(k);
		if (k->fd < 0) {
			open_fifo(k);
			ha_role_look(k);
		}
	}
	ha_role_write_word(k);
	ha_role_keep(k);
	ha_role_write_priority(k);
	viproutes_update(k->daemon);
	if (override_follow_clock(&k->state.order, clock_now()))
		orders_save(k->daemon);
}

static void on_ha_role_due(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop;
	(void)events;
	ha_role_decide(timer->data);
}

/* Switches forget MAC addresses, in particular after a split has healed. */
static void on_refresh_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct role_keeper *k = timer->data;

	(void)loop;
	(void)events;
	if (k->state.role == ROLE_ACTIVE && !k->daemon->detached)
		daemon_announce_once(k->daemon);
}

/* --- life --- */

/* The model's services are the configuration's, in another order at most. */
static void compute_digests(struct daemon *d)
{
	const uint8_t *key = datapath_hash_key(d->datapath);

	for (unsigned i = 0; i < d->config->n_services; i++)
		for (unsigned j = 0; j < d->model->n_services; j++) {
			const struct service *s = &d->model->services[j];

			if (!strcmp(s->conf.name, d->config->services[i].name))
				digest_service(d->config, i, key, d->digests[s->id]);
		}
	digest_box(d->config, key, d->box_digest);
}

static void start_timers(struct role_keeper *k)
{
	const struct ha_conf *conf = conf_of(k);
	struct ev_loop *loop = k->daemon->loop;

	if (!conf->given)
		return;
	compute_digests(k->daemon);
	ev_timer_set(&k->tick, TICK_S, TICK_S);
	ev_timer_start(loop, &k->tick);
	ev_timer_stop(loop, &k->refresh);
	if (conf->refresh_ms) {
		ev_timer_set(&k->refresh, (double)conf->refresh_ms / 1000,
			     (double)conf->refresh_ms / 1000);
		ev_timer_start(loop, &k->refresh);
	}
	if (follows(k) && k->fd < 0) {
		open_fifo(k);
		ha_role_look(k);
	}
}

/* The role before a restart, from the word, which is set before a program is attached. Without a lease it was active. */
static enum role kept_role(const struct daemon *d)
{
	return datapath_was_attached(d->datapath) && datapath_role(d->datapath) != ROLE_WORD_NEVER
		       ? ROLE_ACTIVE
		       : ROLE_STANDBY;
}

static void init_watchers(struct role_keeper *k)
{
	ev_init(&k->tick, on_ha_role_tick);
	ev_init(&k->due, on_ha_role_due);
	ev_init(&k->refresh, on_refresh_timer);
	ev_timer_init(&k->poll, on_poll, 0, POLL_S);
	ev_init(&k->readable, on_ha_role_readable);
	k->tick.data = k->due.data = k->refresh.data = k->poll.data = k->readable.data = k;
}

/*
 * Before keepalived's first line. If no program was attached (mxlbd was detached) a keepalived that runs may have
 * nothing to report: its state is the one that was reported before. But if lines were discarded, it may have become
 * BACKUP in them, and two boxes would answer.
 */
static void resume_role(struct role_keeper *k)
{
	bool runs = follows(k) && k->fd >= 0 && !k->ended_ms;
	bool silent = k->state.vrrp == VRRP_OTHER && !k->discarded;

	if (!datapath_was_attached(k->daemon->datapath) && runs && silent)
		k->state.role = ha_files_kept_role(conf_of(k));
	ha_role_keep(k);
	ha_role_write_word(k);
}

int role_start(struct daemon *d)
{
	struct role_keeper *k = calloc(1, sizeof(*k));

	if (!k)
		return -ENOMEM;
	k->daemon = d;
	k->fd = -1;
	d->role = k;
	d->role_state = &k->state;
	init_watchers(k);
	role_init(&k->state, &d->config->ha, kept_role(d), clock_now());
	if (d->config->ha.given)
		orders_restore_role(d, &k->state);
	ha_role_write_word(k);
	viproutes_start(d);
	start_timers(k);
	resume_role(k);
	return 0;
}

static void unfollow(struct role_keeper *k)
{
	ev_timer_stop(k->daemon->loop, &k->poll);
	close_fifo(k);
	k->ended_ms = 0;
	role_unfollow(&k->state, conf_of(k));
	own_problem(k->daemon, "keepalived_lost", "", false, NULL);
}

void role_reload(struct daemon *d)
{
	struct role_keeper *k = d->role;
	bool opens = follows(k) && k->fd < 0;

	ev_timer_stop(d->loop, &k->tick);
	ev_timer_stop(d->loop, &k->refresh);
	if (!follows(k))
		unfollow(k);
	start_timers(k);
	if (opens && (k->fd < 0 || k->ended_ms)) /* lines wait in it while keepalived runs */
		role_forget_line(&k->state, conf_of(k));
	ha_role_decide(k);
	ha_role_write_word(k);
}

void role_stop(struct daemon *d)
{
	struct role_keeper *k = d->role;

	if (!k)
		return;
	close_fifo(k);
	ev_timer_stop(d->loop, &k->tick);
	ev_timer_stop(d->loop, &k->poll);
	ev_timer_stop(d->loop, &k->due);
	ev_timer_stop(d->loop, &k->refresh);
	d->role = NULL;
	d->role_state = NULL;
	free(k);
}
