// SPDX-License-Identifier: BSD-2-Clause
/*
 * Which sources may open a connection: rows C41 and C42 of docs/conformance.md. Clients are 198.51.100.x + 256 y;
 * 2001:db8:100::x.
 */
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "bench.h"

#define PREFIXES 512
#define SWAPS_S	 3 /* how long lists are replaced while SYNs arrive */

struct list {
	struct prefix p[PREFIXES];
	unsigned n;
};

static uint64_t now_ms = 100000;
static struct addr own_address; /* of this box; zero: unknown */

static struct list list_of(const char *const *text)
{
	struct list l = {.n = 0};

	for (; *text; text++)
		assert_int_equal(addr_parse_prefix(*text, &l.p[l.n++]), 0);
	return l;
}

/* Applies a list to "mail" and "mail6", calling datapath_apply() until it is done. Returns 0 or -errno. */
static int apply_list(const struct list *l, bool observe, uint32_t syn_limit)
{
	int err = 0;
	struct maglev_member member = {"a", SERVER_A, 1};
	struct plan_server server = {.id = SERVER_A};
	struct plan_service s[2] = {{0}};
	struct plan plan = {.services = s, .n_services = 2, .servers = &server, .n_servers = 1};

	plan.own[0] = own_address;
	plan.n_own = !addr_is_zero(&own_address);
	memcpy(server.mac.b, server_mac[SERVER_A], 6);
	for (int i = 0; i < 2; i++) {
		s[i] = (struct plan_service){.id = i,
					     .name = i ? "mail6" : "mail",
					     .port = 25,
					     .mode = PLAN_RING,
					     .members = &member,
					     .n_members = 1,
					     .allow = l ? l->p : NULL,
					     .n_allow = l ? l->n : 0,
					     .allow_observe = observe,
					     .syn_limit = syn_limit};
		addr_parse(i ? "2001:db8:113::25" : "203.0.113.25", &s[i].vip);
	}
	for (uint64_t again_ms = 1; again_ms && !err; now_ms += again_ms)
		err = datapath_apply(bench_datapath(), &plan, now_ms, &again_ms);
	return err;
}

static void allow(const struct list *l, bool observe, uint32_t syn_limit)
{
	assert_int_equal(apply_list(l, observe, syn_limit), 0);
}

static int syn_counter(int family, uint32_t client)
{
	struct outcome o;
	struct frame f;

	frame_syn(&f, family, 25, client);
	bench_run(&f, &o);
	return o.counter;
}

static void test_C41_the_longest_prefix_that_matches_lets_a_source_in(void **state)
{
	static const char *const text[] = {"198.51.100.0/28", "198.51.101.7/32",
					   "2001:db8:100::/126", NULL};
	static const struct {
		int family;
		uint32_t client;
		bool in;
	} rows[] = {
		{4, 0, true},	 {4, 15, true},	     {4, 16, false},
		{4, 255, false}, {4, 256 + 7, true}, {4, 256 + 6, false},
		{6, 0, true},	 {6, 3, true},	     {6, 4, false},
	};
	struct list l = list_of(text);

	(void)state;
	allow(&l, false, 0);
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint32_t client = rows[i].family == 4 ? 100 * 256 + rows[i].client : rows[i].client;
		int want = rows[i].in ? -1 : (int)MXLB_COUNT_denied;

		assert_int_equal(syn_counter(rows[i].family, client), want);
	}
	allow(NULL, false, 0);
	assert_int_equal(syn_counter(4, 16), -1);
}

static void test_C41_slash_0_lets_its_family_in_and_not_the_other(void **state)
{
	static const char *const text[] = {"0.0.0.0/0", NULL};
	struct list l = list_of(text);

	(void)state;
	allow(&l, false, 0);
	assert_int_equal(syn_counter(4, 12345), -1);
	assert_int_equal(syn_counter(6, 12345), MXLB_COUNT_denied);
	allow(NULL, false, 0);
}

static void test_C41_a_connection_that_is_open_stays_open(void **state)
{
	static const char *const text[] = {"192.0.2.0/24", NULL};
	struct list l = list_of(text);
	struct outcome o;
	struct frame f;

	(void)state;
	allow(NULL, false, 0);
	frame_syn(&f, 4, 25, 77);
	bench_run(&f, &o);
	frame_set(&f, 38, "11223345");
	f.b[47] = 0x10;
	bench_run(&f, &o);
	assert_int_equal(o.counter, -1);
	allow(&l, false, 0);
	bench_run(&f, &o);
	assert_int_equal(o.counter, -1);
	assert_int_equal(syn_counter(4, 77), MXLB_COUNT_denied);
	allow(NULL, false, 0);
}

