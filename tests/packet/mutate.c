// SPDX-License-Identifier: BSD-2-Clause
/*
 * The valid frames, as rows of bytes for the site of bench.h, and the mutations. Checksums are not corrected, because
 * the program does not check those of what it forwards.
 */
#include <assert.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "mxlb/hash.h"
#include "mutate.h"
#include "ways.h"

#define MACS		    "020000000005 020000000001 "
#define VIP4		    "cb007119 "
#define FROM4		    "c6336403 "
#define VIP6		    "20010db8011300000000000000000025 "
#define FROM6		    "20010db8010000000000000000000003 "
#define SELF6		    "20010db8011300000000000000000005 "
#define PORTS		    "9c40 0019 "
#define NUMS		    "11223344 a1b2c3d4 "
#define REST		    " faf0 0000 0000 "
#define SYN		    PORTS NUMS "8002" REST "020405b4 01010402 01030307 "
#define PLAIN		    PORTS NUMS "5010" REST
#define QUOTE4		    "4500 05dc 0000 4000 4006 0000 " VIP4 FROM4 "0019 9c40 55667788 "
#define QUOTE6		    "60000000 05a0 06 40 " VIP6 FROM6 "0019 9c40 55667788 "
#define FAR4		    "cb007101 "
#define FAR6		    "20010db8011300000000000000000001 "
/* "LLLL": the number of bytes from there (IPv6: from 36 further on) to the end, filled in by mutate_up(). */
#define IP4(protocol, more) "0800 4500 LLLL 1234 4000 3d " protocol " 0000 " FROM4 VIP4 more
#define IP6(next, more)	    "86dd 60000000 LLLL " next " 3d " FROM6 VIP6 more
/* From a peer. */
#define PEER4(protocol)	    "0800 4500 LLLL 0000 4000 40 " protocol " 0000 " FAR4 "cb007105 "
#define PEER6(next)	    "86dd 60000000 LLLL " next " 40 " FAR6 SELF6

