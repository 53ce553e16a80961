/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The layout and timing of `top`. Keeps two status documents. If mxlbd stops, the full screen waits for it, and batch
 * mode ends.
 */
#include "ctl/ctl_top.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include "ctl/rates.h"
#include "ctl/screen.h"
#include "ctl/text.h"
#include "util/clock.h"

#define DELAY_S	   2
#define NAME_WIDTH 23
#define HEAD	   2 /* lines that stay while the rest is moved */

struct looks {
	json_t *earlier, *status;
	double at; /* when the later one was taken */
	double seconds;
};

static void drop(struct looks *l)
{
	json_decref(l->earlier);
	json_decref(l->status);
	*l = (struct looks){0};
}

/* 0 or -errno; -EBADMSG: the reply is not a status document. */
static int ctl_top_look(const struct ctl *ctl, struct looks *l)
{
	struct buf reply = {0};
	json_t *status = NULL;
	int err = link_try(ctl->socket, "show status", &reply);
	double at = ((double)clock_ms() / 1e3);

	if (!err)
		status = json_loadb(reply.data, reply.len, JSON_REJECT_DUPLICATES, NULL);
	buf_free(&reply);
	if (!json_is_array(json_object_get(status, "services"))) {
		json_decref(status);
		return err ? err : -EBADMSG;
	}
	json_decref(l->earlier);
	l->earlier = l->status;
	l->status = status;
	l->seconds = at - l->at;
	l->at = at;
	return 0;
}

/* "-", "0.25", "12.5" or, from a hundred on, whole: "1234", "56M". */
static const char *rate_text(const json_t *row, const char *key, double unit,
			     char buf[TEXT_SHORT_SIZE])
{
	const json_t *rate = json_object_get(row, key);
	double n = json_number_value(rate) / unit;

	if (!json_is_number(rate))
		return "-";
	if (n >= 100)
		return text_count((long long)n, buf);
	snprintf(buf, TEXT_SHORT_SIZE, n >= 10 ? "%.1f" : "%.2f", n);
	return buf;
}

static const char *number_text(const json_t *row, const char *key, char buf[TEXT_SHORT_SIZE])
{
	const json_t *n = json_object_get(row, key);

	return json_is_integer(n) ? text_count(json_integer_value(n), buf) : "-";
}

static void add_row(struct buf *out, const json_t *row)
{
	char name[NAME_WIDTH + 1], flows[TEXT_SHORT_SIZE], fresh[TEXT_SHORT_SIZE];
	char packets[TEXT_SHORT_SIZE], mbits[TEXT_SHORT_SIZE], probe[TEXT_SHORT_SIZE];
	const char *admin = field_text(row, "admin");
	char state[16];

	text_name(field_text(row, "server"), NAME_WIDTH, name, sizeof(name));
	/* the administrative state takes precedence */
	text_fit(strcmp(admin, "ready") ? admin : field_text(row, "verdict"), 8, state,
		 sizeof(state));
	buf_printf(out, "%c %-23s %5lld %s%-8s%s %6s %7s %7s %7s %8s\n",
		   field_true(row, "in_ring") ? '*' : ' ', name, field_number(row, "preference"),
		   text_colour(state), state, text_colour_end(state),
		   number_text(row, "flows", flows), rate_text(row, "new_per_s", 1, fresh),
		   rate_text(row, "packets_per_s", 1, packets),
		   rate_text(row, "bits_per_s", 1e6, mbits), number_text(row, "probe_ms", probe));
}

static void add_service(struct buf *out, const json_t *service)
{
	char name[49], state[24], line[TEXT_TIER_SIZE], tier[28];

	text_name(field_text(service, "name"), 48, name, sizeof(name));
	text_fit(field_text(service, "state"), 16, state, sizeof(state));
	text_fit(text_tier(service, line), 24, tier, sizeof(tier));
	buf_printf(out, "\n%s: %s%s%s, %s\n", name, text_colour(state), state,
		   text_colour_end(state), tier);
}

#define ATTACK_PER_S 10 /* below that it is a stray packet, or a scanner */

/* A line for a service that gets packets which no sender of mail causes. */
static void add_attack(struct buf *out, const struct looks *l, const json_t *service)
{
	static const struct {
		const char *key, *text;
	} kinds[] = {{"denied_per_s", "denied"},
		     {"limited_per_s", "limited"},
		     {"impossible_per_s", "impossible"},
		     {"evicted_per_s", "evicted"},
		     {"stray_per_s", "stray"}};
	json_t *rates = rates_of_attack(l->earlier, l->status, service, l->seconds);
	char number[TEXT_SHORT_SIZE];
	bool any = false;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (json_number_value(json_object_get(rates, kinds[i].key)) < ATTACK_PER_S)
			continue;
		buf_printf(out, "%s %s %s", any ? "," : "  attack? per second:",
			   rate_text(rates, kinds[i].key, 1, number), kinds[i].text);
		any = true;
	}
	if (any)
		buf_printf(out, "\n");
	json_decref(rates);
}

