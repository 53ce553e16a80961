// SPDX-License-Identifier: BSD-2-Clause
/* The program under test: loads it with the rights of production, gives it a plan, reads its counters. */
#include <errno.h>
#include <ftw.h>
#include <string.h>
#include <unistd.h>
#include "bench.h"

#define SERVERS_MAX 1000

const uint8_t subject_mac[6] = {0x02, 0, 0, 0, 0, 0x05};
static uint64_t now_ms = 1000; /* the datapath's clock, as fast as the caller likes */

static void pin_name(char *out, size_t size)
{
	snprintf(out, size, "/sys/fs/bpf/mxlb-bench-%d", (int)getpid());
}

cap_t subject_caps(bool perfmon)
{
	static const cap_value_t keep[] = {CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON};
	cap_t before = cap_get_proc(), now = cap_get_proc();
	int n = perfmon ? 3 : 2;

	if (!before || !now || cap_clear_flag(now, CAP_EFFECTIVE) ||
	    cap_set_flag(now, CAP_EFFECTIVE, n, keep, CAP_SET) || cap_set_proc(now)) {
		cap_free(before);
		before = NULL;
	}
	cap_free(now);
	return before;
}

int subject_caps_back(cap_t before)
{
	int err = cap_set_proc(before);

	cap_free(before);
	return err;
}

struct datapath *subject_open(uint32_t flows)
{
	struct datapath_conf conf = {.hash_key = "bench", .flows = flows};
	struct datapath *dp = NULL;
	cap_t before = subject_caps(true);

	if (!before) {
		perror("capabilities (make bench needs root)");
		return NULL;
	}
	pin_name(conf.pin, sizeof(conf.pin));
	if (datapath_open(&conf, &dp))
		dp = NULL;
	if (subject_caps_back(before) || !dp) {
		subject_close(dp);
		return NULL;
	}
	dp->ports[0].ifindex = 1; /* the test run's interface is loopback */
	memcpy(dp->ports[0].mac.b, subject_mac, 6);
	return dp;
}

static int unlink_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

void subject_close(struct datapath *dp)
{
	char pin[64];

	datapath_close(dp);
	pin_name(pin, sizeof(pin));
	if (nftw(pin, unlink_one, 8, FTW_DEPTH | FTW_PHYS) && errno != ENOENT)
		perror(pin);
}

/* The clients' prefix of that family, and others. */
static int allow_list(int family, struct prefix list[ALLOW])
{
	for (unsigned i = 0; i < ALLOW; i++) {
		char text[ADDR_TEXT_SIZE];

		if (family == 4)
			snprintf(text, sizeof(text), i ? "100.%u.%u.0/24" : "20.0.0.0/8", i / 250,
				 i % 250);
		else
			snprintf(text, sizeof(text), i ? "2001:db9:%x::/48" : "2001:db8:1::/48", i);
		if (addr_parse_prefix(text, &list[i]))
			return -EINVAL;
	}
	return 0;
}

static int server_fill(struct plan_server *b, unsigned i, int outer)
{
	*b = (struct plan_server){.id = i + 1, .mac = {{2, 0, 0, 1, i >> 8, i}}};
	if (!outer)
		return 0;
	b->tunnel = true;
	b->mtu = 1500;
	if (addr_parse(outer == 4 ? "203.0.113.5" : "2001:db8:113::5", &b->source) ||
	    addr_parse(outer == 4 ? "192.0.2.0" : "2001:db8:2::", &b->target))
		return -EINVAL;
	b->target.b[14] ^= i >> 8;
	b->target.b[15] ^= i;
	return 0;
}

static int service_fill(struct plan_service *s, unsigned id, struct maglev_member *members,
			const struct subject_shape *shape)
{
	static struct prefix lists[2][ALLOW];

	*s = (struct plan_service){
		.id = id,
		.name = id ? "mail6" : "mail",
		.port = 25,
		.mode = PLAN_RING,
		.members = members,
		.n_members = shape->n,
		.allow = lists[id],
		.n_allow = shape->allow ? ALLOW : 0,
	};
	if (addr_parse(id ? "2001:db8:113::25" : "203.0.113.25", &s->vip))
		return -EINVAL;
	return allow_list(id ? 6 : 4, lists[id]);
}

int subject_plan(struct datapath *dp, const struct subject_shape *shape)
{
	static char names[SERVERS_MAX][16];
	static struct maglev_member members[SERVERS_MAX];
	static struct plan_server servers[SERVERS_MAX];
	struct plan_service s[2];
	struct plan plan = {
		.services = s, .n_services = 2, .servers = servers, .n_servers = shape->n};
	uint64_t again_ms = 1;
	int err = 0;

	if (shape->n > SERVERS_MAX || service_fill(&s[0], 0, members, shape) ||
	    service_fill(&s[1], 1, members, shape))
		return -EINVAL;
	for (unsigned i = 0; i < shape->n; i++) {
		snprintf(names[i], sizeof(names[i]), "server-%u", i);
		members[i] = (struct maglev_member){names[i], i + 1, i ? 1 : shape->weight};
		if (server_fill(&servers[i], i, shape->outer))
			return -EINVAL;
	}
	for (now_ms += 1000; again_ms && !err; now_ms += again_ms)
		err = datapath_apply(dp, &plan, now_ms, &again_ms);
	return err;
}

void subject_count(struct datapath *dp, struct subject_counts *out)
{
	struct datapath_counts counts;
	struct traffic one;

	memset(out, 0, sizeof(*out));
	for (uint32_t id = 1; id <= 2; id++) {
		datapath_traffic(dp, id, &one);
		out->traffic.packets += one.packets;
		out->traffic.new_flows += one.new_flows;
		out->traffic.retransmits += one.retransmits;
		out->traffic.misses += one.misses;
		out->traffic.promoted += one.promoted;
		out->traffic.unplaced += one.unplaced;
	}
	datapath_counts(dp, &counts);
	out->not_ours = counts.total[MXLB_COUNT_not_ours];
}