static const struct {
	const char *name, *hex;
	unsigned fill; /* bytes of data behind it */
} rows[] = {
	{"SYN", MACS IP4("06", SYN), 0},
	{"SYN with data", MACS IP4("06", SYN), 64},
	{"ACK", MACS IP4("06", PLAIN), 0},
	{"data", MACS IP4("06", PORTS NUMS "5018" REST), 300},
	{"data of a full segment", MACS IP4("06", PLAIN), 1460},
	{"a jumbo frame", MACS IP4("06", PLAIN), 8900},
	{"FIN", MACS IP4("06", PORTS NUMS "5011" REST), 0},
	{"RST", MACS IP4("06", PORTS NUMS "5004" REST), 0},
	{"SYN+ACK", MACS IP4("06", PORTS NUMS "5012" REST), 0},
	{"timestamps", MACS IP4("06", PORTS NUMS "8010" REST "0101080a 00000001 00000002"), 20},
	{"IPv4 options",
	 MACS "0800 4700 LLLL 1234 4000 3d 06 0000 " FROM4 VIP4 "94040000 01010100 " SYN, 0},
	{"another port", MACS IP4("06", "9c40 0018 " NUMS "5002" REST), 0},
	{"nobody's port", MACS IP4("06", "9c40 09dd " NUMS "5002" REST), 0},
	{"the silent port", MACS IP4("06", "9c40 09de " NUMS "5002" REST), 0},
	{"the cold port", MACS IP4("06", "9c40 09df " NUMS "5002" REST), 0},
	{"the lost port", MACS IP4("06", "9c40 09e0 " NUMS "5002" REST), 0},
	{"UDP", MACS IP4("11", "9c40 0019 0018 0000"), 16},
	{"first fragment", MACS "0800 4500 LLLL 1234 2000 3d 06 0000 " FROM4 VIP4 PLAIN, 40},
	{"later fragment", MACS "0800 4500 LLLL 1234 0010 3d 06 0000 " FROM4 VIP4, 64},
	{"ping", MACS IP4("01", "0800 f7ff 1234 0001"), 48},
	{"frag needed", MACS IP4("01", "0304 0000 0000 0578 " QUOTE4), 0},
	{"host unreachable", MACS IP4("01", "0301 0000 0000 0000 " QUOTE4), 20},
	{"error about an error",
	 MACS IP4("01", "0b00 0000 0000 0000 4500 0038 0000 0000 4001 0000 " VIP4 FROM4
			"0304 0000 0000 0578"),
	 0},
	{"from ourselves", MACS "0800 4500 LLLL 1234 4000 3d 06 0000 cb007119 " VIP4 SYN, 0},
	{"to this box", MACS "0800 4500 LLLL 1234 4000 3d 06 0000 " FROM4 "cb007105 " PLAIN, 0},
	{"for another host", "020000000099 020000000001 " IP4("06", SYN), 0},
	{"VRRP",
	 "01005e000012 020000000001 0800 4500 LLLL 0000 0000 ff 70 0000 cb007101 e0000012 "
	 "21 64 6401 0000 0000 cb007101",
	 0},
	{"LLDP", "0180c200000e 020000000001 88cc 0207 04020000000001 0403 0541 0602 0078 0000", 0},
	{"ARP for the VIP",
	 "ffffffffffff 020000000001 0806 0001 0800 06 04 0001 020000000001 "
	 "cb007101 000000000000 " VIP4,
	 0},
	{"ARP for another",
	 "ffffffffffff 020000000001 0806 0001 0800 06 04 0001 020000000001 "
	 "cb007101 000000000000 cb007111",
	 18},
	{"ARP claims the VIP",
	 "ffffffffffff 020000000001 0806 0001 0800 06 04 0002 020000000001 " VIP4
	 "000000000000 " VIP4,
	 0},
	{"4 in 4",
	 MACS "0800 4500 LLLL 0000 4000 40 04 0000 cb007101 cb007105 "
	      "4500 0028 1234 4000 3d 06 0000 " FROM4 VIP4 PLAIN,
	 0},
	{"6 in 4",
	 MACS "0800 4500 LLLL 0000 4000 40 29 0000 cb007101 " VIP4
	      "60000000 0014 06 3d " FROM6 VIP6 PLAIN,
	 0},
	{"GRE", MACS IP4("2f", "0000 0800 4500 0028 1234 4000 3d 06 0000 " FROM4 VIP4 PLAIN), 0},
	{"VLAN", MACS "8100 0005 " IP4("06", SYN), 0},
	{"priority tag", MACS "8100 e000 " IP6("06", SYN), 0},
	{"two tags", MACS "88a8 0005 8100 0006 " IP4("06", SYN), 0},
	{"SYN, IPv6", MACS IP6("06", SYN), 0},
	{"ACK, IPv6", MACS IP6("06", PLAIN), 0},
	{"data, IPv6", MACS IP6("06", PORTS NUMS "5018" REST), 700},
	{"FIN, IPv6", MACS IP6("06", PORTS NUMS "5011" REST), 0},
	{"RST, IPv6", MACS IP6("06", PORTS NUMS "5014" REST), 0},
	{"a jumbo frame, IPv6", MACS IP6("06", PLAIN), 8900},
	{"another port, IPv6", MACS IP6("06", "9c40 0050 " NUMS "5002" REST), 0},
	{"hop-by-hop", MACS IP6("00", "0600010400000000 " SYN), 0},
	{"a chain",
	 MACS IP6("00", "3c00010400000000 2b01010400000000 0000000000000000 "
			"0600040000000000 " PLAIN),
	 33},
	{"a chain too long",
	 MACS IP6("00", "3c00010400000000 3c00010400000000 3c00010400000000 "
			"2b00010400000000 0600040000000000 " PLAIN),
	 0},
	{"fragment header", MACS IP6("2c", "0600000100000007 " PLAIN), 0},
	{"fragment behind options", MACS IP6("3c", "2c00010400000000 0600000100000007 " PLAIN), 0},
	{"authentication header",
	 MACS IP6("33", "0604000000000000 00000001 00000000 00000000 "
			"00000000 " PLAIN),
	 0},
	{"no next header", MACS IP6("3b", ""), 0},
	{"ping, IPv6", MACS IP6("3a", "8000 0000 1234 0001"), 48},
	{"packet too big", MACS IP6("3a", "0200 0000 0000 0500 " QUOTE6), 0},
	{"unreachable, IPv6", MACS IP6("3a", "0104 0000 0000 0000 " QUOTE6), 12},
	{"solicitation",
	 "3333ff000025 020000000001 86dd 60000000 LLLL 3a ff "
	 "fe800000000000000000000000000001 ff0200000000000000000001ff000025 "
	 "87 00 0000 00000000 " VIP6 "0101020000000001",
	 0},
	{"duplicate address detection",
	 "3333ff000025 020000000001 86dd 60000000 LLLL 3a ff "
	 "00000000000000000000000000000000 ff0200000000000000000001ff000025 "
	 "87 00 0000 00000000 " VIP6,
	 0},
	{"solicitation for this box",
	 MACS "86dd 60000000 LLLL 3a ff "
	      "fe800000000000000000000000000001 " SELF6 "87 00 0000 00000000 " SELF6,
	 0},
	{"6 in 6",
	 MACS "86dd 60000000 LLLL 29 40 20010db8011300000000000000000001 " SELF6
	      "60000000 0014 06 3d " FROM6 VIP6 PLAIN,
	 0},
	{"4 in 6",
	 MACS "86dd 60000000 LLLL 04 40 20010db8011300000000000000000001 " VIP6
	      "4500 0028 1234 4000 3d 06 0000 " FROM4 VIP4 PLAIN,
	 0},
	{"SYN, 4 in 4", MACS PEER4("04") "4500 0034 1234 4000 3d 06 0000 " FROM4 VIP4 SYN, 0},
	{"data, 4 in 6", MACS PEER6("04") "4500 0180 1234 4000 3d 06 0000 " FROM4 VIP4 PLAIN, 344},
	{"SYN, 6 in 4", MACS PEER4("29") "60000000 0020 06 3d " FROM6 VIP6 SYN, 0},
	{"data, 6 in 6", MACS PEER6("29") "60000000 02bc 06 3d " FROM6 VIP6 PLAIN, 680},
	{"a chain, 6 in 4",
	 MACS PEER4("29") "60000000 0024 00 3d " FROM6 VIP6
			  "3c00010400000000 0600040000000000 " PLAIN,
	 0},
	{"frag needed, 4 in 4",
	 MACS PEER4("04") "4500 0038 1234 4000 3d 01 0000 " FROM4 VIP4
			  "0304 0000 0000 0578 " QUOTE4,
	 0},
	{"ping, 6 in 6", MACS PEER6("29") "60000000 0008 3a 3d " FROM6 VIP6 "8000 0000 1234 0001",
	 0},
	{"another port, 4 in 6",
	 MACS PEER6("04") "4500 0028 1234 4000 3d 06 0000 " FROM4 VIP4 "9c40 0018 " NUMS
			  "5002" REST,
	 0},
	{"to this box, 4 in 4",
	 MACS PEER4("04") "4500 0028 1234 4000 3d 06 0000 " FROM4 "cb007105 " PLAIN, 0},
	{"to this box, 6 in 6", MACS PEER6("29") "60000000 0014 06 3d " FROM6 SELF6 PLAIN, 0},
	{"a tunnel in a tunnel",
	 MACS PEER4("04") "4500 003c 0000 4000 40 04 0000 cb007101 cb007105 "
			  "4500 0028 1234 4000 3d 06 0000 " FROM4 VIP4 PLAIN,
	 0},
	{"congestion, unasked",
	 MACS "0800 4503 LLLL 0000 4000 40 04 0000 " FAR4 "cb007105 "
	      "4500 0028 1234 4000 3d 06 0000 " FROM4 VIP4 PLAIN,
	 0},
	{"congestion, 6 in 4",
	 MACS "0800 4503 LLLL 0000 4000 40 29 0000 " FAR4 "cb007105 "
	      "60200000 0014 06 3d " FROM6 VIP6 PLAIN,
	 0},
	{"from nobody's far end",
	 MACS "0800 4500 LLLL 0000 4000 40 04 0000 cb007102 cb007105 "
	      "4500 0028 1234 4000 3d 06 0000 " FROM4 VIP4 PLAIN,
	 0},
};

