/* SPDX-License-Identifier: BSD-2-Clause */
#include "ctl/screen.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#define BEGIN "\033[?1049h\033[?25l\033[?7l" /* another screen, no cursor, no wrapping */
#define END   "\033[?7h\033[?25h\033[?1049l"

static struct termios before;
static volatile sig_atomic_t ended;

static void on_end(int number)
{
	ended = number;
}

static void on_resize(int number)
{
	(void)number; /* that it came ends the waiting */
}

static void catch_signals(void)
{
	static const int ends[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
	struct sigaction act = {.sa_handler = on_end};

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		sigaction(ends[i], &act, NULL);
	act.sa_handler = on_resize;
	sigaction(SIGWINCH, &act, NULL);
	signal(SIGTSTP, SIG_IGN); /* otherwise the shell would stay on the alternate screen */
}

bool screen_begin(void)
{
	const char *term = getenv("TERM");
	struct termios keys;

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) || !term || !strcmp(term, "dumb") ||
	    tcgetattr(STDIN_FILENO, &before))
		return false;
	keys = before;
	keys.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	if (tcsetattr(STDIN_FILENO, TCSADRAIN, &keys))
		return false;
	catch_signals();
	fputs(BEGIN, stdout);
	return true;
}

void screen_end(void)
{
	fputs(END, stdout);
	fflush(stdout);
	tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
	if (!ended || ended == SIGHUP)
		return;
	signal(ended, SIG_DFL); /* so that the shell sees the signal */
	raise(ended);
}

static unsigned count_lines(const char *text)
{
	unsigned n = 0;

	for (; (text = strchr(text, '\n')); text++)
		n++;
	return n;
}

unsigned screen_show(const char *text, unsigned head, unsigned first)
{
	unsigned n = count_lines(text), line = 0, drawn = 0, rows, most;
	struct winsize size = {0};

	rows = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) || !size.ws_row ? 24 : size.ws_row;
	most = n > rows ? n - rows : 0;
	if (first > most)
		first = most;
	fputs("\033[H", stdout);
	for (size_t len; *text; text += len + (text[len] == '\n'), line++) {
		len = strcspn(text, "\n");
		if (line >= head && (line < head + first || line >= rows + first))
			continue;
		/* erased before it is drawn: after a full line the cursor is still on its last character */
		printf("%s\033[K%.*s", line ? "\n" : "", (int)len, text);
		drawn++;
	}
	if (drawn < rows)
		fputs("\n\033[J", stdout);
	fflush(stdout);
	return most;
}

static enum screen_key key_of(const char *bytes)
{
	if (!strcmp(bytes, "q") || !strcmp(bytes, "Q"))
		return SCREEN_QUIT;
	if (!strcmp(bytes, "k") || !strcmp(bytes, "\033[A") || !strcmp(bytes, "\033OA"))
		return SCREEN_UP;
	if (!strcmp(bytes, "j") || !strcmp(bytes, "\033[B") || !strcmp(bytes, "\033OB"))
		return SCREEN_DOWN;
	return SCREEN_NONE;
}

enum screen_key screen_key(int wait_ms)
{
	struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
	char bytes[16] = "";
	ssize_t n;

	if (ended)
		return SCREEN_QUIT;
	if (poll(&input, 1, wait_ms) <= 0)
		return ended ? SCREEN_QUIT : SCREEN_NONE;
	n = read(STDIN_FILENO, bytes, sizeof(bytes) - 1);
	if (n <= 0)
		return n < 0 && errno == EINTR && !ended ? SCREEN_NONE : SCREEN_QUIT;
	return key_of(bytes);
}
