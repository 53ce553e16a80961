// SPDX-License-Identifier: BSD-2-Clause
/*
 * Reads the flow table through mapped memory: counts, lists, sweeps, explains. The program writes to it at the same
 * time, so every word is loaded once and then evaluated; entries are freed by compare-and-swap, as in the program.
 */
#include <errno.h>
#include <string.h>
#include "datapath/datapath_internal.h"
#include "mxlb/flowrules.h"

static union mxlb_entry entry_load(union mxlb_entry *at)
{
	return (union mxlb_entry){.word = __atomic_load_n(&at->word, __ATOMIC_ACQUIRE)};
}

static uint16_t epoch_now(const struct datapath *dp)
{
	return __atomic_load_n(&dp->control->epoch, __ATOMIC_RELAXED);
}

void datapath_step_epoch(struct datapath *dp)
{
	__atomic_store_n(&dp->control->epoch, epoch_now(dp) + 1, __ATOMIC_RELAXED);
}

/* Entry i of all entries of both tables, IPv4 first; NULL: no more. */
static union mxlb_entry *entry_at(struct datapath *dp, uint64_t i)
{
	uint64_t n = (uint64_t)dp->lines * MXLB_LINE_PLACES;

	if (i < n)
		return &dp->flows4[i / MXLB_LINE_PLACES].entry[i % MXLB_LINE_PLACES];
	i -= n;
	return i < n ? &dp->flows6[i / MXLB_LINE_PLACES].entry[i % MXLB_LINE_PLACES] : NULL;
}

static void free_entry(union mxlb_entry *at, union mxlb_entry seen)
{
	__atomic_compare_exchange_n(&at->word, &seen.word, 0, false, __ATOMIC_ACQ_REL,
				    __ATOMIC_RELAXED);
}

/* An entry's epoch has 16 bits: an entry unused for half of that range would look young again. */
static bool is_ancient(union mxlb_entry e, uint16_t epoch)
{
	return e.backend && e.backend != MXLB_ENTRY_BUSY && flow_age(e, epoch) > 0x8000;
}

/*
 * The program writes only entries of existing servers, and "busy" with everything else zero. A slot that was marked
 * busy by a foreign write would be lost, because nothing displaces it.
 */
static bool is_foreign(union mxlb_entry e)
{
	static const union mxlb_entry busy = {.backend = MXLB_ENTRY_BUSY};

	return e.backend >= MXLB_MAX_SERVERS && e.word != busy.word;
}

bool datapath_count(struct datapath *dp, uint64_t first, uint64_t n,
		    uint32_t counts[MXLB_MAX_SERVERS], uint32_t empty[MXLB_MAX_SERVERS])
{
	uint16_t epoch = epoch_now(dp);
	union mxlb_entry *at;

	for (uint64_t i = first; i < first + n && (at = entry_at(dp, i)); i++) {
		union mxlb_entry e = entry_load(at);

		if (flow_is_empty(e, epoch) && e.backend < MXLB_MAX_SERVERS)
			empty[e.backend]++;
		if (flow_counts(e, epoch) && e.backend < MXLB_MAX_SERVERS)
			counts[e.backend]++;
		else if (!dp->read_only && (is_ancient(e, epoch) || is_foreign(e)))
			free_entry(at, e);
		dp->foreign_flows += is_foreign(e);
	}
	return first + n < datapath_places(dp);
}

void datapath_flows(struct datapath *dp, uint32_t counts[MXLB_MAX_SERVERS])
{
	static uint32_t empty[MXLB_MAX_SERVERS];

	memset(counts, 0, MXLB_MAX_SERVERS * sizeof(*counts));
	datapath_count(dp, 0, datapath_places(dp), counts, empty);
}

void datapath_sweep_start(struct datapath *dp)
{
	memcpy(dp->doomed, dp->removed, sizeof(dp->doomed));
}

bool datapath_sweep_decide(struct datapath *dp, const uint32_t counts[MXLB_MAX_SERVERS],
			   bool held[MXLB_MAX_SERVERS])
{
	bool any = false;

	for (uint32_t id = 0; id < MXLB_MAX_SERVERS; id++) {
		dp->doomed[id] = dp->doomed[id] && dp->removed[id] && !counts[id];
		if (dp->doomed[id])
			held[id] = false;
		else if (dp->removed[id])
			held[id] = true;
		else
			held[id] = held[id] && counts[id];
		any |= dp->doomed[id];
	}
	return any;
}