static void test_C41_observe_counts_and_drops_nothing(void **state)
{
	static const char *const text[] = {"192.0.2.0/24", NULL};
	struct list l = list_of(text);
	struct datapath_counts before, after;

	(void)state;
	allow(&l, true, 0);
	datapath_counts(bench_datapath(), &before);
	for (uint32_t i = 0; i < 10; i++)
		assert_int_equal(syn_counter(4, i), -1);
	datapath_counts(bench_datapath(), &after);
	assert_int_equal(after.total[MXLB_COUNT_would_deny] - before.total[MXLB_COUNT_would_deny],
			 10);
	allow(NULL, false, 0);
}

struct search {
	struct addr client;
	uint32_t service_id;
	unsigned counter, packets, found, all;
};

static void on_rejected(void *ctx, const struct rejected_row *row)
{
	struct search *s = ctx;

	s->all++;
	if (row->counter != s->counter || row->service_id != s->service_id ||
	    !addr_equal(&row->client, &s->client) || row->age_ms > 5000)
		return;
	s->found++;
	s->packets = row->packets;
}

/* The number of packets that the table of rejected sources has for this client and reason. */
static unsigned remembered(const char *client, uint32_t service_id, unsigned counter)
{
	struct search s = {.service_id = service_id, .counter = counter};

	assert_int_equal(addr_parse(client, &s.client), 0);
	datapath_each_rejected(bench_datapath(), on_rejected, &s);
	assert_true(s.found <= 1);
	return s.packets;
}

static void who_is_turned_away_is_remembered_with_the_reason(void **state)
{
	static const char *const text[] = {"192.0.2.0/24", "2001:db8:2::/64", NULL};
	struct datapath *dp = bench_datapath();
	struct list l = list_of(text);
	struct outcome o;
	struct frame f;

	(void)state;
	memset(dp->rejected, 0, MXLB_REJECTED * sizeof(*dp->rejected));
	allow(&l, false, 0);
	for (int i = 0; i < 3; i++) {
		syn_counter(4, 10);
		syn_counter(6, 10);
	}
	assert_int_equal(remembered("198.51.0.10", 0, MXLB_COUNT_denied), 3);
	assert_int_equal(remembered("2001:db8:100::a", 1, MXLB_COUNT_denied), 3);
	allow(&l, true, 0);
	assert_int_equal(syn_counter(4, 11), -1);
	assert_int_equal(remembered("198.51.0.11", 0, MXLB_COUNT_would_deny), 1);
	allow(NULL, false, 0);
	assert_int_equal(syn_counter(4, 12), -1);
	frame_syn(&f, 4, 25, 13);
	frame_set(&f, 14, "46"); /* a header of 24 bytes, with no TCP header after it */
	frame_fix_ip_checksum(&f);
	bench_run(&f, &o);
	assert_int_equal(o.counter, MXLB_COUNT_malformed);
	assert_int_equal(remembered("198.51.0.13", MXLB_MAX_SERVICES, MXLB_COUNT_malformed), 1);
	frame_syn(&f, 4, 25, 14);
	frame_set(&f, 14, "65");
	bench_run(&f, &o);
	assert_int_equal(remembered("198.51.0.14", MXLB_MAX_SERVICES, MXLB_COUNT_malformed), 1);
	assert_int_equal(remembered("198.51.0.12", 0, MXLB_COUNT_denied), 0);
}

