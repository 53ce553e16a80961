/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The values of the scripts in setup_scripts.h. Values that a shell could misinterpret are refused, because the script
 * runs as root.
 *
 *   1. A script is the same for all servers of a service in the edge box's own network. A server behind a tunnel must
 *      be given.
 *   2. A tunnel's device is named after its families and the edge box, so that two boxes have two. The file and the unit
 *      that create it at each start have the device's name in theirs: each box's script leaves those of the other alone.
 *      Over IPv6 the kernel has one device per pair of addresses: it unpacks both families, and all services of that
 *      edge box share it.
 *   3. A segment that fits: the MTU of the path to the server, less the outer header (20, IPv6: 40), the inner one,
 *      and TCP's 20.
 */
#include "ctl/ctl_setup.h"

#include <string.h>
#include "ctl/setup_scripts.h"
#include "ctl/text.h"
#include "util/addr.h"

#define VALUE_SIZE  ADDR_TEXT_SIZE
#define TCP_HEADER  20
#define MTU_DEFAULT 1500

struct setup_value {
	const char *word;
	char text[2 * VALUE_SIZE];
};

#define VALUES_MAX 24

struct setup {
	struct setup_value values[VALUES_MAX];
	size_t n;
	bool tunnel, vip_v4, outer_v4;
};

static void set(struct setup *s, const char *word, const char *text)
{
	s->values[s->n].word = word;
	snprintf(s->values[s->n++].text, sizeof(s->values[0].text), "%s", text);
}

