/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checks of the network devices: what their offloads do to packets before mxlb sees them, whether they have the queues
 * that native XDP needs, and whether mxlb's program sees arriving packets. A bond's slaves are checked too, because
 * the program runs on them. Sends nothing.
 */
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include "ctl/doctor/doctor.h"
#include "ctl/text.h"

#define GRO_HW	     "rx-gro-hw"
#define FEATURES_MAX 128 /* Linux 6.12 has 64 */

/* False: the driver does not answer this. */
static bool ethtool(const char *name, void *command)
{
	struct ifreq request = {.ifr_data = command};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool ok;

	if (fd < 0)
		return false;
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	ok = !ioctl(fd, SIOCETHTOOL, &request);
	close(fd);
	return ok;
}

/* ETH_FLAG_; 0: the driver says nothing. */
static uint32_t flags_of(const char *name)
{
	struct ethtool_value flags = {.cmd = ETHTOOL_GFLAGS};

	return ethtool(name, &flags) ? flags.data : 0;
}

struct feature {
	bool on, fixed;
};

static void feature_read(const char *name, unsigned bit, struct feature *out)
{
	struct {
		struct ethtool_gfeatures head;
		struct ethtool_get_features_block blocks[FEATURES_MAX / 32];
	} all = {.head = {.cmd = ETHTOOL_GFEATURES, .size = FEATURES_MAX / 32}};
	const struct ethtool_get_features_block *block = &all.blocks[bit / 32];
	uint32_t mask = 1u << bit % 32;

	if (!ethtool(name, &all))
		return;
	out->on = block->active & mask;
	out->fixed = !(block->available & mask) || (block->never_changed & mask);
}

/* As ethtool -k names it. Off where the driver or the kernel does not know it. */
static struct feature feature_of(const char *name, const char *feature)
{
	struct {
		struct ethtool_sset_info head;
		uint32_t n;
	} count = {.head = {.cmd = ETHTOOL_GSSET_INFO, .sset_mask = 1ull << ETH_SS_FEATURES}};
	struct feature out = {false, false};
	struct ethtool_gstrings *names;

	if (!ethtool(name, &count) || !count.head.sset_mask)
		return out;
	names = calloc(1, sizeof(*names) + (size_t)count.n * ETH_GSTRING_LEN);
	if (!names)
		return out;
	names->cmd = ETHTOOL_GSTRINGS;
	names->string_set = ETH_SS_FEATURES;
	names->len = count.n;
	if (!ethtool(name, names))
		names->len = 0;
	for (unsigned i = 0; i < names->len && i < FEATURES_MAX; i++)
		if (!strncmp((const char *)&names->data[(size_t)i * ETH_GSTRING_LEN], feature,
			     ETH_GSTRING_LEN))
			feature_read(name, i, &out);
	free(names);
	return out;
}

/* LRO and hardware GRO merge packets into ones that are too large to be forwarded. */
static void judge_merging(struct doctor *d, const char *name, bool generic)
{
	struct feature gro = feature_of(name, GRO_HW);

	if (flags_of(name) & ETH_FLAG_LRO)
		doctor_find(
			d, DOCTOR_ERROR,
			json_sprintf(
				"%s merges packets (LRO): merged packets are too big to be forwarded",
				name),
			json_sprintf("ethtool -K %s lro off", name));
	if (!generic || !gro.on)
		return;
	doctor_find(d, DOCTOR_WARNING,
		    json_sprintf("%s merges packets (GRO_HW)%s: merged packets do not fit into a "
				 "tunnel",
				 name, gro.fixed ? " and the driver can't stop it" : ""),
		    gro.fixed
			    ? json_string("Have the hypervisor let the guest switch it off (QEMU: "
					  "ctrl_guest_offloads=on), or not merge (guest_tso4=off,"
					  "guest_tso6=off).")
			    : json_sprintf("ethtool -K %s rx-gro-hw off", name));
}

static void judge_tags(struct doctor *d, const char *name, long long vlan)
{
	if (!(flags_of(name) & ETH_FLAG_RXVLAN))
		return;
	doctor_find(
		d, DOCTOR_ERROR,
		json_sprintf(
			"%s removes VLAN tags before mxlb sees the packets: mail of VLAN %lld is lost",
			name, vlan),
		d->status ? json_string("mxlbd could not switch that off (rxvlan): its log has "
					"the reason.")
			  : json_sprintf("mxlbd switches that off when it starts; or: ethtool -K "
					 "%s rxvlan off",
					 name));
}

/* Calls fn for the interface; or for each slave if it is a bond, whose own flags say what slaves may have. */
static void each_device(const char *name, const struct nl_link *link,
			void (*fn)(const char *device, void *ctx), void *ctx)
{
	char slaves[NL_SLAVES_MAX][IF_NAMESIZE];
	unsigned n = nl_slaves(link->ifindex, slaves);

	for (unsigned i = 0; i < n; i++)
		fn(slaves[i], ctx);
	if (!n)
		fn(name, ctx);
}

