/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whether this box's date can be trusted. After a jump of the clock every certificate of every server would seem
 * expired at the same time. Pure.
 */
#ifndef MXLB_WALLCLOCK_H
#define MXLB_WALLCLOCK_H

#include <stdbool.h>
#include <stdint.h>

struct wallclock {
	int64_t offset_ms; /* wall time minus monotonic */
	uint64_t doubt_until_ms;
};

void wallclock_start(struct wallclock *w, uint64_t mono_ms, int64_t wall_ms);
/* False for an hour after wall time and monotonic time have moved apart by more than an hour. */
bool wallclock_is_sound(struct wallclock *w, uint64_t mono_ms, int64_t wall_ms);

#endif
