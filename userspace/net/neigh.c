// SPDX-License-Identifier: BSD-2-Clause
/*
 * Access to the kernel's neighbour tables: entries, resolution, retransmission time. Knows nothing about servers. Only
 * touches entries that a caller names.
 */
#include "net/netlink_internal.h"

#include <errno.h>
#include <string.h>
#include "util/log.h"

#define FAST_RETRANS_MS 200

static const struct {
	const char *name;
	uint8_t family;
} tables[N_NEIGH_TABLES] = {{"arp_cache", AF_INET}, {"ndisc_cache", AF_INET6}};

bool neigh_parse(const struct nlmsghdr *h, struct neigh *out)
{
	const struct ndmsg *msg = mnl_nlmsg_get_payload(h);
	const struct nlattr *tb[NDA_LLADDR + 1];

	/* Other families are a bridge's forwarding database. */
	if (mnl_nlmsg_get_payload_len(h) < sizeof(*msg) ||
	    (msg->ndm_family != AF_INET && msg->ndm_family != AF_INET6))
		return false;
	request_attrs(h, sizeof(*msg), tb, NDA_LLADDR);
	memset(out, 0, sizeof(*out));
	if (!request_get_addr(tb[NDA_DST], &out->address))
		return false;
	out->ifindex = msg->ndm_ifindex;
	if (h->nlmsg_type == RTM_DELNEIGH)
		return true;
	out->nud = msg->ndm_state;
	if (tb[NDA_LLADDR] && mnl_attr_get_payload_len(tb[NDA_LLADDR]) == sizeof(out->mac)) {
		memcpy(&out->mac, mnl_attr_get_payload(tb[NDA_LLADDR]), sizeof(out->mac));
		out->has_mac = true;
	}
	return true;
}

static struct ndmsg *neigh_start(union netlink_msg *m, uint16_t type, uint16_t flags,
				 const struct neigh *e)
{
	struct ndmsg *msg = request_start(m, type, flags, sizeof(*msg));

	msg->ndm_family = addr_is_v4(&e->address) ? AF_INET : AF_INET6;
	msg->ndm_ifindex = e->ifindex;
	request_put_addr(m, NDA_DST, &e->address);
	return msg;
}

static void neigh_got(const struct nlmsghdr *h, void *arg)
{
	struct neigh got, *want = arg;

	if (h->nlmsg_type == RTM_NEWNEIGH && neigh_parse(h, &got))
		*want = got;
}

int neigh_get(struct netlink *n, struct neigh *out)
{
	union netlink_msg m;
	int err;

	out->nud = 0;
	out->has_mac = false;
	neigh_start(&m, RTM_GETNEIGH, 0, out); /* a single entry can be asked for since Linux 5.0 */
	err = request_send(n, &m.h, neigh_got, out);
	return err == -ENOENT ? 0 : err;
}

int neigh_use(struct netlink *n, const struct neigh *e)
{
	union netlink_msg m;
	struct ndmsg *msg = neigh_start(&m, RTM_NEWNEIGH, NLM_F_CREATE, e);

	msg->ndm_flags = NTF_USE;
	return request_send(n, &m.h, NULL, NULL);
}

int neigh_probe(struct netlink *n, const struct neigh *e)
{
	union netlink_msg m;
	struct ndmsg *msg = neigh_start(&m, RTM_NEWNEIGH, NLM_F_REPLACE, e);

	msg->ndm_state = NUD_PROBE;
	mnl_attr_put(&m.h, NDA_LLADDR, sizeof(e->mac), &e->mac);
	return request_send(n, &m.h, NULL, NULL);
}

int neigh_set_permanent(struct netlink *n, const struct neigh *e)
{
	union netlink_msg m;
	struct ndmsg *msg = neigh_start(&m, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, e);

	msg->ndm_state = NUD_PERMANENT;
	mnl_attr_put(&m.h, NDA_LLADDR, sizeof(e->mac), &e->mac);
	mnl_attr_put_u8(&m.h, NDA_PROTOCOL, PROBE_PROTOCOL);
	return request_send(n, &m.h, NULL, NULL);
}

struct retrans { /* retrans_time of one interface, and the tables' defaults */
	int ifindex;
	uint64_t now_ms[N_NEIGH_TABLES], default_ms[N_NEIGH_TABLES]; /* now 0: not there */
};

