/* SPDX-License-Identifier: BSD-2-Clause */
/* Services and servers in the form of HAProxy's `show stat`: a row of fields each. */
#ifndef MXLB_CONTROL_STAT_H
#define MXLB_CONTROL_STAT_H

#include "control/render.h"
#include "haproxy/typed.h"

/*
 * HAProxy 2.6's columns, all of them, in its order. Y: HAProxy gives a value for a TCP proxy, with these tags. N: it leaves
 * the field empty there (HTTP, agents, cookies), and so does mxlb.
 */
/* clang-format off */
#define STAT_COLUMNS(Y, N) \
	Y(pxname, "KNS") Y(svname, "KNS") Y(qcur, "MGP") Y(qmax, "MMP") Y(scur, "MGP") \
	Y(smax, "MMP") Y(slim, "CLP") Y(stot, "MCP") Y(bin, "MCP") Y(bout, "MCP") Y(dreq, "MCP") \
	Y(dresp, "MCP") Y(ereq, "MCP") Y(econ, "MCP") Y(eresp, "MCP") Y(wretr, "MCP") \
	Y(wredis, "MCP") Y(status, "SGP") Y(weight, "MaP") Y(act, "MGP") Y(bck, "MGP") \
	Y(chkfail, "MCP") Y(chkdown, "MCP") Y(lastchg, "MAP") Y(downtime, "MCP") N(qlimit) \
	Y(pid, "KGP") Y(iid, "KGS") Y(sid, "KGS") N(throttle) Y(lbtot, "MCP") N(tracked) \
	Y(type, "CGS") Y(rate, "MRP") Y(rate_lim, "CLP") Y(rate_max, "MMP") \
	Y(check_status, "MOP") Y(check_code, "MOP") Y(check_duration, "MDP") N(hrsp_1xx) \
	N(hrsp_2xx) N(hrsp_3xx) N(hrsp_4xx) N(hrsp_5xx) N(hrsp_other) N(hanafail) \
	Y(req_rate, "MRP") Y(req_rate_max, "MMP") Y(req_tot, "MCP") Y(cli_abrt, "MCP") \
	Y(srv_abrt, "MCP") Y(comp_in, "MCP") Y(comp_out, "MCP") Y(comp_byp, "MCP") \
	Y(comp_rsp, "MCP") Y(lastsess, "MAP") Y(last_chk, "MOP") N(last_agt) Y(qtime, "MaP") \
	Y(ctime, "MaP") Y(rtime, "MaP") Y(ttime, "MaP") N(agent_status) N(agent_code) \
	N(agent_duration) Y(check_desc, "MOP") N(agent_desc) Y(check_rise, "CGS") \
	Y(check_fall, "CGS") Y(check_health, "CGS") N(agent_rise) N(agent_fall) N(agent_health) \
	Y(addr, "CGS") N(cookie) Y(mode, "CGS") Y(algo, "CGS") Y(conn_rate, "MRP") \
	Y(conn_rate_max, "MMP") Y(conn_tot, "MCP") N(intercepted) Y(dcon, "MCP") Y(dses, "MCP") \
	Y(wrew, "MCP") Y(connect, "MCP") Y(reuse, "MCP") N(cache_lookups) N(cache_hits) \
	Y(srv_icur, "MGP") N(src_ilim) Y(qtime_max, "MMP") Y(ctime_max, "MMP") \
	Y(rtime_max, "MMP") Y(ttime_max, "MMP") Y(eint, "MCP") Y(idle_conn_cur, "MGP") \
	Y(safe_conn_cur, "MGP") Y(used_conn_cur, "MGP") Y(need_conn_est, "MGP") Y(uweight, "MaP") \
	Y(agg_server_status, "MGP") Y(agg_server_check_status, "MGP") Y(agg_check_status, "MGP")
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
		   struct now now, struct stat_row *out);
void stat_server(const struct service *s, const struct server *b, struct now now,
		 struct stat_row *out);
void stat_backend(const struct model *m, const struct service *s, const struct control_info *info,
		  struct now now, struct stat_row *out);

/* stat_words.c: HAProxy's words for a server's state and its last check. */
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
char *stat_status(const struct service *s, const struct server *b, char *text, size_t size);
enum check_status stat_check(const struct service *s, const struct server *b);
const char *stat_check_name(enum check_status c); /* "L7OK" */
const char *stat_check_text(enum check_status c); /* "Layer7 check passed" */
/* 0: down for sure; rise + fall - 1: up for sure. */
uint32_t stat_health(const struct service *s, const struct server *b);
/* Of a tier that does not take part. */
bool stat_is_backup(const struct service *s, const struct server *b);

#endif
