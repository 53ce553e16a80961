/* SPDX-License-Identifier: BSD-2-Clause */
/* Decides whether a uid may make changes. A name without a uid matches no one. */
#include "control/operators.h"

#include <pwd.h>
#include <string.h>
#include "util/log.h"

static bool look_up(const char *name, uid_t *uid)
{
	struct passwd passwd, *found = NULL;
	char strings[16384], quoted[2 * CONFIG_NAME_SIZE];

	if (getpwnam_r(name, &passwd, strings, sizeof(strings), &found) || !found) {
		log_quote(name, strlen(name), quoted, sizeof(quoted));
		log_warn("event=control_operator_unknown user=\"%s\" error=\"no such user\"",
			 quoted);
		return false;
	}
	*uid = found->pw_uid;
	return true;
}

void operators_update(struct operators *o, const struct control_conf *conf)
{
	if (o->n == conf->n_operators && !memcmp(o->names, conf->operators, sizeof(o->names)))
		return;
	memcpy(o->names, conf->operators, sizeof(o->names));
	o->n = conf->n_operators;
	for (unsigned i = 0; i < o->n; i++)
		o->known[i] = look_up(o->names[i], &o->uids[i]);
}

const char *operators_name(const struct operators *o, uid_t uid)
{
	if (uid == 0)
		return "root";
	for (unsigned i = 0; i < o->n; i++)
		if (o->known[i] && o->uids[i] == uid)
			return o->names[i];
	return NULL;
}
