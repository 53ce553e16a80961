/* SPDX-License-Identifier: BSD-2-Clause */
/* The records between parent and child, and how a certificate is printed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include <openssl/x509.h>
#include "probe/tls.h"
#include "probe/transcript.h"
#include "probe/wire.h"

static struct wire_answer good_answer(void)
{
	struct wire_answer a = {.magic = WIRE_MAGIC, .id = 7, .kind = WIRE_RESULT};

	a.result =
		(struct probe_result){.reason = REASON_ok,
				      .stage = STAGE_DONE,
				      .smtp_code = 250,
				      .connect_ms = 1,
				      .text = "250 ok",
				      .tls = {.version = "TLSv1.3", .n_names = 1, .names = {"a"}}};
	return a;
}

static void a_good_answer_is_taken(void **state)
{
	struct wire_answer a = good_answer(),
			   slow = {.magic = WIRE_MAGIC, .id = 7, .kind = WIRE_SLOW_CONNECT};

	(void)state;
	assert_int_equal(wire_check_answer(&a, sizeof(a)), 0);
	assert_int_equal(wire_check_answer(&slow, sizeof(slow)), 0);
}

static void an_answer_of_another_size_is_refused(void **state)
{
	struct wire_answer a = good_answer();

	(void)state;
	for (size_t len = 0; len < sizeof(a); len++)
		assert_int_equal(wire_check_answer(&a, len), -EBADMSG);
	assert_int_equal(wire_check_answer(&a, sizeof(a) + 1), -EBADMSG);
}

#define REFUSED(what, ...)                                        \
	do {                                                      \
		struct wire_answer a = good_answer();             \
		struct probe_result *r = &a.result;               \
                                                                  \
		(void)r;                                          \
		__VA_ARGS__;                                      \
		if (wire_check_answer(&a, sizeof(a)) != -EBADMSG) \
			fail_msg("taken: %s", what);              \
	} while (0)

static void every_field_that_no_honest_child_would_send_is_refused(void **state)
{
	(void)state;
	REFUSED("magic", a.magic++);
	REFUSED("no kind", a.kind = 0);
	REFUSED("unknown kind", a.kind = 6);
	REFUSED("reason not_probed", r->reason = REASON_not_probed);
	REFUSED("reason beyond the last", r->reason = REASON_COUNT);
	REFUSED("negative reason", r->reason = -1);
	REFUSED("stage beyond the last", r->stage = STAGE_DONE + 1);
	REFUSED("code 199", r->smtp_code = 199);
	REFUSED("code 600", r->smtp_code = 600);
	REFUSED("a time of weeks", r->total_ms = UINT32_MAX);
	REFUSED("weeks of CPU", r->cpu_ms = UINT32_MAX);
	REFUSED("text without end", memset(r->text, 'x', sizeof(r->text)));
	REFUSED("a newline", strcpy(r->text, "a\nb"));
	REFUSED("an escape", strcpy(r->text, "\x1b[2J"));
	REFUSED("8-bit", strcpy(r->text, "\xff"));
	REFUSED("DEL", strcpy(r->text, "\x7f"));
	REFUSED("too many names", r->tls.n_names = TLS_NAMES_MAX + 1);
	REFUSED("a date before the year 0", r->tls.not_before = INT64_MIN);
	REFUSED("a date after the year 9999", r->tls.not_after = INT64_MAX);
	REFUSED("a name without end", memset(r->tls.names[0], 'x', TLS_NAME_SIZE));
	REFUSED("version", memset(r->tls.version, 'x', sizeof(r->tls.version)));
	REFUSED("cipher", memset(r->tls.cipher, 'x', sizeof(r->tls.cipher)));
	REFUSED("subject", strcpy(r->tls.subject, "\r"));
	REFUSED("issuer", strcpy(r->tls.issuer, "\t"));
}

static struct wire_answer a_note(enum note_kind kind)
{
	struct wire_answer a = {.magic = WIRE_MAGIC, .id = 7, .kind = WIRE_NOTE};

	a.note.kind = kind;
	return a;
}

#define NOTE_REFUSED(note_kind, ...)                                  \
	do {                                                          \
		struct wire_answer bad = a_note(note_kind);           \
		struct probe_note *n = &bad.note;                     \
                                                                      \
		(void)n;                                              \
		__VA_ARGS__;                                          \
		if (wire_check_answer(&bad, sizeof(bad)) != -EBADMSG) \
			fail_msg("taken: %s", #__VA_ARGS__);          \
	} while (0)

static void a_note_is_checked_field_by_field(void **state)
{
	(void)state;
	for (enum note_kind kind = NOTE_EVENT; kind <= NOTE_JUDGEMENT; kind++) {
		struct wire_answer a = a_note(kind);

		assert_int_equal(wire_check_answer(&a, sizeof(a)), 0);
		NOTE_REFUSED(kind, n->at_ms = UINT32_MAX);
	}
	for (enum note_kind kind = NOTE_EVENT; kind <= NOTE_HEARD; kind++) {
		NOTE_REFUSED(kind, memset(n->text, 'x', sizeof(n->text)));
		NOTE_REFUSED(kind, strcpy(n->text, "\x1b[2J"));
		NOTE_REFUSED(kind, strcpy(n->text, "a\nb"));
	}
	NOTE_REFUSED(0, (void)0);
	NOTE_REFUSED(NOTE_JUDGEMENT + 1, (void)0);
	NOTE_REFUSED(-1, (void)0);
	NOTE_REFUSED(NOTE_CERTIFICATE, n->certificate.n_names = TLS_NAMES_MAX + 1);
	NOTE_REFUSED(NOTE_CERTIFICATE, n->certificate.not_after = INT64_MIN);
	NOTE_REFUSED(NOTE_CERTIFICATE, strcpy(n->certificate.subject, "\r"));
	NOTE_REFUSED(NOTE_JUDGEMENT, n->judgement.policy = TLS_DANE + 1);
	NOTE_REFUSED(NOTE_JUDGEMENT, n->judgement.reason = REASON_COUNT);
	NOTE_REFUSED(NOTE_JUDGEMENT, n->judgement.reason = -1);
	NOTE_REFUSED(NOTE_JUDGEMENT, strcpy(n->judgement.text, "\xff"));
}

/* The contents of a transcript, each note as "KIND TEXT|". */
static void collect(void *ctx, const struct probe_note *n)
{
	char *all = ctx;
	struct wire_answer a = {.magic = WIRE_MAGIC, .kind = WIRE_NOTE, .note = *n};

	assert_int_equal(wire_check_answer(&a, sizeof(a)), 0); /* an honest child passes */
	sprintf(all + strlen(all), "%d %s|", n->kind, n->text);
}

