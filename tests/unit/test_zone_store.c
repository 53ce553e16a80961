/* SPDX-License-Identifier: BSD-2-Clause */
/* zone_store.c: what a start knows without DNS; zone.c's times; and the part of lookup.c that reads answers. */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>
#include "core/tlsaset.h"
#include "util/log.h"
#include "util/statefile.h"
#include "zone/lookup.h"
#include "zone/zone_store.h"
#include "zone_fixture.h"

static char state_dir[] = "/tmp/mxlb-zone-XXXXXX";

/* lookup.c's rounds are not what is tested here. */
int resolver_ask(struct resolver *r, const char *name, enum dns_type type, resolver_done_fn *done,
		 void *ctx)
{
	(void)r, (void)name, (void)type, (void)done, (void)ctx;
	return -ENOMEM;
}

static int make_dir(void **state)
{
	(void)state;
	log_init("test", LOG_LEVEL_ERROR); /* each damaged file is a warning */
	return mkdtemp(state_dir) ? setenv("STATE_DIRECTORY", state_dir, 1) : -1;
}

static const char *file(const char *name)
{
	static char path[100];

	snprintf(path, sizeof(path), "%s/%s", state_dir, name);
	return path;
}

static int remove_dir(void **state)
{
	(void)state;
	unlink(file("zone/mail.json"));
	unlink(file("tlsa/exo.json"));
	rmdir(file("zone"));
	rmdir(file("tlsa"));
	return rmdir(state_dir);
}

static size_t read_file(const char *name, char *out, size_t size)
{
	FILE *f = fopen(file(name), "r");
	size_t n;

	assert_non_null(f);
	n = fread(out, 1, size, f);
	fclose(f);
	return n;
}

static void write_file(const char *name, const char *bytes, size_t len)
{
	FILE *f = fopen(file(name), "w");

	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, len, f), len);
	fclose(f);
}

static bool read_zone(struct zone *z, struct zone_map *m)
{
	memset(z, 0, sizeof(*z));
	memset(m, 0, sizeof(*m));
	return store_read_zone(service.name, service.zone.mx, &service.address, view.now_ms, z, m);
}

/* mxlbd has ended and begins again. */
static void restart(void)
{
	struct zone_map of_file;

	store_zone(service.name, service.zone.mx, &zone);
	assert_true(read_zone(&zone, &of_file));
	zone.state = ZONE_KEPT;
	view.n_takers = 0;
	zone_servers(&zone.in_force, &service, &box, view.room, &map);
}

static void a_start_has_the_servers_of_the_last_run_with_their_names(void **state)
{
	const char *two = "oxford-a 10 203.0.113.9,203.0.113.11; nuneaton 20 203.0.113.13";

	(void)state;
	start("oxford-a 10 203.0.113.11; nuneaton 20 203.0.113.13");
	give(answer(two), M);
	restart();
	assert_string_equal(servers(), "oxford-a 10 11, oxford-a.203-0-113-9 10 9, nuneaton 20 13");
	assert_int_equal(zone.set_wall_ms, view.wall_ms);
	assert_true(zone.secure);
	assert_int_equal(give(answer(two), M), ZONE_TELL);
	assert_int_equal(zone.state, ZONE_CURRENT);
}

/* Else an address that a renamed exchanger has left would go back to the old name at a start, and forth at the next answer. */
static void a_start_knows_what_had_left_the_zone(void **state)
{
	const char *renamed =
		"oxford-a 10 203.0.113.11; oxford-d 10 203.0.113.12; nuneaton 20 203.0.113.13";
	const char *expected = "oxford-a 10 11, oxford-d 10 12, nuneaton 20 13";

	(void)state;
	start(ARTICLE);
	give(answer(renamed), M);
	assert_string_equal(servers(), expected);
	restart();
	assert_string_equal(servers(), expected);
	assert_int_equal(give(answer(renamed), M),
			 ZONE_TELL); /* current again, and nothing to apply */
	begin(NULL);
	start("a 10 203.0.113.11,203.0.113.12; b 10 203.0.113.13");
	give(answer("a 10 203.0.113.11; b 10 203.0.113.12,203.0.113.13"), M);
	expected = "a 10 11, b 10 13, b.203-0-113-12 10 12";
	assert_string_equal(servers(), expected);
	restart();
	assert_string_equal(servers(), expected);
}

