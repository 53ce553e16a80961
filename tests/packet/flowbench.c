// SPDX-License-Identifier: BSD-2-Clause
/*
 * The program's maps (a temporary pin) and the model. The rings and the servers' next hops are stored into mapped
 * memory as datapath/ stores them, because they change every few packets.
 */
#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "flowbench.h"
#include "flowframe.h"
#include "flowline.h"
#include "flowtally.h"
#include "util/log.h"

#define FIRST_RING   40	 /* datapath_apply() uses the lower ones */
#define REFILL_EVERY 256 /* answers; a source may have 512 at once */
#define BUCKETS_SIZE (MXLB_BUCKETS * sizeof(uint64_t))

const uint32_t flowbench_server_id[FLOWBENCH_SERVERS] = {1, 2, 255, 256, 1000, 4095};

static const struct {
	const char *name, *vip;
	uint16_t port;
} services[FLOWBENCH_SERVICES] = {
	{"mail", "203.0.113.25", 25},
	{"more", "203.0.113.25", 26},
	{"mail6", "2001:db8:113::25", 25},
	{"more6", "2001:db8:113::25", 26},
};

static struct {
	struct datapath *dp;
	char pin[64];
	uint64_t *buckets;
	struct flowmodel model;
	struct flowmodel_server servers[MXLB_MAX_SERVERS];
	uint32_t epoch;
	unsigned ring[FLOWBENCH_SERVICES];
	unsigned answers;
	uint64_t packets, times[FLOWMODEL_RULE_COUNT];
	const char *name;
	uint64_t seed;
} fb;

static void mac_of(uint32_t server, uint8_t mac[6])
{
	const uint8_t all[6] = {0x02, 0, 0, 1, server >> 8, server};

	memcpy(mac, all, 6);
}

static void apply(void)
{
	struct maglev_member member = {"any", flowbench_server_id[0], 1};
	struct plan_server servers[FLOWBENCH_SERVERS] = {0};
	struct plan_service s[FLOWBENCH_SERVICES];
	struct plan plan = {.services = s,
			    .n_services = FLOWBENCH_SERVICES,
			    .servers = servers,
			    .n_servers = FLOWBENCH_SERVERS};
	uint64_t now_ms = 1000;

	for (unsigned i = 0; i < FLOWBENCH_SERVICES; i++) {
		s[i] = (struct plan_service){.id = i,
					     .name = services[i].name,
					     .port = services[i].port,
					     .mode = PLAN_RING,
					     .members = &member,
					     .n_members = 1};
		assert_int_equal(addr_parse(services[i].vip, &s[i].vip), 0);
	}
	for (unsigned i = 0; i < FLOWBENCH_SERVERS; i++) {
		servers[i].id = flowbench_server_id[i];
		mac_of(servers[i].id, servers[i].mac.b);
	}
	for (uint64_t again_ms = 1; again_ms; now_ms += again_ms)
		assert_int_equal(datapath_apply(fb.dp, &plan, now_ms, &again_ms), 0);
}

static void fill_rings(void)
{
	for (unsigned r = 0; r < FLOWBENCH_RINGS; r++)
		for (uint32_t slot = 0; slot < MXLB_RING_SLOTS; slot++) {
			unsigned other = mxlb_mix(slot * 64 + r) % (FLOWBENCH_SERVERS - 1);

			fb.dp->rings[FIRST_RING + r].slot[slot] =
				flowbench_server_id[(r + 1 + other) % FLOWBENCH_SERVERS];
		}
}

int flowbench_up(void **state)
{
	struct datapath_conf conf = {.hash_key = "flow tests",
				     .flows = FLOWBENCH_LINES * MXLB_LINE_PLACES};

	(void)state;
	log_init("flows", LOG_LEVEL_WARN);
	snprintf(fb.pin, sizeof(fb.pin), "/sys/fs/bpf/mxlb-flows-%d", getpid());
	strcpy(conf.pin, fb.pin);
	if (datapath_open(&conf, &fb.dp))
		return -1;
	fb.buckets = mmap(NULL, BUCKETS_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			  bpf_map__fd(fb.dp->skel->maps.buckets), 0);
	if (fb.dp->lines != FLOWBENCH_LINES || fb.buckets == MAP_FAILED)
		return -1;
	fb.dp->ports[0].ifindex = 1;
	memcpy(fb.dp->ports[0].mac.b, our_mac, 6);
	apply();
	fill_rings();
	return 0;
}

