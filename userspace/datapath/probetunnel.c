// SPDX-License-Identifier: BSD-2-Clause
/*
 * Attaches the filter (bpf/probe_egress.h) that puts probes of ipip servers into their tunnels: on egress of each interface
 * that leads to such a server, and of no other. It is identified by its priority and handle, so that the next mxlbd
 * adopts it, like the probes' rules and routes.
 *
 *   1. The qdisc, clsact, is created if missing and never removed: others may have added filters to it, and without
 *      any it costs next to nothing.
 *   2. A filter that was removed, with the qdisc or alone, is restored within seconds.
 *   3. The filter is on the declared interface even if mail has a tag: packets of the VLAN device above leave through
 *      it, with the tag still beside them.
 */
#include <errno.h>
#include <string.h>
#include "datapath/datapath_internal.h"
#include "util/log.h"
#include "util/names.h"

static struct bpf_tc_hook hook_of(int ifindex)
{
	return (struct bpf_tc_hook){.sz = sizeof(struct bpf_tc_hook),
				    .ifindex = ifindex,
				    .attach_point = BPF_TC_EGRESS};
}

static struct bpf_tc_opts filter(void)
{
	return (struct bpf_tc_opts){.sz = sizeof(struct bpf_tc_opts),
				    .handle = MXLB_FILTER_HANDLE,
				    .priority = MXLB_FILTER_PRIORITY};
}

/* The program's id, 0 when there is none. Without CAP_SYS_ADMIN ids can only be compared. */
static __u32 filter_on(int ifindex)
{
	struct bpf_tc_hook hook = hook_of(ifindex);
	struct bpf_tc_opts opts = filter();

	return bpf_tc_query(&hook, &opts) ? 0 : opts.prog_id;
}

static __u32 own_id(const struct datapath *dp)
{
	struct bpf_prog_info info = {0};
	__u32 len = sizeof(info);

	return bpf_obj_get_info_by_fd(bpf_program__fd(dp->skel->progs.probe), &info, &len)
		       ? 0
		       : info.id;
}

static int probetunnel_put(const struct datapath *dp, int ifindex)
{
	struct bpf_tc_hook hook = hook_of(ifindex);
	struct bpf_tc_opts opts = filter();
	__u32 there = filter_on(ifindex);
	int err;

	if (there && there == own_id(dp))
		return 0;
	err = bpf_tc_hook_create(&hook);
	if (err && err != -EEXIST)
		return err;
	opts.prog_fd = bpf_program__fd(dp->skel->progs.probe);
	opts.flags = BPF_TC_F_REPLACE;
	err = bpf_tc_attach(&hook, &opts);
	if (!err)
		log_info("event=probe_tunnel_attached interface=%s",
			 names_interface(ifindex, (char[NAMES_SIZE]){0}));
	return err;
}

int probetunnel_remove(int ifindex)
{
	struct bpf_tc_hook hook = hook_of(ifindex);
	struct bpf_tc_opts opts = filter();
	int err;

	if (!filter_on(ifindex))
		return 0;
	err = bpf_tc_detach(&hook, &opts);
	if (!err)
		log_info("event=probe_tunnel_detached interface=%s",
			 names_interface(ifindex, (char[NAMES_SIZE]){0}));
	return err == -ENOENT ? 0 : err;
}

static void set(struct datapath *dp, unsigned port, bool wanted)
{
	struct probetunnel *t = &dp->ports[port].tunnel;
	int ifindex = dp->ports[port].ifindex, err;

	if (!ifindex)
		return;
	err = wanted ? probetunnel_put(dp, ifindex) : probetunnel_remove(ifindex);
	if (err && err != -ENODEV && err != t->err)
		log_error(
			"event=probe_tunnel_failed interface=%s error=\"%s\" advice=\"probes can't take the "
			"tunnel; the kernel needs clsact and cls_bpf (NET_SCH_INGRESS, NET_CLS_BPF)\"",
			names_interface(ifindex, (char[NAMES_SIZE]){0}), strerror(-err));
	*t = (struct probetunnel){.known = !err, .wanted = wanted, .err = err};
}

void datapath_tunnel_probes(struct datapath *dp, const struct plan *plan)
{
	bool wanted[MXLB_MAX_PORTS] = {false};

	for (unsigned i = 0; i < plan->n_servers; i++)
		if (plan->servers[i].tunnel)
			wanted[plan->servers[i].interface] = true;
	for (unsigned i = 0; i < MXLB_MAX_PORTS; i++)
		if (!dp->ports[i].tunnel.known || dp->ports[i].tunnel.wanted != wanted[i])
			set(dp, i, wanted[i]);
}

unsigned datapath_keep_probes_tunnelled(struct datapath *dp)
{
	unsigned put_back = 0;

	for (unsigned i = 0; i < MXLB_MAX_PORTS; i++) {
		struct probetunnel *t = &dp->ports[i].tunnel;
		bool gone = t->wanted && t->known && filter_on(dp->ports[i].ifindex) != own_id(dp);

		if (t->wanted)
			set(dp, i, true);
		put_back += gone && t->known;
	}
	return put_back;
}
