/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ten texts of each kind that no list of phrases contains, said to the probe by one server, by half of the servers and
 * by all, while mail flows: blame.c and the model move no mail. The same texts said to everybody take the server out.
 */
#include "core/blame.h"
#include "core/refusal.h"
#include "model_fixture.h"

#define N_TEXTS 10

static const struct kind {
	const char *what;
	enum probe_stage stage;
	uint16_t code;
	const char *texts[N_TEXTS];
} kinds[] = {
	{"a rate",
	 STAGE_GREETING,
	 421,
	 {"4.3.2 easy, tiger", "4.4.5 one knock per minute, please", "you were here a second ago",
	  "4.3.2 bitte langsamer", "moins vite", "4.5.0 mais devagar",
	  "quota of this hour is spent", "4.3.2 seen you 61 times", "patience", "4.4.5 velocity"}},
	{"a number of connections",
	 STAGE_GREETING,
	 450,
	 {"4.3.2 the house is full", "trop de monde", "no seat left for you",
	  "4.4.5 zu viele von dir", "4.3.2 only 2 at a time", "one of you is plenty", "4.5.0 vol",
	  "close another one before", "4.3.2 parallel sessions: 20 of 20",
	  "busy with the others you opened"}},
	{"the null sender",
	 STAGE_MAIL_FROM,
	 550,
	 {"5.0.0 anonymous letters go to the bin", "who are you?", "5.5.4 give a mailbox",
	  "5.0.0 namenlos", "empty envelopes are unwelcome", "5.6.0 from nobody, to nobody",
	  "we want a name", "5.5.4 MAIL FROM needs an argument", "expediteur vide",
	  "5.0.0 nobody@"}},
	{"the address",
	 STAGE_GREETING,
	 554,
	 {"5.3.2 strangers use the other door", "members only", "5.0.0 wir kennen Sie nicht",
	  "5.3.2 only Microsoft may talk to us", "go away, little probe",
	  "5.4.0 wrong side of the fence", "geen toegang",
	  "5.0.0 this listener serves 40.92.0.0/15", "not on the guest list", "nope"}},
	{"TLS",
	 STAGE_MAIL_FROM,
	 530,
	 {"5.5.1 encrypt first", "5.0.0 cleartext is for the birds", "a padlock, please",
	  "5.5.1 send 'STARTTLS'", "nur verschluesselt", "5.3.0 confidential sessions only",
	  "chiffrez d'abord", "5.5.1 plaintext refused", "secure your channel",
	  "5.6.0 no crypto, no mail"}},
	{"greylisting",
	 STAGE_MAIL_FROM,
	 450,
	 {"4.2.0 come back tomorrow", "4.2.0 triplet is new", "later, first-time visitor",
	  "4.2.0 in 300 seconds you are welcome", "4.3.0 noch nie gesehen", "repassez",
	  "4.2.0 deferred for the first time", "we try your patience", "4.5.0 first contact",
	  "wait 5 min"}},
	{"a 421 at MAIL FROM",
	 STAGE_MAIL_FROM,
	 421,
	 {"hm", "4.0.0 zzz", "4.5.9 x", "bye", "4.3.5 ...", "niet nu",
	  "4.4.9 the stars are not right", "a moment", "4.0.0 ?", "4.3.0 E_NO_1742"}},
	{"EHLO",
	 STAGE_EHLO,
	 550,
	 {"5.5.0 that is nobody", "strange name", "5.0.0 say it properly", "5.5.2 what a greeting",
	  "Quatsch", "5.3.5 unheard of", "no such planet", "5.0.0 42", "try your luck elsewhere",
	  "5.5.4 ??"}},
};
#define N_KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* Two tiers of two servers; the first has the mail. */
enum { SERVERS = 4, WITH_MAIL = 2 };

static struct model *four(struct config **c)
{
	const struct server_conf servers[SERVERS] = {
		server("oxford-a", 11, 10), server("oxford-b", 12, 10),
		server("nuneaton-a", 13, 20), server("nuneaton-b", 14, 20)};

	*c = make_config(servers, SERVERS);
	(*c)->probes[0].fall = 2;
	return running(*c);
}

static struct probe_result refusal(const struct kind *k, const char *text)
{
	struct probe_result r = {.stage = k->stage, .smtp_code = k->code};

	r.reason = refusal_reason(k->stage, k->code, text);
	snprintf(r.text, sizeof(r.text), "%u %s", k->code, text);
	return r;
}

/* As daemon/evidence.c does: once at the refusal and once after the wait. */
static void judge(struct model *m, uint32_t id, const struct kind *k, const char *text,
		  const struct clients_seen *clients, uint64_t now_ms)
{
	for (int waited = 0; waited < 2; waited++) {
		struct probe_result r = refusal(k, text);
		struct clients_seen seen = *clients;
		enum blame_act act;

		seen.waited = waited;
		act = model_blame(m, id, &r, &seen);
		if (act == BLAME_WAITS)
			continue;
		if ((act == BLAME_WARNS || act == BLAME_UP) && !reason_is_client(r.reason))
			r.reason = REASON_probe_refused;
		model_judged(m, id, &r, act, at(now_ms + waited * 2000u));
		return;
	}
	fail_msg("%s: it waits for ever", text);
}

