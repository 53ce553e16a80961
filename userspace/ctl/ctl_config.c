/* SPDX-License-Identifier: BSD-2-Clause */
/* Requests and prints the configuration in force. Values that mxlbd hides from this user are named in a comment. */
#include "ctl/ctl_config.h"

#include "ctl/yaml.h"

enum ctl_exit config_ask(const struct ctl *ctl, json_t **config)
{
	struct buf reply = {0};
	enum ctl_exit rc = link_ask(ctl->socket, "show config", &reply);

	*config = NULL;
	if (!rc) {
		*config = json_loadb(reply.data, reply.len, JSON_REJECT_DUPLICATES, NULL);
		if (!json_is_object(*config)) {
			json_decref(*config);
			*config = NULL;
			rc = ctl_refused(ctl,
					 reply.len ? reply.data : "mxlbd sent no configuration\n");
		}
	}
	buf_free(&reply);
	return rc;
}

enum ctl_exit config_run(const struct ctl *ctl, char **args)
{
	json_t *config, *hidden;
	enum ctl_exit rc = config_ask(ctl, &config);
	size_t i;

	(void)args;
	if (rc)
		return rc;
	if (ctl->json) {
		ctl_print_json(config);
	} else {
		puts("# The configuration in force, with every default; mxlbd accepts this file.");
		json_array_foreach (json_object_get(config, "hidden"), i, hidden)
			printf("# Shown only to root and operators: %s\n",
			       json_string_value(hidden));
		json_object_del(config, "hidden");
		if (yaml_print(config, stdout))
			rc = ctl_failed(
				ctl, "the configuration cannot be written as YAML; use --json\n");
	}
	json_decref(config);
	return rc;
}
