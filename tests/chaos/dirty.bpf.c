// SPDX-License-Identifier: BSD-2-Clause
/*
 * A bad cable (tc, egress): of the frames one in five is doubled, one in ten takes the slow lane (an HTB class: it is
 * overtaken), one in a hundred has a byte turned round. Without libbpf's headers: the lab compiles it as it is.
 */
struct sk_buff_view { /* struct __sk_buff (linux/bpf.h), as far as it is used */
	unsigned int len, pkt_type, mark, queue_mapping, protocol, vlan_present, vlan_tci,
		vlan_proto, priority;
	unsigned int ingress_ifindex, ifindex, tc_index, cb[5];
};

static unsigned int (*random_u32)(void) = (void *)7;
static long (*store_bytes)(void *skb, unsigned int at, const void *from, unsigned int len,
			   unsigned long flags) = (void *)9;
static long (*clone_redirect)(void *skb, unsigned int ifindex, unsigned long flags) = (void *)13;
static long (*load_bytes)(void *skb, unsigned int at, void *to, unsigned int len) = (void *)26;

#define ONE_IN(n) (random_u32() % (n) == 0)
#define SLOW_LANE 0x10002
#define AFTER_IP \
	34 /* only TCP's and what is in it: addressed wrongly, a frame would be another test */

__attribute__((section("classifier"), used)) int dirty(struct sk_buff_view *skb)
{
	unsigned int at = AFTER_IP + random_u32() % 64;
	unsigned char byte;

	if (ONE_IN(5))
		clone_redirect(skb, skb->ifindex, 0); /* comes by here again */
	if (ONE_IN(10))
		skb->priority = SLOW_LANE;
	if (ONE_IN(100) && !load_bytes(skb, at, &byte, 1)) {
		byte ^= 0x5a;
		store_bytes(skb, at, &byte, 1, 0);
	}
	return 0; /* TC_ACT_OK */
}
