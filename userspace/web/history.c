/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The differences between the totals of one step and the next. A service that is new, or whose total fell (a server
 * was removed), counts as zero in that step.
 */
#include "web/history.h"

#include <string.h>
#include "control/render.h"

static uint64_t new_connections(const struct service *s)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < s->n_servers; i++)
		sum += s->servers[i].traffic.new_flows;
	return sum;
}

void history_step(struct history *h, const struct model *m)
{
	for (unsigned i = 0; i < m->n_services; i++) {
		const struct service *s = &m->services[i];
		struct history_row *row = &h->rows[s->id % MXLB_MAX_SERVICES];
		uint64_t total = new_connections(s);
		bool known = !strcmp(row->service, s->conf.name);

		if (!known) {
			memset(row, 0, sizeof(*row));
			memcpy(row->service, s->conf.name, sizeof(row->service));
		}
		row->counts[h->next] =
			known && total > row->total ? (uint32_t)(total - row->total) : 0;
		row->total = total;
		row->n += row->n < HISTORY_STEPS;
	}
	h->next = (h->next + 1) % HISTORY_STEPS;
}

static json_t *render_row(const struct history *h, const struct service *s)
{
	const struct history_row *row = &h->rows[s->id % MXLB_MAX_SERVICES];
	unsigned n = strcmp(row->service, s->conf.name) ? 0 : row->n;
	json_t *counts = json_array();

	for (unsigned i = HISTORY_STEPS - n; i < HISTORY_STEPS; i++) {
		unsigned at = (h->next + i) % HISTORY_STEPS;

		counts = render_json_append(counts, json_integer(row->counts[at]));
	}
	return json_pack("{s:o, s:o}", "name", render_json_text(s->conf.name), "new", counts);
}

int history_render(const struct history *h, const struct model *m, struct buf *out)
{
	json_t *services = json_array();

	for (unsigned i = 0; i < m->n_services; i++)
		services = render_json_append(services, render_row(h, &m->services[i]));
	return render_json(json_pack("{s:i, s:o}", "step_s", HISTORY_STEP_S, "services", services),
			   out);
}
