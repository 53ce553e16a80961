/* SPDX-License-Identifier: BSD-2-Clause */
/* Decides who answers for the VIPs, by the rules of role.h. Opens nothing and reads no clock. */
#include <stdio.h>
#include <string.h>
#include "core/role.h"

static const char *const roles[] = {[ROLE_STANDBY] = "standby", [ROLE_ACTIVE] = "active"};

static const char *const sources[] = {
	[ROLE_FROM_CONFIG] = "config",
	[ROLE_FROM_KEEPALIVED] = "keepalived",
	[ROLE_FROM_OPERATOR] = "operator",
	[ROLE_FROM_LEASE] = "lease",
};

static const char *const orders[] = {
	[ROLE_ORDER_AUTO] = "auto",
	[ROLE_ORDER_ACTIVE] = "active",
	[ROLE_ORDER_STANDBY] = "standby",
};

/* Rule 4. Two faulty boxes are compared as well, so one of them always answers. */
static const struct fault {
	const char *name;
	int points;
	uint64_t begins_ms; /* of an active box; of a standby box at once */
	uint64_t ends_ms;   /* of a standby box; of an active box after half of it */
} faults[ROLE_FAULTS] = {
	[ROLE_FAULT_ORDER] = {"order", -200, 0, 0},
	[ROLE_FAULT_READY] = {"not-ready", -100, 0, 0},
	[ROLE_FAULT_SERVING] = {"not-serving", -100, 0, 30000},
	[ROLE_FAULT_SERVERS] = {"no-server", -60, 3000, 30000},
	[ROLE_FAULT_TIER] = {"worse-tier", -40, 3000, 30000},
};

#define BONUS_ACTIVE 10	 /* the active box stays active until it has a fault */
#define BONUS_ORDER  100 /* an operator wants it active */

const char *role_name(enum role r)
{
	return roles[r == ROLE_ACTIVE];
}

const char *role_source_name(enum role_source s)
{
	return (unsigned)s <= ROLE_FROM_LEASE ? sources[s] : "?";
}

const char *role_order_name(enum role_order o)
{
	return (unsigned)o <= ROLE_ORDER_STANDBY ? orders[o] : "?";
}

const char *role_fault_name(enum role_fault f)
{
	return (unsigned)f < ROLE_FAULTS ? faults[f].name : "?";
}

int role_fault_points(enum role_fault f)
{
	return (unsigned)f < ROLE_FAULTS ? faults[f].points : 0;
}

static void role_become(struct role_state *r, enum role role, enum role_source source,
			struct now now)
{
	r->role = role;
	r->source = source;
	r->since_ms = now.mono_ms;
	r->since_wall_ms = now.wall_ms;
}

void role_init(struct role_state *r, const struct ha_conf *conf, enum role kept, struct now now)
{
	memset(r, 0, sizeof(*r));
	snprintf(r->instance, sizeof(r->instance), "%s", conf->instance);
	if (conf->role == HA_ROLE_KEEPALIVED)
		role_become(r, kept, ROLE_FROM_LEASE, now);
	else
		role_become(r, conf->role == HA_ROLE_ACTIVE ? ROLE_ACTIVE : ROLE_STANDBY,
			    ROLE_FROM_CONFIG, now);
}

