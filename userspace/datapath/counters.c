// SPDX-License-Identifier: BSD-2-Clause
/* Reads the counters, and writes the records that the next mxlbd adopts. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "core/verdict.h"
#include "datapath/datapath_internal.h"

static void traffic_sum(const struct datapath *dp, const struct mxlb_traffic *cpu,
			struct traffic *out)
{
	memset(out, 0, sizeof(*out));
	for (int i = 0; i < dp->n_cpus; i++) {
		out->new_flows += cpu[i].syn;
		out->packets += cpu[i].packets;
		out->retransmits += cpu[i].retransmit;
		out->misses += cpu[i].miss;
		out->promoted += cpu[i].promoted;
		out->evicted += cpu[i].evicted;
		out->unplaced += cpu[i].unplaced;
		out->bytes += cpu[i].bytes;
	}
}

void datapath_traffic(struct datapath *dp, uint32_t server_id, struct traffic *out)
{
	struct mxlb_traffic *cpu = dp->cpu_values;

	memset(out, 0, sizeof(*out));
	if (!bpf_map_lookup_elem(bpf_map__fd(dp->skel->maps.traffic), &server_id, cpu))
		traffic_sum(dp, cpu, out);
}

static int traffic_read(struct datapath *dp, uint32_t first, uint32_t n)
{
	uint32_t keys[DATAPATH_BATCH], before = first - 1, last, got = n;

	return bpf_map_lookup_batch(bpf_map__fd(dp->skel->maps.traffic), first ? &before : NULL,
				    &last, keys, dp->cpu_values, &got, NULL);
}

int datapath_traffic_batch(struct datapath *dp, uint32_t first, uint32_t n, struct traffic *out)
{
	const struct mxlb_traffic *cpu = dp->cpu_values;
	int err = traffic_read(dp, first, n);

	if (err)
		return err;
	for (uint32_t i = 0; i < n; i++, cpu += dp->n_cpus)
		traffic_sum(dp, cpu, &out[i]);
	return 0;
}

#define COUNT_KEYS ((MXLB_MAX_SERVICES + 1) * MXLB_COUNT_STRIDE)

_Static_assert(sizeof(uint64_t) <= sizeof(struct mxlb_traffic), "cpu_values has room for as many");

static void count_add(struct datapath_counts *out, uint32_t key, uint64_t n)
{
	uint32_t service = key / MXLB_COUNT_STRIDE, counter = key % MXLB_COUNT_STRIDE;

	if (counter >= MXLB_COUNT_COUNT)
		return;
	out->total[counter] += n;
	if (service < MXLB_MAX_SERVICES && counter < MXLB_DROP_COUNT)
		out->service[service][counter] = n;
}

/* In batches; one by one would be 2,000 system calls. */
void datapath_counts(struct datapath *dp, struct datapath_counts *out)
{
	uint32_t keys[DATAPATH_BATCH], last = 0, first = 0, got;
	const uint64_t *cpu;

	memset(out, 0, sizeof(*out));
	for (; first < COUNT_KEYS; first += got) {
		got = COUNT_KEYS - first < DATAPATH_BATCH ? COUNT_KEYS - first : DATAPATH_BATCH;
		if (bpf_map_lookup_batch(bpf_map__fd(dp->skel->maps.counts), first ? &last : NULL,
					 &last, keys, dp->cpu_values, &got, NULL) ||
		    !got)
			return;
		cpu = dp->cpu_values;
		for (uint32_t i = 0; i < got; i++, cpu += dp->n_cpus) {
			uint64_t sum = 0;

			for (int c = 0; c < dp->n_cpus; c++)
				sum += cpu[c];
			count_add(out, keys[i], sum);
		}
	}
}

_Static_assert(sizeof(((struct mxlb_record *)0)->admin_who) == ORDER_WHO_SIZE, "one name size");

/* Rounded up, so that nothing expires early. */
static __u32 seconds(int64_t wall_ms)
{
	return wall_ms > 0 ? (__u32)((wall_ms + 999) / 1000) : 0;
}

