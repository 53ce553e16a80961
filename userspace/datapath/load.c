// SPDX-License-Identifier: BSD-2-Clause
/*
 * Loads the program and pins its maps, or adopts the pinned ones. Holds the lock, the directory and the mappings.
 * Touches nothing that another mxlbd has locked.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>
#include "datapath/datapath_internal.h"
#include "util/log.h"

static int load_refuse(int err, const char *what, const char *advice)
{
	log_error("event=refused what=\"%s\" error=\"%s\" advice=\"%s\"", what, strerror(-err),
		  advice);
	return err;
}

/* The pin directory must be on a BPF file system; its last component is created if missing. */
static int lock_pins(struct datapath *dp)
{
	const char *pin = dp->pins;
	struct statfs fs;

	if (mkdir(pin, 0700) && errno != EEXIST && errno != ENOENT && errno != EACCES &&
	    errno != EPERM)
		return load_refuse(-errno, pin,
				   "give datapath.pin a directory on a bpf file system");
	if (statfs(pin, &fs))
		return load_refuse(-errno, pin,
				   errno == ENOENT
					   ? "mount a bpf file system: mount -t bpf bpf /sys/fs/bpf"
					   : "run mxlbd as root, or give it the pin directory");
	if (fs.f_type != BPF_FS_MAGIC) {
		rmdir(pin); /* only if it is empty, as a new one is */
		return load_refuse(-ENOTDIR, pin,
				   "this is not a BPF file system: mount -t bpf bpf /sys/fs/bpf");
	}
	dp->lock_fd = open(pin, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dp->lock_fd < 0)
		return load_refuse(-errno, pin, "run mxlbd as root, or give it the pin directory");
	if (flock(dp->lock_fd, LOCK_EX | LOCK_NB))
		return load_refuse(
			errno == EWOULDBLOCK ? -EBUSY : -errno, pin,
			"another mxlbd runs with this datapath.pin; stop it first or give each its own");
	return 0;
}

static int make_dir(struct datapath *dp)
{
	if (mkdir(dp->dir, 0700) && errno != EEXIST)
		return load_refuse(-errno, dp->dir,
				   "run mxlbd as root, or give it the pin directory");
	return 0;
}

static int set_pins(struct datapath *dp)
{
	char path[sizeof(dp->dir) + 64];
	struct bpf_map *map;
	int err;

	bpf_object__for_each_map(map, dp->skel->obj)
	{
		if (!pins_of_map(dp, map, path, sizeof(path)))
			continue;
		if (!access(path, F_OK))
			dp->adopted = true;
		err = bpf_map__set_pin_path(map, path);
		if (err)
			return err;
	}
	return 0;
}

/* The maps that are accessed through mapped memory. NULL: not such a map. */
static struct bpf_map *mapped(struct datapath *dp, unsigned i, void ***at)
{
	struct {
		struct bpf_map *map;
		void **at;
	} all[] = {
		{dp->skel->maps.fronts, (void **)&dp->fronts},
		{dp->skel->maps.services, (void **)&dp->services},
		{dp->skel->maps.rings, (void **)&dp->rings},
		{dp->skel->maps.backends, (void **)&dp->backends},
		{dp->skel->maps.records, (void **)&dp->records},
		{dp->skel->maps.role, (void **)&dp->role},
		{dp->skel->maps.pulse, (void **)&dp->pulse},
		{dp->skel->maps.rejected, (void **)&dp->rejected},
		{dp->skel->maps.buckets, (void **)&dp->buckets},
		{dp->skel->maps.syn_buckets, (void **)&dp->syn_buckets},
		{dp->skel->maps.flows4, (void **)&dp->flows4},
		{dp->skel->maps.flows6, (void **)&dp->flows6},
	};

	if (i >= sizeof(all) / sizeof(all[0]))
		return NULL;
	*at = all[i].at;
	return all[i].map;
}

/* Array elements are rounded up to 8 bytes, the whole to pages (kernel/bpf/arraymap.c). */
static size_t mapped_len(const struct bpf_map *map)
{
	size_t page = sysconf(_SC_PAGESIZE);
	size_t len = (size_t)bpf_map__max_entries(map) * ((bpf_map__value_size(map) + 7) / 8 * 8);

	return (len + page - 1) / page * page;
}

int pins_map_all(struct datapath *dp, int protection)
{
	struct bpf_map *map;
	void **at;

	for (unsigned i = 0; (map = mapped(dp, i, &at)); i++) {
		if (bpf_map__fd(map) < 0) /* only of a view: pinned by a version that has none */
			continue;
		*at = mmap(NULL, mapped_len(map), protection, MAP_SHARED, bpf_map__fd(map), 0);
		if (*at == MAP_FAILED) {
			*at = NULL;
			return load_refuse(-errno, bpf_map__name(map), "give this box more memory");
		}
	}
	return 0;
}

static int map_all(struct datapath *dp)
{
	dp->control = &dp->skel->bss->control;
	return pins_map_all(dp, PROT_READ | PROT_WRITE);
}

