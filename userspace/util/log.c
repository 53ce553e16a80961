/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Log lines to stderr: the level, the program's name and the count of dropped lines. Never waits, never splits a line,
 * never lets a control character through. Not thread-safe. SIGPIPE must be ignored by the caller.
 *
 * stderr's file description is shared with the parent process, so O_NONBLOCK cannot be set on it. RWF_NOWAIT does the
 * same for one write; sockets support it since 4.13, pipes since 6.4. For everything else poll() shows whether a line
 * can be written at once: a writable pipe has a free page, and a line is shorter. A writable terminal may have less
 * room than a line, so a terminal is opened again, non-blocking, for this process only.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>
#include "util/clock.h"
#include "util/log.h"

#define LINE_SIZE 2048 /* below PIPE_BUF: a pipe takes it whole or not at all */
#define CUT_MARK  "..."
#define SELDOM_MS 60000

_Static_assert(LINE_SIZE <= PIPE_BUF, "a line must be one atomic write");

static const char *program_name = "mxlb";
static enum log_level max_level = LOG_LEVEL_INFO;
static bool to_journal;
static int log_fd = STDERR_FILENO;
static uint64_t dropped;

/* systemd.exec(5): JOURNAL_STREAM is "device:inode" of the stream that it gave us. */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;

	return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
	       !fstat(STDERR_FILENO, &st) && st.st_dev == device && st.st_ino == inode;
}

void log_init(const char *program, enum log_level max)
{
	program_name = program;
	max_level = max;
	to_journal = stderr_is_journal();
	if (log_fd != STDERR_FILENO)
		close(log_fd);
	log_fd = -1;
	if (isatty(STDERR_FILENO))
		log_fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (log_fd < 0)
		log_fd = STDERR_FILENO;
}

uint64_t log_dropped(void)
{
	return dropped;
}

static void write_line(char *line, size_t len)
{
	struct pollfd pfd = {.fd = log_fd, .events = POLLOUT};
	struct iovec iov = {.iov_base = line, .iov_len = len};
	ssize_t n = pwritev2(log_fd, &iov, 1, -1, RWF_NOWAIT);

	if (n < 0 && (errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL)) {
		if (poll(&pfd, 1, 0) == 1 && (pfd.revents & POLLOUT))
			n = write(log_fd, line, len);
	}
	if (n != (ssize_t)len)
		dropped++;
}

void log_at(enum log_level level, const char *format, ...)
{
	int saved_errno = errno, head = 0, body;
	char line[LINE_SIZE];
	va_list args;
	size_t len;

	if (level > max_level)
		return;
	if (to_journal)
		head = snprintf(line, sizeof(line), "<%d>", level);
	head += snprintf(line + head, sizeof(line) - (size_t)head, "%.64s: ", program_name);
	va_start(args, format);
	body = vsnprintf(line + head, sizeof(line) - (size_t)head, format, args);
	va_end(args);
	len = (size_t)(head + (body > 0 ? body : 0));
	if (len > sizeof(line) - 1) {
		len = sizeof(line) - 1;
		memcpy(line + len - strlen(CUT_MARK), CUT_MARK, strlen(CUT_MARK));
	}
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
			line[i] = ' ';
	line[len++] = '\n';
	write_line(line, len);
	errno = saved_errno;
}

/* One byte as C text; returns its length, at most 4. */
static size_t quote_byte(unsigned char c, char out[5])
{
	static const char named[] = "\r\n\t\"\\", letter[] = "rnt\"\\";
	const char *at = c ? strchr(named, c) : NULL;

	if (at)
		return (size_t)sprintf(out, "\\%c", letter[at - named]);
	if (c < ' ' || c >= 0x7f)
		return (size_t)sprintf(out, "\\x%02x", c);
	return (size_t)sprintf(out, "%c", c);
}

char *log_quote(const void *bytes, size_t len, char *buf, size_t size)
{
	const unsigned char *in = bytes;
	size_t used = 0, fits = 0; /* fits: where a cut leaves room for the mark */
	char one[5];

	if (!size)
		return buf;
	for (size_t i = 0; i < len; i++) {
		size_t n = quote_byte(in[i], one);

		if (used + n >= size) {
			snprintf(buf + fits, size - fits, CUT_MARK);
			return buf;
		}
		memcpy(buf + used, one, n);
		used += n;
		if (used + strlen(CUT_MARK) < size)
			fits = used;
	}
	buf[used] = '\0';
	return buf;
}

bool log_seldom(uint64_t *said_ms)
{
	uint64_t now_ms = clock_ms();

	if (*said_ms && now_ms - *said_ms < SELDOM_MS)
		return false;
	*said_ms = now_ms;
	return true;
}
