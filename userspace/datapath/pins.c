// SPDX-License-Identifier: BSD-2-Clause
/*
 * Where maps and links are pinned, and whether a link of this process still has its device. Pins of the maps that outlive a
 * layout bear MXLB_KEPT.
 */
#include <stdio.h>
#include <string.h>
#include "datapath/datapath_internal.h"

const char *const pins_kept[PINS_KEPT] = {"flows4", "flows6", "records"};

static bool outlives_layout(const char *name)
{
	for (unsigned i = 0; i < PINS_KEPT; i++)
		if (!strcmp(name, pins_kept[i]))
			return true;
	return !strcmp(name, "control");
}

bool pins_layout(const char *name, unsigned *layout)
{
	char end;

	return sscanf(name, "v%u%c", layout, &end) == 1;
}

void pins_path(const struct datapath *dp, const char *name, char *path, size_t size)
{
	if (outlives_layout(name))
		snprintf(path, size, "%s/%s_%d", dp->dir, name, MXLB_KEPT);
	else
		snprintf(path, size, "%s/%s", dp->dir, name);
}

bool pins_of_map(const struct datapath *dp, const struct bpf_map *map, char *path, size_t size)
{
	if (map == dp->skel->maps.ports || map == dp->skel->maps.rodata ||
	    map == dp->skel->maps.scratch || map == dp->skel->maps.sights)
		return false; /* see maps.h; constants, scratch and sights are the program's own */
	pins_path(dp, map == dp->skel->maps.bss ? "control" : bpf_map__name(map), path, size);
	return true;
}

const char *pins_of_link(const struct datapath *dp, int ifindex, char pin[PINS_LINK_SIZE])
{
	snprintf(pin, PINS_LINK_SIZE, "%s/link_%d", dp->dir, ifindex);
	return pin;
}

bool pins_link_is_alive(int fd, int ifindex)
{
	struct bpf_link_info info = {0};
	__u32 len = sizeof(info);

	return !bpf_obj_get_info_by_fd(fd, &info, &len) && (int)info.xdp.ifindex == ifindex;
}

bool datapath_is_attached(const struct datapath *dp, unsigned interface)
{
	return dp->ports[interface].link_fd >= 0 &&
	       pins_link_is_alive(dp->ports[interface].link_fd, dp->ports[interface].ifindex);
}
