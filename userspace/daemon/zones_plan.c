// SPDX-License-Identifier: BSD-2-Clause
/* What a plan says of servers from DNS: those that are not known yet, and changes that are held back. */
#include <string.h>
#include "daemon/zones_parts.h"

/* Its servers are those that it has now, if it has any: zones.c, rule 3. */
static void plan_unanswered(const struct service_conf *s, const char *looked_up, struct buf *out)
{
	buf_printf(out, "service %s: mx %s: its servers are not known, because it %s; %s\n",
		   s->name, s->zone.mx, looked_up,
		   s->n_servers ? "it keeps its servers until DNS answers"
				: "it has none, and is not ready, until DNS answers");
}

void zones_plan(struct daemon *d, const struct zones_draft *draft, const struct config *config,
		struct buf *out)
{
	for (unsigned i = 0; i < config->n_services; i++) {
		const struct service_conf *s = &config->services[i];
		const struct zone_entry *e = draft->entries[i];
		struct buf held = {0};
		char *rest = NULL, *line;

		if (!e)
			continue;
		if (!e->zone.has_set)
			plan_unanswered(s,
					draft->new_entry[i] ? "was never looked up"
							    : "was never answered",
					out);
		if (e->zone.state == ZONE_HELD)
			buf_printf(out, "service %s: mx %s: a change is held back: %s\n", s->name,
				   s->zone.mx, e->zone.why);
		zones_held(d, s->name, &held);
		line = held.data ? strtok_r(held.data, "\n", &rest) : NULL;
		for (; line; line = strtok_r(NULL, "\n", &rest))
			buf_printf(out, "if it is accepted: %s\n", line);
		buf_free(&held);
	}
}
