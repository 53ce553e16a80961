/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A step of an hour or less counts as a correction and expires no valid certificate. After a longer one, dates are not
 * judged for an hour, in which a wrong clock can be corrected; then the new time is accepted.
 */
#include "probe/wallclock.h"

#define JUMP_MS	 (3600 * 1000)
#define DOUBT_MS (3600 * 1000)

void wallclock_start(struct wallclock *w, uint64_t mono_ms, int64_t wall_ms)
{
	*w = (struct wallclock){.offset_ms = wall_ms - (int64_t)mono_ms};
}

bool wallclock_is_sound(struct wallclock *w, uint64_t mono_ms, int64_t wall_ms)
{
	int64_t offset_ms = wall_ms - (int64_t)mono_ms, moved_ms = offset_ms - w->offset_ms;

	if (moved_ms > JUMP_MS || moved_ms < -JUMP_MS) {
		w->offset_ms = offset_ms;
		w->doubt_until_ms = mono_ms + DOUBT_MS;
	}
	return mono_ms >= w->doubt_until_ms;
}
