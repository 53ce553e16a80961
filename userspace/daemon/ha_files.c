// SPDX-License-Identifier: BSD-2-Clause
/* Each file is replaced as a whole, because keepalived reads at any time. */
#include "daemon/ha_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_SIZE (CONFIG_PATH_SIZE + 8)

static int replace(const char *path, const char *text)
{
	char next[PATH_SIZE + 8];
	size_t len = strlen(text);
	int fd, err = 0;

	snprintf(next, sizeof(next), "%s.new", path);
	fd = open(next, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return -errno;
	if (write(fd, text, len) != (ssize_t)len || fchmod(fd, 0644))
		err = errno ? -errno : -EIO;
	close(fd);
	if (!err && rename(next, path))
		err = -errno;
	if (err)
		unlink(next);
	return err;
}

int ha_files_write_priority(const struct ha_conf *conf, int priority)
{
	char text[16];

	snprintf(text, sizeof(text), "%d\n", priority);
	return replace(conf->priority_file, text);
}

static void role_path(const struct ha_conf *conf, char path[PATH_SIZE])
{
	snprintf(path, PATH_SIZE, "%s.role", conf->priority_file);
}

int ha_files_keep_role(const struct ha_conf *conf, enum role role)
{
	char path[PATH_SIZE];
	int err;

	role_path(conf, path);
	err = replace(path, role_name(role));
	if (err)
		unlink(path);
	return err;
}

enum role ha_files_kept_role(const struct ha_conf *conf)
{
	const char *active = role_name(ROLE_ACTIVE);
	char path[PATH_SIZE], text[16];
	ssize_t n = -1;
	int fd;

	role_path(conf, path);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd >= 0) {
		n = read(fd, text, sizeof(text));
		close(fd);
	}
	return n == (ssize_t)strlen(active) && !memcmp(text, active, (size_t)n) ? ROLE_ACTIVE
										: ROLE_STANDBY;
}