bool datapath_sweep_free(struct datapath *dp, uint64_t first, uint64_t n)
{
	union mxlb_entry *at;

	for (uint64_t i = first; i < first + n && (at = entry_at(dp, i)); i++) {
		union mxlb_entry e = entry_load(at);

		if (e.backend && e.backend < MXLB_MAX_SERVERS && dp->doomed[e.backend] &&
		    dp->removed[e.backend])
			free_entry(at, e);
	}
	return first + n < datapath_places(dp);
}

void datapath_sweep_end(struct datapath *dp)
{
	for (uint32_t id = 1; id < MXLB_MAX_SERVERS; id++) {
		if (!dp->doomed[id] || !dp->removed[id])
			continue;
		__atomic_store_n(&dp->backends[id].way.word, 0, __ATOMIC_RELEASE);
		verify_freed(dp, id);
		memset(&dp->records[id], 0, sizeof(dp->records[id]));
		dp->removed[id] = false;
	}
}

static void client_of(struct datapath *dp, uint64_t i, struct flow_row *flow)
{
	uint64_t n = (uint64_t)dp->lines * MXLB_LINE_PLACES;

	if (i < n) {
		struct mxlb_key4 k = dp->flows4[i / MXLB_LINE_PLACES].key[i % MXLB_LINE_PLACES];

		addr_from_bytes(&k.address, 4, &flow->client);
		flow->port = be16toh(k.port);
		flow->service_id = k.service;
	} else {
		struct mxlb_key6 k =
			dp->flows6[(i - n) / MXLB_LINE_PLACES].key[(i - n) % MXLB_LINE_PLACES];

		addr_from_bytes(&k, 16, &flow->client);
		flow->port = be16toh(k.port);
		flow->service_id = k.service;
	}
}

/* What entry i, at that address, is. False: it is free, or being written. */
static bool flow_table_row_of(struct datapath *dp, union mxlb_entry *at, uint64_t i, uint16_t epoch,
			      struct flow_row *flow)
{
	union mxlb_entry e = entry_load(at);

	if (!e.backend || e.backend >= MXLB_MAX_SERVERS)
		return false;
	*flow = (struct flow_row){
		.server_id = e.backend,
		.idle_s = flow_age(e, epoch),
		.seq = e.seq,
		.by_miss = e.marks & MXLB_MARK_BY_MISS,
		.closed = e.marks & MXLB_MARK_CLOSED,
		.data = e.marks & MXLB_MARK_DATA,
		.counts = flow_counts(e, epoch),
	};
	client_of(dp, i, flow);
	return entry_load(at).backend == e.backend;
}

bool datapath_each_flow(struct datapath *dp, uint64_t first, uint64_t n,
			void (*fn)(void *ctx, const struct flow_row *flow), void *ctx)
{
	uint16_t epoch = epoch_now(dp);
	union mxlb_entry *at;
	struct flow_row flow;

	for (uint64_t i = first; i < first + n && (at = entry_at(dp, i)); i++)
		if (flow_table_row_of(dp, at, i, epoch, &flow))
			fn(ctx, &flow);
	return first + n < datapath_places(dp);
}

/* The amount that the client of entry i has sent, if the note of its SYN is still there; -1: it is not. */
static int64_t volume_of(struct datapath *dp, uint64_t i, union mxlb_entry e)
{
	uint64_t n = (uint64_t)dp->lines * MXLB_LINE_PLACES, at = i % MXLB_LINE_PLACES;
	union mxlb_note note;
	bool same;

	if (i < n) {
		const struct mxlb_line4 *line = &dp->flows4[i / MXLB_LINE_PLACES];

		note.word = __atomic_load_n(&line->note.word, __ATOMIC_ACQUIRE);
		same = !memcmp(&line->note_key, &line->key[at], sizeof(line->note_key));
	} else {
		const struct mxlb_line6 *line = &dp->flows6[(i - n) / MXLB_LINE_PLACES];

		note.word = __atomic_load_n(&line->note.word, __ATOMIC_ACQUIRE);
		same = !memcmp(&line->note_key, &line->key[at], sizeof(line->note_key));
	}
	if (!same || note.backend != e.backend)
		return -1;
	return flow_distance(e.seq, flow_unit(note.expect));
}

