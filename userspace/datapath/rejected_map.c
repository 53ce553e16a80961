// SPDX-License-Identifier: BSD-2-Clause
/* Reads the table of clients that were turned away (bpf/reject_record.h), which the program writes meanwhile. */
#include <string.h>
#include <time.h>
#include "datapath/datapath_internal.h"
#include "util/clock.h"

/* False: it is free, or two CPUs were filling it at a time. */
static bool rejected_map_row_of(const struct datapath *dp, uint32_t slot, uint64_t now,
				struct rejected_row *row)
{
	struct mxlb_rejected r;
	uint32_t v4;

	memcpy(&r, &dp->rejected[slot], sizeof(r));
	if (!r.last_ns || (r.family != 4 && r.family != 6) || r.service > MXLB_MAX_SERVICES ||
	    mxlb_rejected_slot(dp->control->secret, r.hi, r.lo, r.service, r.counter) != slot)
		return false;
	*row = (struct rejected_row){
		.service_id = r.service,
		.counter = r.counter,
		.packets = r.packets,
		.age_ms = now > r.last_ns ? (now - r.last_ns) / 1000000 : 0,
	};
	v4 = (uint32_t)r.lo;
	if (r.family == 4)
		addr_from_bytes(&v4, sizeof(v4), &row->client);
	else
		addr_from_bytes((uint64_t[]){r.hi, r.lo}, 16, &row->client);
	return true;
}

void datapath_each_rejected(const struct datapath *dp,
			    void (*fn)(void *ctx, const struct rejected_row *row), void *ctx)
{
	uint64_t now = clock_ns();
	struct rejected_row row;

	for (uint32_t i = 0; dp->rejected && i < MXLB_REJECTED; i++)
		if (rejected_map_row_of(dp, i, now, &row))
			fn(ctx, &row);
}
