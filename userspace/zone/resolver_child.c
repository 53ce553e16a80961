// SPDX-License-Identifier: BSD-2-Clause
/*
 * The resolver child: libunbound behind walls. It loads the library, takes its settings, gives up every privilege,
 * starts the library's thread by a lookup that needs no network, closes the sandbox, and only then asks the network. It
 * lives for one round of lookups.
 *
 * libunbound is loaded by name, here alone: without `mx` and `tlsa-name` no process of mxlb has it.
 */
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unbound.h>
#include <unistd.h>
#include "probe/sandbox.h"
#include "zone/message.h"
#include "zone/resolver.h"

#define LIBRARY	      "libunbound.so.8"
#define FIRST_NAME    "localhost" /* libunbound answers it itself */
#define FIRST_WAIT_MS 5000
#define CLASS_IN      1
#define SERVFAIL      2

static const struct sandbox walls = {.internet = true, .files = 512, .memory = 1024u << 20};

static struct {
	struct ub_ctx *(*create)(void);
	int (*set_option)(struct ub_ctx *ctx, const char *opt, const char *val);
	int (*debugout)(struct ub_ctx *ctx, void *out);
	int (*set_fwd)(struct ub_ctx *ctx, const char *addr);
	int (*add_ta)(struct ub_ctx *ctx, const char *ta);
	int (*async)(struct ub_ctx *ctx, int dothread);
	int (*fd)(struct ub_ctx *ctx);
	int (*process)(struct ub_ctx *ctx);
	int (*resolve_async)(struct ub_ctx *ctx, const char *name, int rrtype, int rrclass,
			     void *mydata, ub_callback_type callback, int *async_id);
	void (*free_result)(struct ub_result *result);
	const char *(*error)(int err);
} ub;

static struct resolver_child {
	struct ub_ctx *ctx;
	int fd;
	bool ready;
	struct message_answer answer;
} child;

static bool load_library(void)
{
	const struct {
		const char *name;
		void *function;
	} functions[] = {
		{"ub_ctx_create", &ub.create},
		{"ub_ctx_set_option", &ub.set_option},
		{"ub_ctx_debugout", &ub.debugout},
		{"ub_ctx_set_fwd", &ub.set_fwd},
		{"ub_ctx_add_ta", &ub.add_ta},
		{"ub_ctx_async", &ub.async},
		{"ub_fd", &ub.fd},
		{"ub_process", &ub.process},
		{"ub_resolve_async", &ub.resolve_async},
		{"ub_resolve_free", &ub.free_result},
		{"ub_strerror", &ub.error},
	};
	/*
	 * Its own libevent and not libev, which mxlbd has already loaded and which has functions of the same names: with
	 * them the library overwrites its heap.
	 */
	void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND), *found;

	for (size_t i = 0; i < sizeof(functions) / sizeof(*functions); i++) {
		found = library ? dlsym(library, functions[i].name) : NULL;
		if (!found)
			return false;
		memcpy(functions[i].function, &found, sizeof(found));
	}
	return true;
}

bool resolver_has_library(void)
{
	void *library = dlopen(LIBRARY, RTLD_LAZY | RTLD_LOCAL);

	if (library)
		dlclose(library);
	return library;
}

/* Printable, and terminated. */
static void put_text(char *to, size_t size, const char *from)
{
	size_t n = 0;

	for (; from && *from && n + 1 < size; from++)
		to[n++] = *from >= ' ' && *from <= '~' ? *from : '?';
	to[n] = '\0';
}

