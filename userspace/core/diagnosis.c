/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Makes the findings: their texts and next steps.
 *
 *   1. A service without a server up is critical, even if mail still flows. If an override keeps out a server that
 *      would take mail, the override is the cause and the command that ends it the next step; else the servers'
 *      reasons are.
 *   2. A tier that is forced, or active though it is not the best, is a warning. The cause is an override, a failback
 *      that waits, or the servers of the better tier.
 *   3. A server that is not up and not overridden is an error (down) or a warning; its reason decides the next step.
 *   4. An override of a server without ill effect is a note.
 *   5. Faults of this box: no mxlbd runs (the rest is as of its end), problems that are set, an interface without the
 *      program, a failed reload.
 *   6. A server that refuses the probe alone is a warning; the reason decides the next step.
 *   7. An allow-file that was not renewed for two weeks is a warning: senders from new prefixes will be denied.
 *   8. What comes from DNS: core/zone_finding.c. A service with `mx` that has no server names the zone's fault.
 *   9. Senders that were turned away within the last hour are a note, with their number and the last one's address.
 */
#include "core/diagnosis.h"
#include "core/zone_finding.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Rule 3. The first row whose name begins the reason. %s: SERVICE/SERVER. */
static const struct {
	const char *reason, *next;
} advices[] = {
	{"not_probed", "wait for the first probe to end"},
	{"local_clock", "this box's clock is wrong: mxlbctl doctor checks it"},
	{"local_", "this box could not probe: see its interfaces (mxlbctl doctor) and mxlbd's log"},
	{"expensive",
	 "look for what is unusual in its certificates and key exchange: mxlbctl probe %s; mxlbd(8), \"Expensive servers\""},
	{"per_source_limit", "exempt this box's address from the server's connection limits"},
	{"sender_refused",
	 "set `sender` in the probe to an address that the server accepts (default: the null sender)"},
	{"source_refused",
	 "permit this box's address on the server (Exchange: the receive connector's "
	 "RemoteIPRanges), and check `helo`; see mxlbctl probe %s"},
	{"tls_required", "set `tls` in the probe, for instance to encryption-only"},
	{"greylisted", "exempt this box's address from greylisting"},
	{"probe_refused",
	 "it takes mail from other clients: permit this box's address there (Exchange: the receive "
	 "connector's RemoteIPRanges); see mxlbctl probe %s"},
	{"proxy_expected",
	 "switch the PROXY protocol off on the server: senders connect to it directly"},
	{"unreachable",
	 "check that the host runs and is connected; mxlbctl doctor checks whether its address answers"},
	{"refused", "start the mail server there, and have it listen on the VIP too"},
	{"connect_timeout",
	 "look for a firewall on the server or on the return path, and check that its replies to "
	 "this box's address arrive here"},
	{"not_on_link",
	 "use forward: ipip for it (docs/dr-site.md), or give this box an address in its network"},
	{"tunnel_silent",
	 "see on the server whether replies leave (tcpdump -ni any src host VIP): if none do, put the VIP "
	 "on it and let it unpack the tunnel (mxlbctl server-setup linux %s); if they leave, its "
	 "provider drops them (BCP 38): ask it to accept the VIP as a source"},
	{"vip_missing",
	 "put the VIP on its loopback interface and listen on it: mxlbctl server-setup linux|windows %s"},
	{"greeting_silent",
	 "it accepts connections but sends nothing: look for overload, or for a filter that delays greetings"},
	{"closed_early",
	 "it closes the connection: look for a limit or filter there that applies to this box's address"},
	{"no_starttls",
	 "it has lost its certificate (Exchange: event 12014), or its connector lacks TLS"},
	{"starttls_", "see the dialogue: mxlbctl probe %s"},
	{"tls_",
	 "see the dialogue: mxlbctl probe %s; Schannel's or OpenSSL's log on the server has the cause"},
	{"certificate_incomplete_chain", "have it send the intermediate certificate as well"},
	{"certificate_not_yet_valid",
	 "check this box's clock (mxlbctl doctor), or wait until the certificate is valid"},
	{"certificate_self_signed",
	 "assign a certificate of an authority to SMTP, or put this one into the probe's ca-file"},
	{"certificate_untrusted",
	 "have it send the whole chain, or add its authority to the probe's ca-file"},
	{"certificate_wrong_purpose",
	 "have it issued with the usage 'Server Authentication', and assign that one to SMTP"},
	{"certificate_expired", "renew it, and assign it to SMTP (Enable-ExchangeCertificate)"},
	{"certificate_", "compare its certificate with the policy: mxlbctl probe %s"},
	{"tlsa_", "publish the TLSA record of the new key, or restore the old key"},
	{"ehlo_4",
	 "end the maintenance, back pressure or filter there; if it takes mail from others, permit "
	 "this box's address (Exchange: RemoteIPRanges); see mxlbctl probe %s"},
	{"mail_4",
	 "end the back pressure (disk, memory, queues) or maintenance there: its event log names it; "
	 "see mxlbctl probe %s"},
	{"malformed",
	 "something other than an SMTP server answers there: check the address, the port and "
	 "filters on the way"},
	{"timeout",
	 "look for overload there, and for large packets that are lost on the way (MTU)"},
	{"greeting_421",
	 "end the maintenance or lift the limit there; if it takes mail from others, permit this "
	 "box's address (Exchange: RemoteIPRanges); after 5 s of silence: it expects a PROXY header; "
	 "see mxlbctl probe %s"},
	{"greeting_",
	 "end the maintenance, back pressure or filter there; if it takes mail from others, permit "
	 "this box's address (Exchange: RemoteIPRanges); see mxlbctl probe %s"},
	{"", "see the dialogue: mxlbctl probe %s"},
};

