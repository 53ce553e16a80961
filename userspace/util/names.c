/* SPDX-License-Identifier: BSD-2-Clause */
#include "util/names.h"

#include <grp.h>
#include <net/if.h>
#include <pwd.h>
#include <stdio.h>

_Static_assert(NAMES_SIZE >= IF_NAMESIZE, "an interface's name fits");

static const char *name_or_number(const char *name, long number, char text[NAMES_SIZE])
{
	if (name)
		snprintf(text, NAMES_SIZE, "%s", name);
	else
		snprintf(text, NAMES_SIZE, "#%ld", number);
	return text;
}

const char *names_interface(int ifindex, char text[NAMES_SIZE])
{
	char name[IF_NAMESIZE];

	return name_or_number(if_indextoname((unsigned)ifindex, name), ifindex, text);
}

const char *names_user(uid_t uid, char text[NAMES_SIZE])
{
	const struct passwd *user = getpwuid(uid);

	return name_or_number(user ? user->pw_name : NULL, (long)uid, text);
}

const char *names_group(gid_t gid, char text[NAMES_SIZE])
{
	const struct group *group = getgrgid(gid);

	return name_or_number(group ? group->gr_name : NULL, (long)gid, text);
}
