// SPDX-License-Identifier: BSD-2-Clause
/*
 * Mutated frames (mutate.h) through the program in the kernel and through the same source built natively under the
 * sanitizers (native.h): rows C13, C15, C17 to C21 and C44 of docs/conformance.md for headers that nobody thought of.
 * The ways to the servers are those of ways.h, so that they and what comes out of tunnels and tags are looked at, too.
 * The kernel takes the fast path where it can; the native build does so in every second world.
 * Action, bytes, every counter and the line of the flow table must be equal, each frame has one fate, and what is let through
 * is as docs/conformance.md says.
 *
 * MXLB_SEED and MXLB_MUTATIONS choose the run, MXLB_BATCH how many frames are run between two looks at the counters (at
 * most a world: 256); `make mutations` makes a long one.
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "bench.h"
#include "mutate.h"
#include "native.h"
#include "ways.h"

#define SEED	  20261125
#define MUTATIONS 400000
#define BY_ONE	  30000 /* and this many with a check of the counters after each */
#define WORLD	  256	/* frames; fewer than a token bucket holds */
#define SERVICES  6	/* of bench_plan() */
#define SERVERS	  16
#define LOOPBACK  1

static struct run {
	uint64_t seed, number; /* of the frame at hand */
	uint64_t forwarded, fast, fates[MXLB_COUNT_FATES];
} run;

static uint64_t *kernel_buckets, *kernel_syn_buckets;
static uint32_t second; /* the index of the interface that has a tag */
static bool at_layer_2; /* the servers of most worlds */
static bool can_split;	/* the kernel accepts a linear length (6.18) */

static uint64_t number_from_env(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 0) : otherwise;
}

/* --- the program in the kernel --- */

static int kernel_run(const struct mutant *m, uint8_t *out, unsigned *out_len)
{
	struct xdp_md ctx = {.data_end = can_split ? m->linear : m->len,
			     .ingress_ifindex = m->second ? second : LOOPBACK};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = m->b, .data_size_in = m->len,
		    .data_out = out, .data_size_out = MUTANT_MAX + 128, .repeat = 1);

	if (m->second || ctx.data_end < m->len) {
		opts.ctx_in = &ctx;
		opts.ctx_size_in = sizeof(ctx);
	}
	if (bpf_prog_test_run_opts(bpf_program__fd(bench_datapath()->skel->progs.mxlb), &opts))
		fail_msg("frame %" PRIu64 ": the kernel takes no frame of %u, %u of them linear",
			 run.number, m->len, m->linear);
	*out_len = opts.data_size_out;
	return opts.retval;
}

/* The counters of the site's services and of no service, and those of its servers, summed over all CPUs. */
struct tally {
	uint64_t counts[(SERVICES + 1) * MXLB_COUNT_STRIDE];
	struct mxlb_traffic traffic[SERVERS];
};

/* Adds n values of a per-CPU map of words, from a key on, to `sum`. */
static void read_words(struct bpf_map *map, uint32_t first, uint32_t n, uint32_t words,
		       uint64_t *sum)
{
	static uint64_t values[128 * 1024];
	static uint32_t keys[1024];
	uint32_t in = first - 1, out, count = n, cpus = libbpf_num_possible_cpus();
	int ret = bpf_map_lookup_batch(bpf_map__fd(map), first ? &in : NULL, &out, keys, values,
				       &count, NULL);

	assert_true(cpus * n * words <= sizeof(values) / sizeof(values[0]));
	assert_true((!ret || errno == ENOENT) && count == n);
	for (uint32_t i = 0; i < n * words * cpus; i++)
		sum[i / (words * cpus) * words + i % words] += values[i];
}

static void kernel_tally(struct tally *t)
{
	struct mxlb_bpf *skel = bench_datapath()->skel;

	memset(t, 0, sizeof(*t));
	read_words(skel->maps.counts, 0, SERVICES * MXLB_COUNT_STRIDE, 1, t->counts);
	read_words(skel->maps.counts, MXLB_MAX_SERVICES * MXLB_COUNT_STRIDE, MXLB_COUNT_STRIDE, 1,
		   t->counts + SERVICES * MXLB_COUNT_STRIDE);
	read_words(skel->maps.traffic, 0, SERVERS, sizeof(struct mxlb_traffic) / 8,
		   (uint64_t *)t->traffic);
}

