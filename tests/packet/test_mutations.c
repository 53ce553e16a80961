// SPDX-License-Identifier: BSD-2-Clause
/*
 * Mutated frames (mutate.h) through the program in the kernel and through the same source built natively under the
 * sanitizers (native.h): rows C13, C15, C17 to C21 and C44 of conformance.md for headers that nobody thought of.
 * Action, bytes and every counter must be equal, each frame has one fate, and what is let through is as design.md says.
 *
 * MXLB_SEED and MXLB_MUTATIONS choose the run, MXLB_BATCH how many frames are run between two looks at the counters (at
 * most a world: 256); `make mutations` makes a long one.
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/if_link.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "bench.h"
#include "mutate.h"
#include "native.h"

#define SEED	  20261125
#define MUTATIONS 600000
#define BY_ONE	  60000 /* and so many with a look at the counters after each */
#define WORLD	  256	/* frames; fewer than a token bucket holds */
#define SERVICES  6	/* of bench_plan() */
#define BACKENDS  16
#define LOOPBACK  1

static struct run {
	uint64_t seed, number; /* of the frame at hand */
	uint64_t forwarded, fates[MXLB_COUNT_FATES];
} run;

static uint64_t *kernel_buckets, *kernel_syn_buckets;
static bool can_split; /* the kernel takes a linear length (6.18) */

static uint64_t number_from_env(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 0) : otherwise;
}

/* --- the program in the kernel --- */

static int kernel_run(const struct mutant *m, uint8_t *out, unsigned *out_len)
{
	struct xdp_md ctx = {.data_end = m->linear, .ingress_ifindex = LOOPBACK};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = m->b, .data_size_in = m->len,
		    .data_out = out, .data_size_out = MUTANT_MAX + 128, .repeat = 1);

	if (can_split && m->linear < m->len) {
		opts.ctx_in = &ctx;
		opts.ctx_size_in = sizeof(ctx);
	}
	if (bpf_prog_test_run_opts(bpf_program__fd(bench_datapath()->skel->progs.mxlb), &opts))
		fail_msg("frame %" PRIu64 ": the kernel takes no frame of %u, %u of them linear",
			 run.number, m->len, m->linear);
	*out_len = opts.data_size_out;
	return opts.retval;
}

/* The counters of the site's services and of no service, and what its backends were sent, over all CPUs. */
struct tally {
	uint64_t counts[(SERVICES + 1) * MXLB_COUNT_STRIDE];
	struct mxlb_traffic traffic[BACKENDS];
};

