/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checks of mxlbd's files: configuration, pins, socket, CA bundles, with the user, groups and capabilities of its
 * process.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/magic.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include "ctl/doctor/doctor.h"
#include "ctl/text.h"
#include "util/names.h"

#define GROUPS_MAX   64
#define PINS_MAX     4096
#define CERTS_MAX    4096
#define NO_PASSWORD  "" /* otherwise OpenSSL would prompt at the terminal */
#define CAP_OVERRIDE ((1ull << 1) | (1ull << 2)) /* CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH */

struct who { /* mxlbd's process */
	unsigned uid, gid, groups[GROUPS_MAX];
	unsigned n_groups;
	unsigned long long caps;
};

static void read_groups(struct who *who, const char *text)
{
	char *end;

	for (who->n_groups = 0; who->n_groups < GROUPS_MAX; text = end) {
		unsigned long group = strtoul(text, &end, 10);

		if (end == text)
			break;
		who->groups[who->n_groups++] = (unsigned)group;
	}
}

/* False: there is no such process, or it can't be seen. */
static bool who_is(long long pid, struct who *who)
{
	char path[64], line[1024];
	bool found = false;
	FILE *f;

	memset(who, 0, sizeof(*who));
	snprintf(path, sizeof(path), "/proc/%lld/status", pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		found |= sscanf(line, "Uid: %*u %u", &who->uid) == 1;
		sscanf(line, "Gid: %*u %u", &who->gid);
		sscanf(line, "CapEff: %llx", &who->caps);
		if (!strncmp(line, "Groups:", 7))
			read_groups(who, line + 7);
	}
	if (f)
		fclose(f);
	return found;
}

static bool in_group(const struct who *who, gid_t gid)
{
	for (unsigned i = 0; i < who->n_groups; i++)
		if (who->groups[i] == gid)
			return true;
	return who->gid == gid;
}

/* bits: of "others" (4: read, 1: search). As generic_permission() of the kernel's fs/namei.c has it, without ACLs. */
static bool files_may(const struct who *who, const char *path, mode_t bits)
{
	struct stat st;

	if (stat(path, &st))
		return false;
	if (who->caps & CAP_OVERRIDE)
		return true;
	if (st.st_uid == who->uid)
		return st.st_mode >> 6 & bits;
	return (in_group(who, st.st_gid) ? st.st_mode >> 3 : st.st_mode) & bits;
}

/* The file and all folders above it. */
static bool may_read(const struct who *who, const char *file)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s", file);
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (!files_may(who, path, 1))
			return false;
		*slash = '/';
	}
	return files_may(who, path, 4);
}

static void check_readable(struct doctor *d, const char *file, const char *what)
{
	char user[NAMES_SIZE], group[NAMES_SIZE];
	struct who who;

	if (d->status && who_is(field_number(d->status, "pid"), &who) && !may_read(&who, file))
		doctor_find(
			d, DOCTOR_ERROR,
			json_sprintf(
				"mxlbd (user %s, group %s) may not read %s: the next reload or "
				"start fails",
				names_user(who.uid, user), names_group(who.gid, group), file),
			json_sprintf(
				"chgrp %s %s && chmod g+r %s, and the folders above it: g+x (%s)",
				names_group(who.gid, group), file, file, what));
}

/* In mxlbd's own words. */
static void find_reload_failed(struct doctor *d)
{
	json_t *f;
	size_t i;

	json_array_foreach (json_object_get(d->status, "diagnosis"), i, f)
		if (!strcmp(field_text(f, "code"), "reload_failed"))
			doctor_find(d, DOCTOR_ERROR, json_string(field_text(f, "text")),
				    json_string(field_text(f, "next")));
}

/* The first error; warnings may come before it. */
static void find_refused(struct doctor *d)
{
	const char *line = d->refused.data;
	size_t len;

	while ((len = strcspn(line, "\n")) && line[len] && memmem(line, len, ": warning: ", 11))
		line += len + 1;
	doctor_find(d, DOCTOR_ERROR,
		    json_sprintf("mxlbd can't start with this: %.*s", (int)len, line),
		    json_string("mxlbd -t -c FILE lists every error."));
}

static void check_config_file(struct doctor *d)
{
	const json_t *config = json_object_get(d->status, "config");
	const char *file = field_text(config, "file"), *error = field_text(config, "last_error");
	struct stat st;

	if (d->refused.len)
		find_refused(d);
	if (*error)
		find_reload_failed(d);
	else if (!d->status && d->config)
		doctor_find(d, DOCTOR_OK, json_string("the configuration is valid"), NULL);
	if (*file != '/')
		return; /* none is in force, or its name means something else here */
	if (stat(file, &st)) {
		doctor_find(d, DOCTOR_ERROR,
			    json_sprintf("%s: %s: the next start of mxlbd fails", file,
					 strerror(errno)),
			    json_sprintf("mxlbctl config prints what is in force: write it to %s.",
					 file));
		return;
	}
	if (st.st_mode & S_IWOTH)
		doctor_find(d, DOCTOR_ERROR, json_sprintf("every user may write %s", file),
			    json_sprintf("chmod o-w %s", file));
	if (!*error && st.st_mtime > field_time(config, "loaded_at") + 1)
		doctor_find(
			d, DOCTOR_WARNING, json_sprintf("%s was changed after it was loaded", file),
			json_sprintf(
				"mxlbctl plan -c %s shows what would change; then mxlbctl reload.",
				file));
	check_readable(d, file, "the configuration");
}

/* Anyone who can write to a map can redirect mail. */
static void judge_pin(struct doctor *d, const char *path, unsigned *left)
{
	struct stat st;

	if (!*left || lstat(path, &st) || S_ISLNK(st.st_mode))
		return;
	--*left;
	if (st.st_mode & S_IWOTH)
		doctor_find(
			d, DOCTOR_ERROR,
			json_sprintf("every user may write %s, and thereby decide where mail goes",
				     path),
			json_sprintf("chmod -R go-rwx %s", path));
}

