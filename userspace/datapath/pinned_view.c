// SPDX-License-Identifier: BSD-2-Clause
/*
 * The pinned maps, to read while no mxlbd runs. Owns nothing in the kernel and writes nothing: maps are mapped for reading,
 * no lock is taken, so that an mxlbd may start meanwhile.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "datapath/datapath_internal.h"

/* Maps of later versions than the one that pinned: without them less is known. */
static bool is_optional(const struct datapath *dp, const struct bpf_map *map)
{
	return map == dp->skel->maps.pulse || map == dp->skel->maps.rejected;
}

static int take_map(struct datapath *dp, struct bpf_map *map)
{
	char path[PINS_PATH_SIZE + 64];
	int fd, err;

	if (!pins_of_map(dp, map, path, sizeof(path)))
		return 0;
	fd = bpf_obj_get(path);
	if (fd < 0)
		return errno == ENOENT && is_optional(dp, map) ? 0 : -errno;
	err = bpf_map__reuse_fd(map, fd);
	close(fd);
	return err;
}

static int take_maps(struct datapath *dp)
{
	struct bpf_map *map;
	int err;

	bpf_object__for_each_map(map, dp->skel->obj)
	{
		err = take_map(dp, map);
		if (err)
			return err;
	}
	dp->lines = bpf_map__max_entries(dp->skel->maps.flows4);
	dp->control = mmap(NULL, (size_t)sysconf(_SC_PAGESIZE), PROT_READ, MAP_SHARED,
			   bpf_map__fd(dp->skel->maps.bss), 0);
	if (dp->control == MAP_FAILED)
		return -errno;
	return pins_map_all(dp, PROT_READ);
}

int datapath_view(const struct datapath_conf *conf, struct datapath **out)
{
	struct datapath *dp = calloc(1, sizeof(*dp));
	int err = 0;

	if (!dp)
		return -ENOMEM;
	dp->lock_fd = -1;
	dp->read_only = true;
	for (unsigned i = 0; i < MXLB_MAX_PORTS; i++)
		dp->ports[i].link_fd = dp->ports[i].sight.fds[0] = dp->ports[i].sight.fds[1] = -1;
	snprintf(dp->pins, sizeof(dp->pins), "%s", conf->pin);
	snprintf(dp->dir, sizeof(dp->dir), "%s/v%d", dp->pins, MXLB_LAYOUT);
	dp->n_cpus = libbpf_num_possible_cpus();
	dp->cpu_values = calloc((size_t)(dp->n_cpus > 0 ? dp->n_cpus : 1) * DATAPATH_BATCH,
				sizeof(struct mxlb_traffic));
	refusal_listen(); /* libbpf's words are not for the user */
	if (access(dp->dir, R_OK | X_OK))
		err = -errno;
	if (!err)
		dp->skel = mxlb_bpf__open();
	if (!err && (!dp->skel || dp->n_cpus < 0 || !dp->cpu_values))
		err = -ENOMEM;
	if (!err)
		err = take_maps(dp);
	if (err) {
		datapath_close(dp);
		return err;
	}
	*out = dp;
	return 0;
}

bool datapath_view_attached(const struct datapath *dp, int ifindex)
{
	struct bpf_link_info info = {0};
	char pin[PINS_LINK_SIZE];
	__u32 len = sizeof(info);
	int fd = bpf_obj_get(pins_of_link(dp, ifindex, pin));
	bool attached = fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &len) &&
			info.xdp.ifindex == (__u32)ifindex;

	if (fd >= 0)
		close(fd);
	return attached;
}

bool datapath_is_not_ready(const struct datapath *dp, uint32_t service_id)
{
	return service_id < MXLB_MAX_SERVICES &&
	       dp->services[service_id].ring == MXLB_RING_NOT_READY;
}

bool datapath_ring_members(const struct datapath *dp, uint32_t service_id,
			   bool members[MXLB_MAX_SERVERS])
{
	uint32_t ring = service_id < MXLB_MAX_SERVICES
				? dp->services[service_id].ring - MXLB_RING_FIRST
				: MXLB_RINGS;

	memset(members, 0, MXLB_MAX_SERVERS * sizeof(*members));
	if (ring >= MXLB_RINGS)
		return false;
	for (unsigned i = 0; i < MXLB_RING_SLOTS; i++)
		members[dp->rings[ring].slot[i] % MXLB_MAX_SERVERS] = true;
	return true;
}
