// SPDX-License-Identifier: BSD-2-Clause
/* The benchmark's kernel side: fills the jobs, sends the packets, holds the kernel's LRU hashes. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include "bench.h"
#include "bench.skel.h"

static struct bench_bpf *senders[SENDERS];

/* A packet to the VIP or the address next to it, with data unless it is a SYN. */
static void header_fill(uint8_t *h, const struct path *path)
{
	static const uint8_t ip4[] = {0x45, 0, 0, 0, 0x12, 0x34, 0x40, 0, 61,  6,
				      0,    0, 0, 0, 0,	   0,	 203,  0, 113, 25};
	static const uint8_t ip6[40] = {
		0x60, 0, 0, 0,		 0,    0,    6,	   61,	 0x20, 0x01,	   0x0d,
		0xb8, 0, 1, [24] = 0x20, 0x01, 0x0d, 0xb8, 0x01, 0x13, [39] = 0x25};
	static const uint8_t tcp[20] = {[3] = 25, [12] = 0x50, [14] = 0xfa, 0xf0};
	unsigned ip = path->family == 4 ? sizeof(ip4) : sizeof(ip6);
	bool syn = path->kind == PATH_SYN;
	unsigned segment = syn ? 20 : BENCH_FRAME - 14 - ip;
	unsigned len = path->family == 4 ? ip + segment : segment;

	memcpy(h, subject_mac, 6);
	memcpy(h + 6, (uint8_t[]){2, 0, 0, 0, 0, 1}, 6);
	memcpy(h + 12, path->family == 4 ? (uint8_t[]){0x08, 0} : (uint8_t[]){0x86, 0xdd}, 2);
	memcpy(h + 14, path->family == 4 ? ip4 : ip6, ip);
	memcpy(h + 14 + ip, tcp, sizeof(tcp));
	h[path->family == 4 ? 16 : 18] = len >> 8;
	h[path->family == 4 ? 17 : 19] = len;
	if (path->kind == PATH_NOT_OURS)
		h[14 + ip - 1]++;
	h[14 + ip + 13] = syn ? 0x02 : 0x18;
}

/*
 * A SYN never repeats a sequence number of its tuple, because it would count as a retransmission. Its tuple has no
 * entry, because a half-open entry beside an entry keeps the segments of that flow off the fast path until it is
 * promoted.
 */
static void job_fill(struct bench_job *job, const struct path *path, uint32_t flows)
{
	static uint64_t number = 88172645463325252ULL;

	memset(job, 0, sizeof(*job));
	header_fill(job->header, path);
	job->order =
		path->kind == PATH_MISS || path->kind == PATH_INSERT ? BENCH_FRESH : BENCH_RANDOM;
	job->flows = flows;
	job->salt = mxlb_mix(number++);
	job->seq_add = 1;
	if (path->kind == PATH_SYN) {
		job->seq_add = (uint32_t)job->salt;
		job->seq_step = 1;
		job->first = 0x800000;
	}
}

static int run(struct bench_bpf *sender, int target_fd, int family)
{
	static uint8_t frame[BENCH_FRAME];
	struct bpf_program *wrapper =
		family == 4 ? sender->progs.bench_wrap4 : sender->progs.bench_wrap6;
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = frame, .data_size_in = sizeof(frame));
	struct bench_job *job = &sender->bss->job;
	__u32 key = 0;

	run.repeat = job->packets + 1;
	if (bpf_map_update_elem(bpf_map__fd(sender->maps.target), &key, &target_fd, BPF_ANY) ||
	    bpf_prog_test_run_opts(bpf_program__fd(wrapper), &run))
		return -errno;
	if (job->sent != job->packets + 1 || run.retval == XDP_ABORTED)
		return -EIO;
	return senders[0]->bss->job.lru_misses ? -ENOENT : 0;
}

int sender_own_target(enum path_kind kind, int family)
{
	bool v6 = family == 6;
	const struct bpf_program *of[] = {
		[PATH_BARE] = senders[0]->progs.bench_bare,
		[PATH_BARE4] = senders[0]->progs.bench_bare4,
		[PATH_BARE6] = senders[0]->progs.bench_bare6,
		[PATH_FLOOR] = senders[0]->progs.bench_floor,
		[PATH_LRU] = v6 ? senders[0]->progs.bench_lru6 : senders[0]->progs.bench_lru4,
		[PATH_INSERT] =
			v6 ? senders[0]->progs.bench_insert6 : senders[0]->progs.bench_insert4,
	};

	return bpf_program__fd(of[kind]);
}

double sender_time(const struct path *path, int target_fd, enum sender from, uint32_t flows,
		   unsigned packets)
{
	struct bench_job *job = &senders[from]->bss->job;
	int err;

	job_fill(job, path, flows);
	job->packets = packets;
	err = run(senders[from], target_fd, path->family);
	return err ? err : (double)(job->end_ns - job->start_ns) / packets;
}

/* What one CPU sends while another does the same. */
struct side {
	struct bench_bpf *sender;
	pthread_t thread;
	pthread_barrier_t *start;
	int cpu, target_fd, family, err;
};

static void *side_run(void *ctx)
{
	struct side *s = ctx;
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(s->cpu, &one);
	s->err = -pthread_setaffinity_np(pthread_self(), sizeof(one), &one);
	pthread_barrier_wait(s->start);
	if (!s->err)
		s->err = run(s->sender, s->target_fd, s->family);
	return NULL;
}