static void native_tally(struct tally *t)
{
	memcpy(t->counts, native_counts(), SERVICES * MXLB_COUNT_STRIDE * sizeof(uint64_t));
	memcpy(t->counts + SERVICES * MXLB_COUNT_STRIDE,
	       native_counts() + MXLB_MAX_SERVICES * MXLB_COUNT_STRIDE,
	       MXLB_COUNT_STRIDE * sizeof(uint64_t));
	memcpy(t->traffic, native_traffic(), sizeof(t->traffic));
}

/* --- one frame --- */

static void show(const struct mutant *m)
{
	print_message("# MXLB_SEED=%" PRIu64 ", frame %" PRIu64
		      ", of \"%s\", %u bytes, %u linear\n# ",
		      run.seed, run.number, m->from, m->len, m->linear);
	for (unsigned i = 0; i < m->len && i < 160; i++)
		print_message("%02x%s", m->b[i], i == 13 || i == 33 || i == 53 ? " " : "");
	print_message("\n");
}

#define MUST(what)                             \
	do {                                   \
		if (!(what)) {                 \
			show(m);               \
			fail_msg("%s", #what); \
		}                              \
	} while (0)

static bool mac_is_somebodys(const uint8_t *mac)
{
	static const uint8_t zero[6];

	return memcmp(mac, zero, 6) && !(mac[0] & 1);
}

#define MUST_HOLD(wrong)                     \
	do {                                 \
		const char *why = (wrong);   \
                                             \
		if (why) {                   \
			show(m);             \
			fail_msg("%s", why); \
		}                            \
	} while (0)

static void check_answer(const struct mutant *m, const uint8_t *out, int counter)
{
	MUST(!memcmp(out + 6, m->second ? WAYS_SECOND_MAC : WAYS_FIRST_MAC, 6));
	if (!memcmp(out, m->b + 6, 6)) /* to whom it came from */
		return;
	if (counter == MXLB_COUNT_arp_reply)
		MUST(!memcmp(out, m->b + (m->second ? 26 : 22), 6));
	else
		MUST(mac_is_somebodys(out));
}

static void check_outcome(const struct mutant *m, int action, const struct ways_trip *t,
			  int counter)
{
	if (counter == NATIVE_FORWARDED) {
		MUST(action == (m->second == t->server->way.port ? XDP_TX : XDP_REDIRECT));
		MUST_HOLD(ways_forwarded_wrong(t));
	} else if (action == XDP_PASS) {
		MUST_HOLD(ways_passed_wrong(t, counter == MXLB_COUNT_decapsulated));
	} else if (action == XDP_TX) {
		check_answer(m, t->out, counter);
	} else {
		MUST(action == XDP_DROP);
	}
}

/* Copies a field that the kernel fills at random from the native build; its checksum is checked afterwards. */
static void unroll(const struct ways_trip *t, uint8_t *out, const uint8_t *native)
{
	unsigned ip = ways_random_outer(t);

	if (!ip)
		return;
	assert_true(ways_header_is_summed(out + ip));
	memcpy(out + ip + 4, native + ip + 4, 2);
	memcpy(out + ip + 10, native + ip + 10, 2);
}

/* The line of the kernel's flow table for this frame, or NULL. */
static const void *kernel_line(const struct native_outcome *native)
{
	const struct datapath *dp = bench_datapath();

	if (!native->line)
		return NULL;
	return native->line_size == sizeof(*dp->flows4) ? (void *)&dp->flows4[native->line_at]
							: (void *)&dp->flows6[native->line_at];
}

static void run_one(const struct mutant *m)
{
	static uint8_t out[MUTANT_MAX + 128];
	struct native_outcome native;
	struct ways_trip trip = {.in = m->b, .in_len = m->len, .in_port = m->second, .out = out};
	int action;

	native_run(m->b, m->len, can_split ? m->linear : m->len, m->second ? second : LOOPBACK,
		   &native);
	action = kernel_run(m, out, &trip.out_len);
	MUST(native.fates == 1);
	MUST(native.counter != MXLB_COUNT_error || m->linear < m->len);
	MUST(action == native.action);
	MUST(trip.out_len == native.len);
	trip.server = &bench_datapath()->backends[native.server];
	if (native.counter == NATIVE_FORWARDED)
		unroll(&trip, out, native.frame);
	MUST(!memcmp(out, native.frame, trip.out_len));
	MUST(!native.line || !memcmp(kernel_line(&native), native.line, native.line_size));
	check_outcome(m, action, &trip, native.counter);
	run.fast += native.fast && native.counter == NATIVE_FORWARDED;
	if (native.counter == NATIVE_FORWARDED)
		run.forwarded++;
	else
		run.fates[native.counter]++;
}

/* --- the world, which changes every so often --- */

static void *map_bucket_area(struct bpf_map *map)
{
	void *at = mmap(NULL, MXLB_BUCKETS * sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED,
			bpf_map__fd(map), 0);

	assert_true(at != MAP_FAILED);
	return at;
}

/* Empties a bucket of syn-limit at a service, for the prefix with its tag, for new SYNs or for retransmitted ones. */
static void empty_syn_bucket(uint64_t prefix, uint32_t service, uint32_t again)
{
	uint64_t hash = mxlb_flow_hash(bench_datapath()->control->secret, prefix, service, again);
	uint64_t word = hash >> 48 << 48 | ((1ULL << 48) - 1);

	kernel_syn_buckets[hash % MXLB_BUCKETS] = word;
	native_syn_bucket(hash % MXLB_BUCKETS, word);
}

static void buckets(bool full)
{
	static const char *const clients[] = {"198.51.99.0", "198.51.100.0", "2001:db8:100::"};
	struct addr a;

	native_buckets(full);
	memset(kernel_buckets, full ? 0 : 0xff, MXLB_BUCKETS * sizeof(uint64_t));
	memset(kernel_syn_buckets, full ? 0 : 0xff, MXLB_BUCKETS * sizeof(uint64_t));
	for (unsigned i = 0; i < 12 && !full; i++) {
		uint64_t prefix = 0;

		assert_int_equal(addr_parse(clients[i / 4], &a), 0);
		memcpy(&prefix, addr_is_v4(&a) ? a.b + 12 : a.b, addr_is_v4(&a) ? 4 : 8);
		empty_syn_bucket(prefix, i & 1, i >> 1 & 1);
	}
}

#define SET 4711 /* its prefixes: 198.51.99.0/28, 2001:db8:100::/124 */

/*
 * Changes the buckets (full or empty), the time, the ways to the servers, a server that is gone, and a list and a
 * limit for both mail services.
 */
static void new_world(uint64_t number)
{
	struct datapath *dp = bench_datapath();
	uint64_t r = mxlb_mix(run.seed ^ number);
	uint32_t limit = mutate_roll(&r, 8) ? 0 : 1000000;
	uint32_t set = mutate_roll(&r, 4) ? 0 : SET;
	bool observe = mutate_roll(&r, 2);

	native_fast(number / WORLD % 2);
	buckets(mutate_roll(&r, 8));
	dp->control->epoch += mutate_roll(&r, 3);
	for (int i = SERVER_A; i <= SERVER_B; i++)
		ways_set(&dp->backends[i], server_mac[i],
			 at_layer_2 && mutate_roll(&r, 8) ? 0 : mutate_roll(&r, WAYS));
	if (!mutate_roll(&r, 4))
		dp->backends[SERVER_A].way.flags |= MXLB_BACKEND_RESET | MXLB_BACKEND_DOWN;
	for (int i = 0; i < 2; i++) {
		dp->services[i].allow_set = set;
		dp->services[i].allow_observe = observe;
		dp->services[i].syn_interval_ns = limit;
	}
}

static bool allowed(const struct mxlb_allow_key *key)
{
	uint32_t value;

	return !bpf_map_lookup_elem(bpf_map__fd(bench_datapath()->skel->maps.allow), key, &value);
}

static void add_prefix(const char *text)
{
	struct mxlb_allow_key key = {.set = SET};
	uint32_t one = 1;
	struct prefix p;

	assert_int_equal(addr_parse_prefix(text, &p), 0);
	key.prefixlen = 32 + p.len;
	memcpy(key.address, p.addr.b, sizeof(key.address));
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(bench_datapath()->skel->maps.allow), &key,
					     &one, BPF_ANY),
			 0);
}