static void judge_pins_below(struct doctor *d, const char *folder, unsigned *left)
{
	const struct dirent *entry;
	DIR *dir = opendir(folder);
	char path[4096];

	while (dir && *left && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		judge_pin(d, path, left);
		if (entry->d_type == DT_DIR && entry->d_name[0] == 'v')
			judge_pins_below(d, path, left);
	}
	if (dir)
		closedir(dir);
}

static void check_pins(struct doctor *d)
{
	const char *pin = field_text(json_object_get(d->config, "datapath"), "pin");
	char path[4096], *slash;
	unsigned left = PINS_MAX;
	struct statfs fs;

	judge_pin(d, pin, &left);
	judge_pins_below(d, pin, &left);
	snprintf(path, sizeof(path), "%s", pin);
	while (statfs(path, &fs) && errno == ENOENT && (slash = strrchr(path, '/')) && slash > path)
		*slash = '\0'; /* mxlbd makes the last folder */
	if (statfs(path, &fs))
		doctor_find(d, DOCTOR_NOT_CHECKED, json_sprintf("%s: %s", path, strerror(errno)),
			    NULL);
	else if (fs.f_type != BPF_FS_MAGIC)
		doctor_find(
			d, DOCTOR_ERROR,
			json_sprintf("%s is not in a BPF file system: mxlbd can't pin its maps",
				     pin),
			json_string(
				"mount -t bpf bpf /sys/fs/bpf, and add it to /etc/fstab. (Inside ip netns exec this always fails: use nsenter --net.)"));
}

static void check_socket(struct doctor *d)
{
	const json_t *control = json_object_get(d->config, "control");
	const char *path = field_text(control, "socket"), *name = field_text(control, "group");
	const struct group *group = getgrnam(name);
	struct stat st;

	if (!group)
		doctor_find(
			d, DOCTOR_WARNING,
			json_sprintf(
				"there is no group %s: only root and mxlbd's user can use mxlbd's socket",
				name),
			json_sprintf(
				"groupadd --system %s, add the users who may read the state to it, and restart mxlbd.",
				name));
	if (!d->status)
		return;
	if (stat(path, &st) || !S_ISSOCK(st.st_mode)) {
		doctor_find(d, DOCTOR_ERROR,
			    json_sprintf("mxlbd's socket %s has been removed", path),
			    json_string("Restart mxlbd (the datapath goes on)."));
		return;
	}
	if (st.st_mode & S_IRWXO)
		doctor_find(d, DOCTOR_ERROR, json_sprintf("every user may use the socket %s", path),
			    json_sprintf("chmod o-rwx %s", path));
	if (group && (st.st_gid != group->gr_gid || !(st.st_mode & S_IWGRP)))
		doctor_find(d, DOCTOR_ERROR,
			    json_sprintf("%s is not open to group %s: its members can't ask mxlbd",
					 path, name),
			    json_sprintf("chgrp %s %s && chmod 660 %s; or restart mxlbd.", name,
					 path, path));
}

/* Counts the certificates and those that the clock says are of another time. */
static unsigned files_count_certificates(FILE *f, unsigned *expired)
{
	unsigned n = 0;
	X509 *cert;

	*expired = 0;
	while (n < CERTS_MAX && (cert = PEM_read_X509(f, NULL, NULL, NO_PASSWORD))) {
		n++;
		*expired += X509_cmp_current_time(X509_get0_notAfter(cert)) < 0 ||
			    X509_cmp_current_time(X509_get0_notBefore(cert)) > 0;
		X509_free(cert);
	}
	return n;
}

static void judge_bundle(struct doctor *d, const char *file)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* it may be a fifo */
	FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
	unsigned n, expired;

	if (!f) {
		doctor_find(
			d, errno == EACCES && !d->root ? DOCTOR_NOT_CHECKED : DOCTOR_ERROR,
			json_sprintf("%s: %s: no certificate can be judged", file, strerror(errno)),
			json_string("apt-get install ca-certificates, or correct ca-file."));
		return;
	}
	n = files_count_certificates(f, &expired);
	fclose(f);
	if (!n)
		doctor_find(d, DOCTOR_ERROR, json_sprintf("%s has no certificate (PEM)", file),
			    json_string("update-ca-certificates, or correct ca-file."));
	else if (2 * expired > n)
		doctor_find(
			d, DOCTOR_ERROR,
			json_sprintf(
				"%u of the %u certificates in %s have expired or are not valid yet",
				expired, n, file),
			json_string(
				"The clock is wrong, or the bundle is old: apt-get install --only-upgrade "
				"ca-certificates"));
	check_readable(d, file, "the CA bundle");
}

static void check_bundles(struct doctor *d)
{
	json_t *probes = json_object_get(d->config, "probes"), *seen = json_object(), *probe;
	const char *name;

	json_object_foreach (probes, name, probe) {
		const char *file = field_text(probe, "ca-file");

		if (*file && !json_object_get(seen, file)) {
			json_object_set_new(seen, file, json_true());
			judge_bundle(d, file);
		}
	}
	json_decref(seen);
}

const struct doctor_check doctor_files_checks[] = {
	{"config-file", "the file is the configuration in force, and mxlbd can read it", 0,
	 check_config_file},
	{"pins", "in a BPF file system, writable for mxlbd only", NEEDS_CONFIG, check_pins},
	{"socket", "accessible only to its group", NEEDS_CONFIG, check_socket},
	{"ca-store", "the CA bundles that the probes need can be read", NEEDS_CONFIG,
	 check_bundles},
	{.name = NULL},
};
