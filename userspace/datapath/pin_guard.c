// SPDX-License-Identifier: BSD-2-Clause
/*
 * Restores the pins of the running mxlbd if others remove them: maps first, links after them, because the next mxlbd
 * may adopt a directory that has links. Refuses a directory that another mxlbd has locked meanwhile.
 *
 * In a mount namespace of its own (the unit's) mxlbd still sees a file system that was unmounted outside (umount -l),
 * but its pins end with this process. Such a mount receives the events of the one outside ("master:N" in
 * /proc/self/mountinfo, proc(5)); when that is unmounted, the word disappears. It cannot be restored from inside.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include "datapath/datapath_internal.h"
#include "util/log.h"

/*
 * The lock is on the directory, and a new directory of the same name is not locked yet. renewed: it is now. 0 or
 * -errno.
 */
static int keep_lock(struct datapath *dp, bool *renewed)
{
	struct stat ours, there;
	int fd;

	if (fstat(dp->lock_fd, &ours))
		return -errno;
	if (mkdir(dp->pins, 0700) && errno != EEXIST)
		return -errno;
	if (stat(dp->pins, &there))
		return -errno;
	if (ours.st_dev == there.st_dev && ours.st_ino == there.st_ino)
		return 0;
	fd = open(dp->pins, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		int err = -errno;

		close(fd);
		return err;
	}
	close(dp->lock_fd);
	dp->lock_fd = fd;
	*renewed = true;
	return 0;
}

/*
 * replace: what is pinned there was left by another mxlbd, whose start was refused; its maps are not in use. Adds 1 to
 * *restored if the pin was restored. 0 or -errno.
 */
static int keep_pin(int fd, const char *path, bool replace, unsigned *restored)
{
	if (replace)
		unlink(path);
	else if (!access(path, F_OK))
		return 0;
	if (bpf_obj_pin(fd, path))
		return -errno;
	(*restored)++;
	return 0;
}

#define MOUNT_LOOKS 5 /* one check of the mounts per this many calls */

/* The mount point of a line of mountinfo; NULL: none. Octal escapes are not decoded: then it is not ours. */
static const char *mount_point(char *line, const char **options)
{
	char *rest, *word = strtok_r(line, " ", &rest);

	for (int i = 0; word && i < 4; i++)
		word = strtok_r(NULL, " ", &rest);
	*options = rest;
	return word;
}

static bool is_above(const char *mount, const char *path)
{
	size_t len = strlen(mount);

	return !strncmp(mount, path, len) && (path[len] == '/' || !path[len] || len == 1);
}

/* Whether the mount of this path follows another one. Of the longest matches the last is on top. */
static bool mount_follows(const char *path)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	size_t longest = 0, size = 0;
	bool follows = false;
	char *line = NULL;

	while (f && getline(&line, &size, f) > 0) {
		const char *options, *mount = mount_point(line, &options);
		size_t len = mount && is_above(mount, path) ? strlen(mount) : 0;

		if (!len || len < longest)
			continue;
		longest = len;
		follows = options && strstr(options, " master:");
	}
	free(line);
	if (f)
		fclose(f);
	return follows;
}

static void look_at_mount(struct datapath *dp)
{
	bool follows;

	if (dp->mount_looks++ % MOUNT_LOOKS)
		return;
	follows = mount_follows(dp->pins);
	dp->unmounted = dp->followed && !follows;
	dp->followed |= follows;
}

const char *datapath_pins_trouble(const struct datapath *dp)
{
	if (dp->unmounted)
		return "the file system of the pins was unmounted outside of mxlbd: mail flows, but stops when "
		       "mxlbd stops, as do open connections";
	if (dp->keep_err)
		return "the pins can't be restored: mail flows, but stops when mxlbd stops, as do open "
		       "connections";
	return NULL;
}

static int keep_all(struct datapath *dp, unsigned *restored)
{
	char path[PINS_LINK_SIZE];
	struct bpf_map *map;
	bool replace = false;
	int err = keep_lock(dp, &replace);

	if (!err && mkdir(dp->dir, 0700) && errno != EEXIST)
		err = -errno;
	bpf_object__for_each_map(map, dp->skel->obj)
	{
		if (!err && pins_of_map(dp, map, path, sizeof(path)))
			err = keep_pin(bpf_map__fd(map), path, replace, restored);
	}
	for (unsigned i = 0; i < MXLB_MAX_PORTS && !err; i++)
		if (datapath_is_attached(dp, i))
			err = keep_pin(dp->ports[i].link_fd,
				       pins_of_link(dp, dp->ports[i].attached, path), replace,
				       restored);
	return err;
}

void datapath_keep_pins(struct datapath *dp)
{
	unsigned n = 0;
	int err = keep_all(dp, &n);

	look_at_mount(dp);
	if (n && log_seldom(&dp->keep_said_ms))
		log_warn(
			"event=pins_put_back pins=%u path=\"%s\" cause=\"another process removed them\"",
			n, dp->dir);
	if (err && err != dp->keep_err)
		log_error(
			"event=pins_missing path=\"%s\" error=\"%s\" advice=\"mail stops when this mxlbd ends: restore "
			"the directory and its rights\"",
			dp->dir, strerror(-err));
	dp->keep_err = err;
}
