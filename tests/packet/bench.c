// SPDX-License-Identifier: BSD-2-Clause
/* The loaded program, its pins (removed at the end) and the bytes of the frames. */
#include <arpa/inet.h>
#include <linux/if_link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>
#include "bench.h"
#include "util/log.h"

const uint8_t our_mac[6] = {0x02, 0, 0, 0, 0, 0x05};
const uint8_t router_mac[6] = {0x02, 0, 0, 0, 0, 0x01};
const uint8_t server_mac[16][6] = {
	[SERVER_A] = {0x02, 0, 0, 0, 0, 0x11},
	[SERVER_B] = {0x02, 0, 0, 0, 0, 0x12},
	[SERVER_DR] = {0x02, 0, 0, 0, 0, 0x13},
};

const struct addr *bench_peers;
unsigned bench_n_peers, bench_exit;

static struct datapath *dp;
static char pin[64];
static uint64_t now_ms = 1000;
static int outer;

struct datapath *bench_datapath(void)
{
	return dp;
}

static int open_datapath(void)
{
	const char *flows = getenv("MXLB_FLOWS");
	struct datapath_conf conf = {.hash_key = "packet tests",
				     .flows = flows ? strtoul(flows, NULL, 10) : 3072,
				     .mark = 0x6d780000,
				     .mark_mask = 0xffff0000};

	strcpy(conf.pin, pin);
	if (datapath_open(&conf, &dp))
		return -1;
	dp->ports[0].ifindex = 1;
	memcpy(dp->ports[0].mac.b, our_mac, 6);
	return 0;
}

int bench_up(void **state)
{
	(void)state;
	log_init("packet", LOG_LEVEL_WARN);
	snprintf(pin, sizeof(pin), "/sys/fs/bpf/mxlb-packet-%d", getpid());
	if (open_datapath())
		return -1;
	bench_plan();
	return 0;
}

void bench_adopt(void)
{
	datapath_close(dp);
	assert_int_equal(open_datapath(), 0);
}

int bench_down(void **state)
{
	char command[128];

	(void)state;
	datapath_close(dp);
	snprintf(command, sizeof(command), "rm -r %s", pin);
	return system(command);
}

static void service(struct plan_service *s, uint32_t id, const char *name, const char *vip,
		    uint16_t port, enum plan_mode mode)
{
	*s = (struct plan_service){
		.id = id, .name = name, .port = port, .mode = mode, .advertise = true};
	assert_int_equal(addr_parse(vip, &s->vip), 0);
}

void bench_apply(const struct plan *plan)
{
	for (uint64_t again_ms = 1; again_ms; now_ms += again_ms)
		assert_int_equal(datapath_apply(dp, plan, now_ms, &again_ms), 0);
}

void bench_server(struct plan_server *b, int family)
{
	char target[ADDR_TEXT_SIZE];

	memcpy(b->mac.b, server_mac[b->id], 6);
	if (!family)
		return;
	snprintf(target, sizeof(target), family == 4 ? "192.0.2.%u" : "2001:db8:2::%x", b->id);
	b->tunnel = true;
	b->mtu = TUNNEL_MTU;
	assert_int_equal(addr_parse(target, &b->target), 0);
	assert_int_equal(addr_parse(family == 4 ? "203.0.113.5" : "2001:db8:113::5", &b->source),
			 0);
}

void bench_forward(int family)
{
	outer = family;
	bench_plan();
}

void bench_plan(void)
{
	struct maglev_member two[] = {{"a", SERVER_A, 1}, {"b", SERVER_B, 1}};
	struct maglev_member lost[] = {{"no-mac", SERVER_NO_MAC, 1}};
	struct plan_server servers[] = {{.id = SERVER_A, .interface = bench_exit},
					{.id = SERVER_B, .interface = bench_exit},
					{.id = SERVER_NO_MAC}};
	struct plan_service s[6];
	struct plan plan = {.services = s,
			    .n_services = 6,
			    .servers = servers,
			    .n_servers = 3,
			    .peers = bench_peers,
			    .n_peers = bench_n_peers};

	service(&s[0], 0, "mail", "203.0.113.25", 25, PLAN_RING);
	service(&s[1], 1, "mail6", "2001:db8:113::25", 25, PLAN_RING);
	service(&s[2], 2, "nobody", "203.0.113.25", 2525, PLAN_RESET);
	service(&s[3], 3, "silent", "203.0.113.25", 2526, PLAN_DROP);
	service(&s[4], 4, "cold", "203.0.113.25", 2527, PLAN_NOT_READY);
	service(&s[5], 5, "lost", "203.0.113.25", 2528, PLAN_RING);
	for (int i = 0; i < 2; i++) {
		s[i].members = two;
		s[i].n_members = 2;
		bench_server(&servers[i], outer);
	}
	s[5].members = lost;
	s[5].n_members = 1;
	bench_apply(&plan);
}

