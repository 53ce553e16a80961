// SPDX-License-Identifier: BSD-2-Clause
/* Reads, compares and prints a line of the flow table. Changes nothing. */
#include <arpa/inet.h>
#include <inttypes.h>
#include <string.h>
#include "flowline.h"

/* Converts the program's line to the model's terms; bits that the model does not have must be zero. */
static void read_tuple(int family, const void *key, struct flowmodel_tuple *t)
{
	const struct mxlb_key4 *k4 = key;
	const struct mxlb_key6 *k6 = key;

	t->family = family;
	memcpy(t->client, key, family == 4 ? 4 : 16);
	t->port = ntohs(family == 4 ? k4->port : k6->port);
	t->service = family == 4 ? k4->service : k6->service;
	if (family == 6 && k6->pad)
		t->service = ~0u;
}

static void read_entry(int family, union mxlb_entry e, const void *key, uint32_t epoch,
		       struct flowmodel_entry *out)
{
	if (!e.backend)
		return;
	out->used = true;
	read_tuple(family, key, &out->tuple);
	out->server = e.marks >> 5 ? ~0u : e.backend;
	out->block = e.seq;
	out->epoch = epoch - (uint16_t)(epoch - e.epoch);
	out->closed = e.marks & MXLB_MARK_CLOSED;
	out->by_miss = e.marks & MXLB_MARK_BY_MISS;
	out->data = e.marks & MXLB_MARK_DATA;
	out->settled = e.marks & MXLB_MARK_SETTLED;
	out->beside = e.marks & MXLB_MARK_BESIDE;
}

static void read_note(int family, union mxlb_note n, const void *key, struct flowmodel_note *out)
{
	if (!n.backend)
		return;
	out->used = true;
	read_tuple(family, key, &out->tuple);
	out->server = n.backend;
	out->expect = n.expect;
	out->data = n.len;
}

void flowline_read(const struct datapath *dp, int family, uint32_t line, uint32_t epoch,
		   struct flowmodel_line *out)
{
	const struct mxlb_line4 *l4 = &dp->flows4[line];
	const struct mxlb_line6 *l6 = &dp->flows6[line];

	memset(out, 0, sizeof(*out));
	for (int i = 0; i < MXLB_LINE_PLACES; i++)
		read_entry(family, family == 4 ? l4->entry[i] : l6->entry[i],
			   family == 4 ? (void *)&l4->key[i] : (void *)&l6->key[i], epoch,
			   &out->entry[i]);
	read_note(family, family == 4 ? l4->note : l6->note,
		  family == 4 ? (void *)&l4->note_key : (void *)&l6->note_key, &out->note);
}

static bool same_tuple(const struct flowmodel_tuple *a, const struct flowmodel_tuple *b)
{
	return a->family == b->family && a->port == b->port && a->service == b->service &&
	       !memcmp(a->client, b->client, sizeof(a->client));
}

bool flowline_same(const struct flowmodel_line *a, const struct flowmodel_line *b)
{
	for (int i = 0; i < FLOWMODEL_PLACES; i++) {
		const struct flowmodel_entry *x = &a->entry[i], *y = &b->entry[i];

		if (x->used != y->used)
			return false;
		if (x->used &&
		    (!same_tuple(&x->tuple, &y->tuple) || x->server != y->server ||
		     x->block != y->block || x->epoch != y->epoch || x->closed != y->closed ||
		     x->by_miss != y->by_miss || x->data != y->data || x->settled != y->settled ||
		     x->beside != y->beside))
			return false;
	}
	if (!a->note.used || !b->note.used)
		return a->note.used == b->note.used;
	return same_tuple(&a->note.tuple, &b->note.tuple) && a->note.server == b->note.server &&
	       a->note.expect == b->note.expect && a->note.data == b->note.data;
}

void flowline_print_tuple(const struct flowmodel_tuple *t)
{
	char client[INET6_ADDRSTRLEN];

	inet_ntop(t->family == 4 ? AF_INET : AF_INET6, t->client, client, sizeof(client));
	print_error("%s port %u service %" PRIu32, client, t->port, t->service);
}

void flowline_print(const char *whose, const struct flowmodel_line *l)
{
	print_error("%s\n", whose);
	for (int i = 0; i < FLOWMODEL_PLACES; i++) {
		const struct flowmodel_entry *e = &l->entry[i];

		print_error("  entry %d: ", i);
		if (e->used) {
			flowline_print_tuple(&e->tuple);
			print_error(" server %" PRIu32 " block %06" PRIx32 " epoch %" PRIu32
				    "%s%s%s%s%s",
				    e->server, e->block, e->epoch, e->closed ? " closed" : "",
				    e->by_miss ? " by-miss" : "", e->data ? " data" : "",
				    e->settled ? " settled" : "", e->beside ? " beside" : "");
		}
		print_error("\n");
	}
	print_error("  note:    ");
	if (l->note.used) {
		flowline_print_tuple(&l->note.tuple);
		print_error(" server %" PRIu32 " expect %08" PRIx32 " data %" PRIu32,
			    l->note.server, l->note.expect, l->note.data);
	}
	print_error("\n");
}
