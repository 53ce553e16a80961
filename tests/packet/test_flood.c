// SPDX-License-Identifier: BSD-2-Clause
/*
 * docs/datapath.md with the real program: idle connections under floods of forged ones, each as much as 40 million packets at
 * 110,000 a second are for the default table. The table is smaller here and the flood with it; MXLB_FLOWS=262144 makes both whole
 * (two minutes for each kind; MXLB_FLOOD chooses one).
 */
#include <arpa/inet.h>
#include <inttypes.h>
#include <linux/if_link.h>
#include <stdlib.h>
#include <string.h>
#include "bench.h"
#include "mxlb/hash.h"

#define IDLE	      64
#define DEFAULT_LINES 131072
#define PACKETS	      40000000ull
#define A_SECOND      110000ull
#define DATA	      16
#define LATER_S	      3

enum { ACK = 0x10, SYN = 2 };

static struct frame template;

/* To the IPv4 VIP, from any address and port. */
static void send_segment(uint32_t client, uint16_t port, uint8_t flags, uint32_t seq, unsigned data)
{
	struct frame *f = &template;
	uint16_t total = htons(40 + data), from = htons(port);

	client = htonl(client);
	seq = htonl(seq);
	f->len = 54 + data;
	memcpy(f->b + 16, &total, 2);
	memcpy(f->b + 26, &client, 4);
	memcpy(f->b + 34, &from, 2);
	memcpy(f->b + 38, &seq, 4);
	f->b[46] = 0x50;
	f->b[47] = flags;
	frame_fix_ip_checksum(f);
	bench_send(f);
}

/* The connection's number determines its address and port, so nothing has to be stored. */
struct forged {
	uint32_t client, seq;
	uint16_t port;
};

static struct forged forged(uint64_t which)
{
	uint64_t r = mxlb_mix(which + 1);

	return (struct forged){20u << 24 | (r & 0xffffff), mxlb_mix(r), 1024 + (r >> 24) % 64512};
}

/* steps: S is a SYN, A its ACK, D data, L an ACK some seconds later. */
static void flood(const char *steps, uint64_t packets, uint64_t a_second)
{
	uint64_t lag = LATER_S * a_second / strlen(steps), sent = 0;

	for (uint64_t which = lag; sent < packets; which++) {
		struct forged f = forged(which), earlier = forged(which - lag);
		uint32_t seq = f.seq;

		for (const char *s = steps; *s; s++, sent++) {
			if (*s == 'L')
				send_segment(earlier.client, earlier.port, ACK, earlier.seq + 1, 0);
			else
				send_segment(f.client, f.port, *s == 'S' ? SYN : ACK, seq,
					     *s == 'D' ? DATA : 0);
			seq += *s == 'S' ? 1 : *s == 'D' ? DATA : 0;
			if (sent % a_second == 0)
				datapath_step_epoch(bench_datapath());
		}
	}
}

static uint32_t entry_of(unsigned i)
{
	struct flow_place place;
	struct addr client;
	uint8_t bytes[4] = {198, 51, 100, i};

	addr_from_bytes(bytes, 4, &client);
	assert_int_equal(datapath_explain(bench_datapath(), 0, &client, 30000 + i, &place), 0);
	return place.by_miss ? 0 : place.entry_server;
}

static void clear_table(void)
{
	struct datapath *dp = bench_datapath();

	memset(dp->flows4, 0, dp->lines * sizeof(struct mxlb_line4));
}

static void open_idle(uint32_t server[IDLE])
{
	for (unsigned i = 0; i < IDLE; i++) {
		uint32_t client = 198u << 24 | 51 << 16 | 100 << 8 | i, seq = i * 1000000;

		send_segment(client, 30000 + i, SYN, seq, 0);
		send_segment(client, 30000 + i, ACK, seq + 1, 0);
		send_segment(client, 30000 + i, ACK, seq + 1, DATA);
		server[i] = entry_of(i);
		assert_int_not_equal(server[i], 0);
	}
}

static void no_flood_takes_the_entry_of_an_idle_connection(void **state)
{
	static const char *const kinds[] = {"SA", "SAL", "SAD", "SADD", "SADL", "DD", "DDL"};
	struct datapath *dp = bench_datapath();
	uint64_t packets = PACKETS * dp->lines / DEFAULT_LINES;
	uint64_t a_second = A_SECOND * dp->lines / DEFAULT_LINES;
	const char *only = getenv("MXLB_FLOOD"); /* one of the kinds */
	uint32_t server[IDLE];

	(void)state;
	frame_syn(&template, 4, 25, 0);
	for (unsigned k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		unsigned lost = 0;

		if (only && strcmp(only, kinds[k]))
			continue;
		clear_table();
		open_idle(server);
		flood(kinds[k], packets, a_second);
		for (unsigned i = 0; i < IDLE; i++)
			lost += entry_of(i) != server[i];
		print_message("# %-4s %" PRIu64 " packets, %u lines: %u of %u lost\n", kinds[k],
			      packets, dp->lines, lost, IDLE);
		assert_int_equal(lost, 0);
	}
}

/* Is the entry of idle connection i closed? */
static bool is_closed(unsigned i)
{
	struct flow_place place;
	struct addr client;
	uint8_t bytes[4] = {198, 51, 100, i};

	addr_from_bytes(bytes, 4, &client);
	assert_int_equal(datapath_explain(bench_datapath(), 0, &client, 30000 + i, &place), 0);
	return place.closed;
}

/*
 * Data and FIN at each MiB of the sequence space, for a connection with known address and port. Returns the number of
 * packets until its entry is closed.
 */
static unsigned sweep(uint32_t step, unsigned most)
{
	uint32_t client = 198u << 24 | 51 << 16 | 100 << 8, seq = (1u << 31) + (1 << 19);
	unsigned sent;

	for (sent = 0; !is_closed(0) && sent < most; seq += step, sent += 2) {
		send_segment(client, 30000, ACK, seq, DATA);
		send_segment(client, 30000, ACK | 1, seq + DATA, 0);
	}
	return sent;
}

/* docs/datapath.md has the numbers: a bound, not a guarantee. */
static void who_knows_a_connections_address_and_port_needs_many_packets_to_close_its_entry(
	void **state)
{
	uint32_t server[IDLE], client = 198u << 24 | 51 << 16 | 100 << 8;
	unsigned sent;

	(void)state;
	clear_table();
	open_idle(server);
	for (int i = 0; i < 2; i++)
		datapath_step_epoch(bench_datapath());
	sent = sweep(1 << 20, 8192);
	assert_int_equal(
		sent, 8192); /* the whole sequence space, in steps that moved an idle entry once */
	sent = sweep(1 << 15, 262144);
	print_message("# closed by %u packets, from half the sequence space away\n", sent);
	assert_in_range(sent, 130000, 132000);
	assert_int_equal(entry_of(0), server[0]); /* the client's packets still follow it */
	for (unsigned i = 1; i < IDLE; i++)
		assert_false(is_closed(i)); /* those whose port the sender does not know */
	send_segment(client, 30000, ACK, 1 + DATA, DATA);
	assert_false(is_closed(0)); /* and opens it again */
	clear_table();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_flood_takes_the_entry_of_an_idle_connection),
		cmocka_unit_test(
			who_knows_a_connections_address_and_port_needs_many_packets_to_close_its_entry),
	};

	return cmocka_run_group_tests_name("flood", tests, bench_up, bench_down);
}
