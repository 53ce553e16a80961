// SPDX-License-Identifier: BSD-2-Clause
/*
 * bpf/ in this address space: the same source, with functions in place of helpers. xdp_md is redefined, because the
 * kernel's has room for 32-bit pointers only. Before each frame the scratch area is filled with garbage, so that
 * reading anything that the program has not written is noticed.
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define xdp_md xdp_md_of_the_kernel
#include <linux/bpf.h>
#undef xdp_md
struct xdp_md {
	unsigned long data, data_end;
	__u32 ingress_ifindex;
	__u8 *rest; /* behind the linear part */
	__u32 rest_len;
};
struct packet;
int mxlb(struct xdp_md *ctx);
int ipv4_packet(struct xdp_md *ctx);
int ipv6_packet(struct xdp_md *ctx);
int too_big(struct xdp_md *ctx, struct packet *p, __u32 mtu);
__u32 flow_score_of(__u64 word, __u32 epoch);
__u32 flow_room_of(__u64 word, __u32 unit);

#define MXLB_PROBE_H /* for tc, on socket buffers: left out */
#include "../../bpf/mxlb.bpf.c"
#include "native.h"

/* As in the kernel's test runs (net/bpf/test_run.c): a page less headroom and shared info; struct xdp_frame. */
#define LINEAR_MAX 3520
#define HEADROOM   216
#define RUBBISH	   0xa5a5a5a5

static struct native_site site;
static uint8_t *last_frame;
static struct packet *scratch_area;
static __u64 *all_counts, *all_sights, *bucket_areas[2], counted_was[8];
static struct mxlb_traffic *all_traffic;
static void *lines4, *lines6;
static void *counted[8]; /* counters that the program has looked up for this frame */
static unsigned n_counted;
static const void *line_seen; /* looked up in the flow table for this frame */
static size_t line_size, line_at;

static struct {
	const void *map;
	void *values;
	size_t size;
	__u32 n;
} maps[16];
static unsigned n_maps;

static void *map_add(const void *map, void *values, size_t size, __u32 n)
{
	if (!values)
		values = calloc(n, size);
	if (!values)
		abort();
	maps[n_maps].map = map;
	maps[n_maps].values = values;
	maps[n_maps].size = size;
	maps[n_maps++].n = n;
	return values;
}

/* The first look-up counts: the slow path repeats it if the fast path gives up. */
static void note_counter(void *value)
{
	for (unsigned i = 0; i < n_counted; i++)
		if (counted[i] == value)
			return;
	if (n_counted == 8)
		abort();
	counted_was[n_counted] = *(__u64 *)value;
	counted[n_counted++] = value;
}

static void *bpf_map_lookup_elem(void *map, const void *key)
{
	static __u32 here = 1;
	const __u32 index = *(const __u32 *)key;
	void *value;

	if (map == &allow)
		return site.allowed && site.allowed(key) ? &here : NULL;
	for (unsigned i = 0; i < n_maps; i++) {
		if (maps[i].map != map)
			continue;
		if (index >= maps[i].n)
			return NULL;
		value = (char *)maps[i].values + index * maps[i].size;
		if (map == &counts || map == &traffic)
			note_counter(value);
		if (map == &flows4 || map == &flows6) {
			line_seen = value;
			line_size = maps[i].size;
			line_at = index;
		}
		return value;
	}
	abort(); /* an unknown map: add it to native_up() */
}

static __u64 bpf_ktime_get_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static __u64 bpf_ktime_get_coarse_ns(void)
{
	return bpf_ktime_get_ns();
}

static __u32 bpf_get_prandom_u32(void)
{
	return 4711;
}

static __s64 bpf_csum_diff(const __be32 *from, __u32 from_size, const __be32 *to, __u32 to_size,
			   __u32 seed)
{
	__u64 sum = seed;

	if (from || from_size)
		abort(); /* nobody asks for that */
	for (__u32 i = 0; i < to_size / 4; i++)
		sum += to[i];
	while (sum >> 32)
		sum = (__u32)sum + (sum >> 32);
	return (__s64)sum;
}

static long bpf_redirect_map(void *map, __u64 key, __u64 flags)
{
	if (map != &ports)
		abort();
	return key < 32 && site.exits >> key & 1 ? XDP_REDIRECT : (long)(flags & 3);
}

static __u32 linear_len(const struct xdp_md *ctx)
{
	return ctx->data_end - ctx->data;
}

/*
 * Makes a new linear part from the old one without its first `skip` bytes (or with room added before it), truncated or
 * padded with zeros.
 */
