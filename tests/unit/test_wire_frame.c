/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ctl/wire_frame.c: frames from the wire are hostile: every truncation and many mutations, in memory that is exactly as
 * long as the frame.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "ctl/wire_frame.h"

#define N(array)  (sizeof(array) / sizeof((array)[0]))
#define MUTATIONS 200000

#define MACS	  "\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00\x00\x07"
#define SENDER	  "\x02\x00\x00\x00\x00\x09"
#define V4	  "\x45\x00\x00\x28\x00\x00\x40\x00\x40\x06\x00\x00\xcb\x00\x71\x19\xc6\x33\x64\x0a"
#define V6_ADDRESSES                                                       \
	"\x20\x01\x0d\xb8\x01\x13\x00\x00\x00\x00\x00\x00\x00\x00\x00\x25" \
	"\x20\x01\x0d\xb8\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x10"
#define TCP(flags) \
	"\x00\x19\xc0\x00\x00\x00\x00\x01\x00\x00\x00\x02\x50" flags "\x10\x00\x00\x00\x00\x00"

static const struct row {
	const char *what;
	const char *bytes;
	size_t len, shortest; /* a shorter one has no effect */
	enum frame_kind kind;
	const char *from;
	uint16_t port;
	bool opens;
} rows[] = {
#define ROW(what, bytes, ...)                               \
	{                                                   \
		what, bytes, sizeof(bytes) - 1, __VA_ARGS__ \
	}
	ROW("an ARP reply",
	    MACS "\x08\x06\x00\x01\x08\x00\x06\x04\x00\x02" SENDER "\xcb\x00\x71\x19" MACS, 42,
	    FRAME_CLAIM, "203.0.113.25", 0, false),
	ROW("ARP of another hardware",
	    MACS "\x08\x06\x00\x06\x08\x00\x06\x04\x00\x02" SENDER "\xcb\x00\x71\x19" MACS, 0,
	    FRAME_OTHER, NULL, 0, false),
	ROW("a SYN", MACS "\x08\x00" V4 TCP("\x02"), 54, FRAME_SEGMENT, "203.0.113.25", 25, true),
	ROW("a SYN and ACK", MACS "\x08\x00" V4 TCP("\x12"), 54, FRAME_SEGMENT, "203.0.113.25", 25,
	    false),
	ROW("with an option",
	    MACS
	    "\x08\x00\x46" /* 24 bytes */
	    "\x00\x00\x28\x00\x00\x40\x00\x40\x06\x00\x00\xcb\x00\x71\x19\xc6\x33\x64\x0a\x01\x01\x01\x00" TCP(
		    "\x10"),
	    58, FRAME_SEGMENT, "203.0.113.25", 25, false),
	ROW("a later fragment",
	    MACS
	    "\x08\x00\x45\x00\x00\x28\x00\x00\x00\x09\x40\x06\x00\x00\xcb\x00\x71\x19\xc6\x33\x64\x0a" TCP(
		    "\x02"),
	    0, FRAME_OTHER, NULL, 0, false),
	ROW("IPv6 TCP", MACS "\x86\xdd\x60\x00\x00\x00\x00\x14\x06\x40" V6_ADDRESSES TCP("\x02"),
	    74, FRAME_SEGMENT, "2001:db8:113::25", 25, true),
	ROW("a neighbour advertisement",
	    MACS
	    "\x86\xdd\x60\x00\x00\x00\x00\x18\x3a\xff" V6_ADDRESSES
	    "\x88\x00\x00\x00\xa0\x00\x00\x00\x20\x01\x0d\xb8\x01\x13\x00\x00\x00\x00\x00\x00\x00\x00\x00\x25",
	    78, FRAME_CLAIM, "2001:db8:113::25", 0, false),
	ROW("no IP at all", MACS "\x88\xcc\x02\x07\x04", 0, FRAME_OTHER, NULL, 0, false),
#undef ROW
};

/* From memory of exactly this length: the sanitizer sees every byte beyond. */
static struct frame read_exactly(const void *bytes, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);
	struct frame f;

	memcpy(copy, bytes, len);
	frame_read(copy, len, &f);
	free(copy);
	return f;
}

static void each_frame_is_parsed_and_has_no_effect_when_truncated(void **state)
{
	char text[ADDR_TEXT_SIZE];

	(void)state;
	for (size_t i = 0; i < N(rows); i++)
		for (size_t len = 0; len <= rows[i].len; len++) {
			struct frame f = read_exactly(rows[i].bytes, len);
			enum frame_kind kind = len < rows[i].shortest ? FRAME_OTHER : rows[i].kind;

			if (f.kind != kind)
				fail_msg("%s, %zu bytes of it: %d", rows[i].what, len, f.kind);
			if (!kind)
				continue;
			assert_string_equal(addr_text(&f.from, text), rows[i].from);
			assert_int_equal(f.port, rows[i].port);
			assert_int_equal(f.opens, rows[i].opens);
		}
}

static void the_claimer_is_the_sender_in_arp_or_of_an_advertisement(void **state)
{
	struct frame f = read_exactly(rows[0].bytes, rows[0].len);

	(void)state;
	assert_memory_equal(&f.mac, SENDER, sizeof(f.mac));
	f = read_exactly(rows[7].bytes, rows[7].len);
	assert_memory_equal(&f.mac, MACS + 6, sizeof(f.mac));
}

static void mutated_frames_are_read_within_their_bytes(void **state)
{
	(void)state;
	srandom(1);
	for (unsigned i = 0; i < MUTATIONS; i++) {
		const struct row *r = &rows[random() % N(rows)];
		uint8_t bytes[128];

		memcpy(bytes, r->bytes, r->len);
		for (int k = 0; k < 3; k++)
			bytes[12 + random() % (r->len - 12)] = (uint8_t)random();
		read_exactly(bytes, random() % (r->len + 1));
	}
}

/* A message with its checksum in place sums up to ~0 (RFC 1071). */
static uint16_t sum(const uint8_t *p, size_t len, uint32_t start)
{
	for (size_t i = 0; i < len; i += 2)
		start += (uint32_t)p[i] << 8 | p[i + 1];
	while (start >> 16)
		start = (start & 0xffff) + (start >> 16);
	return (uint16_t)start;
}

static void queries_have_only_their_target(void **state)
{
	const struct mac mac = {{2, 0, 0, 0, 0, 7}};
	uint8_t bytes[FRAME_MAX];
	struct addr target;
	struct frame f;

	(void)state;
	assert_int_equal(addr_parse("203.0.113.25", &target), 0);
	assert_int_equal(frame_question(&target, &mac, bytes), 42);
	assert_memory_equal(bytes + 38, "\xcb\x00\x71\x19", 4);
	frame_read(bytes, 42, &f);
	assert_true(addr_is_zero(&f.from)); /* an ARP probe: no cache learns from it */

	assert_int_equal(addr_parse("2001:db8:113::25", &target), 0);
	assert_int_equal(frame_question(&target, &mac, bytes), 78);
	assert_memory_equal(bytes, "\x33\x33\xff\x00\x00\x25", 6);
	assert_memory_equal(bytes + 62, target.b, 16);
	assert_int_equal(sum(bytes + 22, 56, 24 + 58), 0xffff);
	for (int i = 22; i < 38; i++)
		assert_int_equal(bytes[i], 0); /* from nobody */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_frame_is_parsed_and_has_no_effect_when_truncated),
		cmocka_unit_test(the_claimer_is_the_sender_in_arp_or_of_an_advertisement),
		cmocka_unit_test(mutated_frames_are_read_within_their_bytes),
		cmocka_unit_test(queries_have_only_their_target),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