/* HEAD lines, then each service with its servers. */
static void ctl_top_add_all(struct buf *out, const struct looks *l, const json_t *rates,
			    bool screen)
{
	char time[40], up[TEXT_SHORT_SIZE];
	const json_t *service, *row;
	size_t i, k;

	text_fit(field_text(l->status, "time"), sizeof(time) - 1, time, sizeof(time));
	buf_printf(out, "mxlb at %.19sZ, up %s%s\n", time,
		   text_age(field_number(l->status, "uptime_s"), up),
		   screen ? "; q quits, j and k move" : "");
	buf_printf(out, "  %-23s %5s %-8s %6s %7s %7s %7s %8s\n", "SERVER", "PREF", "STATE",
		   "FLOWS", "NEW/S", "PKT/S", "MBIT/S", "PROBE/MS");
	json_array_foreach (json_object_get(l->status, "services"), i, service) {
		add_service(out, service);
		add_attack(out, l, service);
		json_array_foreach (rates, k, row)
			if (!strcmp(field_text(row, "service"), field_text(service, "name")))
				add_row(out, row);
	}
}

static void ctl_top_print_json(const struct looks *l, const json_t *rates)
{
	json_t *attacks = json_object(), *json;
	const json_t *service;
	size_t i;

	json_array_foreach (json_object_get(l->status, "services"), i, service)
		json_object_set_new(attacks, field_text(service, "name"),
				    rates_of_attack(l->earlier, l->status, service, l->seconds));
	json = json_pack("{s:O?, s:O, s:O, s:o}", "time", json_object_get(l->status, "time"),
			 "servers", rates, "backends", rates, "attacks", attacks);

	json_dumpf(json, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
	putchar('\n');
	json_decref(json);
}

/* The text of what is known; "" with JSON, which is printed. */
static void render(const struct ctl *ctl, const struct looks *l, bool screen, struct buf *out)
{
	json_t *rates = rates_of(l->earlier, l->status, l->seconds);

	if (ctl->json)
		ctl_top_print_json(l, rates);
	else
		ctl_top_add_all(out, l, rates, screen);
	json_decref(rates);
}

static enum ctl_exit batch(const struct ctl *ctl, struct looks *l)
{
	const struct timespec delay = {.tv_sec = ctl->delay_s ? ctl->delay_s : DELAY_S};

	for (unsigned i = 1;; i++) {
		struct buf text = {0};
		int err = ctl_top_look(ctl, l);

		if (err == -EBADMSG)
			return ctl_refused(ctl, "mxlbd sent no status document\n");
		if (err)
			return link_complain(ctl->socket, err, LINK_WAIT_S);
		render(ctl, l, false, &text);
		if (text.data)
			printf("%s%s", i > 1 ? "\n" : "", text.data);
		buf_free(&text);
		if (fflush(stdout) || ferror(stdout) || i == ctl->count)
			return CTL_DONE;
		nanosleep(&delay, NULL);
	}
}

/* Shows text until the next look is due. False: that was all. */
static bool stay(const char *text, unsigned *first, double until)
{
	for (;;) {
		unsigned most = screen_show(text, HEAD, *first);
		double left = until - ((double)clock_ms() / 1e3);

		if (*first > most)
			*first = most;
		if (left <= 0)
			return true;
		switch (screen_key((int)(left * 1000) + 1)) {
		case SCREEN_QUIT:
			return false;
		case SCREEN_UP:
			*first -= *first > 0;
			break;
		case SCREEN_DOWN:
			*first += *first < most;
			break;
		default:
			break;
		}
	}
}

static enum ctl_exit on_screen(const struct ctl *ctl, struct looks *l)
{
	unsigned first = 0, i = 0;
	bool more = true;

	while (more && (!ctl->count || i++ < ctl->count)) {
		double until = ((double)clock_ms() / 1e3) + (ctl->delay_s ? ctl->delay_s : DELAY_S);
		struct buf text = {0};

		if (ctl_top_look(ctl, l))
			buf_printf(&text, "mxlbd is not running: %s\nWaiting for it; q quits.\n",
				   ctl->socket);
		else
			render(ctl, l, true, &text);
		more = stay(text.data ? text.data : "", &first, until);
		buf_free(&text);
	}
	screen_end();
	return CTL_DONE;
}

enum ctl_exit top_run(const struct ctl *ctl, char **args)
{
	struct looks looks = {0};
	enum ctl_exit rc;

	(void)args;
	if (!ctl->batch && !ctl->json && screen_begin())
		rc = on_screen(ctl, &looks);
	else
		rc = batch(ctl, &looks);
	drop(&looks);
	return rc;
}
