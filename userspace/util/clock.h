/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The clocks of this process. core/ gets the time as an argument and calls none of these (scripts/check-layers).
 */
#ifndef MXLB_UTIL_CLOCK_H
#define MXLB_UTIL_CLOCK_H

#include <stdint.h>
#include <time.h>

struct now {
	uint64_t mono_ms; /* CLOCK_MONOTONIC: for every interval and deadline */
	int64_t wall_ms;  /* CLOCK_REALTIME: for people, and for certificates */
};

static inline uint64_t clock_ns_of(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static inline uint64_t clock_ns(void)
{
	return clock_ns_of(CLOCK_MONOTONIC); /* bpf_ktime_get_ns() has the same */
}

static inline uint64_t clock_ms(void)
{
	return clock_ns() / 1000000;
}

static inline uint64_t clock_thread_cpu_us(void)
{
	return clock_ns_of(CLOCK_THREAD_CPUTIME_ID) / 1000;
}

static inline struct now clock_now(void)
{
	return (struct now){clock_ms(), (int64_t)(clock_ns_of(CLOCK_REALTIME) / 1000000)};
}

#endif