static struct addr peers[2]; /* the far ends in mutate.c */

static bool kernel_splits(void)
{
	uint8_t in[128] = {0}, out[128];
	struct xdp_md ctx = {.data_end = 20, .ingress_ifindex = LOOPBACK};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = in, .data_size_in = sizeof(in),
		    .data_out = out, .data_size_out = sizeof(out), .repeat = 1, .ctx_in = &ctx,
		    .ctx_size_in = sizeof(ctx));

	return !bpf_prog_test_run_opts(bpf_program__fd(bench_datapath()->skel->progs.mxlb), &opts);
}

static int up(void **state)
{
	const struct mac second_mac = {{0x02, 0, 0, 0, 0, 0x77}};
	struct datapath *dp;
	cpu_set_t one;

	if (unshare(CLONE_NEWNET) || system("ip link add second type veth peer name far") ||
	    bench_up(state))
		return -1;
	dp = bench_datapath();
	second = if_nametoindex("second");
	if (datapath_declare(dp, 0, LOOPBACK, &dp->ports[0].mac, 0) ||
	    datapath_declare(dp, 1, second, &second_mac, WAYS_VLAN))
		return -1;
	addr_parse("203.0.113.1", &peers[0]);
	addr_parse("2001:db8:113::1", &peers[1]);
	bench_peers = peers;
	bench_n_peers = 2;
	bench_plan();
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	sched_setaffinity(0, sizeof(one), &one);
	kernel_buckets = map_bucket_area(dp->skel->maps.buckets);
	kernel_syn_buckets = map_bucket_area(dp->skel->maps.syn_buckets);
	can_split = kernel_splits();
	add_prefix("198.51.99.0/28");
	add_prefix("2001:db8:100::/124");
	native_up(&(struct native_site){.fronts = dp->fronts,
					.services = dp->services,
					.rings = dp->rings,
					.backends = dp->backends,
					.control = dp->control,
					.lines = dp->lines,
					.exits = 3,
					.allowed = allowed});
	mutate_up();
	return 0;
}