/* n values of a per-CPU map of words, from a key on, summed into `sum`. */
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
	read_words(skel->maps.traffic, 0, BACKENDS, sizeof(struct mxlb_traffic) / 8,
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

/* C01: at this layer nothing changes but the MAC addresses, and the hop with IPv4's checksum. */
static void check_forwarded(const struct mutant *m, const uint8_t *out, unsigned len,
			    uint32_t backend)
{
	unsigned ip = m->b[12] == 0x81 ? 18 : 14;
	bool is_ipv4 = m->b[ip - 2] == 0x08;
	unsigned hop = ip + (is_ipv4 ? 8 : 7);
	uint32_t was, is;

	MUST(!memcmp(out, backend_mac[backend], 6));
	if (bench_datapath()->backends[backend].way.flags & MXLB_BACKEND_TUNNEL)
		return;
	MUST(len == m->len);
	MUST(!memcmp(out + 12, m->b + 12, hop - 12));
	MUST(out[hop] == m->b[hop] - 1);
	if (!is_ipv4) {
		MUST(!memcmp(out + hop + 1, m->b + hop + 1, len - hop - 1));
		return;
	}
	was = m->b[ip + 10] << 8 | m->b[ip + 11];
	is = out[ip + 10] << 8 | out[ip + 11];
	MUST((was + 0x0100) % 0xffff == is % 0xffff);
	MUST(out[hop + 1] == m->b[hop + 1]);
	MUST(!memcmp(out + ip + 12, m->b + ip + 12, len - ip - 12));
}

static void check_outcome(const struct mutant *m, int action, const uint8_t *out, unsigned len,
			  const struct native_outcome *native)
{
	switch (action) {
	case XDP_PASS:
		if (native->counter != MXLB_COUNT_decapsulated)
			MUST(len == m->len && !memcmp(out, m->b, len));
		break;
	case XDP_TX:
	case XDP_REDIRECT:
		MUST(!memcmp(out + 6, our_mac, 6));
		if (native->counter == NATIVE_FORWARDED)
			check_forwarded(m, out, len, native->backend);
		else if (!memcmp(out, m->b + 6, 6)) /* an answer, to whom it came from */
			break;
		else if (native->counter == MXLB_COUNT_arp_reply)
			MUST(!memcmp(out, m->b + 22, 6));
		else
			MUST(mac_is_somebodys(out));
		break;
	default:
		MUST(action == XDP_DROP);
	}
}

static void run_one(const struct mutant *m)
{
	static uint8_t out[MUTANT_MAX + 128];
	struct native_outcome native;
	unsigned len;
	int action;

	native_run(m->b, m->len, can_split ? m->linear : m->len, LOOPBACK, &native);
	action = kernel_run(m, out, &len);
	MUST(native.fates == 1);
	MUST(native.counter != MXLB_COUNT_error || m->linear < m->len);
	MUST(action == native.action);
	MUST(len == native.len);
	MUST(!memcmp(out, native.frame, len));
	check_outcome(m, action, out, len, &native);
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

static void buckets(bool full)
{
	native_buckets(full);
	memset(kernel_buckets, full ? 0 : 0xff, MXLB_BUCKETS * sizeof(uint64_t));
	memset(kernel_syn_buckets, full ? 0 : 0xff, MXLB_BUCKETS * sizeof(uint64_t));
}

#define SET 4711 /* its prefixes: 198.51.99.0/28, 2001:db8:100::/124 */

/* Buckets that are full or empty, time, a server that is gone, a list and a limit for both services of mail. */
static void new_world(uint64_t number)
{
	struct datapath *dp = bench_datapath();
	uint64_t r = mxlb_mix(run.seed ^ number);
	uint32_t limit = mutate_roll(&r, 8) ? 0 : 1000000;
	uint32_t set = mutate_roll(&r, 4) ? 0 : SET;
	bool observe = mutate_roll(&r, 2);

	buckets(mutate_roll(&r, 8));
	dp->control->epoch += mutate_roll(&r, 3);
	dp->backends[BACKEND_A].way.flags &= ~(MXLB_BACKEND_RESET | MXLB_BACKEND_DOWN);
	if (!mutate_roll(&r, 4))
		dp->backends[BACKEND_A].way.flags |= MXLB_BACKEND_RESET | MXLB_BACKEND_DOWN;
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
	struct datapath *dp;
	cpu_set_t one;

	if (bench_up(state))
		return -1;
	dp = bench_datapath();
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

/* Both have counted the same since the first, and each frame once. */
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

/* The kernel's counters at the beginning, less what the native build has counted already. */
static void tally_zero(struct tally *zero)
{
	struct tally native;

	kernel_tally(zero);
	native_tally(&native);
	for (unsigned i = 0; i < sizeof(native) / sizeof(uint64_t); i++)
		((uint64_t *)zero)[i] -= ((uint64_t *)&native)[i];
}

static void run_many(uint64_t seed, uint64_t n, uint64_t batch)
{
	static struct mutant m;
	struct tally zero;

	run = (struct run){.seed = seed};
	tally_zero(&zero);
	for (; run.number < n; run.number++) {
		if (run.number % WORLD == 0)
			new_world(run.number);
		mutate(seed, run.number, &m);
		run_one(&m);
		if ((run.number + 1) % batch == 0)
			compare(&zero, run.number + 1 - batch);
	}
	compare(&zero, n - n % batch);
}

/* What no test run can meet here: it needs a tunnel, or that the kernel refuses something. */
static bool is_rare(int counter)
{
	return counter == MXLB_COUNT_too_big || counter == MXLB_COUNT_congestion ||
	       counter == MXLB_COUNT_error || counter == MXLB_COUNT_decapsulated;
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
	run_many(run.seed, n, batch);
	print_message("# %10" PRIu64 "  forwarded\n", run.forwarded);
	for (int c = 0; c < MXLB_COUNT_FATES; c++) {
		print_message("# %10" PRIu64 "  %s\n", run.fates[c], name[c]);
		never += !run.fates[c] && !is_rare(c);
	}
	if (n >= MUTATIONS)
		assert_true(run.forwarded && !never);
}

static void each_by_itself_is_counted_once_and_as_the_native_build_counts_it(void **state)
{
	(void)state;
	run_many(number_from_env("MXLB_SEED", SEED) + 1, BY_ONE, 1);
}

static void every_truncation_and_every_linear_part_of_every_sound_frame(void **state)
{
	static struct mutant m;
	struct tally zero;

	(void)state;
	run = (struct run){0};
	new_world(0);
	tally_zero(&zero);
	for (unsigned which = 0; which < mutate_sound_count(); which++) {
		mutate_sound(which, &m);
		m.len = m.len < 200 ? m.len : 200;
		for (; m.len >= 14; m.len--) {
			buckets(true);
			m.linear = m.len;
			run_one(&m);
		}
		mutate_sound(which, &m);
		buckets(true);
		for (m.linear = m.len < 100 ? m.len : 100; m.linear >= 14; m.linear--)
			run_one(&m);
	}
	compare(&zero, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_truncation_and_every_linear_part_of_every_sound_frame),
		cmocka_unit_test(each_by_itself_is_counted_once_and_as_the_native_build_counts_it),
		cmocka_unit_test(
			mutated_frames_have_one_fate_which_is_the_same_in_the_kernel_and_under_sanitizers),
	};

	return cmocka_run_group_tests_name("mutations", tests, up, down);
}