struct sums {
	struct datapath_counts counts;
	struct traffic traffic[16];
};

static void read_sums(struct sums *s)
{
	datapath_counts(dp, &s->counts);
	for (uint32_t i = 0; i < 16; i++)
		datapath_traffic(dp, i, &s->traffic[i]);
}

/* C44: every packet increments exactly one counter. */
static void what_rose(const struct sums *before, const struct sums *after, struct outcome *o)
{
	uint64_t rises = 0;

	o->counter = -1;
	o->server = 0;
	for (int c = 0; c < MXLB_COUNT_FATES; c++) {
		uint64_t rise = after->counts.total[c] - before->counts.total[c];

		rises += rise;
		if (rise)
			o->counter = c;
	}
	for (uint32_t i = 0; i < 16; i++) {
		uint64_t rise = after->traffic[i].packets - before->traffic[i].packets;

		rises += rise;
		if (!rise)
			continue;
		o->server = i;
		o->syns = after->traffic[i].new_flows - before->traffic[i].new_flows;
		o->bytes = after->traffic[i].bytes - before->traffic[i].bytes;
	}
	assert_int_equal(rises, 1);
}

void bench_run(const struct frame *in, struct outcome *o)
{
	static struct sums before, after;
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = in->b, .data_size_in = in->len,
		    .data_out = o->out.b, .data_size_out = sizeof(o->out.b), .repeat = 1);

	read_sums(&before);
	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(dp->skel->progs.mxlb), &run), 0);
	read_sums(&after);
	o->action = run.retval;
	o->out.len = run.data_size_out;
	what_rose(&before, &after, o);
}

int bench_send(const struct frame *in)
{
	uint8_t out[FRAME_MAX];
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = in->b, .data_size_in = in->len,
		    .data_out = out, .data_size_out = sizeof(out), .repeat = 1);

	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(dp->skel->progs.mxlb), &run), 0);
	return run.retval;
}

void expect_limited(const struct frame *in, int answer)
{
	static struct datapath_counts before, after;
	uint64_t answered = 0, limited = 0;

	datapath_counts(dp, &before);
	for (int i = 0; i < 2000; i++) {
		int action = bench_send(in);

		answered += action == XDP_TX;
		limited += action == XDP_DROP;
	}
	datapath_counts(dp, &after);
	assert_int_equal(answered + limited, 2000);
	assert_true(answered >= 512 && limited > 0);
	assert_int_equal(after.total[answer] - before.total[answer], answered);
	assert_int_equal(after.total[MXLB_COUNT_rate_limited] -
				 before.total[MXLB_COUNT_rate_limited],
			 limited);
}

void frame_set(struct frame *f, unsigned at, const char *hex)
{
	for (unsigned byte; *hex; hex += 2) {
		while (*hex == ' ')
			hex++;
		assert_int_equal(sscanf(hex, "%2x", &byte), 1);
		f->b[at++] = byte;
		if (at > f->len)
			f->len = at;
	}
}

uint16_t frame_get16(const struct frame *f, unsigned at)
{
	return f->b[at] << 8 | f->b[at + 1];
}

static void put16(struct frame *f, unsigned at, uint16_t value)
{
	f->b[at] = value >> 8;
	f->b[at + 1] = value;
}

static uint32_t sum(const uint8_t *b, unsigned len, uint32_t from)
{
	for (unsigned i = 0; i + 1 < len; i += 2)
		from += b[i] << 8 | b[i + 1];
	return len % 2 ? from + (b[len - 1] << 8) : from;
}

static uint16_t fold(uint32_t s)
{
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return ~s;
}

void frame_fix_ip_checksum(struct frame *f)
{
	put16(f, 24, 0);
	put16(f, 24, fold(sum(f->b + 14, (f->b[14] & 15) * 4, 0)));
}

