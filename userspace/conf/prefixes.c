/* SPDX-License-Identifier: BSD-2-Clause */
/* Lists of prefixes: memory and order. Limits are up to the callers. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "conf/prefixes.h"

#define ROOM_MIN 16

/* The room that a list of n has: the next power of two. */
static size_t room(unsigned n)
{
	size_t size = ROOM_MIN;

	while (size < n)
		size *= 2;
	return n ? size : 0;
}

int prefixes_add(struct prefixes *p, const struct prefix *more, unsigned n)
{
	struct prefix *list = p->list;

	if (!n)
		return 0;
	if (room(p->n + n) != room(p->n)) {
		list = realloc(list, room(p->n + n) * sizeof(*list));
		if (!list)
			return -ENOMEM;
		p->list = list;
	}
	memcpy(&list[p->n], more, n * sizeof(*more));
	p->n += n;
	return 0;
}

/* By address, the shorter first: so a prefix comes right behind the one that holds it, or another within that. */
static int compare(const void *a, const void *b)
{
	const struct prefix *pa = a, *pb = b;
	int order = addr_cmp(&pa->addr, &pb->addr);

	return order ? order : (int)pa->len - (int)pb->len;
}

void prefixes_tidy(struct prefixes *p)
{
	unsigned n = 0;

	if (!p->n)
		return;
	qsort(p->list, p->n, sizeof(*p->list), compare);
	for (unsigned i = 0; i < p->n; i++)
		if (!n || !addr_in_prefix(&p->list[i].addr, &p->list[n - 1]))
			p->list[n++] = p->list[i];
	p->n = n;
}
