/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns a netlink socket for the length of one question. Waits two seconds for an answer at most.
 */
#include "ctl/nl.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if.h> /* IFF_LOWER_UP; behind net/if.h, which nl.h has */
#include <linux/if_link.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>

#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

union message {
	struct nlmsghdr h;
	char bytes[32768]; /* a link with many virtual functions is long */
};

static void *nl_start(union message *m, uint16_t type, uint16_t flags, size_t header)
{
	memset(m, 0, sizeof(*m));
	mnl_nlmsg_put_header(m);
	m->h.nlmsg_type = type;
	m->h.nlmsg_flags = NLM_F_REQUEST | flags;
	return mnl_nlmsg_put_extra_header(&m->h, header);
}

/* Sends what is in m and hands every answer to cb. m is overwritten. */
static int nl_ask(union message *m, mnl_cb_t cb, void *arg)
{
	struct mnl_socket *nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	struct timeval wait = {.tv_sec = 2};
	bool dump = m->h.nlmsg_flags & NLM_F_DUMP;
	int err = 0, rc = 1;
	ssize_t n;

	if (!nl)
		return -errno;
	if (mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) ||
	    setsockopt(mnl_socket_get_fd(nl), SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) ||
	    mnl_socket_sendto(nl, m, m->h.nlmsg_len) < 0)
		err = -errno;
	while (!err && rc > 0) {
		n = mnl_socket_recvfrom(nl, m, sizeof(*m));
		rc = n < 0 ? -1 : mnl_cb_run(m, n, 0, 0, cb, arg);
		if (rc < 0)
			err = -errno;
		if (!dump)
			break;
	}
	mnl_socket_close(nl);
	return err;
}

static int xdp_attribute(const struct nlattr *a, void *arg)
{
	struct nl_link *out = arg;

	if (mnl_attr_get_type(a) == IFLA_XDP_ATTACHED)
		out->xdp = mnl_attr_get_u8(a);
	if (mnl_attr_get_type(a) == IFLA_XDP_PROG_ID)
		out->xdp_program = mnl_attr_get_u32(a);
	return MNL_CB_OK;
}

static int link_attribute(const struct nlattr *a, void *arg)
{
	struct nl_link *out = arg;

	switch (mnl_attr_get_type(a)) {
	case IFLA_MTU:
		out->mtu = mnl_attr_get_u32(a);
		break;
	case IFLA_ADDRESS:
		if (mnl_attr_get_payload_len(a) == sizeof(out->mac))
			memcpy(&out->mac, mnl_attr_get_payload(a), sizeof(out->mac));
		break;
	case IFLA_XDP:
		return mnl_attr_parse_nested(a, xdp_attribute, out);
	default:
		break;
	}
	return MNL_CB_OK;
}

static int on_nl_link(const struct nlmsghdr *h, void *arg)
{
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(h);
	struct nl_link *out = arg;

	if (h->nlmsg_type != RTM_NEWLINK)
		return MNL_CB_OK;
	out->ifindex = info->ifi_index;
	out->up = info->ifi_flags & IFF_UP;
	out->carrier = info->ifi_flags & IFF_LOWER_UP;
	return mnl_attr_parse(h, sizeof(*info), link_attribute, out);
}