static void remember_orders(struct mxlb_record *r, const struct service *s, const struct server *b)
{
	r->admin_since = seconds(b->order.since_wall_ms);
	r->admin_until = seconds(b->order.until_wall_ms);
	memcpy(r->admin_who, b->order.who, sizeof(r->admin_who));
	r->forced_since = seconds(s->order.since_wall_ms);
	r->forced_until = seconds(s->order.until_wall_ms);
	memcpy(r->forced_who, s->order.who, sizeof(r->forced_who));
	r->forced_tier = s->forced;
	r->active_tier = s->tier.active;
	r->flags = (s->has_forced ? MXLB_RECORD_FORCED : 0) |
		   (s->tier.has_active ? MXLB_RECORD_ACTIVE : 0) |
		   (b->admin_after == ADMIN_DRAIN ? MXLB_RECORD_DRAIN : 0) |
		   (b->admin_after == ADMIN_MAINT ? MXLB_RECORD_MAINT : 0) |
		   (model_is_kept(b) ? MXLB_RECORD_KEPT : 0);
}

void datapath_remember(struct datapath *dp, const struct service *s, const struct server *b)
{
	struct mxlb_record r = {.used = 1,
				.service_id = s->id,
				.verdict = health_effective(&b->health),
				.admin = b->admin};

	strcpy(r.service, s->conf.name);
	strcpy(r.backend, b->conf.name);
	strncpy(r.reason, reason_name(b->health.before_reason), sizeof(r.reason) - 1);
	memcpy(r.address, b->conf.address.b, sizeof(r.address));
	if (b->nexthop.has_mac)
		memcpy(r.mac, b->nexthop.mac.b, sizeof(b->nexthop.mac.b));
	if (health_effective(&b->health) != VERDICT_UP) {
		r.cause_stage = (__u8)b->cause.stage;
		r.cause_digit = (__u8)(b->cause.code / 100);
	}
	remember_orders(&r, s, b);
	if (memcmp(&dp->records[b->id], &r, sizeof(r)))
		dp->records[b->id] = r;
}

static enum reason reason_by_name(const char *name)
{
	for (int i = 0; i < REASON_COUNT; i++)
		if (!strcmp(name, reason_name(i)))
			return i;
	return REASON_not_probed;
}

static struct order order_read(__u32 since, __u32 until, const char *who)
{
	struct order o = {.since_wall_ms = since * 1000LL, .until_wall_ms = until * 1000LL};

	memcpy(o.who, who, sizeof(o.who) - 1);
	for (char *c = o.who; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	return o;
}

/* A record of a version without overrides is all zero here: no override. */
static void read_orders(const struct mxlb_record *r, struct model_adopted *out)
{
	out->order = order_read(r->admin_since, r->admin_until, r->admin_who);
	out->forced_order = order_read(r->forced_since, r->forced_until, r->forced_who);
	out->has_forced = r->flags & MXLB_RECORD_FORCED;
	out->has_active = r->flags & MXLB_RECORD_ACTIVE;
	out->kept = r->flags & MXLB_RECORD_KEPT;
	out->forced = r->forced_tier;
	out->active = r->active_tier;
	out->admin_after = r->flags & MXLB_RECORD_MAINT	  ? ADMIN_MAINT
			   : r->flags & MXLB_RECORD_DRAIN ? ADMIN_DRAIN
							  : ADMIN_READY;
}

/* Converts the record to an adopted server; false: it is free or invalid. */
static bool record_read(const struct datapath *dp, uint32_t id, struct model_adopted *out)
{
	struct mxlb_record r = dp->records[id];

	if (!r.used || r.service_id >= MXLB_MAX_SERVICES || r.verdict > VERDICT_DOWN ||
	    r.admin > ADMIN_MAINT)
		return false;
	r.service[sizeof(r.service) - 1] = r.backend[sizeof(r.backend) - 1] =
		r.reason[sizeof(r.reason) - 1] = 0;
	memset(out, 0, sizeof(*out));
	strcpy(out->service, r.service);
	strcpy(out->server, r.backend);
	memcpy(out->address.b, r.address, sizeof(r.address));
	out->service_id = r.service_id;
	out->server_id = id;
	out->verdict = r.verdict;
	out->reason = reason_by_name(r.reason);
	if (r.cause_stage <= STAGE_DONE)
		out->cause = (struct server_cause){r.cause_stage, r.cause_digit * 100};
	out->admin = r.admin;
	memcpy(out->mac.b, r.mac, sizeof(out->mac.b));
	out->interface = dp->backends[id].way.port;
	read_orders(&r, out);
	return true;
}

int datapath_adopted(struct datapath *dp, struct model_adopted **out, unsigned *n)
{
	struct model_adopted *all = calloc(MXLB_MAX_SERVERS, sizeof(*all));

	*n = 0;
	*out = NULL;
	if (!all)
		return -ENOMEM;
	for (uint32_t i = 1; i < MXLB_MAX_SERVERS; i++)
		if (record_read(dp, i, &all[*n]))
			(*n)++;
	*out = all;
	return 0;
}