static const struct clients_seen deliver = {.passive = PASSIVE_TAKES, .coming = true},
				 are_refused = {.passive = PASSIVE_REFUSES, .coming = true},
				 absent = {.passive = PASSIVE_NONE};

static void no_list_of_phrases_contains_these_texts(void **state)
{
	(void)state;
	for (size_t k = 0; k < N_KINDS; k++)
		for (unsigned i = 0; i < N_TEXTS; i++) {
			const char *text = kinds[k].texts[i];
			enum reason reason = refusal_reason(kinds[k].stage, kinds[k].code, text);

			assert_non_null(text);
			if (reason != refusal_by_code(kinds[k].stage, kinds[k].code))
				fail_msg("%s: %s", text, reason_name(reason));
			if (refusal_names_server(text))
				fail_msg("%s names the server", text);
		}
}

/* Bit i of `who`: server i + 1 says the text to the probe. Servers with mail have clients that deliver. */
static void nothing_moves(const struct kind *k, const char *text, unsigned who, bool backwards)
{
	struct config *c;
	struct model *m = four(&c);

	for (unsigned round = 0; round < 5; round++)
		for (unsigned i = 0; i < SERVERS; i++) {
			unsigned place = backwards ? SERVERS - 1 - i : i;
			uint64_t now_ms = 10000 + round * 10000 + i * 10;

			if (who >> place & 1)
				judge(m, place + 1, k, text, place < WITH_MAIL ? &deliver : &absent,
				      now_ms);
			else
				result(m, place + 1, REASON_ok, now_ms);
			if (strcmp(ring(m), "oxford-a oxford-b") ||
			    m->services[0].tier.state != SERVICE_UP)
				fail_msg("%s, said by %x: the ring is %s", text, who, ring(m));
		}
	for (unsigned i = 0; i < SERVERS; i++) {
		const struct server *b = model_server(m, i + 1, NULL);

		assert_int_equal(b->health.verdict, VERDICT_UP);
		assert_int_equal(b->warning.reason, who >> i & 1 ? REASON_probe_refused : 0);
	}
	model_free(m);
	free_config(c);
}

static void such_a_text_said_to_the_probe_alone_moves_nothing(void **state)
{
	static const unsigned one[] = {1, 2}, half[] = {3}, all[] = {15};

	(void)state;
	for (size_t k = 0; k < N_KINDS; k++)
		for (unsigned i = 0; i < N_TEXTS; i++)
			for (int backwards = 0; backwards < 2; backwards++) {
				const char *text = kinds[k].texts[i];

				nothing_moves(&kinds[k], text, one[i % 2], backwards);
				nothing_moves(&kinds[k], text, half[0], backwards);
				nothing_moves(&kinds[k], text, all[0], backwards);
			}
}

static void such_a_text_said_to_everybody_takes_the_server_out_at_once(void **state)
{
	(void)state;
	for (size_t k = 0; k < N_KINDS; k++)
		for (unsigned i = 0; i < N_TEXTS; i++) {
			struct config *c;
			struct model *m = four(&c);

			judge(m, 1, &kinds[k], kinds[k].texts[i], &are_refused, 10000);
			if (strcmp(ring(m), "oxford-b"))
				fail_msg("%s: %s", kinds[k].texts[i], ring(m));
			judge(m, 2, &kinds[k], kinds[k].texts[i], &are_refused, 10100);
			assert_string_equal(ring(m), "nuneaton-a nuneaton-b");
			model_free(m);
			free_config(c);
		}
}

/* Nobody connects, so nothing shows what clients would meet. */
static void without_mail_it_counts_as_the_servers_unless_all_say_the_same(void **state)
{
	(void)state;
	for (size_t k = 0; k < N_KINDS; k++)
		for (unsigned i = 0; i < N_TEXTS; i++) {
			struct config *c;
			struct model *m = four(&c);

			for (unsigned round = 0; round < 3; round++)
				judge(m, 1, &kinds[k], kinds[k].texts[i], &absent,
				      10000 + round * 10000);
			assert_string_equal(ring(m), "oxford-b");
			judge(m, 2, &kinds[k], kinds[k].texts[i], &absent, 41000);
			assert_string_equal(ring(m), "oxford-a oxford-b");
			model_free(m);
			free_config(c);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_list_of_phrases_contains_these_texts),
		cmocka_unit_test(such_a_text_said_to_the_probe_alone_moves_nothing),
		cmocka_unit_test(such_a_text_said_to_everybody_takes_the_server_out_at_once),
		cmocka_unit_test(without_mail_it_counts_as_the_servers_unless_all_say_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
