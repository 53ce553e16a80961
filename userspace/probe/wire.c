/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The records between mxlbd and its probe child: their transport and validation. Every record whose size, magic,
 * numbers or texts an honest child would not send is rejected.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "probe/wire.h"
#include "util/utf8.h"

#define WIRE_FDS_MAX 4 /* that a message may bring: one is wanted, the others are closed */

/* A probe lasts minutes at most: a longer time is invalid. */
#define WIRE_MS_MAX  (24u * 3600 * 1000)

union ancillary {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(WIRE_FDS_MAX * sizeof(int))];
};

static bool text_ok(const char *text, size_t size)
{
	for (size_t i = 0, n; i < size; i += n) {
		if (!text[i])
			return true;
		n = utf8_printable(text + i, size - i);
		if (!n)
			return false;
	}
	return false;
}

/* Of the years 0 to 9999: what a certificate can say (X.680 section 46). */
static bool time_ok(int64_t s)
{
	return s >= -62167219200 && s <= 253402300799;
}

static bool tls_ok(const struct tls_info *t)
{
	if (t->n_names > TLS_NAMES_MAX || !time_ok(t->not_before) || !time_ok(t->not_after))
		return false;
	for (unsigned i = 0; i < t->n_names; i++)
		if (!text_ok(t->names[i], sizeof(t->names[i])))
			return false;
	return text_ok(t->version, sizeof(t->version)) && text_ok(t->cipher, sizeof(t->cipher)) &&
	       text_ok(t->subject, sizeof(t->subject)) && text_ok(t->issuer, sizeof(t->issuer));
}

static bool result_ok(const struct probe_result *r)
{
	if ((unsigned)r->reason >= REASON_COUNT || r->reason == REASON_not_probed)
		return false;
	if ((unsigned)r->stage > STAGE_DONE)
		return false;
	if (r->smtp_code && (r->smtp_code < 200 || r->smtp_code > 599))
		return false;
	if (r->connect_ms > WIRE_MS_MAX || r->greeting_ms > WIRE_MS_MAX ||
	    r->tls_ms > WIRE_MS_MAX || r->total_ms > WIRE_MS_MAX || r->cpu_ms > WIRE_MS_MAX)
		return false;
	return text_ok(r->text, sizeof(r->text)) && tls_ok(&r->tls);
}

static bool note_ok(const struct probe_note *n)
{
	if (n->at_ms > WIRE_MS_MAX)
		return false;
	switch (n->kind) {
	case NOTE_EVENT:
	case NOTE_SAID:
	case NOTE_HEARD:
		return text_ok(n->text, sizeof(n->text));
	case NOTE_CERTIFICATE:
		return tls_ok(&n->certificate);
	case NOTE_JUDGEMENT:
		return (unsigned)n->judgement.policy <= TLS_DANE &&
		       (unsigned)n->judgement.reason < REASON_COUNT &&
		       text_ok(n->judgement.text, sizeof(n->judgement.text));
	}
	return false;
}

int wire_check_answer(const struct wire_answer *a, size_t len)
{
	if (len != sizeof(*a) || a->magic != WIRE_MAGIC)
		return -EBADMSG;
	if (a->kind == WIRE_SLOW_CONNECT || a->kind == WIRE_SLOW_ANSWER || a->kind == WIRE_READY)
		return 0;
	if (a->kind == WIRE_NOTE)
		return note_ok(&a->note) ? 0 : -EBADMSG;
	return a->kind == WIRE_RESULT && result_ok(&a->result) ? 0 : -EBADMSG;
}

static int send_error(void)
{
	return errno == ECONNRESET ? -EPIPE : -errno;
}

int wire_send_request(int fd, const struct wire_request *req, int socket)
{
	struct iovec iov = {.iov_base = (void *)req, .iov_len = sizeof(*req)};
	union ancillary control = {0};
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = CMSG_SPACE(sizeof(socket)),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(socket));
	memcpy(CMSG_DATA(c), &socket, sizeof(socket));
	return sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? send_error() : 0;
}

/* The one descriptor of a message, or -1: none, or more than one, which are closed then. */
static int take_descriptor(struct msghdr *msg)
{
	int fds[WIRE_FDS_MAX];
	size_t n = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); /* the kernel sends one such part */
		memcpy(fds, CMSG_DATA(c), n * sizeof(int));
	}
	if (n == 1)
		return fds[0];
	while (n--)
		close(fds[n]);
	return -1;
}

int wire_recv_request(int fd, struct wire_request *req, int *socket)
{
	struct iovec iov = {.iov_base = req, .iov_len = sizeof(*req)};
	union ancillary control;
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	ssize_t n = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	bool sound, cut, none;

	if (n <= 0)
		return n ? send_error() : -EPIPE;
	*socket = take_descriptor(&msg);
	sound = n == sizeof(*req) && req->magic == WIRE_MAGIC && !(msg.msg_flags & MSG_TRUNC);
	cut = msg.msg_flags & MSG_CTRUNC; /* recvmsg(2): a descriptor had no place here */
	none = !CMSG_FIRSTHDR(&msg);
	if (sound && !cut && *socket >= 0)
		return 0;
	if (sound && cut && none)
		return -EMFILE;
	if (*socket >= 0)
		close(*socket);
	*socket = -1;
	return -EBADMSG;
}

int wire_send_answer(int fd, const struct wire_answer *a)
{
	ssize_t n;

	do
		n = send(fd, a, sizeof(*a), MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? send_error() : 0;
}

int wire_recv_answer(int fd, struct wire_answer *a)
{
	ssize_t n = recv(fd, a, sizeof(*a), MSG_DONTWAIT | MSG_TRUNC);

	if (n <= 0)
		return n ? send_error() : -EPIPE;
	return wire_check_answer(a, (size_t)n);
}
