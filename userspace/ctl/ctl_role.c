/* SPDX-License-Identifier: BSD-2-Clause */
/* Shows and sets the role of this box, and answers keepalived's track_script. */
#include "ctl/ctl_role.h"

#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>
#include "ctl/text.h"

#define HEALTH_TIMEOUT_S 1

static void print_order(const json_t *role)
{
	const json_t *order = json_object_get(role, "order");
	char until[TEXT_TIER_SIZE];

	if (!json_is_object(order))
		return;
	printf("  order       %s, by %s%s; mxlbctl role auto ends it\n", field_text(order, "role"),
	       field_text(order, "who"), text_until(order, until));
}

static void print_priority(const json_t *role)
{
	const json_t *fault;
	size_t i;

	if (!json_is_integer(json_object_get(role, "priority")))
		return;
	printf("  priority    %+lld", field_number(role, "priority"));
	json_array_foreach (json_object_get(role, "faults"), i, fault) {
		printf("%s%s %lld", i ? ", " : ": ", field_text(fault, "fault"),
		       field_number(fault, "points"));
	}
	putchar('\n');
	if (json_is_true(json_object_get(role, "keepalived_lost")))
		puts("  keepalived  does not run (ha.fifo has no writer): systemctl status keepalived");
}

static void print_role(const json_t *role, time_t now)
{
	char age[TEXT_SHORT_SIZE];

	if (!json_is_object(role)) {
		puts("active: there is no 'ha' section in the configuration");
		return;
	}
	printf("%s: %s for %s, by %s\n", field_text(role, "name"), field_text(role, "role"),
	       text_age(now - field_time(role, "since"), age), field_text(role, "source"));
	print_order(role);
	print_priority(role);
	printf("  digest      %s\n", field_text(role, "digest"));
}

static enum ctl_exit ctl_role_show(const struct ctl *ctl)
{
	json_t *document;
	enum ctl_exit rc = ctl_status(ctl, &document);

	if (rc)
		return rc;
	if (ctl->json && !json_is_object(json_object_get(document, "ha")))
		puts("{\"role\": \"active\"}"); /* it is alone */
	else if (ctl->json)
		ctl_print_json(json_object_get(document, "ha"));
	else
		print_role(json_object_get(document, "ha"), field_time(document, "time"));
	json_decref(document);
	return CTL_DONE;
}

enum ctl_exit role_run(const struct ctl *ctl, char **args)
{
	char command[96], until[32] = "";
	struct buf reply = {0};
	enum ctl_exit rc;

	if (args[0] ? strcmp(args[0], "active") && strcmp(args[0], "standby") &&
			      strcmp(args[0], "auto")
		    : ctl->for_s || ctl->force) {
		fputs("usage: mxlbctl role [active | standby | auto] [--for T] [--force]\n",
		      stderr);
		return CTL_USAGE;
	}
	if (!args[0])
		return ctl_role_show(ctl);
	if (ctl->for_s)
		snprintf(until, sizeof(until), " for %u", ctl->for_s);
	snprintf(command, sizeof(command), "set role %s%s%s", args[0], ctl->force ? " force" : "",
		 until);
	rc = link_ask(ctl->socket, command, &reply);
	if (!rc && reply.len)
		rc = ctl_refused(ctl, reply.data);
	buf_free(&reply);
	return rc ? rc : ctl_role_show(ctl);
}

/* keepalived waits for its script; one line says why it counts as failed. */
static void on_timeout(int number)
{
	static const char text[] = "mxlbctl: health: mxlbd did not answer in time\n";

	(void)number;
	if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0) {
	}
	_exit(CTL_NO_DAEMON);
}

static enum ctl_exit unhealthy(const char *interface)
{
	printf("the XDP program is not on %s: see mxlbctl doctor\n", interface);
	return CTL_REFUSED;
}

enum ctl_exit role_health(const struct ctl *ctl, char **args)
{
	struct itimerval timer = {.it_value.tv_sec =
					  ctl->timeout_s ? ctl->timeout_s : HEALTH_TIMEOUT_S};
	const json_t *interface;
	json_t *document;
	enum ctl_exit rc;
	size_t i;

	(void)args;
	signal(SIGALRM, on_timeout);
	setitimer(ITIMER_REAL, &timer, NULL);
	rc = ctl_status(ctl, &document);
	if (rc)
		return rc;
	json_array_foreach (json_object_get(document, "interfaces"), i, interface) {
		if (!strcmp(field_text(interface, "xdp"), "detached")) {
			rc = unhealthy(field_text(interface, "name"));
			break;
		}
	}
	if (!rc && ctl->json)
		puts("{\"result\": \"healthy\"}");
	json_decref(document);
	return rc;
}
