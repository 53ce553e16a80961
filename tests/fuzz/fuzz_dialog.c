/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The dialogue against a server that may send anything. The first four bytes are the depth, the policy, the end of the
 * handshake and the split of the bytes; the rest is what the server sends; then it closes or is silent.
 */
#include <string.h>
#include <strings.h>
#include "core/dialog.h"
#include "fuzz.h"

static const char *const commands[] = {
	"EHLO probe.example.net\r\n", "STARTTLS\r\n", "MAIL FROM:<>\r\n", "RSET\r\n", "QUIT\r\n",
	"HELO probe.example.net\r\n"};

#define COMMANDS (sizeof(commands) / sizeof(*commands))

struct run {
	struct dialog d;
	struct dialog_conf conf;
	unsigned said[COMMANDS]; /* each command, by its place in commands[] */
	unsigned shaken;	 /* handshakes asked for */
	const char *server;	 /* all it says */
	size_t heard;		 /* bytes the server has said */
};

/* Only a rough check that the word was there; tests/unit/test_reply.c checks keywords exactly. */
static bool was_offered(const struct run *r)
{
	for (size_t i = 0; i + 8 <= r->heard; i++)
		if (!strncasecmp(r->server + i, "STARTTLS", 8))
			return true;
	return false;
}

static void check_command(struct run *r)
{
	size_t i = 0;

	while (i < COMMANDS &&
	       (r->d.out_len != strlen(commands[i]) || memcmp(r->d.out, commands[i], r->d.out_len)))
		i++;
	MUST(i < COMMANDS);
	MUST(r->heard); /* never before the greeting */
	MUST(i != 1 || (r->conf.tls != TLS_NONE && !r->shaken));
	MUST(i != 1 || was_offered(r));
	MUST(i != 2 || r->conf.tls == TLS_NONE ||
	     r->shaken); /* no mail in plaintext if TLS is required */
	MUST(i != 5 ||
	     (r->conf.tls == TLS_NONE && r->said[0] && !r->said[2])); /* after EHLO only */
	MUST(++r->said[i] <= (i == 0 ? 2 : 1));
	MUST(i == 4 || !r->said[4]); /* nothing after QUIT */
}

static void check(struct run *r, enum dialog_want want)
{
	MUST(want <= DIALOG_CLOSE);
	if (want == DIALOG_WRITE || r->d.out_len)
		check_command(r);
	MUST(want != DIALOG_CLOSE || r->d.decided);
	MUST(want != DIALOG_READ || !r->d.out_len);
	if (!r->d.decided)
		return;
	MUST(r->d.reason > REASON_not_probed && r->d.reason < REASON_COUNT);
	MUST(r->d.reason != REASON_ok || r->d.stage == STAGE_DONE);
	MUST(!r->d.smtp_code || (r->d.smtp_code >= 200 && r->d.smtp_code <= 599));
	must_be_text(r->d.text, sizeof(r->d.text));
}

static enum dialog_want shake(struct run *r, uint8_t how)
{
	MUST(!r->shaken++);
	if (how % 4 == 1)
		return dialog_tls_done(&r->d, false, REASON_tls_handshake,
				       "no\r\n\x1b shared cipher");
	if (how % 4 == 2)
		return dialog_tls_done(&r->d, false, REASON_tls_version, "TLSv1");
	return dialog_tls_done(&r->d, true, REASON_ok, "");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct run r;
	enum dialog_want want;
	enum reason reason;
	size_t at = 4;

	if (size < 4)
		return 0;
	memset(&r, 0, sizeof(r));
	r.conf = (struct dialog_conf){.depth = data[0] % 5, .tls = data[1] % 2};
	strcpy(r.conf.helo, "probe.example.net");
	r.server = (const char *)data + at;
	dialog_init(&r.d, &r.conf);
	want = dialog_connected(&r.d);
	check(&r, want);
	while (want != DIALOG_CLOSE && at < size) {
		size_t piece = 1 + data[3] % 64;

		if (piece > size - at)
			piece = size - at;
		r.heard += piece;
		want = dialog_bytes(&r.d, (const char *)data + at, piece);
		at += piece;
		check(&r, want);
		if (want == DIALOG_START_TLS) {
			want = shake(&r, data[2]);
			check(&r, want);
		}
	}
	reason = r.d.reason;
	if (want == DIALOG_CLOSE)
		return 0;
	want = data[2] & 4 ? dialog_eof(&r.d, "closed") : dialog_timeout(&r.d);
	MUST(want == DIALOG_CLOSE && (!reason || r.d.reason == reason)); /* decided once */
	check(&r, want);
	return 0;
}
