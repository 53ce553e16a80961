// SPDX-License-Identifier: BSD-2-Clause
/*
 * The request socket: one request at a time; answers are distinguished from late ones by their sequence number; the
 * wait is bounded; the kernel's reason is kept (extended ack, Linux 4.12). Knows nothing about the contents.
 */
#include "net/netlink_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#define ANSWER_SIZE 32768 /* the maximum that the kernel puts into one datagram of a dump */
#define DUMP_TRIES  5

void *request_start(union netlink_msg *m, uint16_t type, uint16_t flags, size_t extra)
{
	mnl_nlmsg_put_header(m);
	m->h.nlmsg_type = type;
	m->h.nlmsg_flags = NLM_F_REQUEST | flags;
	return mnl_nlmsg_put_extra_header(&m->h, extra);
}

void request_put_addr(union netlink_msg *m, uint16_t type, const struct addr *a)
{
	uint8_t bytes[16];
	size_t len = addr_to_bytes(a, bytes);

	mnl_attr_put(&m->h, type, len, bytes);
}

void request_attrs(const struct nlmsghdr *h, size_t offset, const struct nlattr **tb, uint16_t max)
{
	const struct nlattr *a;

	memset(tb, 0, (max + 1) * sizeof(*tb));
	if (mnl_nlmsg_get_payload_len(h) < offset)
		return;
	mnl_attr_for_each(a, h, offset) if (mnl_attr_get_type(a) <= max) tb[mnl_attr_get_type(a)] =
		a;
}

void request_nested(const struct nlattr *nest, const struct nlattr **tb, uint16_t max)
{
	const struct nlattr *a;

	memset(tb, 0, (max + 1) * sizeof(*tb));
	mnl_attr_for_each_nested(a, nest) if (mnl_attr_get_type(a) <= max)
		tb[mnl_attr_get_type(a)] = a;
}

bool request_get_addr(const struct nlattr *a, struct addr *out)
{
	size_t len = a ? mnl_attr_get_payload_len(a) : 0;

	if (len != 4 && len != 16)
		return false;
	addr_from_bytes(mnl_attr_get_payload(a), len, out);
	return true;
}

int request_open(int *out)
{
	static const struct timeval patience = {.tv_sec = 1};
	static const int on = 1;
	static const struct sockaddr_nl any = {.nl_family = AF_NETLINK};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (fd < 0)
		return -errno;
	if (bind(fd, (const struct sockaddr *)&any, sizeof(any)) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) ||
	    setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on)) ||
	    setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on)) ||
	    setsockopt(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof(on))) {
		int err = -errno;

		close(fd);
		return err;
	}
	*out = fd;
	return 0;
}

const char *request_error(const struct netlink *n, int err, char *buf, size_t size)
{
	const char *sep = n->kernel_says[0] ? ": " : "";

	snprintf(buf, size, "error=\"%s%s%s\"", strerror(-err), sep, n->kernel_says);
	return buf;
}

static int take_error(struct netlink *n, const struct nlmsghdr *h)
{
	const struct nlmsgerr *e = mnl_nlmsg_get_payload(h);
	const struct nlattr *tb[NLMSGERR_ATTR_MSG + 1];

	if (mnl_nlmsg_get_payload_len(h) < sizeof(*e))
		return -EPROTO;
	if (e->error && h->nlmsg_flags & NLM_F_ACK_TLVS && h->nlmsg_flags & NLM_F_CAPPED) {
		request_attrs(h, sizeof(*e), tb, NLMSGERR_ATTR_MSG);
		if (tb[NLMSGERR_ATTR_MSG])
			snprintf(n->kernel_says, sizeof(n->kernel_says), "%.*s",
				 (int)mnl_attr_get_payload_len(tb[NLMSGERR_ATTR_MSG]),
				 mnl_attr_get_str(tb[NLMSGERR_ATTR_MSG]));
	}
	return e->error;
}

struct rtnl_answer { /* being collected */
	netlink_reader *reader;
	void *arg;
	bool done, interrupted;
	int err;
};

static void take_datagram(struct netlink *n, const char *buf, int len, struct rtnl_answer *a)
{
	const struct nlmsghdr *h = (const struct nlmsghdr *)buf;

	for (; !a->done && mnl_nlmsg_ok(h, len); h = mnl_nlmsg_next(h, &len)) {
		if (h->nlmsg_seq != n->seq) /* of a request that timed out */
			continue;
		a->interrupted |= h->nlmsg_flags & NLM_F_DUMP_INTR;
		if (h->nlmsg_type == NLMSG_ERROR) {
			a->err = take_error(n, h);
			a->done = true;
		} else if (h->nlmsg_type == NLMSG_DONE) {
			a->err = a->interrupted ? -EAGAIN : 0;
			a->done = true;
		} else if (a->reader) {
			a->reader(h, a->arg);
		}
	}
}

static int send_once(struct netlink *n, struct nlmsghdr *h, netlink_reader *reader, void *arg)
{
	static const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	_Alignas(struct nlmsghdr) char buf[ANSWER_SIZE];
	struct rtnl_answer a = {.reader = reader, .arg = arg};
	ssize_t len;

	h->nlmsg_seq = ++n->seq;
	n->kernel_says[0] = '\0';
	while (sendto(n->requests, h, h->nlmsg_len, 0, (const struct sockaddr *)&kernel,
		      sizeof(kernel)) < 0)
		if (errno != EINTR)
			return -errno;
	while (!a.done) {
		len = recv(n->requests, buf, sizeof(buf), 0);
		if (len >= 0)
			take_datagram(n, buf, len, &a);
		else if (errno == EAGAIN)
			return -ETIMEDOUT;
		else if (errno != EINTR)
			return -errno;
	}
	return a.err;
}

int request_send(struct netlink *n, struct nlmsghdr *h, netlink_reader *reader, void *arg)
{
	bool dump = (h->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
	int err = -EAGAIN;

	if (!dump)
		h->nlmsg_flags |= NLM_F_ACK;
	for (int i = 0; i < (dump ? DUMP_TRIES : 1) && err == -EAGAIN; i++)
		err = send_once(n, h, reader, arg);
	return err;
}