static void lines_are_parsed_the_same_however_they_are_split(void **state)
{
	static const char bytes[] = "250-mx\r\n250-a\tb\n\r\n\xff\x1b[2J\r\n250 x";
	char all[1024];

	(void)state;
	for (size_t piece = 1; piece <= sizeof(bytes); piece++) {
		struct transcript t = {.emit = collect, .ctx = all};

		all[0] = '\0';
		for (size_t at = 0; at < sizeof(bytes) - 1; at += piece)
			transcript_heard(&t, 7, bytes + at,
					 sizeof(bytes) - 1 - at < piece ? sizeof(bytes) - 1 - at
									: piece);
		transcript_end(&t, 7);
		assert_string_equal(all, "3 250-mx|3 250-a\\tb\\n|3 |3 \\xff\\x1b[2J|3 250 x|");
	}
}

static void without_an_observer_nothing_is_recorded(void **state)
{
	struct transcript t = {0};

	(void)state;
	transcript_heard(&t, 0, "220 mx\r\n", 8);
	transcript_said(&t, 0, "QUIT\r\n", 6);
	transcript_event(&t, 0, "connected");
	transcript_end(&t, 0);
	assert_int_equal(t.lines, 0);
}

static void a_flood_of_lines_and_an_endless_line_are_cut(void **state)
{
	static char all[TRANSCRIPT_LINES_MAX * 16 + NOTE_TEXT_SIZE + 64];
	struct transcript t = {.emit = collect, .ctx = all};

	(void)state;
	for (int i = 0; i < 100000; i++)
		transcript_heard(&t, 0, "x", 1);
	transcript_end(&t, 0);
	assert_int_equal(strlen(all), strlen("3 |") + NOTE_TEXT_SIZE - 1);
	assert_non_null(strstr(all, "xxx...|"));
	all[0] = '\0';
	for (int i = 0; i < 100000; i++)
		transcript_heard(&t, 0, "250-x\r\n", 7);
	assert_int_equal(t.lines, TRANSCRIPT_LINES_MAX);
	assert_non_null(strstr(all, "250-x|1 more lines follow, which are not shown|"));
	assert_string_equal(strchr(all, 'm'), "more lines follow, which are not shown|");
}

