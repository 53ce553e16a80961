/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Maps the model to HAProxy's columns. It counts nothing itself: traffic comes from the datapath, the rest from
 * tally.c. Sessions are flow table entries, bytes are those to the servers (replies do not pass here), retries are
 * retransmitted SYNs.
 *
 * HAProxy's clients take an empty field for a missing answer. So each column that HAProxy 2.6 fills for a TCP proxy
 * has a number here, 0 for everything that a layer-4 balancer does not count (queues, aborts, replies, compression).
 */
#include "haproxy/stat_row.h"

#include <string.h>

const struct typed_field stat_columns[STAT_COUNT] = {
#define KNOWN(name, tags)  {STAT_##name, #name, tags},
#define UNKNOWN(name, ...) {STAT_##name, #name, NULL},
	STAT_COLUMNS(KNOWN, UNKNOWN)
#undef KNOWN
#undef UNKNOWN
};

static void stat_row_put_text(struct stat_row *r, enum stat_column c, const char *text)
{
	r->v[c] = (struct typed_value){.kind = TYPED_TEXT, .text = text};
}

static void put_u32(struct stat_row *r, enum stat_column c, uint32_t n)
{
	r->v[c] = (struct typed_value){.kind = TYPED_U32, .n = n};
}

static void put_u64(struct stat_row *r, enum stat_column c, uint64_t n)
{
	r->v[c] = (struct typed_value){.kind = TYPED_U64, .n = n};
}

static void put_seconds(struct stat_row *r, enum stat_column c, uint64_t ms)
{
	put_u32(r, c, ms / 1000 < UINT32_MAX ? (uint32_t)(ms / 1000) : UINT32_MAX);
}

/* Columns that are always 0, by kind of row. */
static const enum stat_column zeros_frontend[] = {
	STAT_bout,	   STAT_dreq,	 STAT_dresp,   STAT_ereq,     STAT_rate_lim, STAT_req_rate,
	STAT_req_rate_max, STAT_req_tot, STAT_comp_in, STAT_comp_out, STAT_comp_byp, STAT_comp_rsp,
	STAT_dcon,	   STAT_dses,	 STAT_wrew,    STAT_eint};
static const enum stat_column zeros_backend[] = {
	STAT_qcur,    STAT_qmax,      STAT_bout,      STAT_dreq,      STAT_dresp,
	STAT_econ,    STAT_eresp,     STAT_wredis,    STAT_cli_abrt,  STAT_srv_abrt,
	STAT_comp_in, STAT_comp_out,  STAT_comp_byp,  STAT_comp_rsp,  STAT_qtime,
	STAT_ctime,   STAT_rtime,     STAT_ttime,     STAT_wrew,      STAT_connect,
	STAT_reuse,   STAT_qtime_max, STAT_ctime_max, STAT_rtime_max, STAT_ttime_max,
	STAT_eint};
static const enum stat_column zeros_server[] = {
	STAT_qcur,	    STAT_qmax,	       STAT_bout,	   STAT_dresp,
	STAT_econ,	    STAT_eresp,	       STAT_wredis,	   STAT_cli_abrt,
	STAT_srv_abrt,	    STAT_qtime,	       STAT_ctime,	   STAT_rtime,
	STAT_ttime,	    STAT_wrew,	       STAT_connect,	   STAT_reuse,
	STAT_srv_icur,	    STAT_qtime_max,    STAT_ctime_max,	   STAT_rtime_max,
	STAT_ttime_max,	    STAT_eint,	       STAT_idle_conn_cur, STAT_safe_conn_cur,
	STAT_used_conn_cur, STAT_need_conn_est};

static void stat_row_put_zeros(struct stat_row *r)
{
	static const struct {
		const enum stat_column *columns;
		size_t n;
	} of[] = {
		[STAT_FRONTEND] = {zeros_frontend,
				   sizeof(zeros_frontend) / sizeof(*zeros_frontend)},
		[STAT_BACKEND] = {zeros_backend, sizeof(zeros_backend) / sizeof(*zeros_backend)},
		[STAT_SERVER] = {zeros_server, sizeof(zeros_server) / sizeof(*zeros_server)},
	};

	for (size_t i = 0; i < of[r->of].n; i++)
		put_u64(r, of[r->of].columns[i], 0);
}

