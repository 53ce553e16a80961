// SPDX-License-Identifier: BSD-2-Clause
/* Prints the measurements beside the goals. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include "bench.h"

struct goal {
	char what[64];
	const char *unit;
	double value, limit;
};
#define GOALS_MAX 32

static double net(const struct bench_results *r, const char *name, int family, unsigned step,
		  unsigned column)
{
	for (unsigned p = 0; p < PATHS; p++)
		if (!strcmp(paths[p].name, name) && paths[p].family == family)
			return cost_net(&paths[p], &r->cost[p][step][column]);
	abort();
}

/* Goals are ratios to what the kernel's own LRU hash costs in the same run, because the machine's speed varies. */
static const struct aim {
	const char *what, *path;
	unsigned step, column;
	const char *over; /* the goal is about the difference from that path */
	const char *than; /* the path whose cost is 1 */
	double limit;
} aims[] = {
	{"established, 1 flow", "established", 0, COLUMN_PLAIN, NULL, "lru", 1},
	{"established, 100k flows", "established", 2, COLUMN_PLAIN, NULL, "lru", 0.4},
	{"established, 1M flows", "established", 3, COLUMN_PLAIN, NULL, "lru", 0.5},
	{"the same one at a time, 100k flows", "established", 2, COLUMN_APART, NULL, "lru", 0.4},
	{"the same one at a time, 1M flows", "established", 3, COLUMN_APART, NULL, "lru", 0.5},
	{"new SYN, 1 flow", "syn", 0, COLUMN_PLAIN, NULL, "lru_insert", 0.4},
	{"new SYN, 100k flows", "syn", 2, COLUMN_PLAIN, NULL, "lru_insert", 0.4},
	{"not ours", "not_ours", 0, COLUMN_PLAIN, NULL, "floor", 8},
	{"in IPv4 more than at layer 2", "ipip4", 0, COLUMN_PLAIN, "established", "lru", 0.4},
	{"in IPv6 more than at layer 2", "ipip6", 0, COLUMN_PLAIN, "established", "lru", 0.4},
	{"established, list of 1,000: more", "allow_established", 0, COLUMN_PLAIN, "established",
	 "lru", 0.1},
};
#define AIMS (sizeof(aims) / sizeof(aims[0]))

static struct goal goal_of(const struct bench_results *r, const struct aim *a, int family)
{
	struct goal g = {.unit = !strcmp(a->than, "lru")     ? "x LRU hit"
				 : !strcmp(a->than, "floor") ? "x the floor"
							     : "x LRU insert",
			 .value = net(r, a->path, family, a->step, a->column),
			 .limit = a->limit};

	snprintf(g.what, sizeof(g.what), "IPv%d %s", family, a->what);
	if (a->over)
		g.value -= net(r, a->over, family, a->step, a->column);
	g.value /= net(r, a->than, strcmp(a->than, "floor") ? family : 4, a->step, a->column);
	return g;
}

static unsigned goals_list(const struct bench_results *r, struct goal goals[GOALS_MAX])
{
	const struct ring_time *ring = &r->ring[RING_STEPS - 1];
	unsigned n = 0;

	for (int family = 4; family <= 6; family += 2)
		for (unsigned i = 0; i < AIMS; i++)
			if (aims[i].step < r->steps)
				goals[n++] = goal_of(r, &aims[i], family);
	goals[n++] =
		(struct goal){"ring of 1,000 servers built and published", "ms", ring->apply_ms, 5};
	goals[n++] = (struct goal){"maps by default", "MiB", r->map_bytes / 1048576.0, 64};
	return n;
}

static void print_costs(const struct bench_results *r, FILE *to)
{
	fprintf(to,
		"%s a packet, net of the loop: the least of %u rounds of %u packets. First the packets back to\n"
		"back, then one at a time: [no packet waits for memory while another runs]\n"
		"%-32s",
		r->instruction_ns ? "instructions" : "ns", r->rounds, r->packets, "flows");
	for (unsigned s = 0; s < r->steps; s++)
		fprintf(to, "%10u     ", flows_steps[s]);
	fputc('\n', to);
	for (unsigned p = 0; p < PATHS; p++) {
		fprintf(to, "IPv%d %-27s", paths[p].family, paths[p].text);
		for (unsigned s = 0; s < r->steps; s++) {
			const struct cost *c = r->cost[p][s];

			fprintf(to, "%6.1f ", cost_net(&paths[p], &c[COLUMN_PLAIN]));
			fprintf(to, "[%5.1f] ", cost_net(&paths[p], &c[COLUMN_APART]));
		}
		fputc('\n', to);
	}
}

/* The measured packets that took another path, if there are enough to mention. */
static void print_shares(const struct bench_results *r, FILE *to)
{
	for (unsigned p = 0; p < PATHS; p++) {
		for (unsigned s = 0; s < r->steps && !path_is_own(&paths[p]); s++) {
			const struct cost *c = &r->cost[p][s][COLUMN_PLAIN];

			if (c->share < 0.999 || c->unplaced > 0.001)
				fprintf(to,
					"IPv%d %s, %u flows: %.2f %% of the packets did that; for %.2f %% "
					"there was no place for an entry\n",
					paths[p].family, paths[p].name, flows_steps[s],
					c->share * 100, c->unplaced * 100);
		}
	}
}

