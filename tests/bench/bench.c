// SPDX-License-Identifier: BSD-2-Clause
/*
 * Measures every path at every number of flows. All targets of a round are measured one after another, and the minimum
 * of all rounds is kept, because the machine's speed varies and the minimum varies least.
 */
#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include "bench.h"
#include "util/log.h"

#define SHARE_MIN 0.95 /* of the packets on the path that they are measured for */

volatile sig_atomic_t bench_stopped;

const uint32_t flows_steps[FLOWS_STEPS] = {1, 1000, 100000, 1000000};
/* datapath.flows for each: enough slots, and as few as the flows need; the default at 100k, the maximum at 1M. */
static const uint32_t tables[FLOWS_STEPS] = {6, 6000, 262144, 2097152};

const struct path paths[PATHS] = {
	{"floor", "floor: swap MACs, XDP_TX", PATH_FLOOR, 4, 0, false},
	{"lru", "floor and a kernel LRU hit", PATH_LRU, 4, 0, false},
	{"lru", "floor and a kernel LRU hit", PATH_LRU, 6, 0, false},
	{"lru_insert", "floor and an LRU insert", PATH_INSERT, 4, 0, false},
	{"lru_insert", "floor and an LRU insert", PATH_INSERT, 6, 0, false},
	{"established", "established", PATH_ESTABLISHED, 4, 0, false},
	{"established", "established", PATH_ESTABLISHED, 6, 0, false},
	{"ipip4", "established, in IPv4", PATH_ESTABLISHED, 4, 4, false},
	{"ipip6", "established, in IPv6", PATH_ESTABLISHED, 4, 6, false},
	{"ipip4", "established, in IPv4", PATH_ESTABLISHED, 6, 4, false},
	{"ipip6", "established, in IPv6", PATH_ESTABLISHED, 6, 6, false},
	{"allow_established", "established, allow", PATH_ESTABLISHED, 4, 0, true},
	{"allow_established", "established, allow", PATH_ESTABLISHED, 6, 0, true},
	{"syn", "new SYN", PATH_SYN, 4, 0, false},
	{"syn", "new SYN", PATH_SYN, 6, 0, false},
	{"allow_syn", "new SYN, allow", PATH_SYN, 4, 0, true},
	{"allow_syn", "new SYN, allow", PATH_SYN, 6, 0, true},
	{"flow_miss", "flow_miss, entry made", PATH_MISS, 4, 0, false},
	{"flow_miss", "flow_miss, entry made", PATH_MISS, 6, 0, false},
	{"not_ours", "not ours", PATH_NOT_OURS, 4, 0, false},
	{"not_ours", "not ours", PATH_NOT_OURS, 6, 0, false},
};
const struct column columns[COLUMNS] = {
	[COLUMN_PLAIN] = {"plain", SENDER_PLAIN},
	[COLUMN_APART] = {"apart", SENDER_APART},
};

struct bench {
	struct datapath *subject;
	uint32_t flows;
	unsigned rounds, packets;
};

static void on_signal(int number)
{
	(void)number;
	bench_stopped = 1;
}

bool path_is_own(const struct path *path)
{
	return path->kind == PATH_FLOOR || path->kind == PATH_LRU || path->kind == PATH_INSERT;
}

static double per_ns = 1; /* by --instruction-ns */

/* Moving the head back costs as much as moving it there; the program's own move stays in its cost. */
double cost_net(const struct path *path, const struct cost *cost)
{
	return per_ns *
	       (cost->ns - (path->outer ? (cost->bare + cost->bare_head) / 2 : cost->bare));
}

static uint64_t on_path(const struct path *path, const struct subject_counts *before,
			const struct subject_counts *after)
{
	const struct traffic *b = &before->traffic, *a = &after->traffic;

	switch (path->kind) {
	case PATH_ESTABLISHED:
		return (a->packets - b->packets) - (a->new_flows - b->new_flows) -
		       (a->retransmits - b->retransmits) - (a->misses - b->misses) -
		       (a->promoted - b->promoted);
	case PATH_SYN:
		return a->new_flows - b->new_flows;
	case PATH_MISS:
		return a->misses - b->misses;
	default:
		return after->not_ours - before->not_ours;
	}
}

static double time_own(struct bench *b, const struct path *path, const struct column *column,
		       enum path_kind kind)
{
	return sender_time(path, sender_own_target(kind, path->family), column->sender, b->flows,
			   b->packets);
}

/* Times the program under test and checks that the packets took this path. */
static double time_subject(struct bench *b, const struct path *path, const struct column *column,
			   struct cost *cost)
{
	struct datapath *dp = b->subject;
	struct subject_counts before, after;
	double ns, share;

	subject_count(dp, &before);
	ns = sender_time(path, bpf_program__fd(dp->skel->progs.mxlb), column->sender, b->flows,
			 b->packets);
	subject_count(dp, &after);
	if (ns < 0)
		return ns;
	share = (double)on_path(path, &before, &after) / (b->packets + 1);
	if (share < cost->share || !cost->share) {
		cost->share = share;
		cost->unplaced = (double)(after.traffic.unplaced - before.traffic.unplaced) /
				 (b->packets + 1);
	}
	if (share >= SHARE_MIN)
		return ns;
	fprintf(stderr, "bench: IPv%d %s, %u flows: only %.3f of the packets did that\n",
		path->family, path->name, b->flows, share);
	return -EIO;
}

