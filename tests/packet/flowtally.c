// SPDX-License-Identifier: BSD-2-Clause
/* The model's counters, a row for each server of flowbench.h. */
#include <inttypes.h>
#include <string.h>
#include "flowbench.h"
#include "flowtally.h"

static struct {
	struct traffic traffic[FLOWBENCH_SERVERS];
	uint64_t dropped[MXLB_COUNT_FATES];
} tally;

static unsigned index_of(uint32_t server)
{
	for (unsigned i = 0; i < FLOWBENCH_SERVERS; i++)
		if (flowbench_server_id[i] == server)
			return i;
	return FLOWBENCH_SERVERS;
}

void flowtally_start(struct datapath *dp)
{
	static struct datapath_counts counts;

	for (unsigned i = 0; i < FLOWBENCH_SERVERS; i++)
		datapath_traffic(dp, flowbench_server_id[i], &tally.traffic[i]);
	datapath_counts(dp, &counts);
	memcpy(tally.dropped, counts.total, sizeof(tally.dropped));
}

void flowtally_add(const struct flowmodel_result *r, unsigned bytes)
{
	struct traffic *t;

	if (r->action != FLOWMODEL_FORWARD) {
		tally.dropped[r->counter]++;
		return;
	}
	t = &tally.traffic[index_of(r->server)];
	t->packets++;
	t->bytes += bytes;
	t->new_flows += r->kind == FLOWMODEL_SYN;
	t->retransmits += r->kind == FLOWMODEL_RETRANSMIT;
	t->promoted += r->kind == FLOWMODEL_PROMOTED;
	t->misses += r->kind == FLOWMODEL_MISS;
	t->evicted += r->evicted;
	t->unplaced += r->unplaced;
}

static bool same(const char *what, uint32_t server, uint64_t model, uint64_t program)
{
	if (model != program)
		print_error("%s of server %" PRIu32 ": model %" PRIu64 ", program %" PRIu64 "\n",
			    what, server, model, program);
	return model == program;
}

static bool same_traffic(struct datapath *dp, unsigned i)
{
	const struct traffic *model = &tally.traffic[i];
	uint32_t id = flowbench_server_id[i];
	struct traffic is;

	datapath_traffic(dp, id, &is);
	return same("packets", id, model->packets, is.packets) &&
	       same("bytes", id, model->bytes, is.bytes) &&
	       same("SYNs", id, model->new_flows, is.new_flows) &&
	       same("retransmissions", id, model->retransmits, is.retransmits) &&
	       same("promoted", id, model->promoted, is.promoted) &&
	       same("misses", id, model->misses, is.misses) &&
	       same("evicted", id, model->evicted, is.evicted) &&
	       same("unplaced", id, model->unplaced, is.unplaced);
}

static bool same_drops(struct datapath *dp)
{
	static const char *const name[] = {
#define X(reason, text) #reason,
		MXLB_DROPS(X) MXLB_PASSES(X) MXLB_ANSWERS(X)
#undef X
	};
	static struct datapath_counts counts;

	datapath_counts(dp, &counts);
	for (unsigned c = 0; c < MXLB_COUNT_FATES; c++)
		if (!same(name[c], 0, tally.dropped[c], counts.total[c]))
			return false;
	return true;
}

/* Rule 7. */
static bool same_flows(struct datapath *dp, struct flowmodel *m, uint32_t epoch)
{
	static uint32_t is[MXLB_MAX_SERVERS];
	uint32_t model[FLOWBENCH_SERVERS] = {0};

	for (int family = 4; family <= 6; family += 2)
		for (uint32_t i = 0; i < FLOWBENCH_LINES * FLOWMODEL_PLACES; i++) {
			const struct flowmodel_entry *e =
				&flowmodel_line(m, family, i / FLOWMODEL_PLACES)
					 ->entry[i % FLOWMODEL_PLACES];

			if (flowmodel_counts(e, epoch))
				model[index_of(e->server)]++;
		}
	datapath_flows(dp, is);
	for (unsigned i = 0; i < FLOWBENCH_SERVERS; i++)
		if (!same("flows", flowbench_server_id[i], model[i], is[flowbench_server_id[i]]))
			return false;
	return true;
}

bool flowtally_same(struct datapath *dp, struct flowmodel *m, uint32_t epoch)
{
	for (unsigned i = 0; i < FLOWBENCH_SERVERS; i++)
		if (!same_traffic(dp, i))
			return false;
	return same_drops(dp) && same_flows(dp, m, epoch);
}