static void linear_replace(struct xdp_md *ctx, __u32 len, int skip)
{
	__u8 *old = (void *)ctx->data, *new = calloc(1, len);
	__u32 from = skip > 0 ? skip : 0, to = skip < 0 ? -skip : 0, n = linear_len(ctx) - from;

	if (!new)
		abort();
	memcpy(new + to, old + from, n < len - to ? n : len - to);
	free(old);
	ctx->data = (unsigned long)new;
	ctx->data_end = ctx->data + len;
}

static __attribute__((unused)) long bpf_xdp_adjust_head(struct xdp_md *ctx, int delta)
{
	if (delta < -HEADROOM || delta > (int)linear_len(ctx) - ETH_HLEN)
		return -EINVAL;
	linear_replace(ctx, linear_len(ctx) - delta, delta);
	return 0;
}

/* If not all of the frame is linear, only the rest grows; it has the size of a page and grows by a few bytes. */
static long rest_resize(struct xdp_md *ctx, __u32 len)
{
	__u8 *new = calloc(1, len);

	if (!new)
		abort();
	memcpy(new, ctx->rest, len < ctx->rest_len ? len : ctx->rest_len);
	free(ctx->rest);
	ctx->rest = new;
	ctx->rest_len = len;
	return 0;
}

static long bpf_xdp_adjust_tail(struct xdp_md *ctx, int delta)
{
	long len = (long)linear_len(ctx) + ctx->rest_len + delta;

	if (ctx->rest_len && len > linear_len(ctx))
		return rest_resize(ctx, len - linear_len(ctx));
	if (len < ETH_HLEN || len > LINEAR_MAX)
		return -EINVAL;
	ctx->rest_len = 0;
	linear_replace(ctx, len, 0);
	return 0;
}

static __u64 bpf_xdp_get_buff_len(struct xdp_md *ctx)
{
	return linear_len(ctx) + ctx->rest_len;
}

static __u8 *byte_at(struct xdp_md *ctx, __u32 at)
{
	return at < linear_len(ctx) ? (__u8 *)ctx->data + at : ctx->rest + (at - linear_len(ctx));
}

/* As on a host without forwarding. */
static long bpf_fib_lookup(struct xdp_md *ctx, struct bpf_fib_lookup *params, int len, __u32 flags)
{
	(void)ctx;
	(void)flags;
	return len == sizeof(*params) ? BPF_FIB_LKUP_RET_FWD_DISABLED : -EINVAL;
}

static long bpf_xdp_load_bytes(struct xdp_md *ctx, __u32 offset, void *to, __u32 len)
{
	if (offset > bpf_xdp_get_buff_len(ctx) || len > bpf_xdp_get_buff_len(ctx) - offset)
		return -EINVAL;
	for (__u32 i = 0; i < len; i++)
		((__u8 *)to)[i] = *byte_at(ctx, offset + i);
	return 0;
}

static __attribute__((unused)) long bpf_xdp_store_bytes(struct xdp_md *ctx, __u32 offset,
							void *from, __u32 len)
{
	if (offset > bpf_xdp_get_buff_len(ctx) || len > bpf_xdp_get_buff_len(ctx) - offset)
		return -EINVAL;
	for (__u32 i = 0; i < len; i++)
		*byte_at(ctx, offset + i) = ((__u8 *)from)[i];
	return 0;
}

/* The loader writes these before the kernel makes them read-only. The native build needs no loader. */
static volatile void *rodata_writable(const volatile void *at)
{
	const long page = sysconf(_SC_PAGESIZE);

	if (mprotect((void *)((unsigned long)at & ~(page - 1)), page, PROT_READ | PROT_WRITE))
		abort();
	return (volatile void *)at;
}

static void set_line_mask(__u32 mask)
{
	*(volatile __u32 *)rodata_writable(&line_mask) = mask;
}

void native_fast(bool on)
{
	*(volatile __u8 *)rodata_writable(&fast_path) = on;
}