int flowbench_down(void **state)
{
	char command[128];

	(void)state;
	munmap(fb.buckets, BUCKETS_SIZE);
	datapath_close(fb.dp);
	snprintf(command, sizeof(command), "rm -r %s", fb.pin);
	return system(command);
}

void flowbench_start(const char *name, uint64_t seed)
{
	fb.name = name;
	fb.seed = seed;
	fb.packets = 0;
	memset(fb.times, 0, sizeof(fb.times));
	flowtally_start(fb.dp);
}

void flowbench_clear(uint32_t epoch)
{
	memset(&fb.model, 0, sizeof(fb.model));
	memset(fb.dp->flows4, 0, FLOWBENCH_LINES * sizeof(*fb.dp->flows4));
	memset(fb.dp->flows6, 0, FLOWBENCH_LINES * sizeof(*fb.dp->flows6));
	fb.epoch = epoch;
	fb.dp->control->epoch = epoch;
	for (unsigned i = 0; i < FLOWBENCH_SERVERS; i++)
		flowbench_server(i, FLOWBENCH_UP);
	for (unsigned i = 0; i < FLOWBENCH_SERVICES; i++)
		flowbench_ring(i, 0);
}

void flowbench_ring(unsigned service, unsigned ring)
{
	static const uint32_t word[] = {
		[FLOWMODEL_NOT_READY] = MXLB_RING_NOT_READY,
		[FLOWMODEL_REFUSE] = MXLB_RING_RESET,
		[FLOWMODEL_SILENCE] = MXLB_RING_DROP,
	};

	fb.ring[service] = ring;
	fb.dp->services[service].ring = ring < FLOWBENCH_RINGS ? MXLB_RING_FIRST + FIRST_RING + ring
							       : word[ring - FLOWBENCH_RINGS];
}

void flowbench_server(unsigned server, enum flowbench_state s)
{
	uint32_t id = flowbench_server_id[server];
	struct flowmodel_server *b = &fb.servers[id];
	union mxlb_way way = {.word = 0};

	b->next_hop = s != FLOWBENCH_LOST && s != FLOWBENCH_STARTING;
	b->down = s == FLOWBENCH_DOWN || s == FLOWBENCH_RESET || s == FLOWBENCH_LOST;
	b->reset = s == FLOWBENCH_RESET;
	mac_of(id, way.mac);
	way.flags = (b->next_hop ? MXLB_BACKEND_NEXT_HOP : 0) | (b->down ? MXLB_BACKEND_DOWN : 0) |
		    (b->reset ? MXLB_BACKEND_RESET : 0);
	fb.dp->backends[id].way.word = way.word;
}

void flowbench_epochs(uint32_t steps)
{
	fb.epoch += steps;
	while (steps--)
		datapath_step_epoch(fb.dp);
}

uint32_t flowbench_epoch(void)
{
	return fb.epoch;
}

static uint64_t hash_of(const struct flowmodel_tuple *t)
{
	uint64_t hi = 0, lo = 0;

	if (t->family == 4) {
		memcpy(&lo, t->client, 4);
	} else {
		memcpy(&hi, t->client, 8);
		memcpy(&lo, t->client + 8, 8);
	}
	return mxlb_flow_hash(fb.dp->services[t->service].seed, hi, lo, htons(t->port));
}

uint32_t flowbench_line(const struct flowmodel_tuple *t)
{
	return hash_of(t) % FLOWBENCH_LINES;
}

uint32_t flowbench_placed(const struct flowmodel_tuple *t)
{
	unsigned ring = fb.ring[t->service];

	if (ring >= FLOWBENCH_RINGS)
		return 0;
	return fb.dp->rings[FIRST_RING + ring].slot[mxlb_ring_slot(hash_of(t))];
}

const struct flowmodel_entry *flowbench_entry(const struct flowmodel_tuple *t, int i)
{
	return &flowmodel_line(&fb.model, t->family, flowbench_line(t))->entry[i];
}

static void say_where(const char *what)
{
	print_error("%s: %s differs at packet %" PRIu64 ", MXLB_SEED=%" PRIu64 ", epoch %" PRIu32
		    "\n",
		    fb.name, what, fb.packets, fb.seed, fb.epoch);
}

