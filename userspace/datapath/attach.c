// SPDX-License-Identifier: BSD-2-Clause
/*
 * Attaches the program to interfaces through pinned links. An existing link is adopted by replacing its program, so no
 * packet passes in between. A dead link (its device was deleted: ENOLINK) is removed. A link in another mode must be
 * removed first, because a device has one mode only; if the new mode turns out to be impossible, the old link is
 * restored: a refused start must neither stop mail nor leave more programs attached than before.
 */
#include <dirent.h>
#include <errno.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "datapath/datapath_internal.h"
#include "util/log.h"
#include "util/names.h"

/* Detaches from the interface at once; a link that ends with its pin does so some time later. */
static void remove_link(const char *pin, int fd)
{
	bpf_link_detach(fd);
	unlink(pin);
	close(fd);
}

/* Another layout's link is pinned here too before its program is replaced (migrate.c, rule 5). */
static void fetch_link(const struct datapath *dp, int ifindex, const char *pin)
{
	char old[PINS_LINK_SIZE];
	int fd;

	if (!dp->old[0] || !access(pin, F_OK))
		return;
	snprintf(old, sizeof(old), "%s/link_%d", dp->old, ifindex);
	fd = bpf_obj_get(old);
	if (fd < 0)
		return;
	if (bpf_obj_pin(fd, pin))
		log_error("event=link_kept pin=\"%s\" error=\"%s\"", old, strerror(errno));
	close(fd);
}

static int mode_flags(enum xdp_mode mode)
{
	return mode == XDP_MODE_GENERIC ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE;
}

static int attached_mode(int ifindex)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, opts);

	return bpf_xdp_query(ifindex, 0, &opts) ? XDP_ATTACHED_NONE : opts.attach_mode;
}

static bool mode_fits(enum xdp_mode wanted, int attached)
{
	return wanted == XDP_MODE_AUTO ||
	       attached == (wanted == XDP_MODE_NATIVE ? XDP_ATTACHED_DRV : XDP_ATTACHED_SKB);
}

/*
 * Returns the fd of this interface's pinned link, with this program in it, or -errno. -ENOENT: there is none, or it
 * was removed because of its mode; then *was is the mode that was attached, or XDP_ATTACHED_NONE.
 */
static int attach_take_over(struct datapath *dp, const char *pin, const struct interface_conf *conf,
			    int ifindex, int *was)
{
	int prog = bpf_program__fd(dp->skel->progs.mxlb), fd, err;

	*was = XDP_ATTACHED_NONE;
	fd = bpf_obj_get(pin);
	if (fd < 0)
		return -errno;
	err = pins_link_is_alive(fd, ifindex) ? 0 : -ENOLINK;
	if (!err && mode_fits(conf->mode, attached_mode(ifindex))) {
		if (!bpf_link_update(fd, prog, NULL))
			return fd;
		err = -errno;
	} else if (!err) {
		*was = attached_mode(ifindex);
	}
	if (err && err != -ENOLINK) {
		close(fd);
		return err; /* the old program stays */
	}
	log_warn("event=link_replaced interface=%s cause=\"%s\"", conf->name,
		 err ? "its device is gone" : "another mode is wanted");
	remove_link(pin, fd);
	return -ENOENT;
}

/* Restores the previous mode, so that packets pass; the request for the other one is refused nevertheless. */
static void attach_put_back(struct datapath *dp, const char *pin, int ifindex, int was)
{
	int prog = bpf_program__fd(dp->skel->progs.mxlb), fd;
	LIBBPF_OPTS(bpf_link_create_opts, opts,
		    .flags = was == XDP_ATTACHED_SKB ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE);

	if (was == XDP_ATTACHED_NONE)
		return;
	fd = bpf_link_create(prog, ifindex, BPF_XDP, &opts);
	if (fd < 0 || bpf_obj_pin(fd, pin))
		log_error("event=detached interface=%s error=\"%s\"",
			  names_interface(ifindex, (char[NAMES_SIZE]){0}), strerror(errno));
	if (fd >= 0)
		close(fd);
}

