// SPDX-License-Identifier: BSD-2-Clause
/*
 * Drives userspace/datapath's netlink part for tests/e2e/test_netlink.py: arguments are interface names, commands
 * come as lines on stdin, what happens goes as lines to stdout. Every command is answered by "= NUMBER".
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "datapath/netlink_internal.h"
#include "util/log.h"

static struct config config;
static struct netlink *netlink;

static void print_link(void *ctx, unsigned interface, const struct netlink_link *l)
{
	char mac[ADDR_TEXT_SIZE];

	(void)ctx;
	printf("link %s ifindex=%d %s %s mtu=%u mac=%s since=%d\n",
	       config.interfaces[interface].name, l->ifindex, l->up ? "up" : "down",
	       l->carrier ? "carrier" : "no-carrier", l->mtu, addr_mac_text(&l->mac, mac),
	       l->up_since_ms != 0);
}

static void print_nexthop(void *ctx, uint32_t id, const struct nexthop *nh)
{
	static const char *const states[] = {"unresolved", "resolved", "failed"};
	char mac[ADDR_TEXT_SIZE];

	(void)ctx;
	printf("nexthop %u %s %s %s\n", id, states[nh->state],
	       nh->has_mac ? addr_mac_text(&nh->mac, mac) : "-",
	       config.interfaces[nh->interface].name);
}

static int command(const char *name, unsigned x, const struct addr *a)
{
	int room = x;

	if (!strcmp(name, "watch"))
		return netlink_watch(netlink, x, a);
	if (!strcmp(name, "unwatch"))
		return netlink_unwatch(netlink, x), 0;
	if (!strcmp(name, "reprobe"))
		return netlink_reprobe(netlink, x);
	if (!strcmp(name, "route"))
		return netlink_probe_route(netlink, x, a);
	if (!strcmp(name, "unroute"))
		return netlink_probe_route_remove(netlink, x);
	if (!strcmp(name, "detach"))
		return netlink_detach_all(netlink);
	if (!strcmp(name, "fast"))
		return netlink_fast_neighbours(netlink);
	if (!strcmp(name, "local"))
		return netlink_is_local(netlink, a);
	if (!strcmp(name, "join"))
		return netlink_join_solicited(netlink, x, a);
	if (!strcmp(name, "leave"))
		return netlink_leave_solicited(netlink, x, a);
	if (!strcmp(name, "announce"))
		return netlink_announce(netlink, x, a);
	if (!strcmp(name, "link"))
		return print_link(NULL, x, netlink_link(netlink, x)), 0;
	if (!strcmp(name, "room")) /* of the event socket, to make it overflow */
		return setsockopt(netlink->events, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	return -ENOSYS;
}

static void on_line(struct ev_loop *loop, struct ev_io *w, int revents)
{
	char line[256], name[32] = "", text[ADDR_TEXT_SIZE] = "";
	struct addr a = {{0}};
	unsigned x = 0;

	(void)w;
	(void)revents;
	if (!fgets(line, sizeof(line), stdin)) {
		ev_break(loop, EVBREAK_ALL);
		return;
	}
	sscanf(line, "%31s %u %63s", name, &x, text);
	if (text[0] && addr_parse(text, &a))
		printf("= %d\n", -EINVAL);
	else
		printf("= %d\n", command(name, x, &a));
}

int main(int argc, char **argv)
{
	static const struct netlink_callbacks cb = {.on_link = print_link,
						    .on_nexthop = print_nexthop};
	struct ev_loop *loop = ev_default_loop(0);
	struct ev_io lines;

	setvbuf(stdin, NULL, _IONBF,
		0); /* so that readable means: a line is not yet in our buffer */
	setvbuf(stdout, NULL, _IOLBF, 0);
	log_init("netlink-drive", LOG_LEVEL_DEBUG);
	config.datapath = (struct datapath_conf){
		.mark = 0x6d780000, .mark_mask = 0xffff0000, .table = 27000, .priority = 27000};
	for (int i = 1; i < argc && i <= MXLB_MAX_PORTS; i++) {
		snprintf(config.interfaces[i - 1].name, IF_NAMESIZE, "%s", argv[i]);
		config.n_interfaces = i;
	}
	if (netlink_new(loop, &config, &cb, &netlink))
		return 2;
	ev_io_init(&lines, on_line, STDIN_FILENO, EV_READ);
	ev_io_start(loop, &lines);
	puts("= 0");
	ev_run(loop, 0);
	netlink_free(netlink);
	return 0;
}