static void servers_before_the_first_answer_are_kept(void **state)
{
	static const char *const others[] = {"other.example.net", "203.0.113.26"};
	struct zone_map tiers = {.n = 2}, found;
	struct zone z;

	(void)state;
	strcpy(tiers.servers[0].name, "exch1");
	tiers.servers[0].address = ip("10.1.0.11");
	tiers.servers[0].preference = 10;
	strcpy(tiers.servers[1].name, "exch2");
	tiers.servers[1].address = ip("2001:db8::2");
	tiers.servers[1].preference = 65535;
	tiers.servers[1].weight = 256;
	tiers.servers[1].forward = FORWARD_IPIP;
	store_servers(service.name, service.zone.mx, &service.address, &tiers);
	assert_true(read_zone(&z, &found));
	assert_false(z.has_set);
	assert_true(found.n == 2 && zone_same_servers(&found, &tiers));
	for (unsigned i = 0; i < 2; i++) {
		if (i)
			service.address = ip(others[1]);
		else
			strcpy(service.zone.mx, others[0]);
		assert_false(read_zone(&z, &found));
		assert_int_equal(found.n, 0);
		begin(NULL);
	}
	start(ARTICLE);
	store_zone(service.name, service.zone.mx, &zone);
	assert_true(read_zone(&z, &found));
	assert_true(z.has_set && !found.n);
}

static struct stat stat_of(const char *name)
{
	struct stat st;

	assert_int_equal(stat(file(name), &st), 0);
	return st;
}

/* A reload before the first answer stores them again. */
static void servers_that_are_as_stored_are_not_written_again(void **state)
{
	struct zone_map tiers = {.n = 1};
	ino_t first;

	(void)state;
	strcpy(tiers.servers[0].name, "exch1");
	tiers.servers[0].address = ip("10.1.0.11");
	store_servers(service.name, service.zone.mx, &service.address, &tiers);
	first = stat_of("zone/mail.json").st_ino;
	store_servers(service.name, service.zone.mx, &service.address, &tiers);
	assert_int_equal(stat_of("zone/mail.json").st_ino, first);
	tiers.servers[0].weight = 2;
	store_servers(service.name, service.zone.mx, &service.address, &tiers);
	assert_int_not_equal(stat_of("zone/mail.json").st_ino, first);
}

static void only_their_owner_reads_the_files(void **state)
{
	struct tlsaset keys = {0};

	(void)state;
	umask(0);
	unlink(file("zone/mail.json"));
	unlink(file("tlsa/exo.json"));
	rmdir(file("zone"));
	rmdir(file("tlsa"));
	start(ARTICLE);
	store_zone(service.name, service.zone.mx, &zone);
	store_tlsa("exo", "_25._tcp.mail.example.net", &keys);
	assert_int_equal(stat_of("zone").st_mode & 07777, 0700);
	assert_int_equal(stat_of("tlsa").st_mode & 07777, 0700);
	assert_int_equal(stat_of("zone/mail.json").st_mode & 07777, 0600);
	assert_int_equal(stat_of("tlsa/exo.json").st_mode & 07777, 0600);
}

static void store_rows(unsigned i)
{
	struct zone_map tiers = {.n = 1};

	if (!i) {
		start(ARTICLE);
		give(answer("oxford-a 10 203.0.113.11; oxford-b 10 203.0.113.12"), M);
		store_zone(service.name, service.zone.mx, &zone);
		return;
	}
	strcpy(tiers.servers[0].name, "exch1");
	tiers.servers[0].address = ip("10.1.0.11");
	store_servers(service.name, service.zone.mx, &service.address, &tiers);
}

/* Cut off anywhere, or with any one byte changed: it is ignored, or it is a set that may be used. */
static void a_damaged_file_is_ignored_or_harmless(void **state)
{
	char good[4096], bad[4096];
	struct zone_map found;
	struct zone z;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		size_t len;

		begin(NULL);
		store_rows(i);
		len = read_file("zone/mail.json", good, sizeof(good));
		for (size_t n = 0; n < len; n++) {
			write_file("zone/mail.json", good, n);
			assert_false(read_zone(&z, &found) && n + 1 < len);
		}
		for (size_t n = 0; n < len; n++) {
			memcpy(bad, good, len);
			bad[n] ^= (char)(1 << n % 7);
			write_file("zone/mail.json", bad, len);
			if (!read_zone(&z, &found))
				assert_true(!z.has_set && !z.in_force.n && !found.n);
			else
				assert_true(z.has_set ? z.in_force.n && z.in_force.n <= 3
						      : found.n == 1);
		}
	}
}