static int keep_least(double *least, double ns)
{
	if (ns < 0)
		return (int)ns;
	if (ns < *least || !*least)
		*least = ns;
	return 0;
}

/*
 * One path of a round for one column of the report: bare first, then the program. .bare and .ns hold minima that include the
 * wrapper.
 */
static int time_path(struct bench *b, const struct path *path, const struct column *column,
		     struct cost *cost)
{
	struct subject_shape shape = {
		.n = 2, .weight = 1, .outer = path->outer, .allow = path->allow};
	int err = keep_least(&cost->bare, time_own(b, path, column, PATH_BARE));

	if (!err && path->outer)
		err = keep_least(
			&cost->bare_head,
			time_own(b, path, column, path->outer == 4 ? PATH_BARE4 : PATH_BARE6));
	if (err)
		return err;
	if (path_is_own(path))
		return keep_least(&cost->ns, time_own(b, path, column, path->kind));
	err = subject_plan(b->subject, &shape);
	return err ? err : keep_least(&cost->ns, time_subject(b, path, column, cost));
}

static int time_round(struct bench *b, struct bench_results *r, unsigned step)
{
	int err = 0;

	datapath_step_epoch(b->subject); /* so that entries are written, as in production */
	for (unsigned p = 0; p < PATHS; p++)
		for (unsigned c = 0; c < COLUMNS && !err; c++) {
			if (bench_stopped)
				return -EINTR;
			err = time_path(b, &paths[p], &columns[c], &r->cost[p][step][c]);
		}
	return err;
}

/* Sends SYN and ACK of every flow, so that each has an entry. */
static int bench_open(struct bench *b, uint32_t table)
{
	static const struct subject_shape shape = {.n = 2, .weight = 1};
	int err = sender_open(b->flows), fd;

	if (err)
		return err;
	b->subject = subject_open(table);
	if (!b->subject)
		return -EPERM;
	fd = bpf_program__fd(b->subject->skel->progs.mxlb);
	err = subject_plan(b->subject, &shape);
	if (!err)
		err = sender_walk(4, fd, b->flows);
	return err ? err : sender_walk(6, fd, b->flows);
}

static void bench_close(struct bench *b)
{
	sender_close();
	subject_close(b->subject);
	b->subject = NULL;
}

static int measure(struct bench *b, struct bench_results *r, unsigned step)
{
	int err;

	b->flows = flows_steps[step];
	err = bench_open(b, tables[step]);
	for (unsigned i = 0; i < b->rounds && !err; i++)
		err = time_round(b, r, step);
	bench_close(b);
	return err;
}

/* Pins the benchmark to the last CPU that it may use. */
static void stay_on_one_cpu(void)
{
	cpu_set_t all, one;

	CPU_ZERO(&one);
	if (sched_getaffinity(0, sizeof(all), &all))
		return;
	for (int cpu = CPU_SETSIZE - 1; cpu >= 0; cpu--) {
		if (!CPU_ISSET(cpu, &all))
			continue;
		CPU_SET(cpu, &one);
		sched_setaffinity(0, sizeof(one), &one);
		return;
	}
}

static int measure_all(struct bench_results *r)
{
	struct bench b = {.rounds = r->rounds, .packets = r->packets};
	int err = rings_measure(r);

	for (unsigned i = 0; i < r->steps && !err; i++)
		err = measure(&b, r, i);
	return err;
}

static int usage(void)
{
	fprintf(stderr,
		"usage: bench [--json FILE] [--rounds N] [--packets N] [--steps 1..4] [--instruction-ns N]\n");
	return 2;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"json", required_argument, NULL, 'j'},
						{"rounds", required_argument, NULL, 'r'},
						{"packets", required_argument, NULL, 'p'},
						{"steps", required_argument, NULL, 's'},
						{"instruction-ns", required_argument, NULL, 'i'},
						{0}};
	static struct bench_results r = {.rounds = 25, .packets = 100000, .steps = FLOWS_STEPS};
	struct sigaction act = {.sa_handler = on_signal};
	const char *json = NULL;
	int option, err;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		unsigned *number = option == 'r'   ? &r.rounds
				   : option == 'p' ? &r.packets
				   : option == 'i' ? &r.instruction_ns
						   : &r.steps;

		if (option == '?')
			return usage();
		if (option == 'j')
			json = optarg;
		else
			*number = strtoul(optarg, NULL, 10);
	}
	if (optind != argc || !r.rounds || !r.packets || !r.steps || r.steps > FLOWS_STEPS)
		return usage();
	if (r.instruction_ns)
		per_ns = 1.0 / r.instruction_ns;
	log_init("bench", LOG_LEVEL_WARN);
	sigaction(SIGINT, &act, NULL);
	sigaction(SIGTERM, &act, NULL);
	err = r.instruction_ns ? 0 : cpus_measure(&r); /* an emulated CPU is the only one */
	stay_on_one_cpu();
	if (!err)
		err = measure_all(&r);
	if (err) {
		fprintf(stderr, "bench: %s\n", strerror(-err));
		return 1;
	}
	report_table(&r, stdout);
	return json && report_json(&r, json) ? 1 : 0;
}
