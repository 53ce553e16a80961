// SPDX-License-Identifier: BSD-2-Clause
/*
 * Checks of programs that may remove what mxlbd has put into the system (docs/operations.md), and of mxlbd's own
 * reports about that.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>
#include "ctl/doctor/doctor.h"
#include "ctl/text.h"

#define NETWORKD_COMM "systemd-network" /* comm(5) has 15 characters of the name */
#define DROPINS_MAX   256
#define PATH_SIZE     512

static bool is_problem(const struct doctor *d, const char *code)
{
	const json_t *problem;
	size_t i;

	json_array_foreach (json_object_get(d->status, "problems"), i, problem)
		if (!strcmp(field_text(problem, "name"), code))
			return true;
	return false;
}

/* By mxlbd's diagnosis. docs/operations.md has the usual culprits, and what mxlbd does meanwhile. */
static void check_problems(struct doctor *d)
{
	json_t *f;
	size_t i;

	json_array_foreach (json_object_get(d->status, "diagnosis"), i, f) {
		const char *next = field_text(f, "next");

		if (is_problem(d, field_text(f, "code")))
			doctor_find(d,
				    strcmp(field_text(f, "level"), "critical") ? DOCTOR_WARNING
									       : DOCTOR_ERROR,
				    json_string(field_text(f, "text")),
				    json_string(*next ? next : "see docs/operations.md"));
	}
}

/* In the order in which systemd prefers them (systemd-system.conf(5), networkd.conf(5)). */
static const char *const folders[] = {"/etc/systemd", "/run/systemd", "/usr/local/lib/systemd",
				      "/usr/lib/systemd"};

#define N_FOLDERS (sizeof(folders) / sizeof(folders[0]))

struct foreign { /* what systemd-networkd does with rules and routes that it has not made */
	bool rules, routes;
};

static void take_yes(const char *value, bool *out)
{
	static const char *const yes[] = {"1", "yes", "y", "true", "t", "on"};
	static const char *const no[] = {"0", "no", "n", "false", "f", "off"};

	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
		if (!strcasecmp(value, yes[i]))
			*out = true;
		if (!strcasecmp(value, no[i]))
			*out = false;
	}
}

static char *trim(char *text)
{
	char *end;

	text += strspn(text, " \t");
	end = text + strlen(text);
	while (end > text && isspace((unsigned char)end[-1]))
		*--end = '\0';
	return text;
}

/* False: there is no such file. */
static bool read_networkd(const char *path, struct foreign *f)
{
	FILE *in = fopen(path, "re");
	bool network = false;
	char line[1024];

	while (in && fgets(line, sizeof(line), in)) {
		char *key = trim(line), *value = strchr(key, '=');

		if (*key == '[')
			network = !strcmp(key, "[Network]");
		if (!network || !value || *key == '#' || *key == ';')
			continue;
		*value++ = '\0';
		key = trim(key);
		if (!strcmp(key, "ManageForeignRoutingPolicyRules"))
			take_yes(trim(value), &f->rules);
		else if (!strcmp(key, "ManageForeignRoutes"))
			take_yes(trim(value), &f->routes);
	}
	if (in)
		fclose(in);
	return in;
}

struct dropins {
	char paths[DROPINS_MAX][PATH_SIZE];
	unsigned n;
};

static const char *base(const char *path)
{
	return strrchr(path, '/') + 1;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(base(a), base(b));
}

static bool process_has_name(const struct dropins *all, const char *name)
{
	for (unsigned i = 0; i < all->n; i++)
		if (!strcmp(base(all->paths[i]), name))
			return true;
	return false;
}

/* One in a better folder hides the others of its name. */
static void find_dropins(const char *folder, struct dropins *all)
{
	const struct dirent *entry;
	char path[PATH_SIZE];
	DIR *dir;

	snprintf(path, sizeof(path), "%s/networkd.conf.d", folder);
	dir = opendir(path);
	while (dir && all->n < DROPINS_MAX && (entry = readdir(dir))) {
		size_t len = strlen(entry->d_name);

		if (len > 5 && !strcmp(entry->d_name + len - 5, ".conf") &&
		    !process_has_name(all, entry->d_name) && strlen(path) + len + 2 <= PATH_SIZE)
			snprintf(all->paths[all->n++], PATH_SIZE, "%.255s/%.255s", path,
				 entry->d_name);
	}
	if (dir)
		closedir(dir);
}

/* One main file, then all drop-ins by their names. */
static struct foreign networkd_settings(void)
{
	struct foreign f = {.rules = true, .routes = true};
	struct dropins *all = calloc(1, sizeof(*all));
	char path[PATH_SIZE];
	bool found = false;

	for (size_t i = 0; i < N_FOLDERS && all; i++) {
		snprintf(path, sizeof(path), "%s/networkd.conf", folders[i]);
		found = found || read_networkd(path, &f);
		find_dropins(folders[i], all);
	}
	if (all)
		qsort(all->paths, all->n, PATH_SIZE, by_name);
	for (unsigned i = 0; all && i < all->n; i++)
		read_networkd(all->paths[i], &f);
	free(all);
	return f;
}

static void check_networkd(struct doctor *d)
{
	struct foreign f;

	if (!doctor_runs_here(NETWORKD_COMM))
		return;
	f = networkd_settings();
	if (!f.rules && !f.routes)
		return;
	doctor_find(
		d, DOCTOR_WARNING,
		json_sprintf(
			"at each restart or reload, systemd-networkd removes %s that it did not "
			"create, also those of the probes, until mxlbd restores them",
			f.rules && f.routes ? "policy rules and routes"
			: f.rules	    ? "policy rules"
					    : "routes"),
		json_string("In /etc/systemd/networkd.conf.d/mxlb.conf: [Network], "
			    "ManageForeignRoutingPolicyRules=no, ManageForeignRoutes=no; then "
			    "systemctl restart systemd-networkd"));
}

const struct doctor_check doctor_own_checks[] = {
	{"problems", "mxlbd reports none of this box", NEEDS_STATUS, check_problems},
	{"networkd", "it does not remove the rules and routes of the probes", NEEDS_ROOT,
	 check_networkd},
	{.name = NULL},
};