static int open_files(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void a_request_brings_its_socket(void **state)
{
	struct wire_request out = {.magic = WIRE_MAGIC, .id = 9}, in;
	int pair[2], fd = -1, before = open_files();

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	assert_int_equal(wire_recv_request(pair[1], &in, &fd), -EAGAIN);
	assert_int_equal(wire_send_request(pair[0], &out, pair[0]), 0);
	assert_int_equal(wire_recv_request(pair[1], &in, &fd), 0);
	assert_int_equal(in.id, 9);
	assert_true(fd > pair[1] && fcntl(fd, F_GETFD) == FD_CLOEXEC);
	close(fd);
	close(pair[0]);
	assert_int_equal(wire_recv_request(pair[1], &in, &fd), -EPIPE);
	assert_int_equal(wire_send_answer(pair[1], &(struct wire_answer){0}), -EPIPE);
	close(pair[1]);
	assert_int_equal(open_files(), before);
}

static void send_raw(int fd, const void *bytes, size_t len, int n_fds)
{
	char control[CMSG_SPACE(8 * sizeof(int))] = {0};
	struct iovec iov = {(void *)bytes, len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	struct cmsghdr *c;

	if (n_fds) {
		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n_fds * sizeof(int)); /* n times fd 0 */
	}
	assert_int_equal(sendmsg(fd, &msg, 0), len);
}

static void a_broken_request_is_refused_and_its_sockets_closed(void **state)
{
	struct wire_request good = {.magic = WIRE_MAGIC}, bad = {.magic = 1}, in;
	char longer[sizeof(good) + 1] = {0};
	int pair[2], fd, before = open_files();

	(void)state;
	memcpy(longer, &good, sizeof(good));
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	send_raw(pair[0], &good, sizeof(good), 0);
	send_raw(pair[0], &good, sizeof(good), 2);
	send_raw(pair[0], &good, sizeof(good), 8);
	send_raw(pair[0], &good, sizeof(good) - 1, 1);
	send_raw(pair[0], longer, sizeof(longer), 1);
	send_raw(pair[0], &bad, sizeof(bad), 1);
	for (int i = 0; i < 6; i++) {
		assert_int_equal(wire_recv_request(pair[1], &in, &fd), -EBADMSG);
		assert_int_equal(fd, -1);
		assert_int_equal(open_files(), before + 2);
	}
	close(pair[0]);
	close(pair[1]);
}

static void an_answer_is_checked_as_it_arrives(void **state)
{
	struct wire_answer a = good_answer(), in;
	char longer[sizeof(a) + 1] = {0};
	int pair[2];

	(void)state;
	memcpy(longer, &a, sizeof(a));
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	assert_int_equal(wire_recv_answer(pair[0], &in), -EAGAIN);
	assert_int_equal(wire_send_answer(pair[1], &a), 0);
	assert_int_equal(wire_recv_answer(pair[0], &in), 0);
	assert_memory_equal(&a, &in, sizeof(a));
	assert_int_equal(send(pair[1], longer, sizeof(longer), 0), sizeof(longer));
	assert_int_equal(wire_recv_answer(pair[0], &in), -EBADMSG);
	close(pair[1]);
	assert_int_equal(wire_recv_answer(pair[0], &in), -EPIPE);
	close(pair[0]);
}

/* Attributes in the order of the certificate, "+" before the name: in the same RDN as the one before. */
struct name_row {
	const char *attributes[8][2];
	const char *windows;
};

static const struct name_row names[] = {
	{{{"C", "US"},
	  {"ST", "WA"},
	  {"L", "Seattle"},
	  {"O", "Barbara Zighetti"},
	  {"CN", "mail.contoso.com"}},
	 "CN=mail.contoso.com, O=Barbara Zighetti, L=Seattle, S=WA, C=US"},
	{{{"C", "US"},
	  {"O", "A.Datum Corp"},
	  {"OU", "www.adatum.com"},
	  {"CN", "A. Datum Corporation CA-3"}},
	 "CN=A. Datum Corporation CA-3, OU=www.adatum.com, O=A.Datum Corp, C=US"},
	{{{"O", "Contoso, Ltd"}}, "O=\"Contoso, Ltd\""},
	{{{"O", "the \"best\""}}, "O=\"the \"\"best\"\"\""},
	{{{"O", " blank"}, {"OU", "blank "}}, "OU=\"blank \", O=\" blank\""},
	{{{"O", "a+b"}, {"OU", "a=b"}, {"CN", "a;b"}}, "CN=\"a;b\", OU=\"a=b\", O=\"a+b\""},
	{{{"O", "a\\b"}}, "O=a\\b"},
	{{{"O", "x"}, {"CN", "a"}, {"+OU", "b"}}, "CN=a + OU=b, O=x"},
	{{{"DC", "com"}, {"DC", "contoso"}, {"CN", "ca"}}, "CN=ca, DC=contoso, DC=com"},
	{{{"emailAddress", "a@b"}, {"serialNumber", "7"}, {"GN", "G"}, {"SN", "N"}, {"title", "T"}},
	 "T=T, SN=N, G=G, SERIALNUMBER=7, E=a@b"},
	{{{"businessCategory", "x"}, {"UID", "y"}},
	 "OID.0.9.2342.19200300.100.1.1=y, OID.2.5.4.15=x"},
	{{{"O", "Z\xc3\xbcrich"}}, "O=Z\xc3\xbcrich"},
	{{{"O", "\xe6\xa0\xaa\xe5\xbc\x8f"}}, "O=\xe6\xa0\xaa\xe5\xbc\x8f"},
	{{{"O", "a\xe2\x80\xae"
		"b"}},
	 "O=a\\xe2\\x80\\xaeb"}, /* turns the text around */
	{{{NULL}}, ""},
};

static X509_NAME *make_name(const struct name_row *row)
{
	X509_NAME *name = X509_NAME_new();

	for (int i = 0; i < 8 && row->attributes[i][0]; i++) {
		const char *type = row->attributes[i][0];
		bool same = type[0] == '+';

		assert_int_equal(
			X509_NAME_add_entry_by_txt(name, type + same, MBSTRING_UTF8,
						   (const unsigned char *)row->attributes[i][1], -1,
						   -1, same ? -1 : 0),
			1);
	}
	return name;
}

static void names_are_printed_as_windows_does(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		X509_NAME *name = make_name(&names[i]);
		char text[PROBE_TEXT_SIZE];

		certfacts_name(name, text, sizeof(text));
		assert_string_equal(text, names[i].windows);
		X509_NAME_free(name);
	}
}