/* @WORD@ becomes its value; "@@" in front of one is a plain "@" and the value. */
static void expand(const struct setup *s, const char *template, struct buf *out)
{
	while (*template) {
		size_t plain = strcspn(template, "@"), len;
		size_t i = 0;

		buf_append(out, template, plain);
		template += plain;
		if (!*template)
			return;
		len = strspn(template + 1, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
		while (i < s->n && (template[1 + len] != '@' || strlen(s->values[i].word) != len ||
				    memcmp(s->values[i].word, template + 1, len)))
			i++;
		if (i < s->n)
			buf_append(out, s->values[i].text, strlen(s->values[i].text));
		else
			buf_append(out, "@", 1);
		template += i < s->n ? len + 2 : 1;
	}
}

/* Parses and prints it again. False: it is not an address. */
static bool set_address(struct setup *s, const char *word, const json_t *object, const char *key,
			struct addr *out)
{
	char text[ADDR_TEXT_SIZE];

	if (addr_parse(field_text(object, key), out))
		return false;
	set(s, word, addr_text(out, text));
	return true;
}

/* Rule 2; FNV-1a. */
static void set_device(struct setup *s, const char *service, bool outer_v4,
		       const struct addr *remote)
{
	uint32_t hash = 2166136261u;
	char text[40], unit[80];

	for (size_t i = 0; i < sizeof(remote->b); i++)
		hash = (hash ^ remote->b[i]) * 16777619u;
	snprintf(text, sizeof(text), "mx%c%c-%08x",
		 !outer_v4   ? 'a'
		 : s->vip_v4 ? '4'
			     : '6',
		 outer_v4 ? '4' : '6', hash);
	set(s, "DEVICE", text);
	snprintf(unit, sizeof(unit), "%.60s-%.16s", service, text);
	set(s, "UNIT", unit);
	snprintf(text, sizeof(text), "mx46-%08x mx66-%08x", hash, hash);
	set(s, "FORMER", text);
}

/* False: mxlbd does not know the tunnel yet. */
static bool set_tunnel(struct setup *s, const char *service, const json_t *tunnel)
{
	struct addr local, remote;
	long long mtu = field_number(tunnel, "mtu") ?: MTU_DEFAULT;
	char text[32];
	bool outer_v4;

	if (!set_address(s, "LOCAL", tunnel, "target", &local) ||
	    !set_address(s, "REMOTE", tunnel, "source", &remote))
		return false;
	outer_v4 = addr_is_v4(&local);
	set(s, "MODULE", !outer_v4 ? "ip6_tunnel" : s->vip_v4 ? "ipip" : "sit");
	set(s, "TYPE", outer_v4 ? (s->vip_v4 ? "ipip" : "sit") : "ip6tnl mode any encaplimit none");
	s->outer_v4 = outer_v4;
	set_device(s, service, outer_v4, &remote);
	snprintf(text, sizeof(text), "%lld",
		 mtu - (outer_v4 ? 20 : 40) - (s->vip_v4 ? 20 : 40) - TCP_HEADER); /* rule 3 */
	set(s, "MSS", text);
	return true;
}

/* f: the server, or the first of the service where none is named. False: something can't be said in a script. */
static bool setup_fill(struct setup *s, const struct ctl_found *f, const char *whose)
{
	const char *service = field_text(f->service, "name"),
		   *server = field_text(f->server, "name");
	bool named = strchr(whose, '/');
	char port[16];
	struct addr vip;

	if (!text_is_name(service) || !text_is_name(server) ||
	    !set_address(s, "VIP", f->service, "address", &vip))
		return false;
	s->vip_v4 = addr_is_v4(&vip);
	s->tunnel = !strcmp(field_text(f->server, "forward"), "ipip");
	snprintf(port, sizeof(port), "%lld", field_number(f->service, "port"));
	set(s, "PORT", port);
	set(s, "SERVICE", service);
	set(s, "SERVER", named ? server : "SERVER");
	set(s, "WHOSE", service);
	if (named)
		snprintf(s->values[s->n - 1].text, sizeof(s->values[0].text), "%.60s/%.60s",
			 service, server);
	set(s, "LENGTH", s->vip_v4 ? "32" : "128");
	set(s, "FAMILY", s->vip_v4 ? "-4" : "-6");
	set(s, "WINFAMILY", s->vip_v4 ? "IPv4" : "IPv6");
	set(s, "DEFAULT", s->vip_v4 ? "0.0.0.0/0" : "::/0");
	set(s, "UNDO", s->tunnel ? " and the tunnel's device" : "");
	set(s, "HOW", s->tunnel ? "through a tunnel (ipip)" : "in the edge box's own network (l2)");
	if (s->tunnel)
		return set_tunnel(s, service, json_object_get(f->server, "tunnel"));
	set(s, "UNIT", service);
	return true;
}

static void write_linux(const struct setup *s, struct buf *out)
{
	expand(s, linux_begin, out);
	if (s->tunnel)
		expand(s, linux_tunnel_begin, out);
	if (s->tunnel && !s->outer_v4)
		expand(s, linux_tunnel_v6_outer, out);
	if (s->tunnel)
		expand(s, linux_tunnel, out);
	if (s->tunnel && s->vip_v4)
		expand(s, linux_tunnel_v4, out);
	expand(s, linux_middle, out);
	if (s->vip_v4)
		expand(s, linux_quiet_v4, out);
	expand(s, linux_end, out);
}

static void write_windows(const struct setup *s, struct buf *out)
{
	if (s->tunnel)
		expand(s, windows_tunnel, out);
	expand(s, windows_script, out);
}

/* Any server of the service (rule 1). NULL: it is found; or why not. */
static const char *find_any(const json_t *status, const char *name, struct ctl_found *out)
{
	const char *why = "No such service.\n";
	json_t *service, *tier, *server;
	size_t i, k, n;

	json_array_foreach (json_object_get(status, "services"), i, service)
		json_array_foreach (json_object_get(service, "tiers"), k, tier)
			json_array_foreach (tier_servers(tier), n, server) {
				if (strcmp(field_text(service, "name"), name))
					continue;
				if (!strcmp(field_text(server, "forward"), "ipip"))
					return "this service has servers behind tunnels: give SERVICE/SERVER\n";
				*out = (struct ctl_found){service, tier, server};
				why = NULL;
			}
	return why;
}

static const char *ctl_setup_find(const json_t *status, const char *whose, struct ctl_found *out)
{
	struct ctl_found found[CTL_FOUND_MAX];

	if (!strchr(whose, '/'))
		return find_any(status, whose, out);
	if (!ctl_find(status, whose, found))
		return "No such server.\n";
	*out = found[0];
	return NULL;
}

static enum ctl_exit print(const struct ctl *ctl, const struct buf *script)
{
	json_t *json;

	if (script->failed)
		return ctl_failed(ctl, "not enough memory\n");
	if (ctl->json) {
		json = json_pack("{s:s}", "script", script->data);
		ctl_print_json(json);
		json_decref(json);
	} else {
		fputs(script->data, stdout);
	}
	return CTL_DONE;
}

enum ctl_exit setup_run(const struct ctl *ctl, char **args)
{
	static const struct {
		const char *name;
		void (*write)(const struct setup *s, struct buf *out);
	} systems[] = {{"linux", write_linux}, {"windows", write_windows}};
	struct setup s = {.n = 0};
	struct ctl_found found = {NULL, NULL, NULL};
	struct buf script = {0};
	const char *why;
	enum ctl_exit rc;
	json_t *status;
	size_t i = 0;

	while (i < 2 && strcmp(systems[i].name, args[0]))
		i++;
	if (i == 2) {
		fputs("mxlbctl: server-setup supports windows and linux\n", stderr);
		return CTL_USAGE;
	}
	rc = ctl_status(ctl, &status);
	if (rc)
		return rc;
	why = ctl_setup_find(status, args[1], &found);
	if (why) {
		rc = ctl_refused(ctl, why);
	} else if (!setup_fill(&s, &found, args[1])) {
		rc = ctl_refused(ctl, "mxlbd has not resolved this server's next hop yet\n");
	} else {
		systems[i].write(&s, &script);
		rc = print(ctl, &script);
	}
	buf_free(&script);
	json_decref(status);
	return rc;
}