uint32_t stat_iid(const struct service *s)
{
	return s->id + 1;
}

static void stat_row_begin(struct stat_row *r, const struct service *s, enum stat_type of,
			   const char *name, uint32_t sid)
{
	memset(r, 0, sizeof(*r));
	r->of = of;
	r->iid = stat_iid(s);
	r->sid = sid;
	stat_row_put_text(r, STAT_pxname, s->conf.name);
	stat_row_put_text(r, STAT_svname, name);
	stat_row_put_text(r, STAT_mode, "tcp");
	put_u32(r, STAT_pid, 1); /* the number of the process, as HAProxy's */
	put_u32(r, STAT_iid, r->iid);
	put_u32(r, STAT_sid, sid);
	put_u32(r, STAT_type, of);
	stat_row_put_zeros(r);
}

static void put_rate(struct stat_row *r, const struct tally_rate *rate, uint64_t now_ms)
{
	put_u32(r, STAT_smax,
		(uint32_t)(rate->flows_max > r->v[STAT_scur].n ? rate->flows_max
							       : r->v[STAT_scur].n));
	put_u32(r, STAT_rate, rate->now);
	put_u32(r, STAT_rate_max, rate->max);
	if (r->of == STAT_FRONTEND) { /* a connection is a session here */
		put_u32(r, STAT_conn_rate, rate->now);
		put_u32(r, STAT_conn_rate_max, rate->max);
		r->v[STAT_conn_tot] = r->v[STAT_stot];
		return;
	}
	put_seconds(r, STAT_lastsess, tally_age_ms(rate->last_ms, now_ms));
	r->v[STAT_lastsess].kind = TYPED_S32;
	if (!rate->last_ms)
		r->v[STAT_lastsess].n = (uint64_t)-1; /* none yet */
}

static void put_traffic(struct stat_row *r, const struct traffic *t)
{
	put_u64(r, STAT_stot, t->new_flows);
	put_u64(r, STAT_bin, t->bytes);
	put_u32(r, STAT_scur, (uint32_t)t->flows);
	if (r->of == STAT_FRONTEND)
		return;
	put_u64(r, STAT_lbtot, t->new_flows);
	put_u64(r, STAT_wretr, t->retransmits);
}

static struct traffic stat_row_sum_traffic(const struct service *s)
{
	struct traffic sum = {0};

	for (unsigned i = 0; i < s->n_servers; i++) {
		const struct traffic *t = &s->servers[i].traffic;

		sum.flows += t->flows;
		sum.new_flows += t->new_flows;
		sum.bytes += t->bytes;
		sum.retransmits += t->retransmits;
	}
	return sum;
}

static void put_denied(struct stat_row *r, const uint64_t *drops)
{
	put_u64(r, STAT_dreq, drops[MXLB_DROP_denied] + drops[MXLB_DROP_syn_limit]);
}

static void put_drops(struct stat_row *r, const uint64_t *drops)
{
	put_denied(r, drops);
	put_u64(r, STAT_ereq,
		drops[MXLB_DROP_malformed] + drops[MXLB_DROP_fragment] + drops[MXLB_DROP_flags] +
			drops[MXLB_DROP_martian] + drops[MXLB_DROP_ttl]);
}

void stat_frontend(const struct model *m, const struct service *s, const struct control_info *info,
		   struct now now, struct stat_row *r)
{
	struct traffic sum = stat_row_sum_traffic(s);

	stat_row_begin(r, s, STAT_FRONTEND, "FRONTEND", 0);
	put_traffic(r, &sum);
	put_rate(r, &s->tally.rate, now.mono_ms);
	put_u32(r, STAT_slim, m->config->datapath.flows);
	stat_row_put_text(r, STAT_status,
			  s->tier.state == SERVICE_NOT_READY || s->tier.state == SERVICE_BLIND
				  ? "STOP"
				  : "OPEN");
	if (info->service_drops && s->id < MXLB_MAX_SERVICES)
		put_drops(r, info->service_drops[s->id]);
}