void native_up(const struct native_site *s)
{
	site = *s;
	n_maps = 0;
	set_line_mask(s->lines - 1);
	map_add(&fronts, s->fronts, sizeof(*s->fronts), MXLB_FRONTS);
	map_add(&services, s->services, sizeof(*s->services), MXLB_MAX_SERVICES);
	map_add(&rings, s->rings, sizeof(*s->rings), MXLB_RINGS);
	map_add(&backends, s->backends, sizeof(*s->backends), MXLB_MAX_SERVERS);
	scratch_area = map_add(&scratch, NULL, sizeof(*scratch_area), 1);
	all_counts = map_add(&counts, NULL, sizeof(*all_counts),
			     (MXLB_MAX_SERVICES + 1) * MXLB_COUNT_STRIDE);
	all_sights = map_add(&sights, NULL, sizeof(*all_sights), MXLB_MAX_PORTS);
	all_traffic = map_add(&traffic, NULL, sizeof(*all_traffic), MXLB_MAX_SERVERS);
	lines4 = map_add(&flows4, NULL, sizeof(struct mxlb_line4), s->lines);
	lines6 = map_add(&flows6, NULL, sizeof(struct mxlb_line6), s->lines);
	map_add(&role, NULL, sizeof(__u64), 1);
	map_add(&rejected, NULL, sizeof(struct mxlb_rejected), MXLB_REJECTED);
	bucket_areas[0] = map_add(&buckets, NULL, sizeof(__u64), MXLB_BUCKETS);
	bucket_areas[1] = map_add(&syn_buckets, NULL, sizeof(__u64), MXLB_BUCKETS);
}

void native_down(void)
{
	free(last_frame);
	last_frame = NULL;
	free(scratch_area);
	free(all_counts);
	free(all_sights);
	free(all_traffic);
	free(lines4);
	free(lines6);
	free(bucket_areas[0]);
	free(bucket_areas[1]);
}

void native_forget(void)
{
	memset(lines4, 0, site.lines * sizeof(struct mxlb_line4));
	memset(lines6, 0, site.lines * sizeof(struct mxlb_line6));
}

void native_buckets(bool full)
{
	for (int i = 0; i < 2; i++)
		memset(bucket_areas[i], full ? 0 : 0xff, MXLB_BUCKETS * sizeof(__u64));
}

void native_syn_bucket(uint32_t key, uint64_t word)
{
	((__u64 *)bucket_areas[1])[key] = word;
}

static void *copy_of(const void *from, size_t len)
{
	void *to = malloc(len ? len : 1);

	if (!to)
		abort();
	return memcpy(to, from, len);
}

/* The counters for this frame: its verdict by the counter's index; notes do not count. */
static void what_rose(struct native_outcome *o)
{
	o->fates = 0;
	o->counter = NATIVE_FORWARDED;
	o->server = 0;
	for (unsigned i = 0; i < n_counted; i++) {
		__u64 rise = *(__u64 *)counted[i] - counted_was[i];
		size_t at = (__u64 *)counted[i] - all_counts;

		if (counted[i] >= (void *)all_traffic &&
		    counted[i] < (void *)(all_traffic + MXLB_MAX_SERVERS))
			o->server = (struct mxlb_traffic *)counted[i] - all_traffic;
		else if (at % MXLB_COUNT_STRIDE < MXLB_COUNT_FATES)
			o->counter = at % MXLB_COUNT_STRIDE;
		else
			continue;
		o->fates += rise;
	}
}

void native_run(const uint8_t *frame, unsigned len, unsigned linear, uint32_t ingress,
		struct native_outcome *o)
{
	struct xdp_md ctx = {.ingress_ifindex = ingress};

	linear = linear < len ? linear : len;
	linear = linear < LINEAR_MAX ? linear : LINEAR_MAX;
	ctx.data = (unsigned long)copy_of(frame, linear);
	ctx.data_end = ctx.data + linear;
	ctx.rest = copy_of(frame + linear, len - linear);
	ctx.rest_len = len - linear;
	control = *site.control;
	memset(scratch_area, RUBBISH & 0xff, sizeof(*scratch_area));
	scratch_area->vlan = 0; /* the state in which each packet leaves it: packet.h */
	scratch_area->from_tunnel = 0;
	n_counted = 0;
	line_seen = NULL;
	o->action = mxlb(&ctx);
	o->fast = scratch_area->service == RUBBISH;
	o->line = line_seen;
	o->line_size = line_size;
	o->line_at = line_at;
	what_rose(o);
	o->len = bpf_xdp_get_buff_len(&ctx);
	free(last_frame);
	o->frame = last_frame = malloc(o->len);
	if (!last_frame || bpf_xdp_load_bytes(&ctx, 0, last_frame, o->len))
		abort();
	free((void *)ctx.data);
	free(ctx.rest);
}

const uint64_t *native_counts(void)
{
	return (const uint64_t *)all_counts;
}

const struct mxlb_traffic *native_traffic(void)
{
	return all_traffic;
}