/* A flood replaces no source that was seen within the last second, so it writes to each slot at most once a second. */
static void a_flood_of_forged_sources_fills_the_table_and_no_more(void **state)
{
	static const char *const text[] = {"192.0.2.0/24", NULL};
	struct datapath *dp = bench_datapath();
	struct search s = {.counter = MXLB_COUNT_COUNT};
	struct list l = list_of(text);
	struct frame f;

	(void)state;
	memset(dp->rejected, 0, MXLB_REJECTED * sizeof(*dp->rejected));
	allow(&l, false, 0);
	syn_counter(4, 10);
	for (uint32_t i = 11; i < 20000; i++) {
		frame_syn(&f, 4, 25, i);
		bench_send(&f);
		if (i % 500 == 0)
			syn_counter(4, 10); /* a source that keeps trying keeps its slot */
	}
	datapath_each_rejected(dp, on_rejected, &s);
	assert_in_range(s.all, MXLB_REJECTED * 9 / 10, MXLB_REJECTED);
	assert_true(remembered("198.51.0.10", 0, MXLB_COUNT_denied) > 1);
	/* half of the slot was written by another CPU */
	for (unsigned i = 0; i < MXLB_REJECTED; i++)
		dp->rejected[i].lo = 0x01020304;
	s.all = 0;
	datapath_each_rejected(dp, on_rejected, &s);
	assert_in_range(s.all, 0, 8);
	memset(dp->rejected, 0, MXLB_REJECTED * sizeof(*dp->rejected));
	allow(NULL, false, 0);
}

static void test_a_replaced_list_leaves_nothing_behind(void **state)
{
	static const char *const one[] = {"192.0.2.0/24", "198.51.100.0/24", NULL};
	static const char *const two[] = {"203.0.113.0/24", NULL};
	struct list a = list_of(one), b = list_of(two);
	int fd = bpf_map__fd(bench_datapath()->skel->maps.allow);
	struct mxlb_allow_key key, next;
	void *prev = NULL;
	unsigned n = 0;

	(void)state;
	for (int i = 0; i < 20; i++)
		allow(i % 2 ? &a : &b, false, 0);
	allow(&b, false, 0);
	while (!bpf_map_get_next_key(fd, prev, &next)) {
		key = next;
		prev = &key;
		n++;
	}
	assert_int_equal(n, 2); /* one prefix of each of the two services */
	allow(NULL, false, 0);
	assert_int_not_equal(bpf_map_get_next_key(fd, NULL, &next), 0);
}

static void what_others_write_into_a_list_is_found_and_taken_out(void **state)
{
	static const char *const text[] = {"192.0.2.0/24", "192.0.2.0/24",
					   NULL}; /* twice: no alarm */
	struct list l = list_of(text);
	struct datapath *dp = bench_datapath();
	struct mxlb_allow_key key = {.prefixlen = 32 + 96 + 16,
				     .address = {[10] = 0xff, 0xff, 198, 51}};
	uint32_t one = 1;

	(void)state;
	allow(&l, false, 0);
	for (int i = 0; i < 3; i++)
		assert_true(allow_is_sound(dp));
	key.set = dp->services[0].allow_set;
	assert_int_equal(syn_counter(4, 88), MXLB_COUNT_denied);
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(dp->skel->maps.allow), &key, &one, 0), 0);
	assert_int_equal(syn_counter(4, 88), -1); /* it has let somebody in */
	dp->verified->allow_ms = 0;		  /* a minute has passed */
	assert_false(datapath_verify(dp));
	allow(&l, false, 0);
	assert_int_equal(syn_counter(4, 88), MXLB_COUNT_denied);
	for (int i = 0; i < 3; i++)
		assert_true(allow_is_sound(dp));
	allow(NULL, false, 0);
}

struct swaps {
	struct list list[2];
	atomic_bool stop;
	unsigned n;
	int err;
};

/* As fast as possible: now_ms does not wait, so the old set is deleted at once, which is harder for the program. */
static void *swap_lists(void *arg)
{
	struct swaps *s = arg;

	while (!atomic_load(&s->stop) && !s->err)
		s->err = apply_list(&s->list[s->n++ % 2], false, 0);
	return NULL;
}

/*
 * Both lists have hundreds of prefixes around one that neither has, so that trie nodes next to its path are added and
 * removed.
 */
static void make_lists(struct swaps *s)
{
	char text[64];

	for (unsigned i = 0; i < 2; i++) {
		for (unsigned n = 0; n < PREFIXES; n++) {
			if (n % 2)
				snprintf(text, sizeof(text), "2001:db8:%x::/48", 0x200 + n * 3 + i);
			else
				snprintf(text, sizeof(text), "198.51.%u.%u/32", n / 4 % 100,
					 n % 250 + i * n % 3);
			assert_int_equal(addr_parse_prefix(text, &s->list[i].p[n]), 0);
		}
		s->list[i].n = PREFIXES;
	}
}