#define ROWS	       (sizeof(rows) / sizeof(rows[0]))
#define HAPPENINGS_MAX 4 /* to one frame */

static struct mutant *sound;

uint32_t mutate_roll(uint64_t *state, uint32_t below)
{
	*state += 0x9e3779b97f4a7c15ULL;
	return (mxlb_mix(*state) >> 32) * below >> 32;
}

static void put16(uint8_t *at, unsigned value)
{
	at[0] = value >> 8;
	at[1] = value;
}

static void make_sound(unsigned which)
{
	struct mutant *m = &sound[which];
	unsigned length_at = 0, byte;

	m->from = rows[which].name;
	for (const char *hex = rows[which].hex; *hex;) {
		if (*hex == ' ') {
			hex++;
		} else if (!strncmp(hex, "LLLL", 4)) {
			length_at = m->len;
			m->len += 2;
			hex += 4;
		} else {
			assert(sscanf(hex, "%2x", &byte) == 1);
			m->b[m->len++] = byte;
			hex += 2;
		}
	}
	for (unsigned i = 0; i < rows[which].fill; i++)
		m->b[m->len++] = i * 7;
	if (length_at) {
		int is_ipv4 = m->b[length_at - 2] >> 4 == 4;

		put16(m->b + length_at, m->len - length_at + (is_ipv4 ? 2 : -36));
	}
	m->linear = m->len;
}

