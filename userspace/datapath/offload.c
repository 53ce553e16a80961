// SPDX-License-Identifier: BSD-2-Clause
/*
 * The one offload that hides mail from the program: an interface that strips VLAN tags (rxvlan) although mail arrives
 * with a tag. It is switched off, and a mark is pinned beside the maps, so that the process that detaches, this one or
 * another, switches it on again. The program of a bond runs on its slaves, so this applies to them too.
 */
#include <dirent.h>
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include "datapath/datapath_internal.h"
#include "util/log.h"

#define MARK "rxvlan_"

static int flags_call(const char *name, uint32_t cmd, uint32_t *flags)
{
	struct ethtool_value value = {.cmd = cmd, .data = *flags};
	struct ifreq request = {.ifr_data = (char *)&value};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), err;

	if (fd < 0)
		return -errno;
	memcpy(request.ifr_name, name, strnlen(name, IF_NAMESIZE - 1));
	err = ioctl(fd, SIOCETHTOOL, &request) ? -errno : 0;
	*flags = value.data;
	close(fd);
	return err;
}

/* changed: false if it was so already or is not supported. 0 or -errno. */
static int strip_tags(const char *name, bool strip, bool *changed)
{
	uint32_t flags = 0;
	int err;

	*changed = false;
	if (flags_call(name, ETHTOOL_GFLAGS, &flags) || strip == !!(flags & ETH_FLAG_RXVLAN))
		return 0;
	flags ^= ETH_FLAG_RXVLAN;
	err = flags_call(name, ETHTOOL_SFLAGS, &flags);
	*changed = !err;
	return err;
}

static void mark(const struct datapath *dp, int ifindex)
{
	char pin[PINS_LINK_SIZE];

	snprintf(pin, sizeof(pin), "%s/" MARK "%d", dp->dir, ifindex);
	if (bpf_obj_pin(bpf_map__fd(dp->skel->maps.sights), pin) && errno != EEXIST)
		log_warn(
			"event=offload_unmarked pin=\"%s\" error=\"%s\" advice=\"detach will not switch "
			"rxvlan on again\"",
			pin, strerror(errno));
}

/* 0 or -errno. */
static int keep_tags(struct datapath *dp, const struct interface_conf *conf, int ifindex)
{
	char name[IF_NAMESIZE] = "";
	bool changed;
	int err;

	if (!if_indextoname((unsigned)ifindex, name))
		return 0;
	err = strip_tags(name, false, &changed);
	if (err || !changed)
		return err;
	mark(dp, ifindex);
	log_info("event=offload interface=%s rxvlan=off cause=\"mail arrives with tag %u; detach "
		 "switches it on again\"",
		 name, conf->vlan);
	return 0;
}

void offload_keep_tags(struct datapath *dp, unsigned interface, const struct interface_conf *conf)
{
	int err, one;

	if (!conf->vlan)
		return;
	err = keep_tags(dp, conf, dp->ports[interface].ifindex);
	for (unsigned i = 0; i < dp->ports[interface].n_slaves; i++) {
		one = keep_tags(dp, conf, dp->ports[interface].slaves[i]);
		err = err ?: one;
	}
	if (err && err != dp->ports[interface].offload_err)
		log_error(
			"event=tags_lost interface=%s vlan=%u error=\"%s\" advice=\"the device strips tags "
			"before mxlb sees them, and rxvlan can't be switched off: make %s.%u the "
			"interface in the configuration, without vlan\"",
			conf->name, conf->vlan, strerror(-err), conf->name, conf->vlan);
	dp->ports[interface].offload_err = err;
}

bool offload_restore(const char *dir, const char *entry)
{
	char pin[PINS_PATH_SIZE + 32], name[IF_NAMESIZE];
	bool changed = false;
	int ifindex, err = 0;
	char more;

	if (sscanf(entry, MARK "%d%c", &ifindex, &more) != 1)
		return false;
	if (if_indextoname((unsigned)ifindex, name))
		err = strip_tags(name, true, &changed);
	if (changed)
		log_info("event=offload interface=%s rxvlan=on cause=\"as it was before mxlbd\"",
			 name);
	else if (err)
		log_warn(
			"event=offload interface=%s rxvlan=off error=\"%s\" advice=\"ethtool -K %s "
			"rxvlan on\"",
			name, strerror(-err), name);
	snprintf(pin, sizeof(pin), "%s/" MARK "%d", dir, ifindex);
	unlink(pin);
	return true;
}

static bool is_tagged(const struct datapath *dp, int ifindex)
{
	for (unsigned i = 0; i < MXLB_MAX_PORTS; i++) {
		if (!dp->ports[i].vlan)
			continue;
		if (dp->ports[i].ifindex == ifindex)
			return true;
		for (unsigned k = 0; k < dp->ports[i].n_slaves; k++)
			if (dp->ports[i].slaves[k] == ifindex)
				return true;
	}
	return false;
}

static void tidy(struct datapath *dp, const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	int ifindex;
	char more;

	while (dir && (entry = readdir(dir))) {
		if (sscanf(entry->d_name, MARK "%d%c", &ifindex, &more) != 1)
			continue;
		if (is_tagged(dp, ifindex))
			mark(dp, ifindex);
		else
			offload_restore(path, entry->d_name);
	}
	if (dir)
		closedir(dir);
}

void offload_tidy(struct datapath *dp)
{
	tidy(dp, dp->dir);
	if (dp->old[0])
		tidy(dp, dp->old);
}