static void no_SYN_of_a_source_in_no_list_passes_while_lists_are_swapped(void **state)
{
	static struct swaps s;
	struct frame f[2];
	time_t end = time(NULL) + SWAPS_S;
	unsigned sent = 0, passed = 0;
	pthread_t thread;

	(void)state;
	make_lists(&s);
	allow(&s.list[1], false, 0);
	assert_int_equal(pthread_create(&thread, NULL, swap_lists, &s), 0);
	while (time(NULL) < end) {
		for (unsigned i = 0; i < 2; i++) {
			frame_syn(&f[i], i ? 6 : 4, 25, i ? sent : 100 * 256 + sent % (156 * 256));
			passed += bench_send(&f[i]) != XDP_DROP;
		}
		sent += 2;
	}
	atomic_store(&s.stop, true);
	pthread_join(thread, NULL);
	print_message("# %u SYNs, %u lists, %u passed\n", sent, s.n, passed);
	assert_int_equal(s.err, 0);
	assert_true(s.n > 10);
	assert_int_equal(passed, 0);
	allow(NULL, false, 0);
}

/* Sends distinct SYNs from one /24 or /64 and returns how many passed. */
static unsigned burst(int family, uint32_t first, unsigned n)
{
	unsigned passed = 0;

	for (unsigned i = 0; i < n; i++)
		passed += syn_counter(family, first + i % 256) == -1;
	return passed;
}

static void test_C42_a_source_that_sends_too_many_SYNs_is_limited_and_others_are_not(void **state)
{
	unsigned passed;

	(void)state;
	allow(NULL, false, 5);
	assert_in_range(burst(4, 30 * 256, 1000), 5, 900);
	for (passed = 0; passed < 20;
	     passed++) /* on a busy machine a token may have been refilled */
		if (syn_counter(4, 30 * 256 + 9) == MXLB_COUNT_syn_limit)
			break;
	assert_int_not_equal(passed, 20);
	assert_int_equal(syn_counter(4, 31 * 256), -1);
	assert_in_range(burst(6, 0, 1000), 5, 900);
	allow(NULL, false, 0);
	assert_int_equal(syn_counter(4, 30 * 256 + 9), -1);
}

/* A SYN from the address with this number. */
static void random_syn(struct frame *f, int family, uint64_t n)
{
	n = mxlb_mix(n + 1);
	frame_syn(f, family, 25, 0);
	if (family == 4) {
		f->b[26] = 20 + n % 60; /* never 198.51.x.x */
		memcpy(f->b + 27, (uint8_t *)&n + 1, 3);
		frame_fix_ip_checksum(f);
	} else {
		memcpy(f->b + 26, &n, 4); /* 2001:db8:x:x::, from 8000 on */
		f->b[26] |= 0x80;
	}
}

static void no_flood_from_elsewhere_limits_a_source(void **state)
{
	struct outcome o;
	struct frame f;
	unsigned failed = 0;

	(void)state;
	allow(NULL, false, 3);
	for (uint64_t n = 0; n < 100000; n++) {
		random_syn(&f, n % 2 ? 6 : 4, n); /* both services, both families */
		bench_send(&f);
		if (n % 1000 == 0)
			failed += syn_counter(4, (100 + n / 1000) * 256) != -1;
		if (n % 1000 != 500)
			continue;
		frame_syn(&f, 6, 25, 7);
		f.b[29] = 1 + n / 1000; /* 2001:db8:100:x::, from which no other test sends */
		bench_run(&f, &o);
		failed += o.counter != -1;
	}
	assert_int_equal(failed, 0);
	allow(NULL, false, 0);
}

/* A forged SYN counts as a retransmission only if the owner of the prefix retransmits all SYNs. */
static void a_SYN_that_is_sent_again_passes_while_its_own_prefix_is_forged(void **state)
{
	unsigned first = 0, again = 0;
	struct outcome o;
	struct frame f;

	(void)state;
	allow(NULL, false, 3);
	for (unsigned round = 0; round < 12; round++) {
		burst(4, 40 * 256, 200);
		frame_syn(&f, 4, 25, 40 * 256 + 7);
		f.b[38] = round;	/* its sequence */
		f.b[34] = 0x80 + round; /* and port */
		bench_run(&f, &o);
		if (o.counter == -1) {
			first++;
			continue;
		}
		assert_int_equal(o.counter, MXLB_COUNT_syn_limit);
		struct timespec pause = {
			.tv_nsec = 350000000}; /* more than a third of a second: one token */
		nanosleep(&pause, NULL);
		bench_run(&f, &o);
		again += o.counter == -1;
	}
	print_message("# at once %u, when sent again %u, of 12\n", first, again);
	assert_int_equal(first + again, 12);
	assert_true(again > 0);
	allow(NULL, false, 0);
}