void mutate_up(void)
{
	sound = calloc(ROWS, sizeof(*sound));
	assert(sound);
	for (unsigned i = 0; i < ROWS; i++)
		make_sound(i);
}

void mutate_down(void)
{
	free(sound);
}

unsigned mutate_sound_count(void)
{
	return ROWS;
}

static void copy(struct mutant *to, const struct mutant *from)
{
	memcpy(to, from, offsetof(struct mutant, b) + from->len);
}

void mutate_sound(unsigned which, struct mutant *out)
{
	copy(out, &sound[which]);
}

/* Mostly an offset in the headers. */
static unsigned place(uint64_t *r, const struct mutant *m)
{
	unsigned headers = m->len < 96 ? m->len : 96;

	return mutate_roll(r, mutate_roll(r, 8) ? headers : m->len);
}

static void flip_bit(uint64_t *r, struct mutant *m)
{
	m->b[place(r, m)] ^= 1 << mutate_roll(r, 8);
}

/* Sets a boundary value, or one with a meaning in some header. */
static void set_byte(uint64_t *r, struct mutant *m)
{
	static const uint8_t edges[] = {0,    1,    2,	  3,	4,    5,    6,	  7,	8,
					0x0b, 0x11, 0x29, 0x2b, 0x2c, 0x32, 0x33, 0x3a, 0x3c,
					0x40, 0x44, 0x45, 0x46, 0x4f, 0x50, 0x60, 0x7f, 0x80,
					0x81, 0x86, 0x87, 0x88, 0xdd, 0xe0, 0xf0, 0xfe, 0xff};

	m->b[place(r, m)] = edges[mutate_roll(r, sizeof(edges))];
}

static void truncate(uint64_t *r, struct mutant *m)
{
	m->len = 14 + mutate_roll(r, mutate_roll(r, 2) && m->len > 110 ? 96 : m->len - 13);
}