static int down(void **state)
{
	native_down();
	mutate_down();
	return bench_down(state);
}

/* --- runs --- */

/* Since the beginning both builds have counted the same, and each frame once. */
static void compare(const struct tally *first, uint64_t from)
{
	struct tally kernel, native;
	uint64_t *k = (uint64_t *)&kernel, *n = (uint64_t *)&native;

	kernel_tally(&kernel);
	native_tally(&native);
	for (unsigned i = 0; i < sizeof(kernel) / sizeof(*k); i++)
		if (k[i] - ((const uint64_t *)first)[i] != n[i])
			fail_msg("MXLB_SEED=%" PRIu64 ", frames %" PRIu64 " to %" PRIu64
				 " (MXLB_BATCH=1 tells which): word %u of the counters is %" PRIu64
				 " in the kernel, %" PRIu64 " natively",
				 run.seed, from, run.number, i, k[i] - ((const uint64_t *)first)[i],
				 n[i]);
}

/* The kernel's counters at the beginning, minus those that the native build already had. */
static void tally_zero(struct tally *zero)
{
	struct tally native;

	kernel_tally(zero);
	native_tally(&native);
	for (unsigned i = 0; i < sizeof(native) / sizeof(uint64_t); i++)
		((uint64_t *)zero)[i] -= ((uint64_t *)&native)[i];
}

typedef void (*source)(uint64_t seed, uint64_t n, struct mutant *out);

static void run_many(source make, uint64_t seed, uint64_t n, uint64_t batch)
{
	static struct mutant m;
	struct tally zero;

	run = (struct run){.seed = seed};
	tally_zero(&zero);
	for (; run.number < n; run.number++) {
		if (run.number % WORLD == 0)
			new_world(run.number);
		make(seed, run.number, &m);
		run_one(&m);
		if ((run.number + 1) % batch == 0)
			compare(&zero, run.number + 1 - batch);
	}
	compare(&zero, n - n % batch);
}

/* Counters that no run has to reach: they need a failing helper, or a site without VIPs, as test_decap.c has. */
static bool is_rare(int counter)
{
	return counter == MXLB_COUNT_error || counter == MXLB_COUNT_decapsulated;
}

