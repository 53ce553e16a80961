/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Detects changed CA files: another file under the name, or another size or time. A missing or broken file is ignored,
 * and the one loaded before stays in use.
 */
#include <string.h>
#include <sys/stat.h>
#include "probe/bundles.h"
#include "probe/tls.h"
#include "probe/wire.h"
#include "util/log.h"

/* All zero if there is no file. */
static struct bundle bundles_look(const char *path)
{
	struct bundle b = {0};
	struct stat st;

	if (!stat(path, &st)) {
		b.dev = st.st_dev;
		b.ino = st.st_ino;
		b.size = st.st_size;
		b.mtime = st.st_mtim;
	}
	return b;
}

static bool bundles_is_same(const struct bundle *a, const struct bundle *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
	       a->mtime.tv_sec == b->mtime.tv_sec && a->mtime.tv_nsec == b->mtime.tv_nsec;
}

static bool loads(const char *path)
{
	X509_STORE *store;

	if (tls_load_bundle(path, &store))
		return false;
	X509_STORE_free(store);
	return true;
}

uint32_t bundles_index(const struct bundles *b, const char *path)
{
	for (uint32_t i = 0; path[0] && i < b->n; i++)
		if (!strcmp(b->paths[i], path))
			return i;
	return WIRE_NO_BUNDLE;
}

void bundles_init(struct bundles *b, const struct probe_conf *probes, unsigned n)
{
	memset(b, 0, sizeof(*b));
	for (unsigned i = 0; i < n && b->n < CONFIG_MAX_PROBES; i++) {
		const char *path = probes[i].ca_file;

		if (!path[0] || bundles_index(b, path) != WIRE_NO_BUNDLE)
			continue;
		strcpy(b->paths[b->n], path);
		b->list[b->n] = bundles_look(b->paths[b->n]);
		b->list[b->n].bad = !loads(b->paths[b->n]);
		b->n++;
	}
}

bool bundles_same_paths(const struct bundles *a, const struct bundles *b)
{
	return a->n == b->n && !memcmp(a->paths, b->paths, sizeof(a->paths));
}

bool bundles_changed(struct bundles *b)
{
	bool changed = false;

	for (unsigned i = 0; i < b->n; i++) {
		struct bundle now = bundles_look(b->paths[i]);

		if (bundles_is_same(&now, &b->list[i]))
			continue;
		now.bad = !loads(b->paths[i]);
		b->list[i] = now;
		changed |= !now.bad;
		if (now.bad)
			log_warn(
				"event=ca_file_refused file=%s note=\"the one loaded before stays in "
				"use\"",
				b->paths[i]);
		else
			log_info("event=ca_file_changed file=%s", b->paths[i]);
	}
	b->renewed |= changed;
	return changed;
}

const char *bundles_source(const struct bundles *b, unsigned i, char copy[STATEFILE_PATH_SIZE])
{
	bool usable = b->list[i].bad && statefile_path("ca", b->paths[i], copy) && loads(copy);

	return usable ? copy : b->paths[i];
}

const char *bundles_bad(const struct bundles *b)
{
	for (unsigned i = 0; i < b->n; i++)
		if (b->list[i].bad)
			return b->paths[i];
	return NULL;
}