static void differ(const char *what, const struct flowmodel_segment *s,
		   const struct flowmodel_result *r, const struct flowmodel_line *before)
{
	static const char *const action[] = {"forward", "reset", "drop"};
	uint32_t at = flowbench_line(&s->tuple);
	struct flowmodel_line program;

	say_where(what);
	print_error("packet: ");
	flowline_print_tuple(&s->tuple);
	print_error("%s%s%s%s seq %08" PRIx32 " ack %08" PRIx32 " data %" PRIu32 "; line %" PRIu32
		    ", ring gives %" PRIu32 "\n",
		    s->syn ? " SYN" : "", s->ack ? " ACK" : "", s->rst ? " RST" : "",
		    s->fin ? " FIN" : "", s->seq, s->ack_seq, s->data, at,
		    flowbench_placed(&s->tuple));
	print_error("model: %s, server %" PRIu32 "\n", action[r->action], r->server);
	for (unsigned i = 0; i < FLOWMODEL_RULE_COUNT; i++)
		if (r->rules >> i & 1)
			print_error("  rule %s\n", flowmodel_rule_text(i));
	flowline_print("line before", before);
	flowline_print("model's line", flowmodel_line(&fb.model, s->tuple.family, at));
	flowline_read(fb.dp, s->tuple.family, at, fb.epoch, &program);
	flowline_print("program's line", &program);
	fail();
}

/* Returns NULL if the resulting frame is what the model expects, or else the difference. */
static const char *check_frame(int action, const struct frame *out,
			       const struct flowmodel_result *r)
{
	uint8_t mac[6];

	if (r->action == FLOWMODEL_DROP)
		return action == XDP_DROP ? NULL : "the action";
	if (action != XDP_TX)
		return "the action";
	if (r->action == FLOWMODEL_RESET)
		return flowframe_is_reset(out, r) ? NULL : "the RST";
	mac_of(r->server, mac);
	return memcmp(out->b, mac, 6) ? "the server" : NULL;
}

/* No answer may be suppressed by a rate limit here, because its time depends on the clock. */
static void refill_buckets(const struct flowmodel_result *r)
{
	if (r->action != FLOWMODEL_RESET || ++fb.answers % REFILL_EVERY)
		return;
	memset(fb.buckets, 0, BUCKETS_SIZE);
}

void flowbench_run(const struct flowmodel_segment *s, unsigned pad, struct flowmodel_result *r)
{
	static struct frame in, out;
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = in.b, .data_out = out.b,
		    .data_size_out = sizeof(out.b), .repeat = 1);
	struct flowmodel_world world = {
		.epoch = fb.epoch,
		.line = flowbench_line(&s->tuple),
		.ring = flowbench_placed(&s->tuple),
		.servers = fb.servers,
	};
	struct flowmodel_line *line = flowmodel_line(&fb.model, s->tuple.family, world.line);
	struct flowmodel_line before = *line, program;
	const char *wrong;

	if (fb.ring[s->tuple.service] >= FLOWBENCH_RINGS)
		world.nobody = fb.ring[s->tuple.service] - FLOWBENCH_RINGS;
	flowframe_build(&in, s, services[s->tuple.service].port, pad);
	run.data_size_in = in.len;
	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(fb.dp->skel->progs.mxlb), &run), 0);
	out.len = run.data_size_out;
	flowmodel_run(&fb.model, &world, s, r);
	wrong = check_frame(run.retval, &out, r);
	flowline_read(fb.dp, s->tuple.family, world.line, fb.epoch, &program);
	if (wrong || !flowline_same(line, &program))
		differ(wrong ? wrong : "the line", s, r, &before);
	flowtally_add(r, in.len);
	refill_buckets(r);
	fb.packets++;
	for (unsigned i = 0; i < FLOWMODEL_RULE_COUNT; i++)
		fb.times[i] += r->rules >> i & 1;
}

static void compare_lines(void)
{
	for (int family = 4; family <= 6; family += 2)
		for (uint32_t i = 0; i < FLOWBENCH_LINES; i++) {
			const struct flowmodel_line *model = flowmodel_line(&fb.model, family, i);
			struct flowmodel_line program;

			flowline_read(fb.dp, family, i, fb.epoch, &program);
			if (flowline_same(model, &program))
				continue;
			say_where("a line that no packet was for");
			flowline_print("model's line", model);
			flowline_print("program's line", &program);
			fail();
		}
}

void flowbench_compare(void)
{
	compare_lines();
	if (flowtally_same(fb.dp, &fb.model, fb.epoch))
		return;
	say_where("a number");
	fail();
}

uint64_t flowbench_times(enum flowmodel_rule rule)
{
	return fb.times[rule];
}
