/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checks of the interfaces and of what the kernel's network would do with mail or probes. Sends nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <linux/magic.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>
#include "ctl/doctor/doctor.h"
#include "ctl/nl.h"
#include "ctl/text.h"
#include "mxlb/abi.h"

#define MTU_ETHERNET	 1500
#define RP_FILTER_STRICT 1

static void judge_interface(struct doctor *d, const char *name)
{
	struct nl_link link;
	int err = nl_link(name, &link);

	if (err)
		doctor_find(
			d, DOCTOR_ERROR, json_sprintf("interface %s: %s", name, strerror(-err)),
			json_string(
				"List the interfaces with ip link; correct interfaces: in the file."));
	else if (!link.up || !link.carrier)
		doctor_find(d, DOCTOR_ERROR,
			    json_sprintf("interface %s %s", name,
					 link.up ? "has no carrier" : "is down"),
			    link.up ? json_string("Look at the cable and at the switch's port.")
				    : json_sprintf("ip link set %s up", name));
	else if (link.mtu < MTU_ETHERNET)
		doctor_find(
			d, DOCTOR_WARNING,
			json_sprintf(
				"interface %s has an MTU of %u: senders' full-size packets (%d) do "
				"not fit",
				name, link.mtu, MTU_ETHERNET),
			json_sprintf(
				"ip link set %s mtu %d, unless the whole network has this MTU.",
				name, MTU_ETHERNET));
}

static void check_interfaces(struct doctor *d)
{
	const char *name;
	json_t *conf;

	json_object_foreach (json_object_get(d->config, "interfaces"), name, conf)
		judge_interface(d, name);
}

/* The id of the program in mxlb's pinned link of this interface; 0: there is none, or it can't be seen. */
static __u32 pinned_program(const struct doctor *d, int ifindex)
{
	struct bpf_link_info info;
	union bpf_attr attr;
	char path[512];
	long fd, err;

	snprintf(path, sizeof(path), "%s/v%d/link_%d",
		 field_text(json_object_get(d->config, "datapath"), "pin"), MXLB_LAYOUT, ifindex);
	memset(&attr, 0, sizeof(attr));
	memset(&info, 0, sizeof(info));
	attr.pathname = (uintptr_t)path;
	fd = syscall(SYS_bpf, BPF_OBJ_GET, &attr, sizeof(attr));
	if (fd < 0)
		return 0;
	memset(&attr, 0, sizeof(attr));
	attr.info.bpf_fd = (__u32)fd;
	attr.info.info_len = sizeof(info);
	attr.info.info = (uintptr_t)&info;
	err = syscall(SYS_bpf, BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr));
	close((int)fd);
	return err || info.type != BPF_LINK_TYPE_XDP ? 0 : info.prog_id;
}

/* Not in another mount namespace, such as the one that `ip netns exec` creates. */
static bool pins_are_seen(const struct doctor *d)
{
	struct statfs fs;

	return !statfs(field_text(json_object_get(d->config, "datapath"), "pin"), &fs) &&
	       fs.f_type == BPF_FS_MAGIC;
}

static void judge_mode(struct doctor *d, const char *name, const json_t *conf,
		       const struct nl_link *link)
{
	const char *wanted = field_text(conf, "mode");
	bool generic = link->xdp == XDP_ATTACHED_SKB;

	if (generic && !strcmp(wanted, "native"))
		doctor_find(
			d, DOCTOR_ERROR,
			json_sprintf("%s runs XDP in generic mode, although native is configured",
				     name),
			json_string(
				"Restart mxlbd; if the driver has no native XDP, set mode: auto."));
	else if (generic && strcmp(wanted, "generic"))
		doctor_find(
			d, DOCTOR_WARNING,
			json_sprintf(
				"%s runs XDP in generic mode: each packet costs several times as "
				"much CPU time",
				name),
			json_string(
				"Its driver has no native XDP, or not with the present offloads, queues "
				"or MTU: see dmesg."));
}

static void judge_xdp(struct doctor *d, const char *name, const json_t *conf,
		      const struct nl_link *link)
{
	__u32 ours = pinned_program(d, link->ifindex);

	if (link->xdp == XDP_ATTACHED_NONE && (d->status || ours))
		doctor_find(d, DOCTOR_ERROR,
			    json_sprintf("%s has no XDP program: no mail passes", name),
			    json_string("Restart mxlbd: it attaches the program."));
	else if (link->xdp == XDP_ATTACHED_NONE)
		doctor_find(d, DOCTOR_WARNING,
			    json_sprintf("%s has no XDP program: mxlbd has not been started", name),
			    json_string("systemctl start mxlb"));
	else if (!d->root || !pins_are_seen(d))
		judge_mode(d, name, conf, link);
	else if (link->xdp_program != ours)
		doctor_find(
			d, DOCTOR_ERROR,
			json_sprintf("%s has an XDP program (id %u) that is not mxlb's: no mail "
				     "passes",
				     name, link->xdp_program),
			json_sprintf(
				"Find its owner (bpftool prog show id %u), remove it (ip link set %s xdp off; if that is "
				"refused: bpftool link list, bpftool link detach id ID), and restart mxlbd.",
				link->xdp_program, name));
	else
		judge_mode(d, name, conf, link);
}

static void check_xdp(struct doctor *d)
{
	doctor_each_interface(d, judge_xdp);
}

