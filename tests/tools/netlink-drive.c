// SPDX-License-Identifier: BSD-2-Clause
/*
 * Drives userspace/datapath's netlink part for tests/e2e/test_netlink*.py: arguments are interface names (with a tag:
 * "eth0:7"), commands come as lines on stdin, what happens goes as lines to stdout. Every command is answered by "=
 * NUMBER".
 */
#include <linux/if_ether.h>
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "net/netlink_internal.h"
#include "util/clock.h"
#include "util/log.h"

static struct config config;
static struct netlink *netlink;
static uint64_t began_ms;

static void print_link(void *ctx, unsigned interface, const struct netlink_link *l)
{
	char mac[ADDR_TEXT_SIZE];

	(void)ctx;
	if (l->renamed[0])
		printf("renamed %s %s\n", config.interfaces[interface].name, l->renamed);
	printf("link %s ifindex=%d %s %s mtu=%u mac=%s since=%d\n",
	       config.interfaces[interface].name, l->ifindex, l->up ? "up" : "down",
	       l->carrier ? "carrier" : "no-carrier", l->mtu, addr_mac_text(&l->mac, mac),
	       l->up_since_ms != 0);
}

static void print_nexthop(void *ctx, uint32_t id, const struct nexthop *nh)
{
	static const char *const states[] = {"unresolved", "resolved", "failed"};
	char mac[ADDR_TEXT_SIZE], source[ADDR_TEXT_SIZE];

	(void)ctx;
	printf("way %u %s source=%s mtu=%u\n", id, nh->routed ? "routed" : "direct",
	       addr_text(&nh->source, source), nh->mtu);
	printf("nexthop %u %s %s %s\n", id, states[nh->state],
	       nh->has_mac ? addr_mac_text(&nh->mac, mac) : "-",
	       config.interfaces[nh->interface].name);
}

static void print_unreachable(void *ctx, uint32_t id)
{
	(void)ctx;
	printf("unreachable %u\n", id);
}

static void print_put_back(void *ctx, enum own_kind kind, unsigned n)
{
	static const char *const kinds[OWN_KINDS] = {"rules",  "routes", "neighbours",
						     "timers", "groups", "filters"};

	(void)ctx;
	printf("put back %s %u\n", kinds[kind], n);
}

/*
 * Simulates the kernel's message about a VLAN device on the first interface, with its tag, as if the device with this
 * index were one: without an 8021q module another kind of device takes its place.
 */
static int pretend_vlan(unsigned ifindex, uint16_t type, uint16_t tag)
{
	union netlink_msg m;
	struct ifinfomsg *msg = request_start(&m, type, 0, sizeof(*msg));
	struct nlattr *info, *data;
	char name[IF_NAMESIZE] = "";

	if (!if_indextoname(ifindex, name))
		return -errno;
	msg->ifi_index = ifindex;
	msg->ifi_flags = IFF_UP | 1 << 16; /* IFF_LOWER_UP, which <net/if.h> lacks */
	mnl_attr_put_strz(&m.h, IFLA_IFNAME, name);
	mnl_attr_put_u32(&m.h, IFLA_MTU, 1496);
	mnl_attr_put_u32(&m.h, IFLA_LINK, netlink_link(netlink, 0)->ifindex);
	info = mnl_attr_nest_start(&m.h, IFLA_LINKINFO);
	mnl_attr_put_strz(&m.h, IFLA_INFO_KIND, "vlan");
	data = mnl_attr_nest_start(&m.h, IFLA_INFO_DATA);
	mnl_attr_put_u16(&m.h, IFLA_VLAN_ID, tag);
	mnl_attr_put_u16(&m.h, IFLA_VLAN_PROTOCOL, htons(ETH_P_8021Q));
	mnl_attr_nest_end(&m.h, data);
	mnl_attr_nest_end(&m.h, info);
	port_event(netlink, &m.h);
	return 0;
}

static int command(const char *name, unsigned x, const struct addr *a)
{
	bool local = false;
	int room = x;

	if (!strcmp(name, "watch"))
		return netlink_watch(netlink, x, a);
	if (!strcmp(name, "unwatch"))
		return netlink_unwatch(netlink, x), 0;
	if (!strcmp(name, "reprobe"))
		return netlink_reprobe(netlink, x);
	if (!strcmp(name, "route"))
		return netlink_probe_route(netlink, x, a, false);
	if (!strcmp(name, "way")) /* as the kernel has it now */
		return netlink_probe_way(netlink, x, true, 0);
	if (!strcmp(name, "known"))
		return netlink_probe_way(netlink, x, false, 0);
	if (!strcmp(name, "since")) /* the start of this process */
		return netlink_probe_way(netlink, x, false, began_ms);
	if (!strcmp(name, "unroute"))
		return netlink_probe_route_remove(netlink, x);
	if (!strcmp(name, "detach"))
		return netlink_detach_all(netlink);
	if (!strcmp(name, "fast"))
		return netlink_fast_neighbours(netlink);
	if (!strcmp(name, "local"))
		return netlink_is_local(netlink, a, &local) ?: local;
	if (!strcmp(name, "join"))
		return netlink_join_solicited(netlink, x, a);
	if (!strcmp(name, "leave"))
		return netlink_leave_solicited(netlink, x, a);
	if (!strcmp(name, "announce"))
		return netlink_announce(netlink, x, a);
	if (!strcmp(name, "link"))
		return print_link(NULL, x, netlink_link(netlink, x)), 0;
	if (!strcmp(name, "mtu"))
		return netlink_follow_mtu(netlink, x), 0;
	if (!strcmp(name, "vlan"))
		return pretend_vlan(x, RTM_NEWLINK, config.interfaces[0].vlan);
	if (!strcmp(name, "othervlan"))
		return pretend_vlan(x, RTM_NEWLINK, config.interfaces[0].vlan + 1);
	if (!strcmp(name, "unvlan"))
		return pretend_vlan(x, RTM_DELLINK, config.interfaces[0].vlan);
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
						    .on_nexthop = print_nexthop,
						    .on_unreachable = print_unreachable,
						    .on_put_back = print_put_back};
	struct ev_loop *loop = ev_default_loop(0);
	struct ev_io lines;

	setvbuf(stdin, NULL, _IONBF,
		0); /* so that "readable" means that a line is not yet in our buffer */
	setvbuf(stdout, NULL, _IOLBF, 0);
	began_ms = clock_ms();
	log_init("netlink-drive", LOG_LEVEL_DEBUG);
	config.datapath = (struct datapath_conf){
		.mark = 0x6d780000, .mark_mask = 0xffff0000, .table = 27000, .priority = 27000};
	for (int i = 1; i < argc && i <= MXLB_MAX_PORTS; i++) {
		sscanf(argv[i], "%15[^:]:%hu", config.interfaces[i - 1].name,
		       &config.interfaces[i - 1].vlan);
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
