/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Operators' commands about a server, in HAProxy's words, and about a service's tiers. The model stores the setting
 * with its operator and expiry; the daemon applies it.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "control/request.h"
#include "util/clock.h"

static void set_state(struct request *r, const struct server *b, enum admin_state state,
		      uint64_t for_ms)
{
	const struct control_callbacks *cb = &r->env->cb;

	if (model_admin_for(r->env->model, b->id, state, r->caller->who, for_ms, clock_now()))
		cb->changed(cb->ctx);
}

/*
 * "50": that weight; "50%": a percentage of the configured weight, at most MXLB_MAX_WEIGHT. HAProxy's rules and
 * sentences (server_parse_weight_change_request() of 2.6).
 */
static const char *take_weight(const char *text, uint16_t configured, uint16_t *out)
{
	char *end = NULL;
	long n = strtol(text, &end, 10);
	bool relative = !strcmp(end, "%");

	if (end == text)
		return "Empty weight string empty or preceded by garbage";
	if (relative && n < 0)
		return "Relative weight must be positive.";
	if (!relative && (n < 0 || n > MXLB_MAX_WEIGHT))
		return "Absolute weight can only be between 0 and 256 inclusive.";
	if (!relative && *end)
		return "Trailing garbage in weight string";
	if (relative) {
		n = n > 100 * MXLB_MAX_WEIGHT ? 100 * MXLB_MAX_WEIGHT : n;
		n = configured * n / 100;
		n = n > MXLB_MAX_WEIGHT ? MXLB_MAX_WEIGHT : n;
	}
	*out = (uint16_t)n;
	return NULL;
}

/* at: the index of the weight among the words. */
static void set_weight(struct request *r, const struct server *b, unsigned at)
{
	const struct control_callbacks *cb = &r->env->cb;
	const char *wrong = "Require <weight> or <weight%>.";
	uint16_t weight;

	if (r->n_args > at)
		wrong = take_weight(r->args[at], b->conf.weight, &weight);
	if (wrong)
		command_error(r, "%s\n", wrong);
	else if (model_weight(r->env->model, b->id, weight, r->caller->who, clock_now()))
		cb->changed(cb->ctx);
}

void admin_set_weight(struct request *r)
{
	const struct server *b = request_server(r);

	if (b)
		set_weight(r, b, 1);
}

void admin_get_weight(struct request *r)
{
	const struct server *b = request_server(r);

	if (b)
		buf_printf(r->out, "%u (initial %u)\n", b->weight, b->conf.weight);
}

void admin_set_server(struct request *r)
{
	struct server *b = request_server(r);
	uint64_t for_ms;

	if (!b)
		return;
	if (r->n_args >= 2 && !strcmp(r->args[1], "weight")) {
		set_weight(r, b, 2);
		return;
	}
	if (r->n_args < 2 || strcmp(r->args[1], "state")) {
		command_error(r, "usage: set server <backend>/<server> state | weight\n");
		return;
	}
	for (int state = ADMIN_READY; r->n_args > 2 && state <= ADMIN_MAINT; state++) {
		bool keep_one = r->n_args > 3 && !strcmp(r->args[3], "keep-one");

		if (strcmp(r->args[2], admin_state_name(state)))
			continue;
		if (keep_one && state != ADMIN_READY && b->in_ring &&
		    !model_has_other(r->env->model, b->id))
			command_error(r,
				      "%s is the last server of %s that takes mail; use --force to "
				      "take it out anyway.\n",
				      b->conf.name, r->args[0]);
		else if (request_for(r, 3 + keep_one, &for_ms))
			set_state(r, b, state, for_ms);
		return;
	}
	command_error(r, "'set server <srv> state' expects 'ready', 'drain' and 'maint'.\n");
}

void admin_enable_server(struct request *r)
{
	struct server *b = request_server(r);

	if (b)
		set_state(r, b, ADMIN_READY, 0);
}

void admin_disable_server(struct request *r)
{
	struct server *b = request_server(r);

	if (b)
		set_state(r, b, ADMIN_MAINT, 0);
}

/* Commands that Ansible's module sends around `disable server` and `enable server`. */
static bool is_enable(const struct request *r)
{
	return r->command[0] == 'e';
}

void admin_agent(struct request *r)
{
	if (request_server(r) && is_enable(r)) /* HAProxy's sentence */
		command_error(r, "Agent was not configured on this server, cannot enable.\n");
}

void admin_check(struct request *r)
{
	if (request_server(r) && !is_enable(r))
		command_error(r, "Probes of a server in service cannot be disabled; use 'disable "
				 "server' to take it out without probes.\n");
}

void admin_shutdown(struct request *r)
{
	if (request_server(r))
		command_error(r, "mxlb does not end sessions that a server still serves; state "
				 "maint takes new ones elsewhere, and stopping the server ends the "
				 "rest.\n");
}

/* Parses the preference of one of the service's tiers; false, after an error reply: there is no such tier. */
static bool take_tier(struct request *r, const struct service *s, const char *text, uint16_t *out)
{
	char *end = NULL;
	unsigned long n = strtoul(text, &end, 10);

	for (unsigned i = 0; isdigit((unsigned char)*text) && !*end && i < s->n_servers; i++) {
		*out = s->servers[i].conf.preference;
		if (*out == n)
			return true;
	}
	command_error(r, "No such tier.\n");
	return false;
}

static void force_tier(struct request *r, const struct service *s)
{
	const struct control_callbacks *cb = &r->env->cb;
	uint16_t preference;
	uint64_t for_ms;

	if (take_tier(r, s, r->args[2], &preference) && request_for(r, 3, &for_ms) &&
	    model_force(r->env->model, s->id, preference, r->caller->who, for_ms, clock_now()))
		cb->changed(cb->ctx);
}

void admin_tier(struct request *r)
{
	const struct control_callbacks *cb = &r->env->cb;
	const struct service *s = r->n_args ? request_service(r, r->args[0]) : NULL;

	if (r->n_args && !s)
		return;
	if (r->n_args == 2 && !strcmp(r->args[1], "auto")) {
		if (model_auto(r->env->model, s->id, r->caller->who, clock_now()))
			cb->changed(cb->ctx);
	} else if (r->n_args >= 3 && !strcmp(r->args[1], "force")) {
		force_tier(r, s);
	} else {
		command_error(r,
			      "usage: tier <service> force <preference> [for <seconds>] | auto\n");
	}
}