static bool is_address(const struct ifaddrs *i, const struct addr *a)
{
	struct addr own;

	if (!i->ifa_addr)
		return false;
	if (i->ifa_addr->sa_family == AF_INET)
		addr_from_bytes(&((const struct sockaddr_in *)i->ifa_addr)->sin_addr, 4, &own);
	else if (i->ifa_addr->sa_family == AF_INET6)
		addr_from_bytes(&((const struct sockaddr_in6 *)i->ifa_addr)->sin6_addr, 16, &own);
	else
		return false;
	return addr_equal(&own, a);
}

static void judge_vip_local(struct doctor *d, const char *name, const json_t *service)
{
	struct ifaddrs *all = NULL;
	struct addr vip;

	doctor_address(service, "address", &vip);
	if (getifaddrs(&all))
		all = NULL;
	for (const struct ifaddrs *i = all; i; i = i->ifa_next) {
		if (!is_address(i, &vip))
			continue;
		doctor_find(
			d, DOCTOR_ERROR,
			json_sprintf(
				"VIP %s of %s is an address of this box (%s): probes end here and "
				"mxlbd will not start",
				field_text(service, "address"), name, i->ifa_name),
			json_sprintf("ip addr del %s/%d dev %s; mxlb answers for it.",
				     field_text(service, "address"), addr_is_v4(&vip) ? 32 : 128,
				     i->ifa_name));
	}
	freeifaddrs(all);
}

static void check_vip_local(struct doctor *d)
{
	doctor_each_service(d, judge_vip_local);
}

static int rp_filter_of(const char *name)
{
	char path[128];
	int value = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv4/conf/%s/rp_filter", name);
	f = fopen(path, "re");
	if (f && fscanf(f, "%d", &value) != 1)
		value = 0;
	if (f)
		fclose(f);
	return value;
}

/*
 * The answer to a probe comes from the VIP. Strict filtering drops it if the route to the VIP uses another interface;
 * of "all" and the interface's own value the greater one counts (ip-sysctl). Mail is not affected, because XDP runs
 * before any filter.
 */
static void judge_rp_filter(struct doctor *d, const char *name, const json_t *service)
{
	const char *interface = field_text(service, "interface");
	int all = rp_filter_of("all"), own = rp_filter_of(interface), by = 0;
	char other[IF_NAMESIZE] = "no interface";
	struct nl_link link;
	struct addr vip;

	if (!doctor_address(service, "address", &vip) || !addr_is_v4(&vip) ||
	    (all > own ? all : own) != RP_FILTER_STRICT || nl_link(interface, &link) ||
	    nl_route(&vip, &by) || by == link.ifindex)
		return;
	if (by)
		if_indextoname((unsigned)by, other);
	doctor_find(
		d, DOCTOR_ERROR,
		json_sprintf(
			"strict rp_filter on %s drops the probes' answers from VIP %s of %s, which this "
			"box would reach by %s",
			interface, field_text(service, "address"), name, other),
		json_sprintf("sysctl -w net.ipv4.conf.%s.rp_filter=2, and in /etc/sysctl.d",
			     interface));
}

static void check_rp_filter(struct doctor *d)
{
	doctor_each_service(d, judge_rp_filter);
}

static void judge_filter(struct doctor *d, const struct ctl_found *f)
{
	struct addr target;
	bool there = true;
	int ifindex = 0;
	char name[IF_NAMESIZE] = "?";

	if (strcmp(field_text(f->server, "forward"), "ipip") ||
	    !doctor_address(f->server, "address", &target) || nl_route(&target, &ifindex) ||
	    !ifindex || nl_filter(ifindex, MXLB_FILTER_PRIORITY, MXLB_FILTER_HANDLE, &there) ||
	    there)
		return;
	if_indextoname((unsigned)ifindex, name);
	doctor_find(
		d, DOCTOR_ERROR,
		json_sprintf("the probes of %s don't take its tunnel: mxlb's filter is not on %s",
			     field_text(f->server, "name"), name),
		json_string(
			"mxlbd restores it within seconds; if not, look for a program that removes the "
			"clsact qdisc, and check that the kernel has cls_bpf."));
}

static void check_filters(struct doctor *d)
{
	doctor_each_server(d, judge_filter);
}

/* By the configuration, so that it is known before the start. */
static void judge_on_link(struct doctor *d, const char *service, const json_t *conf)
{
	const char *tier_name, *name;
	json_t *tier, *server;
	struct addr address;

	json_object_foreach (json_object_get(conf, "tiers"), tier_name, tier)
		json_object_foreach (tier, name, server) {
			if (strcmp(field_text(server, "forward"), "l2") ||
			    !doctor_address(server, "address", &address) || !nl_is_routed(&address))
				continue;
			doctor_find(
				d, DOCTOR_ERROR,
				json_sprintf(
					"%s/%s (%s) is behind a router, where forward: l2 cannot reach it",
					service, name, field_text(server, "address")),
				json_string(
					"Use forward: ipip for it (docs/dr-site.md), or give this box an address "
					"in its network."));
		}
}

static void check_on_link(struct doctor *d)
{
	doctor_each_service(d, judge_on_link);
}

const struct doctor_check doctor_net_checks[] = {
	{"interfaces", "all exist, are up and have an MTU of 1500 or more", NEEDS_CONFIG,
	 check_interfaces},
	{"xdp", "mxlb's program is attached, in the configured mode", NEEDS_CONFIG, check_xdp},
	{"vip-local", "no VIP is an address of this box", NEEDS_CONFIG, check_vip_local},
	{"on-link", "servers with forward: l2 are on a network of this box", NEEDS_CONFIG,
	 check_on_link},
	{"rp-filter", "it accepts the answers to probes", NEEDS_CONFIG, check_rp_filter},
	{"probe-filter", "probes use the same tunnels as mail", NEEDS_STATUS, check_filters},
	{.name = NULL},
};