static void unmap_all(struct datapath *dp)
{
	struct bpf_map *map;
	void **at;

	for (unsigned i = 0; (map = mapped(dp, i, &at)); i++)
		if (*at)
			munmap(*at, mapped_len(map));
}

#define RAW "raw:"

/* The key itself, as `mxlbctl config` prints it, so that a second box can have what the first one generated. */
static bool keys_raw(const char *text, __u64 keys[2])
{
	unsigned long long k[2];
	int end = 0;

	if (strncmp(text, RAW, strlen(RAW)) ||
	    sscanf(text + strlen(RAW), "%16llx%16llx%n", &k[0], &k[1], &end) != 2 || end != 32)
		return false;
	keys[0] = k[0];
	keys[1] = k[1];
	return k[0];
}

void datapath_hash_key_text(const struct datapath *dp, char text[DATAPATH_KEY_TEXT_SIZE])
{
	snprintf(text, DATAPATH_KEY_TEXT_SIZE, RAW "%016llx%016llx",
		 (unsigned long long)dp->control->hash_key[0],
		 (unsigned long long)dp->control->hash_key[1]);
}

/* FNV-1a, then mixed. */
static void keys_of(const char *text, __u64 keys[2])
{
	uint64_t h[2] = {0xcbf29ce484222325ULL, 0x84222325cbf29ce4ULL};

	for (const char *c = text; *c; c++)
		for (int i = 0; i < 2; i++)
			h[i] = (h[i] ^ (uint8_t)*c) * 0x100000001b3ULL;
	keys[0] = mxlb_mix(h[0]) | 1;
	keys[1] = mxlb_mix(h[1]);
}

/*
 * Sets the keys: from the configuration's text, or random. They are kept with the pins, because flows are found by the
 * key with which they were stored.
 */
static int set_keys(struct datapath *dp, const char *text)
{
	__u64 *keys = dp->control->hash_key, asked[2];

	if (!dp->control->secret && getrandom(&dp->control->secret, sizeof(dp->control->secret),
					      0) != sizeof(dp->control->secret))
		return -errno;
	if (!*text)
		return keys[0] || getrandom(keys, 16, 0) == 16 ? 0 : -errno;
	if (!keys_raw(text, asked))
		keys_of(text, asked);
	if (!keys[0])
		memcpy(keys, asked, sizeof(asked));
	else if (memcmp(keys, asked, sizeof(asked)))
		log_warn(
			"event=hash_key_kept advice=\"the earlier key stays in use, because open connections "
			"are found by it; a new one takes effect after mxlbctl detach and a start\"");
	return 0;
}

void datapath_set_role(struct datapath *dp, uint64_t word)
{
	dp->foreign_role |= dp->role_set && datapath_role(dp) != dp->role_word;
	*(volatile __u64 *)dp->role = word;
	dp->role_set = true;
	dp->role_word = word;
}

uint64_t datapath_role(const struct datapath *dp)
{
	return *(volatile const __u64 *)dp->role;
}

void datapath_set_pulse(struct datapath *dp, int64_t now_wall_ms)
{
	*(volatile __u64 *)dp->pulse = (__u64)now_wall_ms;
}

int64_t datapath_pulse(const struct datapath *dp)
{
	return dp->pulse ? (int64_t) * (volatile const __u64 *)dp->pulse : 0;
}

const uint8_t *datapath_hash_key(const struct datapath *dp)
{
	return (const uint8_t *)dp->control->hash_key;
}

bool datapath_was_attached(const struct datapath *dp)
{
	return dp->was_attached;
}

static void adopt_rings(struct datapath *dp)
{
	for (unsigned i = 0; i < MXLB_MAX_SERVICES; i++) {
		uint32_t word = dp->services[i].ring;

		dp->built[i].word = word;
		if (word >= MXLB_RING_FIRST && word - MXLB_RING_FIRST < MXLB_RINGS)
			dp->ring_used[word - MXLB_RING_FIRST] = true;
	}
}

/* The number of lines of a pinned flow table, 0 when there is none. */
static uint32_t pinned_lines(const struct datapath *dp)
{
	struct bpf_map_info info = {0};
	char path[sizeof(dp->dir) + 64];
	__u32 len = sizeof(info);
	int fd;

	pins_path(dp, "flows4", path, sizeof(path));
	fd = bpf_obj_get(path);
	if (fd < 0)
		return 0;
	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		info.max_entries = 0;
	close(fd);
	return info.max_entries;
}

/*
 * Sizes the flow table: a power of two of lines, with room for this many entries. An existing table keeps its size,
 * because it contains flows.
 */
static int size_flows(struct datapath *dp, uint32_t flows)
{
	uint32_t lines = 1, pinned = pinned_lines(dp);
	int err;

	while ((uint64_t)lines * MXLB_LINE_PLACES < flows)
		lines *= 2;
	if (pinned && pinned != lines && !(pinned & (pinned - 1))) {
		log_warn(
			"event=flows_kept entries=%u asked=%u advice=\"another size takes effect after "
			"mxlbctl detach and a start\"",
			pinned * MXLB_LINE_PLACES, flows);
		lines = pinned;
	}
	dp->lines = lines;
	dp->skel->rodata->line_mask = lines - 1;
	err = bpf_map__set_max_entries(dp->skel->maps.flows4, lines);
	return err ? err : bpf_map__set_max_entries(dp->skel->maps.flows6, lines);
}