static void mutated_frames_have_one_fate_which_is_the_same_in_the_kernel_and_under_sanitizers(
	void **state)
{
	static const char *const name[] = {
#define X(name, text) #name,
		MXLB_DROPS(X) MXLB_PASSES(X) MXLB_ANSWERS(X)
#undef X
	};
	uint64_t n = number_from_env("MXLB_MUTATIONS", MUTATIONS), batch;
	unsigned never = 0;

	(void)state;
	batch = number_from_env("MXLB_BATCH", WORLD);
	batch = batch && batch <= WORLD ? batch : WORLD;
	run.seed = number_from_env("MXLB_SEED", SEED);
	print_message("# MXLB_SEED=%" PRIu64 " MXLB_MUTATIONS=%" PRIu64 "%s\n", run.seed, n,
		      can_split ? "" : ", all linear: this kernel splits no frame");
	run_many(mutate, run.seed, n, batch);
	print_message("# %10" PRIu64 "  forwarded, of half of the worlds %" PRIu64
		      " by the fast path of both builds\n",
		      run.forwarded, run.fast);
	for (int c = 0; c < MXLB_COUNT_FATES; c++) {
		print_message("# %10" PRIu64 "  %s\n", run.fates[c], name[c]);
		never += !run.fates[c] && !is_rare(c);
	}
	if (n >= MUTATIONS)
		assert_true(run.forwarded && run.fast && !never);
}

static void each_by_itself_is_counted_once_and_as_the_native_build_counts_it(void **state)
{
	(void)state;
	run_many(mutate, number_from_env("MXLB_SEED", SEED) + 1, BY_ONE, 1);
}

/*
 * In a world with servers at layer 2: a good share of the frames takes the fast path in both builds, if it is on in
 * the native one.
 */
static void a_segment_of_a_flow_goes_the_same_way_with_and_without_the_fast_path(void **state)
{
	uint64_t n = number_from_env("MXLB_MUTATIONS", MUTATIONS);

	(void)state;
	at_layer_2 = true;
	run_many(mutate_segment, number_from_env("MXLB_SEED", SEED) + 2, n, WORLD);
	at_layer_2 = false;
	print_message("# of %" PRIu64 " segments %" PRIu64 " forwarded, %" PRIu64
		      " of those in the native worlds with a fast path by it\n",
		      n, run.forwarded, run.fast);
	assert_true(run.fast > n / 20);
}

/* On the first interface, and tagged on the second. */
static void sound(unsigned which, bool tagged, struct mutant *m)
{
	mutate_sound(which, m);
	if (tagged)
		mutate_tag(m, 0xb);
	buckets(true);
}

static void every_truncation(unsigned which, bool tagged)
{
	static struct mutant m;

	sound(which, tagged, &m);
	m.len = m.len < 200 ? m.len : 200;
	for (; m.len >= 14; m.len--) {
		m.linear = m.len;
		run_one(&m);
	}
	sound(which, tagged, &m);
	for (m.linear = m.len < 110 ? m.len : 110; m.linear >= 14; m.linear--)
		run_one(&m);
}

static void every_truncation_and_every_linear_part_of_every_sound_frame(void **state)
{
	struct tally zero;

	(void)state;
	run = (struct run){0};
	for (unsigned way = 0; way < WAYS; way += 5) { /* L2 and both families, each interface */
		new_world(0);
		for (int i = SERVER_A; i <= SERVER_B; i++)
			ways_set(&bench_datapath()->backends[i], server_mac[i], way);
		tally_zero(&zero);
		for (unsigned which = 0; which < 2 * mutate_sound_count(); which++)
			every_truncation(which / 2, which % 2);
		compare(&zero, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_truncation_and_every_linear_part_of_every_sound_frame),
		cmocka_unit_test(each_by_itself_is_counted_once_and_as_the_native_build_counts_it),
		cmocka_unit_test(
			a_segment_of_a_flow_goes_the_same_way_with_and_without_the_fast_path),
		cmocka_unit_test(
			mutated_frames_have_one_fate_which_is_the_same_in_the_kernel_and_under_sanitizers),
	};

	return cmocka_run_group_tests_name("mutations", tests, up, down);
}
