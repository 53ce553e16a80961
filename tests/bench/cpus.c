// SPDX-License-Identifier: BSD-2-Clause
/*
 * What two CPUs cost each other: each with a flow of its own, whose entries are in different lines of the flow table, and
 * both with the same flow, hence the same line.
 */
#include <errno.h>
#include <sched.h>
#include "bench.h"

#define CPUS_FLOWS  1000
#define OTHER_FLOW  500 /* with the default table its line is another one */
#define CPUS_TABLE  262144
#define CPUS_ROUNDS 5
#define CPUS_TIMES  100 /* as many packets as elsewhere: the CPUs do not begin at the same time */
#define TRIES	    5	/* until both have run at the same time */
#define BOTH_MIN    0.9 /* of the time */

static const struct path cpus_paths[CPUS_PATHS] = {
	{"floor", "floor", PATH_FLOOR, 4, 0, false},
	{"lru", "floor and a kernel LRU hit", PATH_LRU, 4, 0, false},
	{"established", "established", PATH_ESTABLISHED, 4, 0, false},
	{"syn", "new SYN", PATH_SYN, 4, 0, false},
};

/* The first two of these. Returns the number found. */
static int two_cpus(const cpu_set_t *all, int cpus[2])
{
	int n = 0;

	for (int cpu = 0; cpu < CPU_SETSIZE && n < 2; cpu++)
		if (CPU_ISSET(cpu, all))
			cpus[n++] = cpu;
	return n;
}

static int target_of(const struct path *path, const struct datapath *dp)
{
	return path_is_own(path) ? sender_own_target(path->kind, path->family)
				 : bpf_program__fd(dp->skel->progs.mxlb);
}

/* A round in which the machine had something else to do for one of the CPUs says nothing. */
static int time_two(const struct path *path, int target_fd, const int cpus[2], uint32_t other,
		    unsigned packets, double *least)
{
	double ns, both = 0;
	int err = 0;

	for (unsigned i = 0; i < TRIES && !err && both < BOTH_MIN; i++)
		err = sender_time_two(path, target_fd, cpus, other, packets, &ns, &both);
	if (!err && both >= BOTH_MIN && (!*least || ns < *least))
		*least = ns;
	return err;
}

static int time_alone(const struct path *path, int target_fd, unsigned packets, double *least)
{
	double ns = sender_time(path, target_fd, SENDER_PLAIN, 1, packets);

	if (ns < 0)
		return (int)ns;
	if (!*least || ns < *least)
		*least = ns;
	return 0;
}

static int round_of(const struct path *path, struct cpus_time *t, const struct datapath *dp,
		    const int cpus[2], unsigned packets)
{
	int fd = target_of(path, dp), err = time_alone(path, fd, packets, &t->alone);

	t->text = path->text;
	if (!err)
		err = time_two(path, fd, cpus, OTHER_FLOW, packets, &t->own);
	return err ? err : time_two(path, fd, cpus, 0, packets, &t->same);
}

int cpus_measure(struct bench_results *r)
{
	static const struct subject_shape shape = {.n = 2, .weight = 1};
	struct datapath *dp;
	cpu_set_t all;
	int cpus[2], err;

	if (sched_getaffinity(0, sizeof(all), &all))
		return -errno;
	if (two_cpus(&all, cpus) < 2)
		return 0;
	err = sender_open(CPUS_FLOWS);
	if (err)
		return err;
	dp = subject_open(CPUS_TABLE);
	err = dp ? subject_plan(dp, &shape) : -EPERM;
	if (!err)
		err = sender_walk(4, bpf_program__fd(dp->skel->progs.mxlb), CPUS_FLOWS);
	for (unsigned i = 0; i < CPUS_ROUNDS && !err && !bench_stopped; i++)
		for (unsigned p = 0; p < CPUS_PATHS && !err; p++)
			err = round_of(&cpus_paths[p], &r->cpus[p], dp, cpus,
				       CPUS_TIMES * r->packets);
	sender_close();
	subject_close(dp);
	sched_setaffinity(0, sizeof(all), &all);
	return err;
}