/* The sum over pseudo header and payload: 0 when the checksum in it is right. */
static uint16_t payload_sum(const struct frame *f)
{
	if (f->b[12] == 0x08) {
		unsigned header = (f->b[14] & 15) * 4, len = frame_get16(f, 16) - header;

		return fold(sum(f->b + 14 + header, len, sum(f->b + 26, 8, f->b[23] + len)));
	}
	return fold(sum(f->b + 54, frame_get16(f, 18),
			sum(f->b + 22, 32, f->b[20] + frame_get16(f, 18))));
}

int frame_checksums_ok(const struct frame *f)
{
	if (f->b[12] == 0x08 && fold(sum(f->b + 14, (f->b[14] & 15) * 4, 0)))
		return 0;
	return !payload_sum(f);
}

void frame_syn(struct frame *f, int family, uint16_t dport, uint32_t client)
{
	unsigned tcp = family == 4 ? 34 : 54;

	memset(f, 0, sizeof(*f));
	memcpy(f->b, our_mac, 6);
	memcpy(f->b + 6, router_mac, 6);
	if (family == 4) { /* 198.51.100.10 + client, DF, TTL 61, TOS 0 */
		frame_set(f, 12, "0800 4500 0034 1234 4000 3d06 0000 c6336400 cb007119");
		f->b[28] = client >> 8;
		f->b[29] = client;
	} else {
		frame_set(f, 12,
			  "86dd 60000000 0020 06 3d 20010db8010000000000000000000000 "
			  "20010db8011300000000000000000025");
		f->b[36] = client >> 8;
		f->b[37] = client;
	}
	/* port 40000, seq 0x11223344, SYN, window, no checksum yet; MSS, SACK, timestamp-less options */
	frame_set(f, tcp,
		  "9c40 0019 11223344 00000000 8002 faf0 0000 0000 020405b4 01010402 01030307");
	put16(f, tcp + 2, dport);
	if (family == 4)
		frame_fix_ip_checksum(f);
	put16(f, tcp + 16, payload_sum(f));
}

/* Checks the header of the tunnel, and takes it off. Its flow label is any. */
static void take_outer(const struct frame *in, uint32_t server, struct frame *f)
{
	int is_ipv4 = in->b[12] == 0x08;
	unsigned head = outer == 4 ? 20 : 40;
	unsigned len = is_ipv4 ? frame_get16(in, 16) : frame_get16(in, 18) + 40;
	uint8_t tos = is_ipv4 ? in->b[15] : in->b[14] << 4 | in->b[15] >> 4;
	struct frame want = {.len = 0};

	if (outer == 4) {
		frame_set(&want, 12, "0800 4500 0000 0000 4000 4004 0000 cb007105 c0000200");
		want.b[15] = tos;
		put16(&want, 16, len + head);
		want.b[23] = is_ipv4 ? 4 : 41;
		want.b[33] = server;
		frame_fix_ip_checksum(&want);
	} else {
		frame_set(&want, 12,
			  "86dd 60000000 0000 04 40 20010db8011300000000000000000005 "
			  "20010db8000200000000000000000000");
		want.b[14] |= tos >> 4;
		want.b[15] = tos << 4 | (f->b[15] & 15);
		memcpy(want.b + 16, f->b + 16, 2);
		put16(&want, 18, len);
		want.b[20] = is_ipv4 ? 4 : 41;
		want.b[53] = server;
	}
	assert_int_equal(f->len, in->len + head);
	assert_memory_equal(f->b + 12, want.b + 12, 2 + head);
	f->len -= head;
	memmove(f->b + 14, f->b + 14 + head, f->len - 14);
	memcpy(f->b + 12, in->b + 12, 2);
}

void expect_forwarded(const struct frame *in, const struct outcome *o)
{
	struct frame want = *in, got = o->out;
	int is_ipv4 = in->b[12] == 0x08;
	uint32_t sum = frame_get16(in, 24);

	assert_in_range(o->server, SERVER_A, SERVER_B);
	memcpy(want.b, server_mac[o->server], 6);
	memcpy(want.b + 6, our_mac, 6);
	want.b[is_ipv4 ? 22 : 21]--;
	if (is_ipv4) { /* the checksum grows by what the TTL's word shrank */
		sum += 0x0100;
		sum += sum >= 0xffff;
		want.b[24] = sum >> 8;
		want.b[25] = sum;
	}
	if (outer)
		take_outer(in, o->server, &got);
	assert_int_equal(got.len, in->len);
	assert_memory_equal(got.b, want.b, in->len);
	assert_int_equal(o->bytes, in->len);
}