static void retrans_got(const struct nlmsghdr *h, void *arg)
{
	const struct nlattr *tb[NDTA_PARMS + 1], *parms[NDTPA_MAX + 1];
	struct retrans *r = arg;
	uint64_t ms;

	request_attrs(h, sizeof(struct ndtmsg), tb, NDTA_PARMS);
	if (!tb[NDTA_NAME] || !tb[NDTA_PARMS])
		return;
	request_nested(tb[NDTA_PARMS], parms, NDTPA_MAX);
	if (!parms[NDTPA_RETRANS_TIME])
		return;
	ms = mnl_attr_get_u64(parms[NDTPA_RETRANS_TIME]);
	for (int t = 0; t < N_NEIGH_TABLES; t++) {
		if (strcmp(mnl_attr_get_str(tb[NDTA_NAME]), tables[t].name))
			continue;
		if (!parms[NDTPA_IFINDEX])
			r->default_ms[t] = ms;
		else if ((int)mnl_attr_get_u32(parms[NDTPA_IFINDEX]) == r->ifindex)
			r->now_ms[t] = ms;
	}
}

static int retrans_read(struct netlink *n, int ifindex, struct retrans *out)
{
	union netlink_msg m;

	*out = (struct retrans){.ifindex = ifindex};
	request_start(&m, RTM_GETNEIGHTBL, NLM_F_DUMP, sizeof(struct ndtmsg));
	return request_send(n, &m.h, retrans_got, out);
}

static int retrans_write(struct netlink *n, int ifindex, int table, uint64_t ms)
{
	union netlink_msg m;
	struct ndtmsg *msg = request_start(&m, RTM_SETNEIGHTBL, NLM_F_REPLACE, sizeof(*msg));
	struct nlattr *nest;

	msg->ndtm_family = tables[table].family;
	mnl_attr_put_strz(&m.h, NDTA_NAME, tables[table].name);
	nest = mnl_attr_nest_start(&m.h, NDTA_PARMS);
	mnl_attr_put_u32(&m.h, NDTPA_IFINDEX, ifindex);
	mnl_attr_put_u64(&m.h, NDTPA_RETRANS_TIME, ms);
	mnl_attr_nest_end(&m.h, nest);
	return request_send(n, &m.h, NULL, NULL);
}

/* Once per cause, however often it is tried. */
static void retrans_trouble(struct netlink *n, struct port *p, int err)
{
	char why[192];

	if (err && err != p->retrans_err)
		log_warn("event=netlink_failed what=retrans_time interface=%s %s", p->name,
			 request_error(n, err, why, sizeof(why)));
	p->retrans_err = err;
}

int neigh_fast_port(struct netlink *n, unsigned port)
{
	struct port *p = &n->ports[port];
	int ifindex = port_ip(p)->ifindex, err;
	struct retrans r;

	if (!n->fast || !ifindex)
		return 0;
	err = retrans_read(n, ifindex, &r);
	for (int t = 0; t < N_NEIGH_TABLES && !err; t++) {
		if (!r.now_ms[t] || r.now_ms[t] == FAST_RETRANS_MS)
			continue; /* the interface has no such family, or an earlier mxlbd did it */
		err = retrans_write(n, ifindex, t, FAST_RETRANS_MS);
		if (!err) {
			p->old_retrans_ms[t] = r.now_ms[t];
			n->lost[OWN_TIMERS] += p->fast[t] == ifindex;
		}
	}
	for (int t = 0; t < N_NEIGH_TABLES && !err; t++)
		p->fast[t] = r.now_ms[t] ? ifindex : 0;
	retrans_trouble(n, p, err);
	return err;
}

void neigh_keep_ports(struct netlink *n)
{
	for (unsigned i = 0; i < n->n_ports; i++)
		neigh_fast_port(n, i);
}

int netlink_fast_neighbours(struct netlink *n)
{
	int err = 0;

	n->fast = true;
	for (unsigned i = 0; i < n->n_ports; i++) {
		int one = neigh_fast_port(n, i);

		err = err ?: one;
	}
	return err;
}

/*
 * A value that this process changed is restored; one that an earlier mxlbd set (it is 200, and the original is not
 * known) becomes the table's default. A value that is no longer 200 was set by others and stays.
 */
static int restore_port(struct netlink *n, struct port *p)
{
	int ifindex = port_ip(p)->ifindex;
	struct retrans r;
	int err = retrans_read(n, ifindex, &r);

	for (int t = 0; t < N_NEIGH_TABLES && !err; t++) {
		uint64_t old = p->old_retrans_ms[t] ?: r.default_ms[t];

		if (r.now_ms[t] == FAST_RETRANS_MS && old)
			err = retrans_write(n, ifindex, t, old);
		p->old_retrans_ms[t] = 0;
	}
	return err;
}

void neigh_restore_ports(struct netlink *n)
{
	n->fast = false;
	for (unsigned i = 0; i < n->n_ports; i++) {
		int err = port_ip(&n->ports[i])->ifindex ? restore_port(n, &n->ports[i]) : 0;

		retrans_trouble(n, &n->ports[i], err);
	}
}