static void extend(uint64_t *r, struct mutant *m)
{
	unsigned more = mutate_roll(r, mutate_roll(r, 4) ? 64 : 2048);

	if (m->len + more > MUTANT_MAX)
		return;
	for (unsigned i = 0; i < more; i++)
		m->b[m->len++] = i & 1 ? 0 : more;
}

/* Copies the rest of another valid frame from there on. */
static void splice(uint64_t *r, struct mutant *m)
{
	const struct mutant *tail = &sound[mutate_roll(r, ROWS)];
	unsigned at = place(r, m), from = mutate_roll(r, 2) ? at : mutate_roll(r, tail->len);
	unsigned n = tail->len > from ? tail->len - from : 0;

	at = at < 14 ? 14 : at;
	if (at + n > MUTANT_MAX)
		n = MUTANT_MAX - at;
	memcpy(m->b + at, tail->b + from, n);
	m->len = at + n;
}

/* Sets a header's length field to about the real length, or to an extreme. */
static void edit_length(uint64_t *r, struct mutant *m)
{
	static const uint8_t fields[] = {16, 18, 20, 22, 38, 56, 58, 72};
	static const uint16_t ends[] = {0,  1,	7,  8,	19,	20,	27,
					28, 39, 40, 41, 0x7fff, 0x8000, 0xffff};
	unsigned at = fields[mutate_roll(r, sizeof(fields))], value;

	if (at + 2 > m->len)
		return;
	value = ends[mutate_roll(r, sizeof(ends) / sizeof(ends[0]))];
	if (mutate_roll(r, 2))
		value = m->len - at + 12 - mutate_roll(r, 24);
	put16(m->b + at, value);
	if (!mutate_roll(r, 4))
		m->b[mutate_roll(r, 2) ? 14 : 46] = mutate_roll(r, 256);
}

/* Repeats a part of the headers. */
static void duplicate(uint64_t *r, struct mutant *m)
{
	static const uint8_t pieces[][2] = {{12, 2}, {12, 4},  {14, 20}, {14, 40}, {34, 20},
					    {54, 8}, {54, 20}, {34, 8},	 {0, 14},  {62, 8}};
	const uint8_t *piece = pieces[mutate_roll(r, sizeof(pieces) / 2)];
	unsigned at = piece[0], n = piece[1];

	if (at + n > m->len || m->len + n > MUTANT_MAX)
		return;
	memmove(m->b + at + n, m->b + at, m->len - at);
	m->len += n;
}

static void swap_words(uint64_t *r, struct mutant *m)
{
	unsigned a = place(r, m) & ~3u, b = place(r, m) & ~3u;
	uint8_t word[4];

	if (a + 4 > m->len || b + 4 > m->len)
		return;
	memcpy(word, m->b + a, 4);
	memmove(m->b + a, m->b + b, 4);
	memcpy(m->b + b, word, 4);
}

static void (*const happenings[])(uint64_t *r, struct mutant *m) = {
	flip_bit, flip_bit, set_byte,	 set_byte,  truncate,
	extend,	  splice,   edit_length, duplicate, swap_words};

/* The places of the client's last address byte and of the TCP sequence number: mutated flows can then continue. */
static void vary(uint64_t *r, struct mutant *m)
{
	unsigned ip = 14, client, seq;
	int is_ipv4 = m->b[12] == 0x08;

	if (m->b[is_ipv4 ? 23 : 20] == 4 || m->b[is_ipv4 ? 23 : 20] == 41) {
		ip += is_ipv4 ? 20 : 40;
		is_ipv4 = m->b[ip] >> 4 == 4;
	}
	client = ip + (is_ipv4 ? 15 : 23);
	seq = ip + (is_ipv4 ? 27 : 47);
	if (m->len <= seq || m->b[ip + (is_ipv4 ? 9 : 6)] != 6)
		return;
	m->b[client] = mutate_roll(r, 32);
	m->b[seq] += mutate_roll(r, 3);
	m->b[seq - 2] += !mutate_roll(r, 8);
}

