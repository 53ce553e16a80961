// SPDX-License-Identifier: BSD-2-Clause
/* Times the ring, and sums the memory of the maps with the default configuration. */
#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include "bench.h"

#define REPEATS	      30
#define DEFAULT_FLOWS 262144

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

static int build_time(unsigned n, double *least)
{
	static uint16_t slots[MAGLEV_SLOTS];
	static char names[1000][16];
	struct maglev_member members[1000];
	double start, took;

	for (unsigned i = 0; i < n; i++) {
		snprintf(names[i], sizeof(names[i]), "server-%u", i);
		members[i] = (struct maglev_member){names[i], i + 1, 1};
	}
	*least = 1e9;
	for (int i = 0; i < REPEATS && !bench_stopped; i++) {
		start = now_ms();
		if (maglev_fill(slots, members, n, i))
			return -ENOMEM;
		took = now_ms() - start;
		*least = took < *least ? took : *least;
	}
	return 0;
}

/* Both services get a new ring each time, because a weight changes; one ring takes half of the time. */
static int apply_time(struct datapath *dp, unsigned n, double *least)
{
	double start, took;
	int err;

	*least = 1e9;
	for (int i = 0; i < REPEATS && !bench_stopped; i++) {
		struct subject_shape shape = {.n = n, .weight = 1 + i % 2};

		start = now_ms();
		err = subject_plan(dp, &shape);
		took = (now_ms() - start) / 2;
		if (err)
			return err;
		*least = took < *least ? took : *least;
	}
	return 0;
}

/* The memory that the kernel charges for a map, from its fdinfo. */
static uint64_t map_bytes(const struct bpf_map *map)
{
	char path[64], line[128];
	uint64_t bytes = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", bpf_map__fd(map));
	f = fopen(path, "r");
	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "memlock: %lu", &bytes) == 1)
			break;
	fclose(f);
	return bytes;
}

int rings_measure(struct bench_results *r)
{
	static const unsigned steps[RING_STEPS] = {2, 100, 1000};
	struct datapath *dp = subject_open(DEFAULT_FLOWS);
	struct bpf_map *map;
	int err = 0;

	if (!dp)
		return -EPERM;
	for (unsigned i = 0; i < RING_STEPS && !err; i++) {
		r->ring[i].servers = steps[i];
		err = build_time(steps[i], &r->ring[i].build_ms);
		if (!err)
			err = apply_time(dp, steps[i], &r->ring[i].apply_ms);
	}
	bpf_object__for_each_map(map, dp->skel->obj) r->map_bytes += map_bytes(map);
	subject_close(dp);
	return err;
}
