// SPDX-License-Identifier: BSD-2-Clause
/*
 * Learns that a tunnel's outer packets are too big for some link, or do not arrive. They are sent by the kernel
 * program, so no socket and no tunnel device receives the routers' ICMP errors, and the kernel would ignore them. A
 * raw socket of the outer header's protocol receives them: raw_err() and rawv6_err() store the MTU in the kernel's own
 * route exceptions, where RTM_GETROUTE finds it and where it expires (net.ipv[46].route.mtu_expires, 600 s). The error
 * is queued too (IP_RECVERR), which shows when to ask; all other errors show that the far end may be unreachable. The
 * sockets' filter accepts no packet.
 *
 * Anyone who can guess the tunnel's two addresses can forge errors: the kernel accepts none below
 * net.ipv4.route.min_pmtu and 1280, and nexthop.c has its own limit. A flood costs READS_AT_ONCE reads per second and
 * socket; then the socket is ignored until the next tick.
 */
#include "net/netlink_internal.h"

#include <linux/errqueue.h>
#include <linux/filter.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>
#include "util/log.h"

#define READS_AT_ONCE 64
#define ROOM	      16384 /* of the kernel's, for errors not yet read */

static const struct {
	int family, protocol; /* of the outer header */
	int level, option;
} sockets[N_PMTU_SOCKETS] = {
	{AF_INET, IPPROTO_IPIP, IPPROTO_IP, IP_RECVERR},
	{AF_INET, IPPROTO_IPV6, IPPROTO_IP, IP_RECVERR},
	{AF_INET6, IPPROTO_IPIP, IPPROTO_IPV6, IPV6_RECVERR},
	{AF_INET6, IPPROTO_IPV6, IPPROTO_IPV6, IPV6_RECVERR},
};

static bool is_error(const struct cmsghdr *c)
{
	return (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) ||
	       (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR);
}

/* Reads the target of the packet that an error is about, and the error; false: none is waiting. */
static bool error_read(int fd, struct addr *target, int *error)
{
	union {
		struct cmsghdr align;
		char bytes[512];
	} control;
	struct sock_extended_err said;
	union {
		struct sockaddr sa;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} from;
	char byte;
	struct iovec room = {&byte, sizeof(byte)};
	struct msghdr m = {
		.msg_name = &from,
		.msg_namelen = sizeof(from),
		.msg_iov = &room,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};

	memset(&from, 0, sizeof(from));
	if (recvmsg(fd, &m, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
		return false;
	*error = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		if (c->cmsg_len < CMSG_LEN(sizeof(said)) || !is_error(c))
			continue;
		memcpy(&said, CMSG_DATA(c), sizeof(said));
		*error = (int)said.ee_errno;
	}
	if (from.sa.sa_family == AF_INET)
		addr_from_bytes(&from.v4.sin_addr, 4, target);
	else
		addr_from_bytes(&from.v6.sin6_addr, 16, target);
	return true;
}

static void on_error(struct ev_loop *loop, struct ev_io *w, int revents)
{
	struct netlink *n = w->data;
	struct addr target;
	int pending, error;
	socklen_t len = sizeof(pending);

	(void)revents;
	for (int i = 0; i < READS_AT_ONCE && error_read(w->fd, &target, &error); i++)
		if (error == EMSGSIZE)
			nexthop_ask(n, &target);
		else
			nexthop_tell_unreachable(n, &target);
	/* Left by an error for which the queue had no room. */
	getsockopt(w->fd, SOL_SOCKET, SO_ERROR, &pending, &len);
	ev_io_stop(loop, w);
	netlink_soon(n, NETLINK_DEBOUNCE);
}

static int socket_open(unsigned i, int *out)
{
	static struct sock_filter nothing[] = {{BPF_RET | BPF_K, 0, 0, 0}};
	static const struct sock_fprog filter = {1, nothing};
	static const int on = 1, room = ROOM;
	int fd = socket(sockets[i].family, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
			sockets[i].protocol);

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room)) ||
	    setsockopt(fd, sockets[i].level, sockets[i].option, &on, sizeof(on))) {
		int err = -errno;

		close(fd);
		return err;
	}
	*out = fd;
	return 0;
}

void pmtu_init(struct netlink *n)
{
	for (unsigned i = 0; i < N_PMTU_SOCKETS; i++) {
		n->pmtu.fds[i] = -1;
		ev_init(&n->pmtu.readable[i], on_error);
		n->pmtu.readable[i].data = n;
	}
}

void pmtu_close(struct netlink *n)
{
	n->pmtu.wanted = false;
	for (unsigned i = 0; i < N_PMTU_SOCKETS; i++) {
		if (n->pmtu.fds[i] < 0)
			continue;
		ev_io_stop(n->loop, &n->pmtu.readable[i]);
		close(n->pmtu.fds[i]);
		n->pmtu.fds[i] = -1;
	}
}

/* A box without IPv6 has no tunnels over it. */
static void pmtu_open(struct netlink *n)
{
	int err = 0, one;

	for (unsigned i = 0; i < N_PMTU_SOCKETS; i++) {
		if (n->pmtu.fds[i] >= 0)
			continue;
		one = socket_open(i, &n->pmtu.fds[i]);
		if (one && one != -EAFNOSUPPORT)
			err = one;
		if (!one)
			ev_io_set(&n->pmtu.readable[i], n->pmtu.fds[i], EV_READ);
	}
	if (err && !n->pmtu.failed)
		log_warn(
			"event=mtu_not_followed error=\"%s\" advice=\"%s\"", strerror(-err),
			err == -EPERM
				? "give mxlbd CAP_NET_RAW; until then large messages hang in a tunnel "
				  "whose path has a smaller MTU"
				: "mxlbd retries every second");
	n->pmtu.failed = err;
}

void pmtu_tick(struct netlink *n)
{
	if (!n->pmtu.wanted)
		return;
	pmtu_open(n);
	for (unsigned i = 0; i < N_PMTU_SOCKETS; i++)
		if (n->pmtu.fds[i] >= 0)
			ev_io_start(n->loop, &n->pmtu.readable[i]);
}

void netlink_follow_mtu(struct netlink *n, bool follow)
{
	if (!n->loop || follow == n->pmtu.wanted)
		return;
	if (!follow) {
		pmtu_close(n);
		return;
	}
	n->pmtu.wanted = true;
	pmtu_tick(n);
}