static void a_name_is_cut_where_its_room_ends(void **state)
{
	X509_NAME *name = make_name(&names[0]);
	char whole[PROBE_TEXT_SIZE];

	(void)state;
	certfacts_name(name, whole, sizeof(whole));
	for (size_t size = 1; size < sizeof(whole); size++) {
		char *text = malloc(size);

		certfacts_name(name, text, size);
		assert_true(strlen(text) < size && !strncmp(whole, text, strlen(text)));
		free(text);
	}
	X509_NAME_free(name);
}

static void a_nul_in_a_name_is_shown_and_ends_nothing(void **state)
{
	X509_NAME *name = X509_NAME_new();
	char text[PROBE_TEXT_SIZE];

	(void)state;
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)"a\0.evil", 7,
				   -1, 0);
	certfacts_name(name, text, sizeof(text));
	assert_string_equal(text, "CN=a\\x00.evil");
	X509_NAME_free(name);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_answer_is_taken),
		cmocka_unit_test(an_answer_of_another_size_is_refused),
		cmocka_unit_test(every_field_that_no_honest_child_would_send_is_refused),
		cmocka_unit_test(a_note_is_checked_field_by_field),
		cmocka_unit_test(lines_are_parsed_the_same_however_they_are_split),
		cmocka_unit_test(without_an_observer_nothing_is_recorded),
		cmocka_unit_test(a_flood_of_lines_and_an_endless_line_are_cut),
		cmocka_unit_test(a_request_brings_its_socket),
		cmocka_unit_test(a_broken_request_is_refused_and_its_sockets_closed),
		cmocka_unit_test(an_answer_is_checked_as_it_arrives),
		cmocka_unit_test(names_are_printed_as_windows_does),
		cmocka_unit_test(a_name_is_cut_where_its_room_ends),
		cmocka_unit_test(a_nul_in_a_name_is_shown_and_ends_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