/* The share of the longer run's time in which both ran. */
static double overlap(const struct bench_job *a, const struct bench_job *b)
{
	uint64_t begin = a->start_ns > b->start_ns ? a->start_ns : b->start_ns;
	uint64_t end = a->end_ns < b->end_ns ? a->end_ns : b->end_ns;
	uint64_t la = a->end_ns - a->start_ns, lb = b->end_ns - b->start_ns;

	return end > begin ? (double)(end - begin) / (la > lb ? la : lb) : 0;
}

int sender_time_two(const struct path *path, int target_fd, const int cpus[2], uint32_t other,
		    unsigned packets, double *ns, double *both)
{
	struct bench_job *jobs[] = {&senders[SENDER_PLAIN]->bss->job,
				    &senders[SENDER_BESIDE]->bss->job};
	pthread_barrier_t start;
	struct side sides[2];
	int err;

	err = -pthread_barrier_init(&start, NULL, 2);
	for (int i = 0; i < 2 && !err; i++) {
		sides[i] = (struct side){.sender = senders[i ? SENDER_BESIDE : SENDER_PLAIN],
					 .start = &start,
					 .cpu = cpus[i],
					 .target_fd = target_fd,
					 .family = path->family};
		job_fill(jobs[i], path, 1);
		jobs[i]->first += i ? other : 0;
		jobs[i]->packets = packets;
	}
	if (err)
		return err;
	err = -pthread_create(&sides[0].thread, NULL, side_run, &sides[0]);
	if (err)
		return err;
	sides[1].thread = pthread_self();
	side_run(&sides[1]);
	pthread_join(sides[0].thread, NULL);
	pthread_barrier_destroy(&start);
	err = sides[0].err ?: sides[1].err;
	if (err)
		return err;
	*both = overlap(jobs[0], jobs[1]);
	*ns = (double)(jobs[0]->end_ns - jobs[0]->start_ns + jobs[1]->end_ns - jobs[1]->start_ns) /
	      2 / packets;
	return 0;
}

int sender_walk(int family, int target_fd, uint32_t flows)
{
	struct bench_job *job = &senders[0]->bss->job;

	job_fill(job, &(struct path){.kind = PATH_SYN, .family = family}, flows);
	job->order = BENCH_WALK;
	job->seq_add = job->seq_step = job->first = 0;
	job->packets = 2 * (uint64_t)flows - 1;
	return run(senders[0], target_fd, family);
}

/* The addresses that header_fill() and the wrapper write. */
static int lru_fill(uint32_t flows)
{
	struct bench_key6 key6 = {.address = {0x20, 0x01, 0x0d, 0xb8, 0, 1}, .service = 1};
	struct bench_key4 key4 = {.service = 1};
	__u64 value = 1;

	for (uint32_t i = 0; i < flows; i++) {
		key4.address = htobe32(bench_address(i));
		key4.port = htobe16(bench_port(i));
		memcpy(&key6.address[12], &key4.address, sizeof(key4.address));
		key6.port = key4.port;
		if (bpf_map_update_elem(bpf_map__fd(senders[0]->maps.lru4), &key4, &value,
					BPF_ANY) ||
		    bpf_map_update_elem(bpf_map__fd(senders[0]->maps.lru6), &key6, &value, BPF_ANY))
			return -errno;
	}
	return 0;
}

/* Room for twice as many flows in the LRU hashes, so that they evict none. The first sender's hashes are those of all. */
static int size_maps(enum sender which, uint32_t flows)
{
	struct bench_bpf *own = senders[which], *first = senders[SENDER_PLAIN];
	uint32_t room = flows < 512 ? 1024 : 2 * flows;

	if (which == SENDER_PLAIN)
		return bpf_map__set_max_entries(own->maps.lru4, room)
			       ?: bpf_map__set_max_entries(own->maps.lru6, room);
	return bpf_map__reuse_fd(own->maps.lru4, bpf_map__fd(first->maps.lru4)) ?:
	       bpf_map__reuse_fd(own->maps.lru6, bpf_map__fd(first->maps.lru6)) ?:
	       bpf_map__reuse_fd(own->maps.fresh4, bpf_map__fd(first->maps.fresh4)) ?:
	       bpf_map__reuse_fd(own->maps.fresh6, bpf_map__fd(first->maps.fresh6));
}

static int load(enum sender which, uint32_t flows)
{
	struct bench_bpf *sender = senders[which] = bench_bpf__open();
	cap_t before = which == SENDER_APART ? subject_caps(false) : NULL;
	int err;

	if (!sender || (which == SENDER_APART && !before))
		return -errno;
	err = size_maps(which, flows);
	if (!err)
		err = bench_bpf__load(sender);
	if (before)
		err = subject_caps_back(before) ? -EPERM : err;
	return err;
}

int sender_open(uint32_t flows)
{
	int err = 0;

	for (unsigned i = 0; i < SENDERS && !err; i++)
		err = load(i, flows);
	return err ? err : lru_fill(flows);
}

void sender_close(void)
{
	for (unsigned i = 0; i < SENDERS; i++) {
		bench_bpf__destroy(senders[i]);
		senders[i] = NULL;
	}
}