/* From the other addresses of a sender's prefix, each sent twice. */
static void SYNs_that_are_forged_twice_do_not_limit_another_address_of_their_prefix(void **state)
{
	struct outcome o;
	struct frame f;

	(void)state;
	allow(NULL, false, 3);
	for (unsigned round = 0; round < 3; round++) {
		frame_syn(&f, 4, 25, 41 * 256 + 7);
		f.b[34] = 0x80 + round; /* its port */
		burst(4, 41 * 256 + 8, 200);
		bench_run(&f, &o);
		for (unsigned i = 8; i < 20; i++) { /* few, so that the note of its SYN remains */
			struct frame forged;

			frame_syn(&forged, 4, 25, 41 * 256 + i);
			bench_send(&forged);
			bench_send(&forged);
		}
		bench_run(&f, &o);
		assert_int_equal(o.counter, -1);
	}
	allow(NULL, false, 0);
}

static void a_source_in_the_list_is_not_limited_and_others_are(void **state)
{
	static const char *const text[] = {"198.51.150.0/24", NULL};
	struct list l = list_of(text);

	(void)state;
	allow(&l, true, 3);
	assert_int_equal(burst(4, 50 * 256, 300) < 300, true);
	assert_int_equal(burst(4, 150 * 256, 300), 300);
	allow(NULL, false, 0);
}

static void test_C35_a_SYN_from_this_boxs_own_address_or_a_VIP_is_martian(void **state)
{
	static const char *const own[] = {"198.51.77.7", "2001:db8:100::77"};
	struct outcome o;
	struct frame f;

	(void)state;
	for (int i = 0; i < 2; i++) {
		int family = i ? 6 : 4;
		uint32_t client = i ? 0x77 : 77 * 256 + 7;

		assert_int_equal(syn_counter(family, client), -1);
		assert_int_equal(addr_parse(own[i], &own_address), 0);
		allow(NULL, false, 0);
		assert_int_equal(syn_counter(family, client), MXLB_COUNT_martian);
		assert_int_equal(syn_counter(family, client + 1), -1);
		frame_syn(&f, family, 25, client); /* a port of another host is not limited */
		f.b[5] ^= 1;
		bench_run(&f, &o);
		assert_int_equal(o.counter, MXLB_COUNT_not_our_mac);
		own_address = (struct addr){{0}};
		allow(NULL, false, 0);
		assert_int_equal(syn_counter(family, client), -1);
	}
	frame_syn(&f, 6, 25, 1);
	frame_set(&f, 22, "20010db8011300000000000000000025"); /* the VIP's own */
	bench_run(&f, &o);
	assert_int_equal(o.counter, MXLB_COUNT_martian);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_C41_the_longest_prefix_that_matches_lets_a_source_in),
		cmocka_unit_test(test_C41_slash_0_lets_its_family_in_and_not_the_other),
		cmocka_unit_test(test_C41_a_connection_that_is_open_stays_open),
		cmocka_unit_test(test_C41_observe_counts_and_drops_nothing),
		cmocka_unit_test(who_is_turned_away_is_remembered_with_the_reason),
		cmocka_unit_test(a_flood_of_forged_sources_fills_the_table_and_no_more),
		cmocka_unit_test(test_a_replaced_list_leaves_nothing_behind),
		cmocka_unit_test(what_others_write_into_a_list_is_found_and_taken_out),
		cmocka_unit_test(no_SYN_of_a_source_in_no_list_passes_while_lists_are_swapped),
		cmocka_unit_test(
			test_C42_a_source_that_sends_too_many_SYNs_is_limited_and_others_are_not),
		cmocka_unit_test(test_C35_a_SYN_from_this_boxs_own_address_or_a_VIP_is_martian),
		cmocka_unit_test(no_flood_from_elsewhere_limits_a_source),
		cmocka_unit_test(a_SYN_that_is_sent_again_passes_while_its_own_prefix_is_forged),
		cmocka_unit_test(
			SYNs_that_are_forged_twice_do_not_limit_another_address_of_their_prefix),
		cmocka_unit_test(a_source_in_the_list_is_not_limited_and_others_are),
	};

	return cmocka_run_group_tests_name("guard", tests, bench_up, bench_down);
}