/* A segment of one of eight connections, mostly near its current sequence number. Every 256 frames others are used. */
static void vary_segment(uint64_t *r, uint8_t connections, struct mutant *m)
{
	static const uint8_t flags[] = {0x10, 0x10, 0x10, 0x18, 0x18, 0x30, 0x11, 0x14,
					0x04, 0x02, 0x12, 0x50, 0x90, 0x00, 0x29};
	unsigned ip = 14, tcp = ip + (m->b[12] == 0x08 ? 20 : 40);

	m->b[tcp - (m->b[12] == 0x08 ? 5 : 17)] = mutate_roll(r, 4);
	m->b[tcp] = 0x80 | connections;
	m->b[tcp + 1] = 0x40 + mutate_roll(r, 2);
	if (!mutate_roll(r, 4))
		m->b[tcp + 13] = flags[mutate_roll(r, sizeof(flags))];
	m->b[tcp + 7] = mutate_roll(r, 256);
	m->b[tcp + 6] = mutate_roll(r, 32); /* an entry that has rested goes on within 16 KiB */
	if (!mutate_roll(r, 16))
		m->b[tcp + 5] += mutate_roll(r, 4);
	if (!mutate_roll(r, 16))
		m->b[tcp + 4 + mutate_roll(r, 2)] = mutate_roll(r, 256);
}

void mutate_tag(struct mutant *m, uint8_t priority)
{
	m->second = true;
	if (!memcmp(m->b, WAYS_FIRST_MAC, 6))
		memcpy(m->b, WAYS_SECOND_MAC, 6);
	if (m->b[12] == 0x81)
		return;
	memmove(m->b + 16, m->b + 12, m->len - 12);
	put16(m->b + 12, 0x8100);
	put16(m->b + 14, priority << 12 | WAYS_VLAN);
	m->len += 4;
	m->linear = m->len;
}

void mutate(uint64_t seed, uint64_t n, struct mutant *out)
{
	uint64_t r = mxlb_mix(seed ^ mxlb_mix(n + 1));
	unsigned which = mutate_roll(&r, ROWS);

	/* the largest frames are slow to make and send, and mostly padding */
	if (sound[which].len > 2000 && mutate_roll(&r, 16))
		which = mutate_roll(&r, 4);
	copy(out, &sound[which]);
	vary(&r, out);
	if (!mutate_roll(&r, 4))
		mutate_tag(out, mutate_roll(&r, 16));
	else
		out->second = !mutate_roll(&r, 32);
	for (unsigned i = mutate_roll(&r, HAPPENINGS_MAX + 1); i; i--)
		happenings[mutate_roll(&r, sizeof(happenings) / sizeof(happenings[0]))](&r, out);
	out->linear = out->len;
	if (!mutate_roll(&r, 8))
		out->linear = 14 + mutate_roll(&r, out->len > 110 ? 96 : out->len - 13);
}

static unsigned row(const char *name)
{
	unsigned i = 0;

	while (strcmp(rows[i].name, name))
		assert(++i < ROWS);
	return i;
}

void mutate_segment(uint64_t seed, uint64_t n, struct mutant *out)
{
	static const char *const names[] = {"ACK",	  "data",      "data of a full segment",
					    "timestamps", "FIN",       "SYN with data",
					    "ACK, IPv6",  "data, IPv6"};
	uint64_t r = mxlb_mix(seed ^ mxlb_mix(n + 1));

	copy(out, &sound[row(names[mutate_roll(&r, sizeof(names) / sizeof(names[0]))])]);
	vary_segment(&r, n >> 8, out);
	if (!mutate_roll(&r, 64))
		mutate_tag(out, 0);
	if (!mutate_roll(&r, 8))
		happenings[mutate_roll(&r, sizeof(happenings) / sizeof(happenings[0]))](&r, out);
	out->linear = out->len;
	if (!mutate_roll(&r, 16))
		out->linear = 14 + mutate_roll(&r, out->len - 13);
}