struct judged {
	struct doctor *d;
	const json_t *conf;
	bool generic;
};

static void judge_device(const char *device, void *ctx)
{
	struct judged *j = ctx;

	judge_merging(j->d, device, j->generic);
	if (json_object_get(j->conf, "vlan"))
		judge_tags(j->d, device, field_number(j->conf, "vlan"));
}

static void judge_offloads(struct doctor *d, const char *name, const json_t *conf,
			   const struct nl_link *link)
{
	struct judged j = {d, conf, link->xdp == XDP_ATTACHED_SKB};

	each_device(name, link, judge_device, &j);
}

static void check_offloads(struct doctor *d)
{
	doctor_each_interface(d, judge_offloads);
}

/* nr_cpu_ids of the kernel: queues are for CPUs that may come, too. */
static unsigned possible_cpus(void)
{
	FILE *f = fopen("/sys/devices/system/cpu/possible", "re");
	unsigned first = 0, last = 0, n = 1;

	if (!f)
		return n;
	if (fscanf(f, "%u-%u", &first, &last) == 2)
		n = last + 1;
	fclose(f);
	return n;
}

/*
 * virtnet_xdp_set(): while XDP is on, the device has its queue pairs in use and one more per CPU, if there are as many; else
 * all CPUs share them under a lock. More in use than there are CPUs: it has had them.
 */
static void judge_device_queues(const char *device, void *ctx)
{
	struct judged *j = ctx;
	struct ethtool_drvinfo driver = {.cmd = ETHTOOL_GDRVINFO};
	struct ethtool_channels channels = {.cmd = ETHTOOL_GCHANNELS};
	unsigned cpus = possible_cpus();

	if (!ethtool(device, &driver) || strcmp(driver.driver, "virtio_net") ||
	    !ethtool(device, &channels) || channels.combined_count > cpus)
		return;
	doctor_find(
		j->d, DOCTOR_WARNING,
		json_sprintf(
			"%s has %u queue pairs in use and %u in all, for %u CPUs: mxlb's packets "
			"are sent in a slower, locked mode",
			device, channels.combined_count, channels.max_combined, cpus),
		json_sprintf(
			"Give the virtual NIC %u queue pairs (QEMU: queues=%u on the netdev and "
			"mq=on; libvirt: <driver queues='%u'/>), then restart the machine.",
			channels.combined_count + cpus, channels.combined_count + cpus,
			channels.combined_count + cpus));
}

static void judge_queues(struct doctor *d, const char *name, const json_t *conf,
			 const struct nl_link *link)
{
	struct judged j = {d, conf, false};

	if (link->xdp == XDP_ATTACHED_DRV)
		each_device(name, link, judge_device_queues, &j);
}

static void check_queues(struct doctor *d)
{
	doctor_each_interface(d, judge_queues);
}

static void judge_sight(struct doctor *d, const char *name)
{
	const json_t *conf = json_object_get(json_object_get(d->config, "interfaces"), name);

	if (json_object_get(conf, "vlan"))
		doctor_find(
			d, DOCTOR_ERROR,
			json_sprintf(
				"mxlb's program sees nothing of VLAN %lld on %s, but the kernel "
				"does: mail is lost. The tag is removed before the program runs",
				field_number(conf, "vlan"), name),
			json_sprintf(
				"Make the VLAN device the interface: %s.%lld in place of %s, "
				"without vlan; on a virtual cable (veth), switch txvlan off at "
				"its other end.",
				name, field_number(conf, "vlan"), name));
	else
		doctor_find(
			d, DOCTOR_ERROR,
			json_sprintf(
				"the kernel receives packets on %s that mxlb's program does not "
				"see: mail is lost",
				name),
			json_string("Set mode: generic; dmesg may show what the driver did."));
}

static void check_sight(struct doctor *d)
{
	json_t *interface;
	size_t i;

	json_array_foreach (json_object_get(d->status, "interfaces"), i, interface) {
		const char *sight = field_text(interface, "sight");

		if (!strcmp(sight, "blind"))
			judge_sight(d, field_text(interface, "name"));
		else if (!strcmp(sight, "unknown") &&
			 strcmp(field_text(interface, "xdp"), "detached"))
			doctor_find(
				d, DOCTOR_NOT_CHECKED,
				json_sprintf("%s has received too little to know whether mxlb's "
					     "program sees it",
					     field_text(interface, "name")),
				NULL);
	}
}

const struct doctor_check doctor_device_checks[] = {
	{"offloads", "no offload changes packets before mxlb sees them", NEEDS_CONFIG,
	 check_offloads},
	{"queues", "there are enough queues to send without a lock", NEEDS_CONFIG, check_queues},
	{"sight", "mxlb's program sees the packets that the kernel receives", NEEDS_STATUS,
	 check_sight},
	{.name = NULL},
};
