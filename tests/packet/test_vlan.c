// SPDX-License-Identifier: BSD-2-Clause
/*
 * Tagged frames: row C31 of docs/conformance.md. An interface with `vlan: 5` must do with a frame of that tag what one without
 * does with the frame without it, so each frame is sent twice.
 */
#include <linux/if_link.h>
#include "wrapped.h"

#define VLAN	 5
#define PRIORITY 0xb000 /* PCP 5, DEI */

static void set_vlan(uint16_t vlan)
{
	bench_datapath()->ports[0].vlan = vlan;
	bench_plan();
}

static void frame_arp(struct frame *f)
{
	f->len = 0;
	frame_set(f, 0,
		  "ffffffffffff 020000000001 0806 0001 0800 06 04 0001 020000000001 cb007101 "
		  "000000000000 cb007119");
}

static void frame_nd(struct frame *f)
{
	f->len = 0;
	frame_set(f, 0, "3333ff000025 020000000001 86dd 60000000 0020 3a ff");
	frame_set(f, 22, "fe800000000000000000000000000001");
	frame_set(f, 38, "ff0200000000000000000001ff000025");
	frame_set(f, 54, "87 00 0000 00000000 20010db8011300000000000000000025 0101020000000001");
}

static void frame_ping(struct frame *f)
{
	frame_syn(f, 4, 25, 10);
	frame_set(f, 23, "01");
	frame_set(f, 34, "0800f7ff00000000");
	frame_fix_ip_checksum(f);
}

/* Frames of every kind that this box answers, forwards, drops or passes. */
static bool frame_of_kind(unsigned kind, const char **what, struct frame *f)
{
	struct frame inner;

	switch (kind) {
	case 0:
	case 1:
		*what = "SYN";
		frame_syn(f, kind ? 6 : 4, 25, 10);
		return true;
	case 2:
		*what = "a port of no service";
		frame_syn(f, 4, 24, 10);
		return true;
	case 3:
		*what = "drop";
		frame_syn(f, 4, 2526, 10);
		return true;
	case 4:
		*what = "ping";
		frame_ping(f);
		return true;
	case 5:
		*what = "ARP";
		frame_arp(f);
		return true;
	case 6:
		*what = "neighbour solicitation";
		frame_nd(f);
		return true;
	case 7:
	case 8:
		*what = "not a VIP";
		frame_own(f, kind == 7 ? 4 : 6);
		return true;
	case 9:
		*what = "LLDP";
		frame_syn(f, 4, 25, 10);
		frame_set(f, 12, "88cc");
		return true;
	case 10:
		*what = "not our MAC address";
		frame_syn(f, 6, 25, 10);
		frame_set(f, 0, "020000000099");
		return true;
	case 11:
		*what = "a tunnel with mail";
		frame_syn(&inner, 6, 25, 10);
		frame_tunnel(f, 4, &inner);
		return true;
	case 12:
		*what = "a tunnel for the own stack";
		frame_own(&inner, 4);
		frame_tunnel(f, 6, &inner);
		return true;
	}
	return false;
}

static void test_C31_its_own_tag_is_kept_and_all_else_is_as_without(void **state)
{
	struct frame bare, in, want;
	struct outcome untagged, o;
	const char *what;

	(void)state;
	for (unsigned kind = 0; frame_of_kind(kind, &what, &bare); kind++) {
		set_vlan(0);
		bench_run(&bare, &untagged);
		frame_tag(&in, &bare, PRIORITY | VLAN);
		set_vlan(VLAN);
		bench_run(&in, &o);
		want = in;
		if (untagged.action != XDP_DROP)
			frame_tag(&want, &untagged.out, PRIORITY | VLAN);
		if (o.action != untagged.action || o.counter != untagged.counter ||
		    o.server != untagged.server)
			fail_msg("%s: action %d, counter %d", what, o.action, o.counter);
		if (o.action != XDP_DROP &&
		    (o.out.len != want.len || memcmp(o.out.b, want.b, want.len)))
			fail_msg("%s: other bytes", what);
	}
}

static void test_C31_other_tags_and_none_are_other_networks_and_pass_untouched(void **state)
{
	static const struct {
		const char *what;
		uint16_t tci;
		const char *type;
	} tags[] = {
		{"another VLAN", VLAN + 1, "8100"},
		{"a VLAN with a bit more", VLAN | 0x800, "8100"},
		{"priority tag", 0xe000, "8100"},
		{"a provider's tag", VLAN, "88a8"},
		{"QinQ as it once was", VLAN, "9100"},
	};
	struct frame bare, in, twice;
	const char *what;

	(void)state;
	set_vlan(VLAN);
	for (unsigned kind = 0; frame_of_kind(kind, &what, &bare); kind++) {
		expect_untouched(what, &bare);
		for (unsigned i = 0; i < sizeof(tags) / sizeof(tags[0]); i++) {
			frame_tag(&in, &bare, tags[i].tci);
			frame_set(&in, 12, tags[i].type);
			expect_untouched(tags[i].what, &in);
		}
		frame_tag(&in, &bare, VLAN);
		frame_tag(&twice, &in, VLAN);
		expect_untouched("its own tag twice", &twice);
		frame_set(&twice, 12, "88a8");
		expect_untouched("its own tag below a provider's", &twice);
	}
}

static void test_C31_an_interface_without_a_VLAN_passes_every_tag(void **state)
{
	struct frame bare, in;
	const char *what;

	(void)state;
	set_vlan(0);
	for (unsigned kind = 0; frame_of_kind(kind, &what, &bare); kind++) {
		frame_tag(&in, &bare, VLAN);
		expect_untouched(what, &in);
		frame_tag(&in, &bare, 0);
		expect_untouched(what, &in);
		in.len = 16;
		expect_untouched("cut", &in);
	}
}

static void test_C31_a_truncated_tag_is_dropped_and_what_is_cut_behind_it_as_without(void **state)
{
	struct frame bare, in;
	struct outcome o;
	unsigned whole;

	(void)state;
	set_vlan(VLAN);
	for (int family = 4; family <= 6; family += 2) {
		frame_syn(&bare, family, 25, 10);
		frame_tag(&in, &bare, VLAN);
		whole = in.len;
		for (in.len = 14; in.len < whole; in.len++) {
			bool in_tag = in.len < 18, in_ip = in.len < (family == 4 ? 38u : 58u);

			bench_run(&in, &o);
			assert_int_equal(o.counter, in_tag || !in_ip ? MXLB_COUNT_malformed
								     : MXLB_COUNT_not_ours);
			assert_int_equal(o.action, in_tag || !in_ip ? XDP_DROP : XDP_PASS);
			if (o.action == XDP_PASS)
				assert_memory_equal(o.out.b, in.b, in.len);
		}
	}
}

static int up(void **state)
{
	int err = bench_up(state);

	if (!err)
		peers_up();
	return err;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_C31_its_own_tag_is_kept_and_all_else_is_as_without),
		cmocka_unit_test(
			test_C31_other_tags_and_none_are_other_networks_and_pass_untouched),
		cmocka_unit_test(test_C31_an_interface_without_a_VLAN_passes_every_tag),
		cmocka_unit_test(
			test_C31_a_truncated_tag_is_dropped_and_what_is_cut_behind_it_as_without),
	};

	return cmocka_run_group_tests_name("vlan", tests, up, bench_down);
}
