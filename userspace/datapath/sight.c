// SPDX-License-Identifier: BSD-2-Clause
/*
 * Detects whether the program sees the packets that arrive on an interface. A wrong device index, a tag that was
 * stripped before the program, or a driver that bypasses it would leave servers up and mail lost.
 *
 *   1. Two packet sockets per interface count the ARP and neighbour discovery frames that the kernel's stack receives
 *      on the device on which IP runs. Nothing is read from them; their statistics (packet(7)) suffice, even when they
 *      are full.
 *   2. The program counts the same frames (the map `sights`), and may count more, because it answers those for VIPs
 *      itself.
 *   3. It sees if its counter moves. It is blind if the kernel received BLIND_FRAMES frames in BLIND_TURNS different
 *      seconds since then. A link without ARP and neighbour discovery proves nothing.
 *
 * The consequences are decided elsewhere.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "datapath/datapath_internal.h"
#include "util/log.h"
#include "util/names.h"

#define BLIND_FRAMES	 3
#define BLIND_TURNS	 3

#define IPV6_NEXT_HEADER 6
#define IPV6_HEADER	 40
#define ND_SOLICITATION	 135
#define ND_ADVERTISEMENT 136

/* ICMPv6 of these two types right behind the IPv6 header, as bpf/neighbour.h has it. */
static struct sock_filter nd_only[] = {
	BPF_STMT(BPF_LD | BPF_B | BPF_ABS, IPV6_NEXT_HEADER),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_ICMPV6, 0, 4),
	BPF_STMT(BPF_LD | BPF_B | BPF_ABS, IPV6_HEADER),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ND_SOLICITATION, 1, 0),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ND_ADVERTISEMENT, 0, 1),
	BPF_STMT(BPF_RET | BPF_K, 1),
	BPF_STMT(BPF_RET | BPF_K, 0),
};

static const struct sock_fprog nd_program = {sizeof(nd_only) / sizeof(nd_only[0]), nd_only};

static int counter_open(int ifindex, uint16_t protocol)
{
	static const int least; /* of buffers: the kernel makes it its minimum */
	struct sockaddr_ll at = {
		.sll_family = AF_PACKET, .sll_protocol = htons(protocol), .sll_ifindex = ifindex};
	int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), err;

	if (fd < 0)
		return -errno;
	if ((protocol == ETH_P_IPV6 &&
	     setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &nd_program, sizeof(nd_program))) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &least, sizeof(least)) ||
	    bind(fd, (struct sockaddr *)&at, sizeof(at))) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

void sight_reset(struct sight *s, bool close_sockets)
{
	s->missed = s->turns = 0;
	s->is = SIGHT_UNKNOWN;
	for (int i = 0; close_sockets && i < 2; i++) {
		if (s->fds[i] >= 0)
			close(s->fds[i]);
		s->fds[i] = -1;
		s->ifindex = 0;
	}
}

/* Rule 1. */
static void sight_open(struct sight *s, int ifindex)
{
	static const uint16_t protocols[] = {ETH_P_ARP, ETH_P_IPV6};
	int err = 0;

	sight_reset(s, true);
	for (int i = 0; i < 2 && ifindex; i++) {
		s->fds[i] = counter_open(ifindex, protocols[i]);
		if (s->fds[i] < 0)
			err = s->fds[i];
	}
	s->ifindex = ifindex;
	if (err && err != s->err)
		log_warn(
			"event=sight_unknown interface=%s error=\"%s\" advice=\"give mxlbd CAP_NET_RAW; "
			"until then it can't tell whether its program sees arriving packets\"",
			names_interface(ifindex, (char[NAMES_SIZE]){0}), strerror(-err));
	s->err = err;
}

/* Frames since the last time it was asked. */
static unsigned kernel_frames(const struct sight *s)
{
	unsigned n = 0;

	for (int i = 0; i < 2; i++) {
		struct tpacket_stats stats = {0};
		socklen_t len = sizeof(stats);

		if (s->fds[i] >= 0 &&
		    !getsockopt(s->fds[i], SOL_PACKET, PACKET_STATISTICS, &stats, &len))
			n += stats.tp_packets;
	}
	return n;
}

/* Rule 2. */
static uint64_t program_frames(const struct datapath *dp, uint32_t interface)
{
	uint64_t *cpu = dp->cpu_values, n = 0;

	if (bpf_map_lookup_elem(bpf_map__fd(dp->skel->maps.sights), &interface, cpu))
		return 0;
	for (int i = 0; i < dp->n_cpus; i++)
		n += cpu[i];
	return n;
}

enum sight_state datapath_sight(struct datapath *dp, unsigned interface, int ip_device)
{
	struct sight *s = &dp->ports[interface].sight;
	unsigned frames;
	uint64_t seen;

	if (s->ifindex != ip_device)
		sight_open(s, ip_device);
	frames = kernel_frames(s); /* before the program's counter: both may see more */
	seen = program_frames(dp, interface);
	if (!datapath_is_attached(dp, interface)) {
		sight_reset(s, false);
	} else if (seen != s->seen) { /* rule 3 */
		s->missed = s->turns = 0;
		s->is = SIGHT_SEES;
	} else if (frames) {
		s->missed += frames;
		s->turns++;
		if (s->missed >= BLIND_FRAMES && s->turns >= BLIND_TURNS)
			s->is = SIGHT_BLIND;
	}
	s->seen = seen;
	return s->is;
}
