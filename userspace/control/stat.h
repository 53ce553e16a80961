/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Services and backends as HAProxy's `show stat` has them: a row of fields each.
 */
#ifndef MXLB_CONTROL_STAT_H
#define MXLB_CONTROL_STAT_H

#include "control/render.h"
#include "control/typed.h"

/*
 * HAProxy 2.6's columns, all of them, in its order. Y: what mxlb knows, with the tags that HAProxy gives it. N: what it has
 * not (queues, HTTP, what a connection's way back would show): the field is empty, as HAProxy leaves those of a TCP proxy.
 */
/* clang-format off */
#define STAT_COLUMNS(Y, N) \
	Y(pxname, "KNS") Y(svname, "KNS") N(qcur) N(qmax) Y(scur, "MGP") N(smax) Y(slim, "CLP") \
	Y(stot, "MCP") Y(bin, "MCP") N(bout) Y(dreq, "MCP") N(dresp) Y(ereq, "MCP") N(econ) \
	N(eresp) Y(wretr, "MCP") N(wredis) Y(status, "SGP") Y(weight, "MaP") Y(act, "MGP") \
	Y(bck, "MGP") Y(chkfail, "MCP") Y(chkdown, "MCP") Y(lastchg, "MAP") Y(downtime, "MCP") \
	N(qlimit) Y(pid, "KGP") Y(iid, "KGS") Y(sid, "KGS") N(throttle) Y(lbtot, "MCP") \
	N(tracked) Y(type, "CGS") N(rate) N(rate_lim) N(rate_max) Y(check_status, "MOP") \
	Y(check_code, "MOP") Y(check_duration, "MDP") N(hrsp_1xx) N(hrsp_2xx) N(hrsp_3xx) \
	N(hrsp_4xx) N(hrsp_5xx) N(hrsp_other) N(hanafail) N(req_rate) N(req_rate_max) N(req_tot) \
	N(cli_abrt) N(srv_abrt) N(comp_in) N(comp_out) N(comp_byp) N(comp_rsp) N(lastsess) \
	Y(last_chk, "MOP") N(last_agt) N(qtime) N(ctime) N(rtime) N(ttime) N(agent_status) \
	N(agent_code) N(agent_duration) Y(check_desc, "MOP") N(agent_desc) Y(check_rise, "CGS") \
	Y(check_fall, "CGS") Y(check_health, "CGS") N(agent_rise) N(agent_fall) N(agent_health) \
	Y(addr, "CGS") N(cookie) Y(mode, "CGS") Y(algo, "CGS") N(conn_rate) N(conn_rate_max) \
	N(conn_tot) N(intercepted) N(dcon) N(dses) N(wrew) N(connect) N(reuse) N(cache_lookups) \
	N(cache_hits) N(srv_icur) N(src_ilim) N(qtime_max) N(ctime_max) N(rtime_max) \
	N(ttime_max) N(eint) N(idle_conn_cur) N(safe_conn_cur) N(used_conn_cur) N(need_conn_est) \
	Y(uweight, "MaP") N(agg_server_status) N(agg_server_check_status) N(agg_check_status)
/* clang-format on */

enum stat_column {
#define COLUMN(name, ...) STAT_##name,
	STAT_COLUMNS(COLUMN, COLUMN)
#undef COLUMN
		STAT_COUNT
};

enum stat_type { STAT_FRONTEND, STAT_BACKEND, STAT_SERVER };

struct stat_row { /* valid until the model changes; not to be copied, for its texts may lie in it */
	enum stat_type of;
	uint32_t iid,
		sid; /* of the service, from 1; of a server, 0 in the other rows. Both last as long as it does */
	struct typed_value v[STAT_COUNT];
	char status[24], addr[ADDR_TEXT_SIZE];
};

extern const struct typed_field stat_columns[STAT_COUNT]; /* .tags NULL: never has a value */

uint32_t stat_iid(const struct service *s);
void stat_frontend(const struct model *m, const struct service *s, const struct control_info *info,
		   struct stat_row *out);
void stat_server(const struct service *s, const struct backend *b, struct now now,
		 struct stat_row *out);
void stat_backend(const struct service *s, struct now now, struct stat_row *out);

/* statword.c: HAProxy's words for a server's state and its last check. */
enum check_status { /* HAProxy's numbers */
		    CHECK_INI = 1,
		    CHECK_SOCKERR = 5,
		    CHECK_L4OK,
		    CHECK_L4TOUT,
		    CHECK_L4CON,
		    CHECK_L6OK,
		    CHECK_L6TOUT,
		    CHECK_L6RSP,
		    CHECK_L7TOUT,
		    CHECK_L7RSP,
		    CHECK_L7OK = 15,
		    CHECK_L7STS = 17,
};

/* "UP", "UP 1/3", "DOWN", "NOLB" ... Returns text. */
char *stat_status(const struct service *s, const struct backend *b, char *text, size_t size);
enum check_status stat_check(const struct service *s, const struct backend *b);
const char *stat_check_name(enum check_status c); /* "L7OK" */
const char *stat_check_text(enum check_status c); /* "Layer7 check passed" */
/* 0: down for sure; rise + fall - 1: up for sure. */
uint32_t stat_health(const struct service *s, const struct backend *b);
/* Of a tier that does not take part. */
bool stat_is_backup(const struct service *s, const struct backend *b);

#endif
