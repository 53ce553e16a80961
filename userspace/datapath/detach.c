// SPDX-License-Identifier: BSD-2-Clause
/*
 * Removes the datapath and everything else that any mxlbd with these pins and marks has put into the kernel: the
 * programs, the pins of all layouts, the probes' filters, rules, tables and neighbours, the neighbour timers. Nothing
 * else does that: a stop leaves everything in place. The pin directory itself stays, because its creator may have
 * given it to mxlbd's user.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "datapath/datapath_internal.h"
#include "net/netlink.h"
#include "util/log.h"
#include "util/names.h"

static int detach_trouble(const char *what, int err)
{
	if (err)
		log_error("event=detach_failed what=\"%s\" error=\"%s\"", what, strerror(-err));
	return err;
}

/* Detaches from the interface at once, including the probes' filter. A link whose device was deleted is only unpinned. */
static int detach_link(const char *pin)
{
	struct bpf_link_info info = {0};
	__u32 len = sizeof(info);
	int fd = bpf_obj_get(pin), err;

	if (fd < 0)
		return detach_trouble(pin, -errno);
	if (!bpf_obj_get_info_by_fd(fd, &info, &len) && info.xdp.ifindex)
		detach_trouble("probes' filter", probetunnel_remove(info.xdp.ifindex));
	err = bpf_link_detach(fd) ? -errno : 0;
	close(fd);
	if (!err)
		log_info("event=detached interface=%s cause=detach",
			 names_interface((int)info.xdp.ifindex, (char[NAMES_SIZE]){0}));
	return detach_trouble(pin, err);
}

/* Removes the pins of one layout. What cannot be detached stays pinned, so that it can be retried. */
static int detach_layout(const char *path)
{
	char pin[PINS_PATH_SIZE + sizeof(((struct dirent *)0)->d_name)];
	DIR *dir = opendir(path);
	struct dirent *entry;
	int err = 0, one;

	if (!dir)
		return detach_trouble(path, -errno);
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.' || offload_restore(path, entry->d_name))
			continue;
		snprintf(pin, sizeof(pin), "%s/%s", path, entry->d_name);
		one = strncmp(entry->d_name, "link_", 5) ? 0 : detach_link(pin);
		if (!one && unlink(pin))
			one = detach_trouble(pin, -errno);
		err = err ?: one;
	}
	closedir(dir);
	if (!err && rmdir(path))
		err = detach_trouble(path, -errno);
	return err;
}

static int detach_layouts(const char *pins)
{
	DIR *dir = opendir(pins);
	char path[PINS_PATH_SIZE];
	struct dirent *entry;
	int err = 0, one;
	unsigned layout;

	if (!dir)
		return detach_trouble(pins, -errno);
	while ((entry = readdir(dir))) {
		if (!pins_layout(entry->d_name, &layout))
			continue;
		snprintf(path, sizeof(path), "%s/v%u", pins, layout);
		one = detach_layout(path);
		err = err ?: one;
	}
	closedir(dir);
	return err;
}

/* Links of this process whose pins were removed by others, and filters on interfaces without a link. */
static int detach_interfaces(struct datapath *dp, const struct netlink *n)
{
	const struct netlink_link *link;
	int err = 0;

	for (unsigned i = 0; i < MXLB_MAX_PORTS; i++) {
		dp->ports[i].tunnel = (struct probetunnel){0};
		if (dp->ports[i].link_fd < 0)
			continue;
		bpf_link_detach(dp->ports[i].link_fd);
		close(dp->ports[i].link_fd);
		dp->ports[i].link_fd = -1;
	}
	for (unsigned i = 0; (link = netlink_link(n, i)); i++) {
		int one = link->ifindex ? probetunnel_remove(link->ifindex) : 0;

		err = err ?: detach_trouble("probes' filter", one);
	}
	return err;
}

int datapath_detach(struct datapath *dp, struct netlink *n)
{
	int err = detach_layouts(dp->pins), one;

	one = detach_interfaces(dp, n);
	err = err ?: one;
	one = detach_trouble("probes' rules and tables", netlink_detach_all(n));
	return err ?: one;
}
