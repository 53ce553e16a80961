// SPDX-License-Identifier: BSD-2-Clause
/*
 * Migrates from another layout's pins to this one's, without an effect on packets. The two are never mixed: a program
 * only sees maps of its own layout. The order of the steps lets the next start, of either build, continue from
 * wherever a start ends:
 *
 *   1. A directory without links is not in use: it is a leftover and is removed. So is this layout's, if another has
 *      links.
 *   2. Flows and records (the kept maps) are pinned in the new directory as well. Their pins bear MXLB_KEPT: if there
 *      are none of this format the start is refused, and the other program goes on.
 *   3. The keys are copied, because a flow's place depends on them; and the role, because keepalived reports only changes.
 *   4. All other maps are new. The daemon fills them by a plan made from the records.
 *   5. Each link is pinned in the new directory too (attach.c), then its program is replaced. So a directory with
 *      links has filled maps.
 *   6. The other directory is removed.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "datapath/datapath_internal.h"
#include "util/log.h"

#define PIN_SIZE (PINS_PATH_SIZE + sizeof(((struct dirent *)0)->d_name))

static int get_kept(const char *dir, const char *name)
{
	char pin[PIN_SIZE];
	int fd;

	snprintf(pin, sizeof(pin), "%s/%s_%d", dir, name, MXLB_KEPT);
	fd = bpf_obj_get(pin);
	return fd < 0 ? -errno : fd;
}

bool migrate_has_links(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	bool found = false;

	while (dir && !found && (entry = readdir(dir)))
		found = !strncmp(entry->d_name, "link_", 5);
	if (dir)
		closedir(dir);
	return found;
}

/* Removes it: nothing in it is in use, except through other pins. */
static int empty_dir(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	char pin[PIN_SIZE];
	int err = dir ? 0 : -errno;

	while (dir && (entry = readdir(dir))) {
		snprintf(pin, sizeof(pin), "%s/%s", path, entry->d_name);
		if (entry->d_name[0] != '.' && unlink(pin))
			err = -errno;
	}
	if (dir)
		closedir(dir);
	return err;
}

static int remove_dir(const char *path)
{
	int err = empty_dir(path);

	if (!err && rmdir(path))
		err = -errno;
	if (err)
		log_warn("event=leftover path=\"%s\" error=\"%s\"", path, strerror(-err));
	return err;
}

/* Rule 1. How many others have links; dp->old is the last of them. */
static int find_others(struct datapath *dp)
{
	DIR *dir = opendir(dp->pins);
	char path[PINS_PATH_SIZE];
	struct dirent *entry;
	unsigned layout;
	int n = dir ? 0 : -errno;

	while (dir && (entry = readdir(dir))) {
		if (!pins_layout(entry->d_name, &layout))
			continue;
		snprintf(path, sizeof(path), "%s/v%u", dp->pins, layout);
		if (layout == MXLB_LAYOUT)
			continue;
		if (!migrate_has_links(path)) {
			remove_dir(path);
			continue;
		}
		memcpy(dp->old, path, sizeof(path));
		n++;
	}
	if (dir)
		closedir(dir);
	return n;
}

static int migrate_refuse(const struct datapath *dp, const char *why)
{
	log_error(
		"event=refused what=\"take over from %s\" error=\"%s\" advice=\"start the earlier "
		"mxlbd again (its program still forwards) or, if its connections may break, run mxlbctl "
		"detach, then start this one\"",
		dp->old, why);
	return -EEXIST;
}

static __u32 map_id(int fd)
{
	struct bpf_map_info info = {0};
	__u32 len = sizeof(info);

	return fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len) ? 0 : info.id;
}

/* A start that ended between rules 5 and 6: both directories have links, and must have the same flows. */
static int go_on(const struct datapath *dp)
{
	bool same = true;

	for (unsigned i = 0; i < PINS_KEPT; i++) {
		int ours = get_kept(dp->dir, pins_kept[i]),
		    theirs = get_kept(dp->old, pins_kept[i]);

		same &= map_id(ours) && map_id(ours) == map_id(theirs);
		if (ours >= 0)
			close(ours);
		if (theirs >= 0)
			close(theirs);
	}
	return same ? 0
		    : migrate_refuse(dp, "two layouts are in force, each with flows of its own");
}

/* Rule 2. */
static int pin_kept(const struct datapath *dp)
{
	char pin[PIN_SIZE];
	int err = 0;

	for (unsigned i = 0; i < PINS_KEPT && !err; i++) {
		int fd = get_kept(dp->old, pins_kept[i]);

		if (fd < 0)
			return migrate_refuse(dp, fd == -ENOENT ? "its flows have another format"
								: strerror(-fd));
		snprintf(pin, sizeof(pin), "%s/%s_%d", dp->dir, pins_kept[i], MXLB_KEPT);
		if (bpf_obj_pin(fd, pin))
			err = -errno;
		close(fd);
	}
	return err ? migrate_refuse(dp, strerror(-err)) : 0;
}

int migrate_begin(struct datapath *dp)
{
	int n = find_others(dp), err;

	if (n <= 0)
		return n;
	if (n > 1)
		return migrate_refuse(dp, "more than one other layout is in force");
	if (migrate_has_links(dp->dir))
		return go_on(dp);
	err = empty_dir(dp->dir);
	if (!err)
		err = pin_kept(dp);
	dp->unfilled = !err;
	return err;
}

/* Versions without roles have no such map: they always answer, as the new map says. */
static int copy_role(struct datapath *dp)
{
	struct bpf_map_info info = {0};
	__u32 key = 0, len = sizeof(info);
	char pin[PIN_SIZE];
	__u64 word;
	int fd, err = 0;

	snprintf(pin, sizeof(pin), "%s/role", dp->old);
	fd = bpf_obj_get(pin);
	if (fd < 0)
		return errno == ENOENT ? 0 : migrate_refuse(dp, "its role can't be read");
	if (bpf_obj_get_info_by_fd(fd, &info, &len) || info.value_size != sizeof(word) ||
	    bpf_map_lookup_elem(fd, &key, &word))
		err = migrate_refuse(dp, "its role can't be read");
	else
		*(volatile __u64 *)dp->role = word;
	close(fd);
	return err;
}

int migrate_keys(struct datapath *dp)
{
	struct mxlb_control old;
	struct bpf_map_info info = {0};
	__u32 key = 0, len = sizeof(info);
	int fd, err = 0;

	if (!dp->unfilled)
		return 0;
	fd = get_kept(dp->old, "control");
	if (fd < 0)
		return migrate_refuse(dp, "its keys are not there");
	if (bpf_obj_get_info_by_fd(fd, &info, &len) || info.value_size != sizeof(old) ||
	    bpf_map_lookup_elem(fd, &key, &old))
		err = migrate_refuse(dp, "its keys can't be read");
	close(fd);
	if (err)
		return err;
	memcpy(dp->control->hash_key, old.hash_key, sizeof(old.hash_key));
	dp->control->secret = old.secret;
	dp->control->epoch = old.epoch;
	err = copy_role(dp);
	if (err)
		return err;
	log_info("event=migrating from=\"%s\" to=\"%s\"", dp->old, dp->dir);
	return 0;
}

void migrate_end(struct datapath *dp)
{
	if (!dp->old[0])
		return;
	if (!remove_dir(dp->old))
		log_info("event=migrated from=\"%s\" to=\"%s\"", dp->old, dp->dir);
	dp->old[0] = '\0';
	dp->unfilled = false;
}