static enum vrrp_state state_of(const char *word)
{
	static const struct {
		const char *word;
		enum vrrp_state state;
	} words[] = {
		{"MASTER", VRRP_MASTER},   {"BACKUP", VRRP_BACKUP},
		{"FAULT", VRRP_FAULT},	   {"STOP", VRRP_STOP},
		{"DELETED", VRRP_DELETED}, {"MASTER_RX_LOWER_PRI", VRRP_RX_LOWER},
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (!strcmp(word, words[i].word))
			return words[i].state;
	return VRRP_OTHER;
}

/* The next keepalived may have another one. */
static void forget_instance(struct role_state *r, const struct ha_conf *conf)
{
	if (!conf->instance[0])
		r->instance[0] = '\0';
}

void role_set_lost(struct role_state *r, const struct ha_conf *conf, bool lost)
{
	r->lost = lost;
	if (lost)
		forget_instance(r, conf);
}

void role_unfollow(struct role_state *r, const struct ha_conf *conf)
{
	r->lost = false;
	forget_instance(r, conf);
}

void role_forget_line(struct role_state *r, const struct ha_conf *conf)
{
	forget_instance(r, conf);
	r->vrrp = VRRP_OTHER;
}

static bool follows_none(const struct role_state *r)
{
	return !r->instance[0] || r->vrrp == VRRP_STOP || r->vrrp == VRRP_DELETED;
}

/* INSTANCE "mxlb" MASTER 110, or GROUP: keepalived(8), vrrp_notify_fifo. A name has no quotation mark in it. */
enum vrrp_state role_line(struct role_state *r, const struct ha_conf *conf, const char *line)
{
	char kind[16], name[CONFIG_NAME_SIZE], word[32];
	enum vrrp_state state;
	int priority;