static void files_that_do_not_fit_are_ignored(void **state)
{
	static const char *const rows[] = {
		"null",
		"[]",
		"{\"mx\": 1}",
		"{\"mx\": \"h.example.net\"}",
		"{\"mx\": \"h.example.net\", \"exchangers\": []}",
		"{\"mx\": \"h.example.net\", \"exchangers\": [1]}",
		"{\"mx\": \"h.example.net\", \"exchangers\": [{\"name\": \"a..b\", \"preference\": 1}]}",
		"{\"mx\": \"h.example.net\", \"exchangers\": [{\"name\": \"a\", \"preference\": 65536}]}",
		"{\"mx\": \"h.example.net\", \"exchangers\": [{\"name\": \"a\", \"preference\": -1}]}",
		"{\"mx\": \"h.example.net\", \"exchangers\": [{\"name\": \"a\", \"addresses\": {\"x\": \"bare\"}}]}",
		"{\"mx\": \"h.example.net\", \"servers\": [{\"name\": \"a\", \"address\": \"10.0.0.1\", \"forward\": \"l2\"}]}",
		"{\"mx\": \"h.example.net\", \"vip\": \"203.0.113.25\", \"servers\": [{\"name\": \"a/b\", \"address\": \"10.0.0.1\", \"forward\": \"l2\"}]}",
		"{\"mx\": \"h.example.net\", \"vip\": \"203.0.113.25\", \"servers\": [{\"name\": \"a\", \"address\": \"10.0.0\", \"forward\": \"l2\"}]}",
		"{\"mx\": \"h.example.net\", \"vip\": \"203.0.113.25\", \"servers\": [{\"name\": \"a\", \"address\": \"10.0.0.1\", \"forward\": \"l2\", \"weight\": 257}]}",
		"{\"mx\": \"h.example.net\", \"vip\": \"203.0.113.25\", \"servers\": [{\"name\": \"a\", \"address\": \"10.0.0.1\", \"forward\": \"l2\"},"
		" {\"name\": \"b\", \"address\": \"10.0.0.1\", \"forward\": \"l2\"}]}",
	};
	char *large = calloc(1, 64 << 10);
	struct zone_map found;
	struct zone z;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		write_file("zone/mail.json", rows[i], strlen(rows[i]));
		assert_false(read_zone(&z, &found));
		assert_int_equal(z.in_force.n + found.n, 0);
	}
	strcpy(large, "{\"mx\": \"h.example.net\", \"exchangers\": [");
	for (unsigned i = 0; i < 65; i++)
		sprintf(large + strlen(large), "%s{\"name\": \"a%u\", \"preference\": 1}",
			i ? "," : "", i);
	strcat(large, "]}");
	write_file("zone/mail.json", large, strlen(large));
	assert_false(read_zone(&z, &found));
	free(large);
}

static void a_damaged_file_of_keys_is_ignored_or_harmless(void **state)
{
	struct tlsaset s = {.n = 2, .set_wall_ms = 5};
	char good[4096], why[TLSA_WHY_SIZE];
	struct tlsaset found;
	size_t len;

	(void)state;
	assert_int_equal(
		tlsa_parse("3 1 1 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
			   &s.list[0], why),
		0);
	s.list[1] = s.list[0];
	s.list[1].usage = TLSA_USAGE_TA;
	store_tlsa("exo", "_25._tcp.mail.example.net", &s);
	found = (struct tlsaset){0};
	assert_true(store_read_tlsa("exo", "_25._tcp.mail.example.net", &found));
	assert_int_equal(found.n, 2);
	assert_memory_equal(found.list, s.list, 2 * sizeof(*s.list));
	len = read_file("tlsa/exo.json", good, sizeof(good));
	for (size_t n = 0; n + 1 < len; n++) {
		write_file("tlsa/exo.json", good, n);
		found = (struct tlsaset){0};
		assert_false(store_read_tlsa("exo", "_25._tcp.mail.example.net", &found));
		assert_int_equal(found.n, 0);
	}
}