/* Opens the object and sets its constants; no map is created yet. */
static int open_program(struct datapath *dp, const struct datapath_conf *conf)
{
	dp->skel = mxlb_bpf__open();
	if (!dp->skel)
		return load_refuse(-errno, "open the BPF object", "report this");
	dp->skel->rodata->probe_mark = conf->mark;
	dp->skel->rodata->probe_mask = conf->mark_mask;
	return size_flows(dp, conf->flows);
}

static int load_load(struct datapath *dp, const struct datapath_conf *conf)
{
	int err = refusal_capabilities();

	if (!err)
		err = open_program(dp, conf);
	if (!err)
		err = set_pins(dp);
	if (err)
		return err;
	err = mxlb_bpf__load(dp->skel);
	return err ? refusal_explain(err) : 0;
}

static int measure(const struct bpf_program *program, struct datapath_program *out)
{
	struct bpf_prog_info info = {0};
	__u32 len = sizeof(info);

	if (bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &len))
		return -errno;
	*out = (struct datapath_program){
		.name = bpf_program__name(program),
		.verified = info.verified_insns,
		.bytes = info.xlated_prog_len,
		.jited = info.jited_prog_len,
	};
	return 0;
}

int datapath_try(void (*fn)(void *ctx, const struct datapath_program *p), void *ctx)
{
	const struct datapath_conf conf = {.flows = 1, .mark = ~0U, .mark_mask = ~0U};
	struct datapath dp = {.lock_fd = -1};
	struct datapath_program p;
	struct bpf_program *each;
	int err = refusal_capabilities();

	refusal_listen();
	if (!err)
		err = open_program(&dp, &conf);
	if (!err) {
		err = mxlb_bpf__load(dp.skel);
		if (err)
			err = refusal_explain(err);
	}
	if (!err)
		bpf_object__for_each_program(each, dp.skel->obj) if (!err &&
								     !(err = measure(each, &p)) &&
								     fn) fn(ctx, &p);
	mxlb_bpf__destroy(dp.skel);
	return err;
}

int datapath_lock(const struct datapath_conf *conf, struct datapath **out)
{
	struct datapath *dp = calloc(1, sizeof(*dp));
	int err;

	if (!dp)
		return -ENOMEM;
	dp->lock_fd = -1;
	for (unsigned i = 0; i < MXLB_MAX_PORTS; i++)
		dp->ports[i].link_fd = dp->ports[i].sight.fds[0] = dp->ports[i].sight.fds[1] = -1;
	refusal_listen();
	snprintf(dp->pins, sizeof(dp->pins), "%s", conf->pin);
	snprintf(dp->dir, sizeof(dp->dir), "%s/v%d", dp->pins, MXLB_LAYOUT);
	err = lock_pins(dp);
	if (err) {
		datapath_close(dp);
		return err;
	}
	*out = dp;
	return 0;
}

int datapath_open(const struct datapath_conf *conf, struct datapath **out)
{
	struct datapath *dp;
	int err = datapath_lock(conf, &dp);

	if (err)
		return err;
	dp->n_cpus = libbpf_num_possible_cpus();
	err = dp->n_cpus < 0 ? dp->n_cpus : 0;
	if (!err)
		dp->cpu_values = calloc(dp->n_cpus * DATAPATH_BATCH, sizeof(struct mxlb_traffic));
	if (!err && !dp->cpu_values)
		err = -ENOMEM;
	if (!err)
		err = make_dir(dp);
	if (!err)
		err = migrate_begin(dp);
	dp->was_attached = dp->old[0] || migrate_has_links(dp->dir);
	if (!err)
		err = load_load(dp, conf);
	if (!err)
		err = map_all(dp);
	if (!err)
		err = migrate_keys(dp);
	if (!err)
		err = set_keys(dp, conf->hash_key);
	if (err) {
		datapath_close(dp);
		return err;
	}
	adopt_rings(dp);
	allow_purge(dp);
	dp->allow_stale = true;
	*out = dp;
	return 0;
}

void datapath_close(struct datapath *dp)
{
	if (!dp)
		return;
	for (unsigned i = 0; i < MXLB_MAX_PORTS; i++) {
		if (dp->ports[i].link_fd >= 0)
			close(dp->ports[i].link_fd);
		sight_reset(&dp->ports[i].sight, true);
	}
	for (unsigned i = 0; i < MXLB_MAX_SERVICES; i++)
		free(dp->built[i].members);
	allow_free_all(dp);
	if (dp->skel)
		unmap_all(dp);
	mxlb_bpf__destroy(dp->skel);
	if (dp->lock_fd >= 0)
		close(dp->lock_fd);
	free(dp->cpu_values);
	free(dp->verified);
	free(dp);
}