static int create_link(struct datapath *dp, const struct interface_conf *conf, int ifindex)
{
	int prog = bpf_program__fd(dp->skel->progs.mxlb), fd;
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = mode_flags(conf->mode));

	fd = bpf_link_create(prog, ifindex, BPF_XDP, &opts);
	if (fd < 0 && conf->mode == XDP_MODE_AUTO && fd != -EBUSY && fd != -EPERM) {
		log_warn(
			"event=xdp_native_impossible interface=%s error=\"%s\" advice=\"packets cost more in generic mode\"",
			conf->name, strerror(-fd));
		opts.flags = XDP_FLAGS_SKB_MODE;
		fd = bpf_link_create(prog, ifindex, BPF_XDP, &opts);
	}
	return fd;
}

/* Once per cause, however often it is tried. */
static int attach_explain(struct datapath *dp, unsigned interface,
			  const struct interface_conf *conf, int err)
{
	int ifindex = dp->ports[interface].ifindex, before = dp->ports[interface].err;
	char advice[256] = "see the system's log";
	LIBBPF_OPTS(bpf_xdp_query_opts, opts);

	dp->ports[interface].err = err;
	if (err == before)
		return err;
	if (err == -EBUSY || err == -EEXIST) {
		bpf_xdp_query(ifindex, 0, &opts);
		snprintf(
			advice, sizeof(advice),
			"another XDP program (id %u) is there; remove it: ip link set dev %s xdp off; or, where "
			"that is refused, it is held by a link: bpftool link list, bpftool link detach id ID",
			opts.prog_id, conf->name);
	} else if (err == -EPERM) {
		snprintf(advice, sizeof(advice),
			 "run mxlbd as root, or with CAP_BPF and CAP_NET_ADMIN");
	} else if (conf->mode == XDP_MODE_NATIVE) {
		snprintf(advice, sizeof(advice),
			 "the driver refuses native XDP; try mode: auto or generic");
	}
	log_error("event=refused what=\"attach to %s\" error=\"%s\" advice=\"%s\"", conf->name,
		  strerror(-err), advice);
	return err;
}

int datapath_declare(struct datapath *dp, unsigned interface, int ifindex, const struct mac *mac,
		     uint16_t vlan)
{
	__u32 key = interface;

	/* Needed even if the index is the same, because the kernel clears the entry of a deleted device. */
	if (bpf_map_update_elem(bpf_map__fd(dp->skel->maps.ports), &key, &ifindex, BPF_ANY)) {
		log_error("event=declare_failed interface=%s error=\"%s\"",
			  names_interface(ifindex, (char[NAMES_SIZE]){0}), strerror(errno));
		return -errno;
	}
	dp->ports[interface].ifindex = ifindex;
	dp->ports[interface].mac = *mac;
	dp->ports[interface].vlan = vlan;
	dp->ports[interface].tunnel = (struct probetunnel){0};
	return 0;
}

bool datapath_declare_slaves(struct datapath *dp, unsigned interface, const int *ifindexes,
			     unsigned n)
{
	unsigned room = MXLB_MAX_SLAVES;

	for (unsigned i = 0; i < MXLB_MAX_PORTS; i++)
		room -= i == interface ? 0 : dp->ports[i].n_slaves;
	if (n > room) {
		log_error(
			"event=too_many_slaves interface=%s slaves=%u followed=%u advice=\"mail that "
			"arrives on the others is not seen; use mode: generic\"",
			names_interface(dp->ports[interface].ifindex, (char[NAMES_SIZE]){0}), n,
			room);
		n = room;
	}
	if (n == dp->ports[interface].n_slaves &&
	    !memcmp(dp->ports[interface].slaves, ifindexes, n * sizeof(*ifindexes)))
		return false;
	memcpy(dp->ports[interface].slaves, ifindexes, n * sizeof(*ifindexes));
	dp->ports[interface].n_slaves = n;
	return true;
}