/* As HAProxy: nothing of checks while they do not run. */
static void put_check(struct stat_row *r, const struct service *s, const struct server *b)
{
	enum check_status c = stat_check(s, b);

	if (b->admin == ADMIN_MAINT)
		return;
	stat_row_put_text(r, STAT_check_status, stat_check_name(c));
	stat_row_put_text(r, STAT_check_desc, stat_check_text(c));
	put_u32(r, STAT_check_rise, s->probe.rise);
	put_u32(r, STAT_check_fall, s->probe.fall);
	put_u32(r, STAT_check_health, stat_health(s, b));
	if (!b->last_wall_ms)
		return;
	stat_row_put_text(r, STAT_last_chk,
			  b->last.text[0] ? b->last.text : reason_text(b->last.reason));
	put_u64(r, STAT_check_duration, b->last.total_ms);
	if (b->last.smtp_code)
		put_u32(r, STAT_check_code, b->last.smtp_code);
}

void stat_server(const struct service *s, const struct server *b, struct now now,
		 struct stat_row *r)
{
	bool backup = stat_is_backup(s, b);

	stat_row_begin(r, s, STAT_SERVER, b->conf.name, b->id);
	put_traffic(r, &b->traffic);
	put_rate(r, &b->tally.rate, now.mono_ms);
	stat_row_put_text(r, STAT_status, stat_status(s, b, r->status, sizeof(r->status)));
	stat_row_put_text(r, STAT_addr, addr_port_text(&b->conf.address, s->conf.port, r->addr));
	put_u32(r, STAT_weight, b->weight);
	put_u32(r, STAT_uweight, b->weight);
	put_u32(r, STAT_act, !backup);
	put_u32(r, STAT_bck, backup);
	put_u64(r, STAT_chkfail, b->tally.failed_up);
	put_u64(r, STAT_chkdown, b->tally.falls);
	put_seconds(r, STAT_lastchg, tally_age_ms(b->tally.changed_ms, now.mono_ms));
	put_seconds(r, STAT_downtime, downtime_ms(&b->tally.down, now.mono_ms));
	put_check(r, s, b);
}

/* Whether the server takes connections, or would if its tier were active. */
static bool is_usable(const struct server *b)
{
	return b->in_ring ||
	       (b->admin == ADMIN_READY && b->weight && health_effective(&b->health) == VERDICT_UP);
}

void stat_backend(const struct model *m, const struct service *s, const struct control_info *info,
		  struct now now, struct stat_row *r)
{
	bool served = s->tier.state != SERVICE_DOWN && s->tier.state != SERVICE_NOT_READY &&
		      s->tier.state != SERVICE_BLIND;
	struct traffic sum = stat_row_sum_traffic(s);
	uint32_t act = 0, bck = 0, weight = 0;

	stat_row_begin(r, s, STAT_BACKEND, "BACKEND", 0);
	for (unsigned i = 0; i < s->n_servers; i++) {
		const struct server *b = &s->servers[i];

		bck += is_usable(b) && stat_is_backup(s, b);
		act += is_usable(b) && !stat_is_backup(s, b);
		weight += b->in_ring ? b->weight : 0;
	}
	put_traffic(r, &sum);
	put_rate(r, &s->tally.rate, now.mono_ms);
	put_u32(r, STAT_slim, m->config->datapath.flows);
	for (enum stat_column c = STAT_agg_server_status; c <= STAT_agg_check_status; c++)
		put_u32(r, c, 0);
	if (info->service_drops && s->id < MXLB_MAX_SERVICES)
		put_denied(r, info->service_drops[s->id]);
	stat_row_put_text(r, STAT_status, served ? "UP" : "DOWN");
	stat_row_put_text(r, STAT_algo, "maglev");
	put_u32(r, STAT_weight, weight);
	put_u32(r, STAT_uweight, weight);
	put_u32(r, STAT_act, act);
	put_u32(r, STAT_bck, bck);
	put_u64(r, STAT_chkdown, s->tally.became[SERVICE_DOWN]);
	put_seconds(r, STAT_lastchg, tally_age_ms(s->tally.changed_ms, now.mono_ms));
	put_seconds(r, STAT_downtime, downtime_ms(&s->tally.down, now.mono_ms));
}