void datapath_each_ended(struct datapath *dp, uint64_t first, uint64_t n,
			 void (*fn)(void *ctx, uint64_t place, uint32_t server_id, uint16_t idle_s,
				    uint32_t units),
			 void *ctx)
{
	uint16_t epoch = epoch_now(dp);
	union mxlb_entry *at;

	for (uint64_t i = first; i < first + n && (at = entry_at(dp, i)); i++) {
		union mxlb_entry e = entry_load(at);
		int64_t units;

		if (!e.backend || e.backend >= MXLB_MAX_SERVERS || !(e.marks & MXLB_MARK_CLOSED))
			continue;
		units = volume_of(dp, i, e);
		if (units >= 0)
			fn(ctx, i, e.backend, flow_age(e, epoch), (uint32_t)units);
	}
}

uint64_t datapath_places(const struct datapath *dp)
{
	return 2 * (uint64_t)dp->lines * MXLB_LINE_PLACES;
}

struct flow_places datapath_family_places(const struct datapath *dp, bool v4, bool v6)
{
	uint64_t all = datapath_places(dp);

	return (struct flow_places){.first = v4 ? 0 : all / 2, .end = v6 ? all : all / 2};
}

void datapath_look(struct datapath *dp, uint64_t first, uint64_t n,
		   void (*fn)(void *ctx, uint64_t place, const struct flow_row *flow), void *ctx)
{
	uint16_t epoch = epoch_now(dp);
	union mxlb_entry *at;
	struct flow_row flow;

	for (uint64_t i = first; i < first + n && (at = entry_at(dp, i)); i++)
		if (flow_table_row_of(dp, at, i, epoch, &flow))
			fn(ctx, i, &flow);
		else if (!entry_load(at).backend)
			fn(ctx, i, NULL);
}

static void halves(const struct addr *a, uint64_t *hi, uint64_t *lo)
{
	uint32_t v4;

	if (addr_is_v4(a)) {
		memcpy(&v4, a->b + 12, 4);
		*hi = 0;
		*lo = v4;
		return;
	}
	memcpy(hi, a->b, 8);
	memcpy(lo, a->b + 8, 8);
}

static void explain_entry(union mxlb_entry e, uint16_t epoch, struct flow_place *out)
{
	if (!e.backend || e.backend == MXLB_ENTRY_BUSY)
		return;
	if (out->entry_server && flow_age(e, epoch) > out->idle_s)
		return; /* of several, the one used most recently */
	out->entry_server = e.backend;
	out->closed = e.marks & MXLB_MARK_CLOSED;
	out->by_miss = e.marks & MXLB_MARK_BY_MISS;
	out->idle_s = flow_age(e, epoch);
}

int datapath_explain(struct datapath *dp, uint32_t service_id, const struct addr *client,
		     uint16_t port, struct flow_place *out)
{
	uint64_t hi, lo, hash;
	uint32_t ring, line;

	memset(out, 0, sizeof(*out));
	if (service_id >= MXLB_MAX_SERVICES)
		return -ENOENT;
	halves(client, &hi, &lo);
	hash = mxlb_flow_hash(dp->services[service_id].seed, hi, lo, htobe16(port));
	out->slot = mxlb_ring_slot(hash);
	ring = dp->services[service_id].ring - MXLB_RING_FIRST;
	if (ring < MXLB_RINGS)
		out->ring_server = dp->rings[ring].slot[out->slot];
	line = (uint32_t)hash & (dp->lines - 1);
	for (int i = 0; i < MXLB_LINE_PLACES; i++) {
		struct mxlb_key4 want4 = {.address = (uint32_t)lo,
					  .port = htobe16(port),
					  .service = (uint16_t)service_id};
		struct mxlb_key6 want6 = {
			.hi = hi, .lo = lo, .port = htobe16(port), .service = (uint16_t)service_id};

		if (addr_is_v4(client) && !memcmp(&dp->flows4[line].key[i], &want4, sizeof(want4)))
			explain_entry(entry_load(&dp->flows4[line].entry[i]), epoch_now(dp), out);
		if (!addr_is_v4(client) && !memcmp(&dp->flows6[line].key[i], &want6, sizeof(want6)))
			explain_entry(entry_load(&dp->flows6[line].entry[i]), epoch_now(dp), out);
	}
	return 0;
}