static const char *const levels[] = {
	[FINDING_CRITICAL] = "critical",
	[FINDING_ERROR] = "error",
	[FINDING_WARNING] = "warning",
	[FINDING_NOTE] = "note",
};

const char *finding_level_name(enum finding_level l)
{
	return (unsigned)l <= FINDING_NOTE ? levels[l] : "?";
}

/* Inserts behind the findings of the same level. NULL: no room; the finding is counted. */
static struct finding *diagnosis_add(struct diagnosis *d, enum finding_level level,
				     const char *code, const struct service *s,
				     const struct server *b)
{
	unsigned at = d->n;

	while (at && d->list[at - 1].level > level)
		at--;
	if (d->n == DIAGNOSIS_MAX) {
		d->n_more++;
		if (at == d->n)
			return NULL;
		d->n--;
	}
	memmove(&d->list[at + 1], &d->list[at], (d->n - at) * sizeof(d->list[0]));
	d->n++;
	d->list[at] = (struct finding){.level = level,
				       .code = code,
				       .service = s ? s->conf.name : "",
				       .server = b ? b->conf.name : ""};
	return &d->list[at];
}

static void diagnosis_say(char *text, size_t size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Appends. */
static void diagnosis_say(char *text, size_t size, const char *format, ...)
{
	size_t used = strlen(text);
	va_list args;

	va_start(args, format);
	vsnprintf(text + used, size - used, format, args);
	va_end(args);
}

#define TEXT(f, ...) diagnosis_say((f)->text, sizeof((f)->text), __VA_ARGS__)
#define NEXT(f, ...) diagnosis_say((f)->next, sizeof((f)->next), __VA_ARGS__)

static const char *diagnosis_reason_of(const struct server *b)
{
	bool same = b->last_wall_ms && b->last.reason == b->health.reason;

	return same && b->last.text[0] ? b->last.text : reason_text(b->health.reason);
}

static void put_advice_of(struct finding *f, const struct service *s, const struct server *b,
			  enum reason r)
{
	const char *reason = reason_name(r), *mark;
	size_t i = 0;

	while (strncmp(advices[i].reason, reason, strlen(advices[i].reason)))
		i++;
	mark = strstr(advices[i].next, "%s");
	NEXT(f, "%.*s", (int)(mark ? mark - advices[i].next : (long)strlen(advices[i].next)),
	     advices[i].next);
	if (mark)
		NEXT(f, "%s/%s%s", s->conf.name, b->conf.name, mark + 2);
}

static void put_advice(struct finding *f, const struct service *s, const struct server *b)
{
	put_advice_of(f, s, b, b->health.reason);
}

/* Whether an operator keeps this server from taking mail. A server in maint is not probed, so its state is unknown. */
static bool is_overridden(const struct server *b)
{
	return b->admin != ADMIN_READY || (!b->weight && b->conf.weight);
}

static bool would_serve(const struct server *b)
{
	enum verdict v = health_effective(&b->health);

	return is_overridden(b) && (b->admin == ADMIN_MAINT || v == VERDICT_UP);
}

static const char *override_word(const struct server *b)
{
	if (b->admin == ADMIN_MAINT)
		return "in maintenance";
	return b->admin == ADMIN_DRAIN ? "drained" : "given weight 0";
}

static void put_override(struct finding *f, const struct server *b)
{
	TEXT(f, "%s is %s", b->conf.name, override_word(b));
	if (b->admin != ADMIN_READY && b->order.who[0])
		TEXT(f, " by %s", b->order.who);
}

static void put_end_of_override(struct finding *f, const struct service *s, const struct server *b)
{
	if (b->admin != ADMIN_READY)
		NEXT(f, "%smxlbctl ready %s/%s", f->next[0] ? "; " : "", s->conf.name,
		     b->conf.name);
	else
		NEXT(f, "%sset weight %s/%s 100%% on the control socket", f->next[0] ? "; " : "",
		     s->conf.name, b->conf.name);
}

#define NAMED 3 /* servers in one sentence; the others are counted */

/* Appends the overridden servers with a preference below `below` that would take mail. Returns their number. */
static unsigned put_overrides(struct finding *f, const struct service *s, unsigned below)
{
	unsigned n = 0;

	for (unsigned i = 0; i < s->n_servers; i++) {
		const struct server *b = &s->servers[i];

		if (b->conf.preference >= below || !would_serve(b))
			continue;
		if (++n > NAMED)
			continue;
		TEXT(f, "%s", n > 1 ? ", " : "");
		put_override(f, b);
		put_end_of_override(f, s, b);
	}
	if (n > NAMED)
		TEXT(f, " and %u more are overridden", n - NAMED);
	return n;
}

/* Appends why the servers with a preference below `below` take no mail: their states, or what they have in common. */
static void put_reasons(struct finding *f, const struct service *s, unsigned below)
{
	const struct server *first = NULL;
	unsigned n = 0, same = 0;

	for (unsigned i = 0; i < s->n_servers; i++) {
		const struct server *b = &s->servers[i];

		if (b->conf.preference >= below)
			continue;
		if (!first)
			first = b;
		n++;
		same += b->health.reason == first->health.reason;
	}
	if (!first)
		return;
	if (same == n && n > 1)
		TEXT(f, "all %u servers: %s", n, reason_text(first->health.reason));
	else if (n > 1)
		TEXT(f, "%s is %s (%s), and %u more", first->conf.name,
		     verdict_name(health_effective(&first->health)),
		     reason_name(first->health.reason), n - 1);
	else
		TEXT(f, "%s is %s: %s", first->conf.name,
		     verdict_name(health_effective(&first->health)), diagnosis_reason_of(first));
	put_advice(f, s, first);
}

/* Rule 8: judge_zone() says why. */
static bool is_without_servers(const struct service *s)
{
	return !s->n_servers && s->conf.zone.mx[0];
}

/* Rule 1. */
static void judge_state(struct diagnosis *d, const struct service *s)
{
	static const struct {
		const char *code, *text;
	} states[SERVICE_STATE_COUNT] = {
		[SERVICE_NOT_READY] =
			{"service_not_ready",
			 "starting up: no server has passed a probe yet, so the VIP does not "
			 "answer"},
		[SERVICE_DRAINING_ONLY] = {"service_draining_only",
					   "no server is up: mail goes to servers that defer it"},
		[SERVICE_FAIL_OPEN] =
			{"service_fail_open",
			 "no server has an acceptable certificate: mail is sent to them anyway "
			 "(fail-open)"},
		[SERVICE_BLIND] =
			{"service_blind",
			 "mxlb's program does not see what arrives on its interface: mail is lost"},
		[SERVICE_PANIC] =
			{"service_panic",
			 "all servers failed at once, which may be this box's own fault: panic mode "
			 "keeps sending mail to the last ones"},
		[SERVICE_DOWN] = {"service_down", "no server is available: senders "},
	};
	enum service_state state = s->tier.state;
	struct finding *f;

	if (state == SERVICE_UP || is_without_servers(s))
		return;
	f = diagnosis_add(d, FINDING_CRITICAL, states[state].code, s, NULL);
	if (!f)
		return;
	TEXT(f, "%s: %s", s->conf.name, states[state].text);
	if (state == SERVICE_DOWN)
		TEXT(f, s->conf.all_down == ALL_DOWN_RESET ? "are refused" : "get no answer");
	if (state == SERVICE_BLIND) {
		NEXT(f, "mxlbctl doctor names the device that hides it (check \"sight\")");
		return;
	}
	if (state == SERVICE_PANIC) {
		NEXT(f,
		     "check this box's firewall for outgoing port %u (nft list ruleset), its "
		     "routes and its cable",
		     s->conf.port);
		return;
	}
	TEXT(f, "; ");
	if (!put_overrides(f, s, UINT16_MAX + 1u))
		put_reasons(f, s, UINT16_MAX + 1u);
}

static unsigned best_tier(const struct service *s)
{
	return s->n_servers ? s->servers[0].conf.preference : 0;
}

static bool tier_is_up(const struct service *s, unsigned preference)
{
	for (unsigned i = 0; i < s->n_servers; i++)
		if (s->servers[i].conf.preference == preference && s->servers[i].in_ring)
			return true;
	return false;
}

static void judge_forced(struct diagnosis *d, const struct service *s)
{
	struct finding *f = diagnosis_add(d, FINDING_WARNING, "tier_forced", s, NULL);

	if (!f)
		return;
	TEXT(f, "%s: tier %u is forced by %s", s->conf.name, s->forced, s->order.who);
	if (s->tier.state == SERVICE_UP && s->tier.active != s->forced)
		TEXT(f, ", but has no server up: mail goes to tier %u", s->tier.active);
	else if (!tier_is_up(s, s->forced))
		TEXT(f, ", but has no server up");
	NEXT(f, "mxlbctl tier %s auto", s->conf.name);
}

/* Rule 2. */
static void judge_tier(struct diagnosis *d, const struct service *s)
{
	struct finding *f;

	if (s->has_forced) {
		judge_forced(d, s);
		return;
	}
	if (s->tier.state != SERVICE_UP || !s->tier.has_active || s->tier.active == best_tier(s))
		return;
	f = diagnosis_add(d, FINDING_WARNING, "tier_not_best", s, NULL);
	if (!f)
		return;
	TEXT(f, "%s: mail goes to tier %u, not the best; ", s->conf.name, s->tier.active);
	if (s->tier.n_held && s->conf.failback == FAILBACK_MANUAL) {
		TEXT(f, "tier %u is up again, and failback is manual", s->tier.held[0].preference);
		NEXT(f, "mxlbctl tier %s auto", s->conf.name);
	} else if (s->tier.n_held) {
		TEXT(f, "tier %u is up again and waits for failback-hold",
		     s->tier.held[0].preference);
		NEXT(f, "wait, or activate it at once: mxlbctl tier %s auto", s->conf.name);
	} else if (!put_overrides(f, s, s->tier.active)) {
		put_reasons(f, s, s->tier.active);
	}
}

static void judge_server(struct diagnosis *d, const struct service *s, const struct server *b)
{
	enum verdict v = b->health.verdict;
	struct finding *f;

	if (is_overridden(b)) { /* rule 4 */
		f = diagnosis_add(d, FINDING_NOTE, "override", s, b);
		if (!f)
			return;
		TEXT(f, "%s/", s->conf.name);
		put_override(f, b);
		put_end_of_override(f, s, b);
		return;
	}
	if (b->warning.reason) { /* rule 6 */
		f = diagnosis_add(d, FINDING_WARNING, "probe_refused", s, b);
		if (f) {
			TEXT(f, "%s/%s refuses the probe: %s: %s", s->conf.name, b->conf.name,
			     reason_name(b->warning.reason), b->warning.text);
			put_advice_of(f, s, b, b->warning.reason);
		}
	}
	if (v == VERDICT_UP) /* rule 3 */
		return;
	f = diagnosis_add(d, v == VERDICT_DOWN ? FINDING_ERROR : FINDING_WARNING,
			  v == VERDICT_DOWN ? "server_down" : "server_not_up", s, b);
	if (!f)
		return;
	TEXT(f, "%s/%s is %s: %s: %s", s->conf.name, b->conf.name, verdict_name(v),
	     reason_name(b->health.reason), diagnosis_reason_of(b));
	if (*reason_exo_code(b->health.reason, config_policy(&s->probe)))
		TEXT(f, " (450 %s in Exchange Online)",
		     reason_exo_code(b->health.reason, config_policy(&s->probe)));
	put_advice(f, s, b);
}

/* A problem says what to do behind its last "; ". */
static void put_problem(struct finding *f, const struct problem *p)
{
	const char *step = NULL;

	for (const char *at = p->text; (at = strstr(at, "; ")); at += 2)
		step = at;
	f->service = p->about;
	TEXT(f, "%s%s%.*s", p->about, p->about[0] ? ": " : "",
	     (int)(step ? step - p->text : (long)strlen(p->text)), p->text);
	if (step)
		NEXT(f, "%s", step + 2);
}

/* Rule 5. */
static void judge_box(struct diagnosis *d, const struct model *m, const struct diagnosis_box *box)
{
	struct finding *f;

	f = box->stopped ? diagnosis_add(d, FINDING_CRITICAL, "mxlbd_stopped", NULL, NULL) : NULL;
	if (f) {
		TEXT(f,
		     "mxlbd is not running: the kernel forwards by the last verdicts, and a server "
		     "that fails now keeps getting mail");
		NEXT(f, "systemctl start mxlb; journalctl -u mxlb shows why it stopped");
	}
	for (unsigned i = 0; i < m->problems.n; i++) {
		const struct problem *p = &m->problems.list[i];

		f = diagnosis_add(d, p->critical ? FINDING_CRITICAL : FINDING_WARNING, p->name,
				  NULL, NULL);
		if (f)
			put_problem(f, p);
	}
	for (unsigned i = 0; box->xdp_modes && i < m->config->n_interfaces; i++) {
		if (!box->xdp_modes[i] || strcmp(box->xdp_modes[i], "detached"))
			continue;
		f = diagnosis_add(d, FINDING_CRITICAL, "interface_detached", NULL, NULL);
		if (!f)
			continue;
		TEXT(f, "%s has no XDP program: mail that arrives there is not forwarded",
		     m->config->interfaces[i].name);
		NEXT(f, "look in mxlbd's log for what removed it, then systemctl restart mxlb");
	}
	if (!box->last_error || !*box->last_error)
		return;
	f = diagnosis_add(d, FINDING_WARNING, "reload_failed", NULL, NULL);
	if (!f)
		return;
	TEXT(f, "the last reload failed, so the earlier configuration is in force: %.*s",
	     (int)strcspn(box->last_error, "\n"), box->last_error);
	NEXT(f, "correct the file (mxlbd -t), then mxlbctl reload");
}

/* Rule 9. Of an unknown service the packets were malformed: forgers and broken stacks. */
static void judge_rejected(struct diagnosis *d, const struct service *s,
			   const struct rejected_summary *r)
{
	static const char *const words[REJECTED_KINDS] = {
		[REJECTED_denied] = "not in the allow-list",
		[REJECTED_limited] = "over syn-limit",
		[REJECTED_malformed] = "with malformed packets",
		[REJECTED_no_server] = "while no server was available",
	};
	const char *name = s ? s->conf.name : "packets to a VIP";
	char client[ADDR_TEXT_SIZE];
	struct finding *f;
	unsigned n = 0;

	for (unsigned i = 0; i < REJECTED_KINDS; i++)
		n += r->clients[i];
	if (!n && !r->would_deny)
		return;
	f = diagnosis_add(d, FINDING_NOTE, n ? "senders_rejected" : "senders_would_be_denied", s,
			  NULL);
	if (!f)
		return;
	TEXT(f, "%s: ", name);
	for (unsigned i = 0, first = 1; i < REJECTED_KINDS; i++) {
		if (!r->clients[i])
			continue;
		TEXT(f, "%s%u %s", first ? "turned away in the last hour: " : ", ", r->clients[i],
		     words[i]);
		first = 0;
	}
	if (n)
		TEXT(f, " (last: %s)", addr_text(&r->last.client, client));
	if (r->would_deny)
		TEXT(f, "%s%u would be denied by allow-mode: enforce", n ? "; " : "",
		     r->would_deny);
	NEXT(f, "mxlbctl rejected%s%s lists their addresses", s ? " " : "", s ? name : "");
}

/* Rule 7. */
static void judge_allow_file(struct diagnosis *d, const struct service *s,
			     const struct diagnosis_box *box)
{
	int64_t at = box->allow_changed_wall_ms ? box->allow_changed_wall_ms[s->id] : 0;
	int64_t days = at > 0 ? (box->now_wall_ms - at) / (86400 * 1000LL) : 0;
	struct finding *f;

	if (!s->conf.allow_file[0] || days < ALLOW_FILE_OLD_DAYS)
		return;
	f = diagnosis_add(d, FINDING_WARNING, "allow_file_old", s, NULL);
	if (!f)
		return;
	TEXT(f,
	     "%s: allow-file %.200s was last renewed %lld days ago: mail from addresses that are new "
	     "since then %s",
	     s->conf.name, s->conf.allow_file, (long long)days,
	     s->conf.allow_mode == ALLOW_OBSERVE ? "counts as would_deny" : "is denied");
	NEXT(f,
	     "systemctl enable --now mxlb-endpoints.timer (mxlb-endpoints(8)), or find out why it "
	     "fails: systemctl status mxlb-endpoints");
}

/* Rule 8. */
static void judge_zone(struct diagnosis *d, const struct model *m, unsigned i,
		       const struct diagnosis_box *box)
{
	const struct service *s = &m->services[i];
	const struct zone_report *r = box->zones;
	struct finding list[ZONE_FINDINGS], *f = NULL;
	unsigned n = r ? zone_findings(r, m->config, i, list) : 0;

	if (is_without_servers(s) && !box->stopped) /* then they are not known */
		f = diagnosis_add(d, FINDING_CRITICAL, "service_not_ready", s, NULL);
	if (f)
		zone_no_servers(r ? r->zones[i] : NULL, r ? r->maps[i] : NULL, s->conf.name,
				s->conf.zone.mx, f);
	for (unsigned k = 0; k < n; k++) {
		f = diagnosis_add(d, list[k].level, list[k].code, s, NULL);
		if (!f)
			continue;
		TEXT(f, "%s", list[k].text);
		NEXT(f, "%s", list[k].next);
	}
}

void diagnose(const struct model *m, const struct diagnosis_box *box, struct diagnosis *out)
{
	out->n = out->n_more = 0;
	judge_box(out, m, box);
	for (unsigned i = 0; i < m->n_services; i++) {
		const struct service *s = &m->services[i];

		judge_state(out, s);
		judge_tier(out, s);
		judge_allow_file(out, s, box);
		judge_zone(out, m, i, box);
		for (unsigned k = 0; k < s->n_servers; k++)
			judge_server(out, s, &s->servers[k]);
		if (box->rejected && s->id < MXLB_MAX_SERVICES)
			judge_rejected(out, s, &box->rejected[s->id]);
	}
	if (box->rejected)
		judge_rejected(out, NULL, &box->rejected[MXLB_MAX_SERVICES]);
}