static void resolver_child_send(size_t len)
{
	ssize_t n;

	do
		n = send(child.fd, &child.answer, len, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		_exit(0); /* mxlbd has what it wanted, or is gone */
}

static size_t begin_answer(uint32_t id)
{
	memset(&child.answer.header, 0, sizeof(child.answer.header));
	child.answer.header.magic = MESSAGE_MAGIC;
	child.answer.header.id = id;
	return sizeof(child.answer.header);
}

static void say(uint32_t id, uint16_t rcode, const char *why)
{
	size_t len = begin_answer(id);

	child.answer.header.rcode = rcode;
	put_text(child.answer.header.why, sizeof(child.answer.header.why), why);
	resolver_child_send(len);
}

static void on_answer(void *ctx, int err, struct ub_result *r)
{
	struct message_header *h = &child.answer.header;
	uint32_t id = (uint32_t)(uintptr_t)ctx;
	size_t len = begin_answer(id);
	bool fits = true;

	if (err || !r) {
		say(id, SERVFAIL, err ? ub.error(err) : "no result");
		return;
	}
	h->rcode = (uint16_t)(r->rcode & 0xfff);
	h->has_data = r->havedata != 0;
	h->nxdomain = r->nxdomain != 0;
	h->secure = r->secure != 0;
	h->bogus = r->bogus != 0;
	h->ttl_s = r->ttl > 0 ? (uint32_t)r->ttl : 0;
	put_text(h->canonical, sizeof(h->canonical), r->canonname);
	put_text(h->why, sizeof(h->why), r->why_bogus);
	for (size_t i = 0; r->havedata && r->data && r->data[i] && fits; i++)
		fits = message_add(&child.answer, &len, r->data[i], (size_t)r->len[i]);
	if (fits)
		resolver_child_send(len);
	else
		say(id, SERVFAIL, "the answer has too many records");
	ub.free_result(r);
}

static void on_first(void *ctx, int err, struct ub_result *r)
{
	(void)ctx;
	child.ready = !err;
	if (r)
		ub.free_result(r);
}

/* False: mxlbd closed the pair, or sent something else. */
static bool resolver_child_receive(struct message_request *req)
{
	ssize_t n;

	do
		n = recv(child.fd, req, sizeof(*req), 0);
	while (n < 0 && errno == EINTR);
	if (n != sizeof(*req) || req->magic != MESSAGE_MAGIC)
		return false;
	req->text[sizeof(req->text) - 1] = '\0';
	return true;
}

static int resolver_child_set(const struct message_request *req)
{
	switch (req->kind) {
	case MESSAGE_FORWARD:
		return ub.set_fwd(child.ctx, req->text);
	case MESSAGE_ANCHOR:
		return ub.add_ta(child.ctx, req->text);
	case MESSAGE_INSECURE:
		return ub.set_option(child.ctx, "domain-insecure:", req->text);
	default:
		return UB_SYNTAX;
	}
}

static int take_settings(void)
{
	static const char *const options[][2] = {
		{"do-not-query-localhost:", "no"}, /* resolvers are often there */
		{"trust-anchor-signaling:", "no"},
		{"outgoing-range:", "64"},
		{"num-queries-per-thread:", "64"},
	};
	struct message_request req;
	int err = 0;

	for (size_t i = 0; i < sizeof(options) / sizeof(*options); i++)
		ub.set_option(child.ctx, options[i][0],
			      options[i][1]); /* an older one lacks some */
	while (!err) {
		if (!resolver_child_receive(&req))
			_exit(0);
		if (req.kind == MESSAGE_START)
			return 0;
		err = resolver_child_set(&req);
	}
	return err;
}

/* The library's thread starts at its first lookup, and is then inside the same walls. */
static const char *start_thread(void)
{
	int err = ub.async(child.ctx, 1);

	if (!err)
		err = ub.resolve_async(child.ctx, FIRST_NAME, DNS_A, CLASS_IN, NULL, on_first,
				       NULL);
	while (!err && !child.ready) {
		struct pollfd p = {.fd = ub.fd(child.ctx), .events = POLLIN};

		if (poll(&p, 1, FIRST_WAIT_MS) <= 0)
			return "its thread did not start";
		err = ub.process(child.ctx);
	}
	return err ? ub.error(err) : NULL;
}

static const char *resolver_child_prepare(void)
{
	const char *why;
	int err;

	if (!load_library())
		return LIBRARY " is missing; install libunbound8";
	child.ctx = ub.create();
	if (!child.ctx)
		return "no memory";
	ub.debugout(child.ctx, NULL); /* it may write no file, and stderr may be one */
	err = take_settings();
	if (err)
		return ub.error(err);
	if (sandbox_drop(&walls))
		return "its privileges could not be dropped";
	why = start_thread();
	if (!why && sandbox_close(&walls))
		why = "its sandbox could not be closed";
	return why;
}

static void serve(void)
{
	struct pollfd p[] = {{.fd = child.fd, .events = POLLIN},
			     {.fd = ub.fd(child.ctx), .events = POLLIN}};
	struct message_request req;

	for (;;) {
		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return;
		if (p[1].revents && ub.process(child.ctx))
			return;
		if (!p[0].revents)
			continue;
		if (!resolver_child_receive(&req) || req.kind != MESSAGE_LOOKUP)
			return;
		if (ub.resolve_async(child.ctx, req.text, (int)req.type, CLASS_IN,
				     (void *)(uintptr_t)req.id, on_answer, NULL))
			say(req.id, SERVFAIL, "libunbound refused the name");
	}
}

int resolver_child_main(int fd)
{
	const char *why;

	child.fd = fd;
	/* One heap for both threads: that of a thread grows by mprotect(), which the walls do not allow. */
	mallopt(M_ARENA_MAX, 1);
	why = resolver_child_prepare();
	say(0, 0, why);
	if (!why)
		serve();
	_exit(why ? 1 : 0); /* the library's thread does not end by itself */
}