	if (sscanf(line, "%15s \"%63[^\"]\" %31s %d", kind, name, word, &priority) != 4)
		return VRRP_OTHER;
	if (strcmp(kind, "INSTANCE") && strcmp(kind, "GROUP"))
		return VRRP_OTHER;
	state = state_of(word);
	if (state != VRRP_OTHER && !conf->instance[0] && follows_none(r))
		memcpy(r->instance, name, sizeof(r->instance));
	if (strcmp(r->instance, name) || state == VRRP_OTHER)
		return VRRP_OTHER;
	if (state == VRRP_RX_LOWER)
		return state;
	r->vrrp = state;
	return state;
}

void role_order_give(struct role_state *r, enum role_order wanted, const char *who, uint64_t for_ms,
		     struct now now)
{
	r->wanted = wanted;
	memset(&r->order, 0, sizeof(r->order));
	if (wanted == ROLE_ORDER_AUTO)
		return;
	snprintf(r->order.who, sizeof(r->order.who), "%s", who);
	r->order.since_wall_ms = now.wall_ms;
	r->order.until_wall_ms = for_ms ? now.wall_ms + (int64_t)for_ms : 0;
	r->order.until_ms = for_ms ? now.mono_ms + for_ms : 0;
}

void role_order_restore(struct role_state *r, const struct ha_conf *conf, enum role_order wanted,
			const char *who, uint64_t for_ms, int64_t since_wall_ms, struct now now)
{
	int64_t ago = now.wall_ms - since_wall_ms;

	role_order_give(r, wanted, who, for_ms, now);
	r->order.since_wall_ms = since_wall_ms;
	if (wanted == ROLE_ORDER_AUTO || conf->role == HA_ROLE_KEEPALIVED)
		return;
	r->role = wanted == ROLE_ORDER_ACTIVE ? ROLE_ACTIVE : ROLE_STANDBY;
	r->source = ROLE_FROM_OPERATOR;
	r->since_wall_ms = since_wall_ms;
	r->since_ms = ago > 0 && (uint64_t)ago < now.mono_ms ? now.mono_ms - (uint64_t)ago : 0;
}

/* Rules 1 and 2. */
static enum role role_judge(const struct role_state *r, const struct ha_conf *conf,
			    enum role_source *source)
{
	if (conf->role == HA_ROLE_KEEPALIVED) {
		*source = r->vrrp == VRRP_OTHER ? ROLE_FROM_LEASE : ROLE_FROM_KEEPALIVED;
		return r->vrrp == VRRP_OTHER	? r->role
		       : r->vrrp == VRRP_MASTER ? ROLE_ACTIVE
						: ROLE_STANDBY;
	}
	*source = r->wanted == ROLE_ORDER_AUTO ? ROLE_FROM_CONFIG : ROLE_FROM_OPERATOR;
	if (r->wanted != ROLE_ORDER_AUTO)
		return r->wanted == ROLE_ORDER_ACTIVE ? ROLE_ACTIVE : ROLE_STANDBY;
	return conf->role == HA_ROLE_ACTIVE ? ROLE_ACTIVE : ROLE_STANDBY;
}

/* When the penalty changes if its cause stays as it is; 0: never. */
static uint64_t penalty_due(const struct role_state *r, unsigned i)
{
	const struct role_penalty *p = &r->penalties[i];
	bool active = r->role == ROLE_ACTIVE;

	if (p->cause == p->on)
		return 0;
	if (p->cause)
		return p->changed_ms + (active ? faults[i].begins_ms : 0);
	return p->changed_ms + (active ? faults[i].ends_ms / 2 : faults[i].ends_ms);
}

/* Rule 4. */
static int priority_of(struct role_state *r, const struct ha_conf *conf, unsigned causes,
		       uint64_t now_ms)
{
	int bonus = 0, worst = 0;

	if (r->wanted == ROLE_ORDER_STANDBY)
		causes |= 1u << ROLE_FAULT_ORDER;
	for (unsigned i = 0; i < ROLE_FAULTS; i++) {
		struct role_penalty *p = &r->penalties[i];
		bool cause = causes >> i & 1;
		uint64_t due;

		if (cause != p->cause) {
			p->cause = cause;
			p->changed_ms = now_ms;
		}
		due = penalty_due(r, i);
		if (due && now_ms >= due)
			p->on = p->cause;
		if (p->on && faults[i].points < worst)
			worst = faults[i].points;
	}
	if (r->wanted == ROLE_ORDER_ACTIVE)
		bonus = BONUS_ORDER;
	else if (r->role == ROLE_ACTIVE && !r->lost && !conf->preempt)
		bonus = BONUS_ACTIVE;
	return bonus + worst;
}

bool role_decide(struct role_state *r, const struct ha_conf *conf, unsigned causes, struct now now)
{
	enum role_source source;
	enum role role;
	bool changed;

	if (r->order.until_ms && now.mono_ms >= r->order.until_ms)
		role_order_give(r, ROLE_ORDER_AUTO, "", 0, now);
	role = role_judge(r, conf, &source);
	changed = role != r->role;
	if (changed) {
		role_become(r, role, source, now);
		r->changes++;
	}
	r->source = source;
	r->priority = priority_of(r, conf, causes, now.mono_ms);
	return changed;
}

uint64_t role_next_ms(const struct role_state *r)
{
	uint64_t next = r->order.until_ms;

	for (unsigned i = 0; i < ROLE_FAULTS; i++) {
		uint64_t due = penalty_due(r, i);

		if (due && (!next || due < next))
			next = due;
	}
	return next;
}

uint64_t role_word(const struct role_state *r, const struct ha_conf *conf, uint64_t now_ns)
{
	if (r->role == ROLE_STANDBY)
		return ROLE_WORD_NEVER;
	if (conf->role != HA_ROLE_KEEPALIVED || !conf->lease_ms)
		return ROLE_WORD_ALWAYS;
	return now_ns + conf->lease_ms * 1000000ull;
}

static unsigned causes_of(const struct service *s)
{
	bool best = false;

	if (s->tier.state == SERVICE_NOT_READY)
		return 1u << ROLE_FAULT_READY;
	if (s->tier.state == SERVICE_DOWN)
		return 1u << ROLE_FAULT_SERVERS;
	if (s->has_forced || !s->n_servers)
		return 0; /* an operator's override is not a fault of this box */
	for (unsigned i = 0; i < s->n_servers; i++) {
		const struct server *b = &s->servers[i];

		if (b->conf.preference != s->servers[0].conf.preference)
			break;
		best |= b->health.verdict == VERDICT_UP || b->health.verdict == VERDICT_UNKNOWN ||
			b->admin != ADMIN_READY;
	}
	return best ? 0 : 1u << ROLE_FAULT_TIER;
}

unsigned role_causes(const struct model *m)
{
	unsigned causes = 0;

	for (unsigned i = 0; i < m->n_services; i++)
		causes |= causes_of(&m->services[i]);
	return causes;
}
