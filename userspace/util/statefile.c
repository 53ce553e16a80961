// SPDX-License-Identifier: BSD-2-Clause
#include "util/statefile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SUFFIX ".new"

const char *statefile_dir(void)
{
	static char first[STATEFILE_PATH_SIZE];
	const char *all = getenv("STATE_DIRECTORY"); /* systemd.exec(5): separated by ":" */
	size_t len = all ? strcspn(all, ":") : 0;

	if (!len || len >= sizeof(first) || *all != '/')
		return NULL;
	memcpy(first, all, len);
	first[len] = '\0';
	return first;
}

bool statefile_path(const char *kind, const char *about, char path[STATEFILE_PATH_SIZE])
{
	const char *dir = statefile_dir();
	uint64_t hash = 0xcbf29ce484222325ULL; /* FNV-1a */
	int n = STATEFILE_PATH_SIZE;

	for (const char *c = about; *c; c++)
		hash = (hash ^ (unsigned char)*c) * 0x100000001b3ULL;
	if (dir)
		n = snprintf(path, STATEFILE_PATH_SIZE, "%s/%s-%016llx", dir, kind,
			     (unsigned long long)hash);
	if (n + (int)sizeof(SUFFIX) <= STATEFILE_PATH_SIZE)
		return true;
	*path = '\0';
	return false;
}

static bool holds(const char *path, const char *bytes, size_t len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	char chunk[16384];
	size_t at = 0;
	ssize_t n = -1;

	while (fd >= 0 && (n = read(fd, chunk, sizeof(chunk))) > 0) {
		if ((size_t)n > len - at || memcmp(chunk, bytes + at, (size_t)n))
			break;
		at += (size_t)n;
	}
	if (fd >= 0)
		close(fd);
	return !n && at == len;
}

static int write_all(int fd, const char *bytes, size_t len)
{
	while (len) {
		ssize_t n = write(fd, bytes, len);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			bytes += n;
			len -= (size_t)n;
		}
	}
	return fsync(fd) ? -errno : 0;
}

/* The name is on the disk only once its directory is. */
static int sync_directory(const char *path)
{
	char dir[STATEFILE_PATH_SIZE];
	int fd, err = 0;

	snprintf(dir, sizeof(dir), "%s", path);
	*strrchr(dir, '/') = '\0';
	fd = open(*dir ? dir : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fsync(fd))
		err = -errno;
	close(fd);
	return err;
}

int statefile_write(const char *path, const void *bytes, size_t len)
{
	char fresh[STATEFILE_PATH_SIZE];
	int fd, err;

	if (holds(path, bytes, len))
		return 0;
	if (snprintf(fresh, sizeof(fresh), "%s" SUFFIX, path) >= (int)sizeof(fresh))
		return -ENAMETOOLONG;
	unlink(fresh); /* half written, by one that was ended */
	fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	err = write_all(fd, bytes, len);
	close(fd);
	if (!err && rename(fresh, path))
		err = -errno;
	if (err)
		unlink(fresh);
	return err ?: sync_directory(path);
}