/* refresh-min 30 s. By a fake clock; tests/e2e/test_zone_start.py has it under mail, with refresh-min 1 s. */
static void an_hour_of_dead_dns_with_a_restart_changes_nothing(void **state)
{
	unsigned tries = 0, told = 0, act;
	uint64_t end, longest = 0;
	bool restarted = false;

	(void)state;
	start(ARTICLE);
	take("oxford-a");
	for (end = view.now_ms + 3600000; zone.due_ms < end; tries++) {
		uint64_t pause = zone.due_ms - view.now_ms;

		longest = pause > longest && tries ? pause : longest;
		act = give(failure(tries % 3 ? DNS_TIMEOUT : DNS_SERVFAIL), pause);
		assert_false(act & ZONE_APPLY);
		told += act & ZONE_TELL;
		assert_int_equal(wait(0), 0);
		assert_string_equal(servers(), ARTICLE_);
		if (!restarted && view.now_ms > end - 1800000) {
			restarted = true;
			restart();
			assert_string_equal(servers(), ARTICLE_);
			zone.due_ms = view.now_ms; /* a start asks at once */
		}
	}
	assert_true(restarted);
	assert_in_range(tries, 60, 72); /* each minute, and the quick ones */
	assert_int_equal(longest, 2 * M);
	assert_int_equal(give(answer(ARTICLE), zone.due_ms - view.now_ms), ZONE_TELL);
	assert_int_equal(zone.state, ZONE_CURRENT);
	assert_string_equal(servers(), ARTICLE_);
	assert_true(told > 0);
}

/* The timer fires at .again_ms: if that did not end it, or moved it into the past, the loop would be busy. */
static void the_time_of_the_next_look_is_never_in_the_past(void **state)
{
	static const char *const answers[] = {
		ARTICLE,
		"oxford-a 10 203.0.113.11; nuneaton 20 203.0.113.13",
		"oxford-a 10 203.0.113.11,203.0.113.14; oxford-b 10 !; nuneaton 20 203.0.113.13",
		"nuneaton 20 203.0.113.13",
		"oxford-a 20 203.0.113.12; oxford-b 10 203.0.113.11; nuneaton 5 203.0.113.25",
	};
	unsigned looks = 0;

	(void)state;
	srandom(8);
	start(ARTICLE);
	for (unsigned k = 0; k < 20000; k++) {
		long what = random() % 8;
		uint64_t after = (uint64_t)(random() % 3) * (uint64_t)(random() % (long)M);

		view.n_takers = 0;
		if (random() % 2)
			take("oxford-a");
		if (what < 5)
			give(answer(answers[what]), after);
		else if (what == 5)
			give(failure(random() % 2 ? DNS_TIMEOUT : DNS_NODATA), after);
		else if (zone.again_ms) {
			view.now_ms = zone.again_ms;
			wait(0);
			looks++;
		}
		assert_true(!zone.again_ms || zone.again_ms > view.now_ms);
		assert_true(what > 5 || zone.due_ms > view.now_ms);
	}
	assert_in_range(looks, 100, 20000);
}

/* ---- lookup.c ---- */

static struct dns_answer many(uint8_t bytes[][4], unsigned n, unsigned first, unsigned step)
{
	static struct dns_answer a;

	memset(&a, 0, sizeof(a));
	a.has_data = true;
	a.ttl_s = 300;
	a.n = n;
	for (unsigned i = 0; i < n; i++) {
		unsigned last = (first + i * step) % n;

		memcpy(bytes[i], (uint8_t[]){203, 0, 113, (uint8_t)(50 + last)}, 4);
		a.records[i] = (struct dns_record){bytes[i], 4};
	}
	return a;
}

static void of_too_many_addresses_the_lowest_count_in_any_order(void **state)
{
	static const unsigned counts[] = {16, 17, 50};
	uint8_t bytes[50][4];

	(void)state;
	for (unsigned c = 0; c < 3; c++)
		for (unsigned first = 0; first < counts[c]; first++) {
			struct dns_answer a =
				many(bytes, counts[c], first, first % 2 ? 1 : counts[c] - 1);
			struct zone_exchanger e = {.name = "a"};
			struct zone_answer out = {.ttl_s = 3600};
			struct addr expected;

			lookup_read_addresses(&a, DNSSEC_PREFER, DNS_A, DNS_A, &e, &out);
			assert_int_equal(e.n, 16);
			assert_int_equal(e.cut, counts[c] > 16);
			for (unsigned i = 0; i < 16; i++) {
				addr_from_bytes((uint8_t[]){203, 0, 113, (uint8_t)(50 + i)}, 4,
						&expected);
				assert_true(addr_equal(&e.addresses[i].addr, &expected));
			}
		}
}