/* 0: they never ran at the same time for long enough. */
static void print_two(double ns, double alone, FILE *to)
{
	if (ns)
		fprintf(to, "%13.1f (%.2f x)", ns, ns / alone);
	else
		fprintf(to, "%22s", "machine busy");
}

static void print_cpus(const struct bench_results *r, FILE *to)
{
	if (!r->cpus[0].text)
		return;
	fprintf(to, "%-32s%10s%22s%22s\n", "ns a packet with the loop, IPv4", "one CPU",
		"two, a flow each", "two, one flow");
	for (const struct cpus_time *t = r->cpus; t < r->cpus + CPUS_PATHS; t++) {
		fprintf(to, "%-32s%10.1f", t->text, t->alone);
		print_two(t->own, t->alone, to);
		print_two(t->same, t->alone, to);
		fputc('\n', to);
	}
}

void report_table(const struct bench_results *r, FILE *to)
{
	struct goal goals[GOALS_MAX];
	unsigned n = goals_list(r, goals);

	print_costs(r, to);
	print_shares(r, to);
	print_cpus(r, to);
	for (unsigned i = 0; i < RING_STEPS && !r->instruction_ns; i++)
		fprintf(to, "ring of %4u servers: %.2f ms to build, %.2f ms to build and publish\n",
			r->ring[i].servers, r->ring[i].build_ms, r->ring[i].apply_ms);
	for (unsigned i = 0; i < n && !r->instruction_ns; i++)
		fprintf(to, "goal %-46s %6.2f of %5.2f %-12s %s\n", goals[i].what, goals[i].value,
			goals[i].limit, goals[i].unit,
			goals[i].value <= goals[i].limit ? "met" : "MISSED");
}

static json_t *cost_json(const struct bench_results *r, unsigned p, unsigned s, unsigned column)
{
	const struct cost *c = &r->cost[p][s][column];
	json_t *one =
		json_pack("{ss si si ss sf sf}", "path", paths[p].name, "family", paths[p].family,
			  "flows", (int)flows_steps[s], "how", columns[column].name, "ns",
			  cost_net(&paths[p], c), "bare_ns", c->ns - cost_net(&paths[p], c));

	if (!path_is_own(&paths[p]))
		json_object_update_new(
			one, json_pack("{sf sf}", "share", c->share, "unplaced", c->unplaced));
	return one;
}

static json_t *costs_json(const struct bench_results *r)
{
	json_t *all = json_array();

	for (unsigned p = 0; p < PATHS; p++)
		for (unsigned s = 0; s < r->steps; s++)
			for (unsigned c = 0; c < COLUMNS; c++)
				json_array_append_new(all, cost_json(r, p, s, c));
	return all;
}

static json_t *rings_json(const struct bench_results *r)
{
	json_t *all = json_array();

	for (unsigned i = 0; i < RING_STEPS; i++)
		json_array_append_new(all,
				      json_pack("{si sf sf}", "backends", (int)r->ring[i].servers,
						"build_ms", r->ring[i].build_ms, "apply_ms",
						r->ring[i].apply_ms));
	return all;
}

static json_t *cpus_json(const struct bench_results *r)
{
	json_t *all = json_array();

	for (const struct cpus_time *t = r->cpus; t < r->cpus + CPUS_PATHS && t->text; t++)
		json_array_append_new(all,
				      json_pack("{ss sf sf sf}", "path", t->text, "alone", t->alone,
						"two_flows", t->own, "one_flow", t->same));
	return all;
}

static json_t *goals_json(const struct bench_results *r)
{
	struct goal goals[GOALS_MAX];
	unsigned n = goals_list(r, goals);
	json_t *all = json_array();

	for (unsigned i = 0; i < n; i++)
		json_array_append_new(all, json_pack("{ss ss sf sf sb}", "what", goals[i].what,
						     "unit", goals[i].unit, "value", goals[i].value,
						     "limit", goals[i].limit, "met",
						     goals[i].value <= goals[i].limit));
	return all;
}

int report_json(const struct bench_results *r, const char *file)
{
	struct utsname u;
	json_t *all;
	int err;

	uname(&u);
	all = json_pack("{ss ss si si so so so so sI}", "version", MXLB_VERSION, "kernel",
			u.release, "rounds", (int)r->rounds, "packets", (int)r->packets, "costs",
			costs_json(r), "rings", rings_json(r), "cpus", cpus_json(r), "goals",
			goals_json(r), "map_bytes", (json_int_t)r->map_bytes);
	err = json_dump_file(all, file, JSON_INDENT(1));
	json_decref(all);
	if (err)
		fprintf(stderr, "bench: %s can't be written\n", file);
	return err ? -EIO : 0;
}