/* Removes a link whose device was deleted; otherwise its pin would stay forever. */
static void forget_link(struct datapath *dp, unsigned interface)
{
	char pin[PINS_LINK_SIZE];

	if (dp->ports[interface].link_fd < 0)
		return;
	unlink(pins_of_link(dp, dp->ports[interface].attached, pin));
	close(dp->ports[interface].link_fd);
	dp->ports[interface].link_fd = -1;
}

int datapath_attach(struct datapath *dp, unsigned interface, const struct interface_conf *conf)
{
	int ifindex = dp->ports[interface].ifindex, fd, was;
	char pin[PINS_LINK_SIZE];

	if (datapath_is_attached(dp, interface)) {
		offload_keep_tags(dp, interface, conf);
		return 0;
	}
	forget_link(dp, interface);
	fetch_link(dp, ifindex, pins_of_link(dp, ifindex, pin));
	fd = attach_take_over(dp, pin, conf, ifindex, &was);
	dp->ports[interface].fresh = fd == -ENOENT && was == XDP_ATTACHED_NONE;
	if (fd == -ENOENT) {
		fd = create_link(dp, conf, ifindex);
		if (fd >= 0 && bpf_obj_pin(fd, pin)) {
			int err = -errno;

			close(fd);
			fd = err;
		}
		if (fd < 0)
			attach_put_back(dp, pin, ifindex, was);
	}
	if (fd < 0)
		return attach_explain(dp, interface, conf, fd);
	dp->ports[interface].err = 0;
	dp->ports[interface].link_fd = fd;
	dp->ports[interface].attached = ifindex;
	offload_keep_tags(dp, interface, conf);
	sight_reset(&dp->ports[interface].sight, false);
	return 0;
}

void datapath_detach_new(struct datapath *dp)
{
	char pin[PINS_LINK_SIZE];

	for (unsigned i = 0; i < MXLB_MAX_PORTS; i++) {
		if (!dp->ports[i].fresh || dp->ports[i].link_fd < 0)
			continue;
		remove_link(pins_of_link(dp, dp->ports[i].attached, pin), dp->ports[i].link_fd);
		dp->ports[i].link_fd = -1;
	}
}

static bool is_declared(const struct datapath *dp, int ifindex)
{
	for (unsigned i = 0; i < MXLB_MAX_PORTS; i++)
		if (dp->ports[i].ifindex == ifindex)
			return true;
	return false;
}

bool datapath_migrates(const struct datapath *dp)
{
	return dp->unfilled;
}

static void detach_undeclared(struct datapath *dp, const char *path, void (*fn)(void *, int),
			      void *ctx)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	int ifindex, fd;
	char pin[PINS_LINK_SIZE], more;

	while (dir && (entry = readdir(dir))) {
		if (sscanf(entry->d_name, "link_%d%c", &ifindex, &more) != 1 ||
		    is_declared(dp, ifindex))
			continue;
		snprintf(pin, sizeof(pin), "%s/link_%d", path, ifindex);
		fd = bpf_obj_get(pin);
		if (fd < 0) {
			log_warn("event=detach_failed interface=%s error=\"%s\"",
				 names_interface(ifindex, (char[NAMES_SIZE]){0}), strerror(errno));
			continue;
		}
		remove_link(pin, fd);
		probetunnel_remove(ifindex);
		fn(ctx, ifindex);
	}
	if (dir)
		closedir(dir);
}

void datapath_detach_undeclared(struct datapath *dp, void (*fn)(void *ctx, int ifindex), void *ctx)
{
	detach_undeclared(dp, dp->dir, fn, ctx);
	if (dp->old[0])
		detach_undeclared(dp, dp->old, fn, ctx);
	offload_tidy(dp);
	migrate_end(dp);
}

const char *datapath_xdp_mode(const struct datapath *dp, unsigned interface)
{
	bool ours = datapath_is_attached(dp, interface);
	int mode = ours ? attached_mode(dp->ports[interface].ifindex) : XDP_ATTACHED_NONE;

	return mode == XDP_ATTACHED_DRV	  ? "native"
	       : mode == XDP_ATTACHED_SKB ? "generic"
					  : "detached";
}
