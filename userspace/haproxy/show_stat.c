/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `show stat`, `show servers state` and `show backend`: their contents and form. Unknown words are ignored, as in
 * HAProxy.
 */
#include <ctype.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include "control/request.h"
#include "haproxy/stat_row.h"
#include "util/clock.h"

struct filter {
	enum typed_format format;
	uint32_t iid;	/* 0: all */
	unsigned types; /* 1: frontends, 2: backends, 4: servers */
	long sid;	/* -1: all */
	bool only_up, no_maint;
};

static void print_header(struct buf *out)
{
	for (unsigned c = 0; c < STAT_COUNT; c++)
		buf_printf(out, "%s%s,", c ? "" : "# ", stat_columns[c].name);
	buf_append(out, "\n", 1);
}

static void print_csv(struct buf *out, const struct stat_row *r)
{
	for (unsigned c = 0; c < STAT_COUNT; c++) {
		typed_plain(out, &r->v[c], true);
		buf_append(out, ",", 1);
	}
	buf_append(out, "\n", 1);
}

static void print_typed(struct buf *out, const struct stat_row *r)
{
	for (unsigned c = 0; c < STAT_COUNT; c++) {
		if (!r->v[c].kind)
			continue;
		buf_printf(out, "%c.%u.%u.", "FBS"[r->of], r -> iid, r -> sid);
		typed_line(out, &stat_columns[c], &r->v[c]);
	}
}

static void show_stat_print_json(struct buf *out, const struct stat_row *r, bool first)
{
	static const char *const types[] = {"Frontend", "Backend", "Server"};
	const char *before = first ? "[" : ",[";

	for (unsigned c = 0; c < STAT_COUNT; c++) {
		if (!r->v[c].kind)
			continue;
		buf_printf(out, "%s{\"objType\":\"%s\",\"proxyId\":%u,\"id\":%u,", before,
			   types[r->of], r->iid, r->sid);
		typed_json(out, &stat_columns[c], &r->v[c]);
		before = ",";
	}
	buf_append(out, "]", 1);
}

static bool wants(const struct filter *f, const struct stat_row *r)
{
	static const unsigned bits[] = {[STAT_FRONTEND] = 1, [STAT_BACKEND] = 2, [STAT_SERVER] = 4};
	const char *status = r->v[STAT_status].text;

	if ((f->iid && f->iid != r->iid) || !(f->types & bits[r->of]))
		return false;
	if (r->of != STAT_SERVER)
		return true;
	if (f->sid >= 0 && (uint32_t)f->sid != r->sid)
		return false;
	if (f->only_up && (!strncmp(status, "DOWN", 4) || !strcmp(status, "MAINT")))
		return false;
	return !f->no_maint || strcmp(status, "MAINT") != 0;
}

struct stat_listing {
	struct request *r;
	struct filter filter;
	struct control_info info;
	struct now now;
	bool any;
};

static void list_row(struct stat_listing *l, const struct stat_row *row)
{
	struct buf *out = l->r->out;

	if (!wants(&l->filter, row))
		return;
	if (l->filter.format == FORMAT_PLAIN)
		print_csv(out, row);
	else if (l->filter.format == FORMAT_TYPED)
		print_typed(out, row);
	else
		show_stat_print_json(out, row, !l->any);
	l->any = true;
}

static void list_service(struct stat_listing *l, const struct service *s)
{
	struct stat_row row;

	stat_frontend(l->r->env->model, s, &l->info, l->now, &row);
	list_row(l, &row);
	for (unsigned i = 0; i < s->n_servers; i++) {
		stat_server(s, &s->servers[i], l->now, &row);
		list_row(l, &row);
	}
	stat_backend(l->r->env->model, s, &l->info, l->now, &row);
	list_row(l, &row);
}

static const struct service *show_stat_find_service(const struct model *m, const char *name)
{
	for (unsigned i = 0; i < m->n_services; i++)
		if (!strcmp(m->services[i].conf.name, name))
			return &m->services[i];
	return NULL;
}

/* Parses "<iid or name> <type> <sid>": all three or none. False, after an error reply: no such service. */
static bool take_place(struct request *r, unsigned at, struct filter *f)
{
	const struct service *s;
	char *end;
	long iid;

	if (r->n_args < at + 3)
		return true;
	iid = strtol(r->args[at], &end, 10);
	if (*end) {
		s = show_stat_find_service(r->env->model, r->args[at]);
		if (!s) {
			command_error(r, "No such proxy.\n");
			return false;
		}
		iid = stat_iid(s);
	}
	f->iid = iid > 0 && iid <= INT_MAX ? (uint32_t)iid : 0;
	f->types = (unsigned)strtol(r->args[at + 1], NULL, 10);
	f->sid = strtol(r->args[at + 2], NULL, 10);
	return true;
}

