/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The role of this box among several (docs/high-availability.md): active or standby, who decided it, and the number by
 * which keepalived compares the boxes. Pure: every function is given the time. mxlb elects nothing; keepalived (VRRP)
 * or routing (BGP) does.
 *
 *   1. `role: active` or `standby`: the configuration decides, or an operator's override until `role auto`.
 *   2. `role: keepalived`: the last line about the instance in keepalived's FIFO decides. MASTER: active. BACKUP,
 *      FAULT, STOP, DELETED: standby. Before the first line the role is the one from before a restart, else standby.
 *      An override only changes the priority: VRRP alone decides.
 *   3. keepalived is lost if the FIFO has had no writer for ROLE_LOST_MS (a reload of keepalived is shorter). The role
 *      stays.
 *   4. The priority is one bonus plus the largest penalty. A penalty begins after its cause has lasted for a time, and
 *      ends after the cause has been absent for a time, so that two boxes do not swap roles repeatedly. On a standby box
 *      it begins at once and lasts longer afterwards: two boxes notice a common fault, and its end, seconds apart, and the
 *      active box must never have a penalty that the standby box has not.
 */
#ifndef MXLB_ROLE_H
#define MXLB_ROLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "core/config.h"
#include "core/model.h"

#define ROLE_LOST_MS	 500
#define ROLE_LINE_SIZE	 256
#define ROLE_WORD_ALWAYS 0ull /* in the map `role`: answer for the VIPs */
#define ROLE_WORD_NEVER	 1ull /* else until that time, CLOCK_MONOTONIC in ns */

enum role { ROLE_STANDBY, ROLE_ACTIVE };
enum role_source { ROLE_FROM_CONFIG, ROLE_FROM_KEEPALIVED, ROLE_FROM_OPERATOR, ROLE_FROM_LEASE };
enum role_order { ROLE_ORDER_AUTO, ROLE_ORDER_ACTIVE, ROLE_ORDER_STANDBY };

enum vrrp_state { /* a line's last word but one */
		  VRRP_OTHER,
		  VRRP_MASTER,
		  VRRP_BACKUP,
		  VRRP_FAULT,
		  VRRP_STOP,
		  VRRP_DELETED,
		  VRRP_RX_LOWER, /* MASTER_RX_LOWER_PRI: another master sends, as after a split */
};

/* Penalties of the priority, the largest first. */
enum role_fault {
	ROLE_FAULT_ORDER,   /* an operator has set it to standby */
	ROLE_FAULT_READY,   /* a service has no first verdicts yet */
	ROLE_FAULT_SERVING, /* an interface without program or carrier */
	ROLE_FAULT_SERVERS, /* a service has no server for new connections */
	ROLE_FAULT_TIER,    /* a service is not on its best tier, by verdicts */
	ROLE_FAULTS
};

struct role_state {
	enum role role;
	enum role_source source;
	uint64_t since_ms;
	int64_t since_wall_ms;
	uint64_t changes;
	enum role_order wanted;
	struct order order;   /* of .wanted: who, since, until */
	enum vrrp_state vrrp; /* of the last line; VRRP_OTHER: none yet */
	char instance
		[CONFIG_NAME_SIZE]; /* the instance followed; empty: none configured or seen yet */
	bool lost;		    /* rule 3: role_set_lost() */
	struct role_penalty {
		bool cause, on;
		uint64_t changed_ms; /* when .cause last changed */
	} penalties[ROLE_FAULTS];
	int priority; /* -200 to 100: the priority file's number */
};

const char *role_name(enum role r);		  /* "active", "standby" */
const char *role_source_name(enum role_source s); /* "config", "keepalived", "operator", "lease" */
const char *role_order_name(enum role_order o);
const char *role_fault_name(enum role_fault f);
int role_fault_points(enum role_fault f);

/* kept: the role from before a restart (rule 2); ignored unless conf->role is keepalived. */
void role_init(struct role_state *r, const struct ha_conf *conf, enum role kept, struct now now);
/* Rule 3. Without a configured instance the next line's is followed. */
void role_set_lost(struct role_state *r, const struct ha_conf *conf, bool lost);
/*
 * A reload to another `role`: the FIFO is no longer read, so its next line may be that of a keepalived with another
 * instance. Nothing is lost then (rule 3).
 */
void role_unfollow(struct role_state *r, const struct ha_conf *conf);
/* Lines may have been missed since the last one: the role stays until the next one, whose instance is as after a loss. */
void role_forget_line(struct role_state *r, const struct ha_conf *conf);
/*
 * Takes one line of the FIFO without its newline. Returns its event for the instance followed, else VRRP_OTHER. Without
 * a configured instance the first one is followed, until it ends: it may then come back under another name.
 */
enum vrrp_state role_line(struct role_state *r, const struct ha_conf *conf, const char *line);
/* An operator's override; for_ms 0: until the next one. */
void role_order_give(struct role_state *r, enum role_order wanted, const char *who, uint64_t for_ms,
		     struct now now);
/* One from before a restart, given at since_wall_ms: the role that it made is not new. */
void role_order_restore(struct role_state *r, const struct ha_conf *conf, enum role_order wanted,
			const char *who, uint64_t for_ms, int64_t since_wall_ms, struct now now);
/*
 * Decides again after any input: rules 1, 2 and 4. causes: one bit per enum role_fault that is true now, without
 * ROLE_FAULT_ORDER. True: the role has changed, and .role, .source, .since are new.
 */
bool role_decide(struct role_state *r, const struct ha_conf *conf, unsigned causes, struct now now);
/* When role_decide() would decide differently with the same causes, in ms; 0: never. */
uint64_t role_next_ms(const struct role_state *r);
/* The word of the map `role` for now. */
uint64_t role_word(const struct role_state *r, const struct ha_conf *conf, uint64_t now_ns);

/* The causes as the model shows them; the daemon adds what only it knows (program, carrier). */
unsigned role_causes(const struct model *m);

#endif