int nl_link(const char *name, struct nl_link *out)
{
	union message m;

	memset(out, 0, sizeof(*out));
	nl_start(&m, RTM_GETLINK, 0, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(&m.h, IFLA_IFNAME, name);
	return nl_ask(&m, on_nl_link, out);
}

struct slaves {
	char (*names)[IF_NAMESIZE];
	unsigned n;
};

static int slave_kind(const struct nlattr *a, void *arg)
{
	if (mnl_attr_get_type(a) == IFLA_INFO_SLAVE_KIND)
		*(bool *)arg = !strcmp(mnl_attr_get_str(a), "bond");
	return MNL_CB_OK;
}

static int slave_attribute(const struct nlattr *a, void *arg)
{
	return mnl_attr_get_type(a) == IFLA_LINKINFO ? mnl_attr_parse_nested(a, slave_kind, arg)
						     : MNL_CB_OK;
}

static int on_slave(const struct nlmsghdr *h, void *arg)
{
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(h);
	struct slaves *s = arg;
	bool is_bonds = false;

	if (h->nlmsg_type != RTM_NEWLINK ||
	    mnl_attr_parse(h, sizeof(*info), slave_attribute, &is_bonds) < 0 || !is_bonds)
		return MNL_CB_OK;
	if (s->n < NL_SLAVES_MAX && if_indextoname((unsigned)info->ifi_index, s->names[s->n]))
		s->n++;
	return MNL_CB_OK;
}

unsigned nl_slaves(int bond, char names[NL_SLAVES_MAX][IF_NAMESIZE])
{
	struct slaves s = {names, 0};
	union message m;

	nl_start(&m, RTM_GETLINK, NLM_F_DUMP, sizeof(struct ifinfomsg));
	mnl_attr_put_u32(&m.h, IFLA_MASTER, (uint32_t)bond); /* the kernel leaves the others out */
	nl_ask(&m, on_slave, &s);
	return s.n;
}

struct found_route {
	int ifindex; /* 0: none */
	bool routed;
};

static int route_attribute(const struct nlattr *a, void *arg)
{
	struct found_route *r = arg;

	if (mnl_attr_get_type(a) == RTA_OIF)
		r->ifindex = (int)mnl_attr_get_u32(a);
	if (mnl_attr_get_type(a) == RTA_GATEWAY || mnl_attr_get_type(a) == RTA_VIA)
		r->routed = true;
	return MNL_CB_OK;
}

static int on_route(const struct nlmsghdr *h, void *arg)
{
	return h->nlmsg_type == RTM_NEWROUTE
		       ? mnl_attr_parse(h, sizeof(struct rtmsg), route_attribute, arg)
		       : MNL_CB_OK;
}

static int find_route(const struct addr *to, struct found_route *found)
{
	union message m;
	struct rtmsg *r = nl_start(&m, RTM_GETROUTE, 0, sizeof(*r));
	uint8_t bytes[16];
	size_t len = addr_to_bytes(to, bytes);
	int err;

	*found = (struct found_route){0};
	r->rtm_family = len == 4 ? AF_INET : AF_INET6;
	r->rtm_dst_len = (unsigned char)(8 * len);
	mnl_attr_put(&m.h, RTA_DST, len, bytes);
	err = nl_ask(&m, on_route, found);
	return err == -ENETUNREACH || err == -EHOSTUNREACH ? 0 : err;
}

int nl_route(const struct addr *to, int *ifindex)
{
	struct found_route found;
	int err = find_route(to, &found);

	*ifindex = found.ifindex;
	return err;
}

bool nl_is_routed(const struct addr *to)
{
	struct found_route found;

	return !find_route(to, &found) && found.routed;
}

struct wanted_route {
	const struct addr *to;
	uint32_t table, found_table;
	bool same, there;
};

static int host_route_attribute(const struct nlattr *a, void *arg)
{
	struct wanted_route *w = arg;
	uint8_t bytes[16];
	size_t len = addr_to_bytes(w->to, bytes);

	if (mnl_attr_get_type(a) == RTA_TABLE)
		w->found_table = mnl_attr_get_u32(a);
	if (mnl_attr_get_type(a) == RTA_DST && mnl_attr_get_payload_len(a) == len)
		w->same = !memcmp(mnl_attr_get_payload(a), bytes, len);
	return MNL_CB_OK;
}

static int on_host_route(const struct nlmsghdr *h, void *arg)
{
	const struct rtmsg *r = mnl_nlmsg_get_payload(h);
	struct wanted_route *w = arg;

	w->same = false;
	w->found_table = 0;
	if (h->nlmsg_type == RTM_NEWROUTE &&
	    mnl_attr_parse(h, sizeof(*r), host_route_attribute, w) == MNL_CB_OK)
		w->there |= w->same && w->found_table == w->table &&
			    r->rtm_dst_len == (r->rtm_family == AF_INET ? 32 : 128);
	return MNL_CB_OK;
}

int nl_host_route(const struct addr *to, uint32_t table, bool *there)
{
	struct wanted_route w = {.to = to, .table = table};
	union message m;
	struct rtmsg *r = nl_start(&m, RTM_GETROUTE, NLM_F_DUMP, sizeof(*r));
	int err;

	r->rtm_family = addr_is_v4(to) ? AF_INET : AF_INET6;
	mnl_attr_put_u32(&m.h, RTA_TABLE, table);
	err = nl_ask(&m, on_host_route, &w);
	*there = w.there;
	return err;
}

struct wanted_filter {
	uint16_t priority;
	uint32_t handle;
	bool there;
};

static int on_filter(const struct nlmsghdr *h, void *arg)
{
	const struct tcmsg *t = mnl_nlmsg_get_payload(h);
	struct wanted_filter *w = arg;

	if (h->nlmsg_type == RTM_NEWTFILTER && TC_H_MAJ(t->tcm_info) >> 16 == w->priority &&
	    t->tcm_handle == w->handle)
		w->there = true;
	return MNL_CB_OK;
}

int nl_filter(int ifindex, uint16_t priority, uint32_t handle, bool *there)
{
	struct wanted_filter w = {.priority = priority, .handle = handle};
	union message m;
	struct tcmsg *t = nl_start(&m, RTM_GETTFILTER, NLM_F_DUMP, sizeof(*t));
	int err;

	t->tcm_family = AF_UNSPEC;
	t->tcm_ifindex = ifindex;
	t->tcm_parent = TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS);
	err = nl_ask(&m, on_filter, &w);
	*there = w.there;
	return err == -EINVAL || err == -ENOENT ? 0 : err; /* no such hook */
}
