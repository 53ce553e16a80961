// SPDX-License-Identifier: BSD-2-Clause
/*
 * Puts back the pins of a running mxlbd that somebody removed: maps first, links behind them, for a directory with links
 * is one that the next mxlbd may take over. Refuses a directory that another mxlbd holds by now.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include "datapath/datapath_internal.h"
#include "util/log.h"

/* The lock is on the directory: a new one of the same name is not ours yet. 1: it is now, 0: as before, or -errno. */
static int keep_lock(struct datapath *dp)
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
	return 1;
}

/* anew: what is pinned there was left by another, whose start was refused; its maps are in force nowhere. 1: it was put
 * back, 0: it is there, or -errno. */
static int keep_pin(int fd, const char *path, bool anew)
{
	if (anew)
		unlink(path);
	else if (!access(path, F_OK))
		return 0;
	return bpf_obj_pin(fd, path) ? -errno : 1;
}

static int count(int *n, int ret)
{
	*n += ret > 0;
	return ret < 0 ? ret : 0;
}

static int keep_all(struct datapath *dp, int *n)
{
	char path[LINK_PIN_SIZE];
	struct bpf_map *map;
	int lock = keep_lock(dp), err = lock < 0 ? lock : 0;
	bool anew = lock > 0;

	if (!err && mkdir(dp->dir, 0700) && errno != EEXIST)
		err = -errno;
	bpf_object__for_each_map(map, dp->skel->obj)
	{
		if (!err && pins_of_map(dp, map, path, sizeof(path)))
			err = count(n, keep_pin(bpf_map__fd(map), path, anew));
	}
	for (unsigned i = 0; i < MXLB_MAX_PORTS && !err; i++)
		if (datapath_is_attached(dp, i))
			err = count(n, keep_pin(dp->ports[i].link_fd,
						link_pin(dp, dp->ports[i].attached, path), anew));
	return err;
}

void datapath_keep_pins(struct datapath *dp)
{
	int n = 0, err = keep_all(dp, &n);

	if (n && log_seldom(&dp->keep_said_ms))
		log_warn("event=pins_put_back pins=%d path=\"%s\" cause=\"somebody removed them\"",
			 n, dp->dir);
	if (err && err != dp->keep_err)
		log_error(
			"event=pins_missing path=\"%s\" error=\"%s\" advice=\"traffic ends with this mxlbd: restore "
			"the directory and its rights\"",
			dp->dir, strerror(-err));
	dp->keep_err = err;
}