static bool take_filter(struct request *r, struct filter *f)
{
	unsigned at = r->n_args >= 2 && !strcmp(r->args[0], "domain") ? 2 : 0;

	if (at && strcmp(r->args[1], "proxy") != 0) {
		command_error(r, "Invalid statistics domain.\n");
		return false;
	}
	for (unsigned i = at; i < r->n_args; i++) {
		if (typed_format(r->args[i], &f->format))
			continue;
		f->only_up = f->only_up || !strcmp(r->args[i], "up");
		f->no_maint = f->no_maint || !strcmp(r->args[i], "no-maint");
	}
	return take_place(r, at, f);
}

void statlist_run(struct request *r)
{
	struct stat_listing l = {
		.r = r, .filter = {.types = UINT_MAX, .sid = -1}, .now = clock_now()};
	struct model *m = r->env->model;
	bool json;

	if (!take_filter(r, &l.filter))
		return;
	json = l.filter.format == FORMAT_JSON;
	r->env->cb.refresh(r->env->cb.ctx, &l.info);
	if (l.filter.format == FORMAT_PLAIN)
		print_header(r->out);
	buf_printf(r->out, json ? "[" : "");
	for (unsigned i = 0; i < m->n_services; i++)
		list_service(&l, &m->services[i]);
	buf_printf(r->out, json ? "]\n" : "");
}

/* HAProxy's numbers (server-t.h, check-t.h of 2.6): what runs, what an admin said, what the last check said. */
static void server_state(struct buf *out, const struct service *s, const struct server *b,
			 struct now now)
{
	static const unsigned operation[VERDICT_COUNT] = {[VERDICT_UNKNOWN] = 0,
							  [VERDICT_UP] = 2,
							  [VERDICT_DRAINING] = 3,
							  [VERDICT_DOWN] = 0};
	static const unsigned admin[] = {[ADMIN_READY] = 0, [ADMIN_DRAIN] = 8, [ADMIN_MAINT] = 1};
	static const unsigned result[VERDICT_COUNT] = {[VERDICT_UNKNOWN] = 0,
						       [VERDICT_UP] = 3,
						       [VERDICT_DRAINING] = 4,
						       [VERDICT_DOWN] = 2};
	bool maint = b->admin == ADMIN_MAINT;
	char address[ADDR_TEXT_SIZE];

	buf_printf(out, "%u %s %u %s %s %u %u %u %u %llu %u %u %u %u 0 0 0 - %u - 0 0 - - 0\n",
		   stat_iid(s), s->conf.name, b->id, b->conf.name,
		   addr_text(&b->conf.address, address),
		   maint ? 0 : operation[health_effective(&b->health)], admin[b->admin], b->weight,
		   b->conf.weight,
		   (unsigned long long)tally_age_ms(b->tally.changed_ms, now.mono_ms) / 1000,
		   stat_check(s, b), b->last_wall_ms ? result[reason_verdict(b->last.reason)] : 0,
		   maint ? 0 : stat_health(s, b), maint ? 14 : 6, s->conf.port);
}

void statlist_servers(struct request *r)
{
	const struct model *m = r->env->model;
	const struct service *only = r->n_args ? show_stat_find_service(m, r->args[0]) : NULL;

	if (r->n_args && !only) {
		command_error(r, "Can't find backend.\n");
		return;
	}
	buf_printf(r->out, "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state "
			   "srv_admin_state srv_uweight srv_iweight srv_time_since_last_change "
			   "srv_check_status srv_check_result srv_check_health srv_check_state "
			   "srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn srv_port "
			   "srvrecord srv_use_ssl srv_check_port srv_check_addr srv_agent_addr "
			   "srv_agent_port\n");
	for (unsigned i = 0; i < m->n_services; i++)
		for (unsigned k = 0; k < m->services[i].n_servers; k++)
			if (!only || only == &m->services[i])
				server_state(r->out, &m->services[i], &m->services[i].servers[k],
					     clock_now());
}

void statlist_backends(struct request *r)
{
	const struct model *m = r->env->model;

	buf_printf(r->out, "# name\n");
	for (unsigned i = 0; i < m->n_services; i++)
		buf_printf(r->out, "%s\n", m->services[i].conf.name);
}
