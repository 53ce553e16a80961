/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns `show rejected`: a line for each client that was turned away, the last one first. Refuses to list more than the datapath
 * remembers (MXLB_REJECTED).
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "control/render.h"
#include "control/request.h"
#include "mxlb/abi.h"
#include "util/clock.h"

struct rejected_listing {
	struct rejected_row *rows; /* MXLB_REJECTED */
	unsigned n;
	uint32_t service_id; /* MXLB_MAX_SERVICES + 1: of all */
};

static void on_cmd_rejected_row(void *ctx, const struct rejected_row *row)
{
	struct rejected_listing *l = ctx;

	if (l->n < MXLB_REJECTED &&
	    (l->service_id > MXLB_MAX_SERVICES || l->service_id == row->service_id))
		l->rows[l->n++] = *row;
}

static int younger_first(const void *a, const void *b)
{
	const struct rejected_row *x = a, *y = b;

	return (x->age_ms > y->age_ms) - (x->age_ms < y->age_ms);
}

/* NULL: not known. */
static const char *cmd_rejected_service_name(const struct model *m, uint32_t id)
{
	for (unsigned i = 0; i < m->n_services; i++)
		if (m->services[i].id == id)
			return m->services[i].conf.name;
	return NULL;
}

static void cmd_rejected_put_text(struct request *r, const struct rejected_listing *l, unsigned max)
{
	char client[ADDR_TEXT_SIZE];

	buf_printf(r->out, "# client service reason packets seconds-ago why\n");
	for (unsigned i = 0; i < max; i++) {
		const struct rejected_row *row = &l->rows[i];
		const char *name = cmd_rejected_service_name(r->env->model, row->service_id);

		buf_printf(r->out, "%s %s %s %u %llu %s\n", addr_text(&row->client, client),
			   name ?: "-", render_counter(row->counter), row->packets,
			   (unsigned long long)(row->age_ms / 1000), rejected_why(row->counter));
	}
	buf_printf(r->out, "# %u shown, %u left out\n", max, l->n - max);
}

static json_t *json_row(const struct model *m, const struct rejected_row *row, int64_t now_wall_ms)
{
	const char *name = cmd_rejected_service_name(m, row->service_id);
	char client[ADDR_TEXT_SIZE];

	return json_pack("{s:s, s:s?, s:s, s:I, s:o, s:s}", "client",
			 addr_text(&row->client, client), "service", name, "reason",
			 render_counter(row->counter), "packets", (json_int_t)row->packets, "last",
			 render_json_time(now_wall_ms - (int64_t)row->age_ms), "why",
			 rejected_why(row->counter));
}

static void put_json(struct request *r, const struct rejected_listing *l, unsigned max)
{
	int64_t now_wall_ms = clock_now().wall_ms;
	json_t *list = json_array();

	for (unsigned i = 0; i < max; i++)
		list = render_json_append(list, json_row(r->env->model, &l->rows[i], now_wall_ms));
	if (render_json(json_pack("{s:o, s:i, s:i}", "rejected", list, "shown", (int)max,
				  "left_out", (int)(l->n - max)),
			r->out))
		r->out->failed = true;
	buf_append(r->out, "\n", 1);
}

/* "[<s>] [<max>] [json]". Anything else is refused with a message: false. */
static bool take_words(struct request *r, struct rejected_listing *l, unsigned *max, bool *json)
{
	const struct service *s;
	char *end;

	for (unsigned i = 0; i < r->n_args; i++) {
		char *word = r->args[i];
		unsigned long n = strtoul(word, &end, 10);

		if (!strcmp(word, "json")) {
			*json = true;
		} else if (isdigit((unsigned char)*word) && !*end) {
			*max = n < MXLB_REJECTED ? (unsigned)n : MXLB_REJECTED;
		} else {
			s = request_service(r, word);
			if (!s)
				return false;
			l->service_id = s->id;
		}
	}
	return true;
}

void rejected_run(struct request *r)
{
	struct rejected_listing l = {.service_id = MXLB_MAX_SERVICES + 1};
	const struct control_callbacks *cb = &r->env->cb;
	unsigned max = MXLB_REJECTED;
	bool json = false;

	if (!take_words(r, &l, &max, &json))
		return;
	l.rows = calloc(MXLB_REJECTED, sizeof(*l.rows));
	if (!l.rows) {
		r->out->failed = true;
		return;
	}
	cb->each_rejected(cb->ctx, on_cmd_rejected_row, &l);
	qsort(l.rows, l.n, sizeof(*l.rows), younger_first);
	(json ? put_json : cmd_rejected_put_text)(r, &l, max < l.n ? max : l.n);
	free(l.rows);
}