/* forward: ipip. Whichever answer comes first, addresses of the other family take no place of the VIP's. */
static void of_too_many_addresses_those_of_the_vips_family_count(void **state)
{
	static const struct {
		unsigned v4, v6, first_v6; /* records */
		bool cut;
	} rows[] = {
		{20, 2, 2, false}, {16, 16, 16, false}, {20, 20, 16, true},
		{20, 0, 0, true},  {16, 0, 0, false},
	};
	uint8_t bytes4[50][4], bytes6[50][16] = {{0}};

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(rows) / sizeof(*rows); i++) {
		struct dns_answer a = many(bytes4, rows[i / 2].v4, 0, 1),
				  aaaa = {.has_data = true, .ttl_s = 300};
		struct zone_exchanger e = {.name = "a"};
		struct zone_answer out = {.ttl_s = 3600};

		for (; aaaa.n < rows[i / 2].v6; aaaa.n++) {
			memcpy(bytes6[aaaa.n], (uint8_t[]){0x20, 0x01, 0x0d, 0xb8}, 4);
			bytes6[aaaa.n][15] = (uint8_t)(aaaa.n + 1);
			aaaa.records[aaaa.n] = (struct dns_record){bytes6[aaaa.n], 16};
		}
		for (unsigned k = 0; k < 2; k++)
			lookup_read_addresses(k == i % 2 ? &a : &aaaa, DNSSEC_PREFER,
					      k == i % 2 ? DNS_A : DNS_AAAA, DNS_AAAA, &e, &out);
		assert_int_equal(e.n, ZONE_MAX_ADDRESSES);
		for (unsigned k = 0; k < e.n; k++)
			assert_int_equal(addr_is_v4(&e.addresses[k].addr),
					 k >= rows[i / 2].first_v6);
		assert_int_equal(e.cut, rows[i / 2].cut);
	}
}

static void an_address_that_could_not_be_looked_up_is_asked_for_again_soon(void **state)
{
	uint8_t bytes[50][4];
	struct dns_answer good = many(bytes, 2, 0, 1), servfail = {.rcode = 2, .ttl_s = 900},
			  none = {.ttl_s = 900};
	static const struct {
		unsigned which;
		enum dns_result result;
		uint32_t ttl_s;
	} rows[] = {
		{0, DNS_OK, 300}, {1, DNS_SERVFAIL, 0}, {2, DNS_TIMEOUT, 0}, {3, DNS_NODATA, 900}};
	const struct dns_answer *answers[] = {&good, &servfail, NULL, &none};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct zone_exchanger e = {.name = "a"};
		struct zone_answer out = {.mx = DNS_OK, .ttl_s = 3600};

		lookup_read_addresses(answers[rows[i].which], DNSSEC_PREFER, DNS_A, DNS_A, &e,
				      &out);
		assert_int_equal(e.result, rows[i].result);
		assert_int_equal(out.ttl_s, rows[i].ttl_s);
	}
}

static void mx_records_that_cannot_be_used_have_a_result_of_their_own(void **state)
{
	static uint8_t names[65][8];
	struct dns_answer a = {.has_data = true, .ttl_s = 60};
	struct zone_answer out;

	(void)state;
	for (unsigned i = 0; i < 65; i++) {
		memcpy(names[i],
		       (uint8_t[]){0, 10, 2, (uint8_t)('0' + i / 10), (uint8_t)('0' + i % 10), 0},
		       6);
		a.records[i] = (struct dns_record){names[i], 6};
	}
	for (a.n = 64; a.n <= 65; a.n++) {
		lookup_read_mx(&a, DNSSEC_PREFER, &out);
		assert_int_equal(out.mx, a.n == 64 ? DNS_OK : DNS_UNUSABLE);
		assert_int_equal(out.set.n, a.n == 64 ? 64 : 0);
	}
	assert_non_null(strstr(out.why, "64 exchangers"));
	a.n = 1;
	a.records[0].len = 3;
	a.records[0].data = (const uint8_t[]){0, 10, 9};
	lookup_read_mx(&a, DNSSEC_PREFER, &out);
	assert_int_equal(out.mx, DNS_UNUSABLE);
}

#define T(name) cmocka_unit_test_setup(name, begin)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_start_has_the_servers_of_the_last_run_with_their_names),
		T(a_start_knows_what_had_left_the_zone),
		T(servers_before_the_first_answer_are_kept),
		T(servers_that_are_as_stored_are_not_written_again),
		T(only_their_owner_reads_the_files),
		T(a_damaged_file_is_ignored_or_harmless),
		T(files_that_do_not_fit_are_ignored),
		T(a_damaged_file_of_keys_is_ignored_or_harmless),
		T(an_hour_of_dead_dns_with_a_restart_changes_nothing),
		T(the_time_of_the_next_look_is_never_in_the_past),
		T(of_too_many_addresses_the_lowest_count_in_any_order),
		T(of_too_many_addresses_those_of_the_vips_family_count),
		T(an_address_that_could_not_be_looked_up_is_asked_for_again_soon),
		T(mx_records_that_cannot_be_used_have_a_result_of_their_own),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
