/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reads a file that the administrator named. Anything but a regular file (a FIFO would hang, a device may react) and
 * large files are refused.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "conf/file.h"
#include "util/names.h"

#define BYTE_ORDER_MARK "\xef\xbb\xbf" /* of UTF-8; Windows' editors put it first */
#define ERROR_SIZE	96

static int file_refuse(char *why, const char *what, const char *reason)
{
	snprintf(why, VALUE_WHY_SIZE, "%s%s", what, reason);
	return -EINVAL;
}

/* The administrator can read it; whether a daemon's user can is another matter. */
static const char *error_text(char text[ERROR_SIZE])
{
	char user[NAMES_SIZE];

	if (errno == EACCES)
		snprintf(text, ERROR_SIZE, "%s to user %s, who reads it", strerror(EACCES),
			 names_user(geteuid(), user));
	else
		snprintf(text, ERROR_SIZE, "%s", strerror(errno));
	return text;
}

static int check_type(mode_t mode, char *why)
{
	if (S_ISREG(mode))
		return 0;
	return file_refuse(why, S_ISDIR(mode) ? "a directory" : "a device, FIFO or socket",
			   ", not a regular file");
}

/* stat() before open(), since opening a device may set it off; fstat() after, since it may be another. */
static int open_regular(const char *path, bool *exposed, int *out, char *why)
{
	char text[ERROR_SIZE];
	struct stat st;
	int fd, err;

	if (stat(path, &st))
		return file_refuse(why, "can't be read: ", error_text(text));
	err = check_type(st.st_mode, why);
	if (err)
		return err;
	fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st)) {
		err = file_refuse(why, "can't be read: ", error_text(text));
		goto out;
	}
	err = check_type(st.st_mode, why);
	if (err)
		goto out;
	*exposed = st.st_mode & S_IWOTH;
	*out = fd;
	return 0;
out:
	if (fd >= 0)
		close(fd);
	return err;
}

/* At most one chunk beyond the limit, so that a file that grows meanwhile is noticed too. */
static int file_read_all(int fd, size_t max, struct buf *text, char *why)
{
	char chunk[16384];
	ssize_t n;

	while (text->len <= max) {
		n = read(fd, chunk, sizeof(chunk));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return file_refuse(why, "can't be read: ", strerror(errno));
		if (!n)
			return 0;
		buf_append(text, chunk, (size_t)n);
		if (text->failed)
			return -ENOMEM;
	}
	snprintf(why, VALUE_WHY_SIZE, "larger than %zu MiB", max >> 20);
	return -EINVAL;
}

int file_read(const char *path, size_t max, struct buf *text, bool *exposed,
	      char why[VALUE_WHY_SIZE])
{
	int fd, err;

	err = open_regular(path, exposed, &fd, why);
	if (err)
		return err;
	err = file_read_all(fd, max, text, why);
	close(fd);
	if (!err && text->len >= 3 && !memcmp(text->data, BYTE_ORDER_MARK, 3))
		buf_consume(text, 3);
	return err;
}
