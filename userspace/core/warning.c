/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The facts about a refusal of the probe by which blame.c decides, and the warning that remains if the refusal moves
 * no mail:
 *
 *   1. Two refusals are the same if their letters are; codes, addresses, ids and times in them may differ.
 *   2. The words of a refusal that a server's clients did not meet are remembered: later, when no client connects, the
 *      same words change nothing, until clients meet a refusal.
 *   3. Servers of a tier that were taken out for words which all servers of the tier then use (blame.c, rule 14), or
 *      which turn out to concern the probe (rule 9), come back, unless their own clients met the refusal.
 *   4. A refusal of the probe alone shows that a server has passed the stages before it. If it is permanent (5xx), as
 *      those of an address or a sender are, it also shows that the server is no longer silent, or does no longer
 *      refuse temporarily, at this stage. A temporary one, such as a limit, may come from an overloaded server.
 *      Silence before the greeting is a failure of the connect, so any refusal at the greeting shows that it is over.
 *   5. A warning ends after `rise` consecutive probes that were not refused, or when the server gets another verdict
 *      than up.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include "core/warning.h"
#include "core/decide.h"
#include "core/model_event.h"
#include "core/refusal.h"

/* Rule 1. */
static void words_of(const char *text, char words[WARNING_WORDS_SIZE])
{
	size_t n = 0;

	for (; *text && n < WARNING_WORDS_SIZE - 1; text++)
		if (isalpha((unsigned char)*text))
			words[n++] = (char)tolower((unsigned char)*text);
	words[n] = '\0';
}

static bool same_words(const char *a, const char *b)
{
	char x[WARNING_WORDS_SIZE], y[WARNING_WORDS_SIZE];

	words_of(a, x);
	words_of(b, y);
	return !strcmp(x, y);
}

static bool is_twin(const struct server *a, const struct server *b)
{
	return a != b && a->conf.preference == b->conf.preference && b->admin == ADMIN_READY &&
	       b->weight;
}

static bool warning_says_the_same(const struct server *b, const struct probe_result *r)
{
	return b->last.smtp_code == r->smtp_code && b->last.stage == r->stage &&
	       (reason_is_refusal(b->last.reason) || reason_is_client(b->last.reason)) &&
	       same_words(b->last.text, r->text);
}

/* A result's text is "CODE words"; refusal.c looks at the words. */
static const char *behind_code(const char *text)
{
	return strlen(text) > 4 ? text + 4 : text;
}

enum blame_act model_blame(struct model *m, uint32_t server_id, const struct probe_result *r,
			   const struct clients_seen *seen)
{
	struct blame_refusal facts = {
		.reason = r->reason,
		.names_server = refusal_names_server(behind_code(r->text)),
		.passive = seen->passive,
		.early = r->stage < STAGE_MAIL_FROM,
		.coming = seen->coming,
		.waited = seen->waited,
	};
	char words[WARNING_WORDS_SIZE];
	struct service *s;
	struct server *b = model_server(m, server_id, &s);
	unsigned twins = 0, same = 0;

	if (!b)
		return BLAME_ACTS;
	words_of(r->text, words);
	if (seen->passive == PASSIVE_TAKES && seen->waited) {
		snprintf(b->warning.disproved, sizeof(b->warning.disproved), "%s", words);
	} else if (seen->passive == PASSIVE_REFUSES) {
		b->warning.disproved[0] = '\0';
	} else if (words[0] && !strcmp(words, b->warning.disproved)) { /* rule 2 */
		facts.passive = PASSIVE_TAKES;
		facts.waited = true;
	}
	for (unsigned i = 0; i < s->n_servers; i++) {
		const struct server *twin = &s->servers[i];

		if (!is_twin(b, twin))
			continue;
		twins++;
		same += warning_says_the_same(twin, r);
		facts.twin_ok |=
			twin->health.verdict == VERDICT_UP && twin->last.reason == REASON_ok;
	}
	facts.all_same = twins && same == twins;
	return blame_refusal(&facts);
}

void warning_note_cause(struct server *b, const struct probe_result *r)
{
	enum verdict v = reason_verdict(r->reason);

	if (health_effective(&b->health) == VERDICT_UP || v == VERDICT_UP || v == VERDICT_UNKNOWN)
		return;
	b->cause.stage = reason_stage(r->reason) == STAGE_CONNECT ? STAGE_CONNECT : r->stage;
	b->cause.code = r->smtp_code;
}

struct server_cause warning_cause_of(enum reason r)
{
	bool permanent =
		r == REASON_greeting_5xx || r == REASON_ehlo_refused || r == REASON_mail_refused;

	return (struct server_cause){.stage = reason_stage(r), .code = permanent ? 500 : 0};
}

/* Rule 4. */
bool warning_passes(const struct server *b, const struct probe_result *r)
{
	const struct server_cause *was = &b->cause;

	return was->stage < r->stage ||
	       (was->stage == r->stage && r->smtp_code / 100 == 5 && was->code / 100 != 5);
}

/* Rule 3. */
bool warning_restore(struct model *m, struct service *s, const struct server *b,
		     const struct probe_result *r, struct now now)
{
	bool changed = false;

	for (unsigned i = 0; i < s->n_servers; i++) {
		struct server *twin = &s->servers[i];
		struct probe_result same = *r;
		enum verdict was = twin->health.verdict;

		if (!is_twin(b, twin) || !warning_says_the_same(twin, r) ||
		    twin->health.before == VERDICT_UP || twin->warning.confirmed ||
		    !reason_is_refusal(twin->health.before_reason))
			continue;
		memcpy(same.text, twin->last.text, sizeof(same.text));
		warning_set(m, s, twin, &same, now);
		changed |= health_take_now(&twin->health, REASON_ok, now.mono_ms);
		decide_note_result(twin, REASON_ok, now.mono_ms);
		model_event_verdict(m, s, twin, was, &same, now);
	}
	return changed;
}

static void warning_note(struct model *m, const struct service *s, const struct server *b,
			 enum reason from, enum reason to, const char *text, struct now now)
{
	struct event *e = model_event(m, EVENT_BACKEND_WARNING, s, b, now);

	event_text(e->from, sizeof(e->from), from ? reason_name(from) : "none");
	event_text(e->to, sizeof(e->to), to ? reason_name(to) : "none");
	if (!to) {
		event_text(e->cause, sizeof(e->cause), "probes are no longer refused");
		return;
	}
	event_text(e->reason, sizeof(e->reason), reason_name(to));
	snprintf(e->cause, sizeof(e->cause), "%s: %s", reason_name(to), text);
}

void warning_set(struct model *m, const struct service *s, struct server *b,
		 const struct probe_result *r, struct now now)
{
	enum reason was = b->warning.reason;

	b->warning.good = 0;
	memcpy(b->warning.text, r->text, sizeof(b->warning.text));
	if (was == r->reason)
		return;
	b->warning.reason = r->reason;
	b->warning.since_wall_ms = now.wall_ms;
	warning_note(m, s, b, was, r->reason, r->text, now);
}

/* Rule 5. */
void warning_end(struct model *m, const struct service *s, struct server *b, bool good,
		 struct now now)
{
	enum reason was = b->warning.reason;

	if (!was || (good && ++b->warning.good < s->probe.rise))
		return;
	b->warning.reason = REASON_not_probed;
	b->warning.text[0] = '\0';
	if (good)
		warning_note(m, s, b, was, REASON_not_probed, "", now);
}
