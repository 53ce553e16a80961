/* SPDX-License-Identifier: BSD-2-Clause */
/* conf/: invalid configurations report every error with its position, word for word. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include "conf_bench.h"

struct row {
	const char *what, *text, *errors;
};

/* Issue 2, "What it must show", 5. */
#define HEX32 "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F"

static const struct row shown[] = {
	{"unknown key", LEAST "    prot: 25\n",
	 "10:5: services.a.prot: unknown key: did you mean port?\n"},
	{"unknown key like no other", LEAST "    colour: 25\n",
	 "10:5: services.a.colour: unknown key; the keys here are address, port, interface, advertise, withdraw, probe, min-up, tier-mode, failback, failback-hold, all-down, panic, on-unreachable, allow, allow-file, allow-mode, syn-limit, log-connections, mx, within, servers, tiers\n"},
	{"repeated key", LEAST "    port: 25\n    port: 26\n",
	 "11:5: services.a.port: repeated: it was given at line 10, column 5\n"},
	{"list for a value", LEAST "    port: [25]\n",
	 "10:11: services.a.port: must be a single value, not a list\n"},
	{"mapping for a value", LEAST "    probe: {interval: 1s}\n",
	 "10:12: services.a.probe: *single value, not a mapping\n"},
	{"value for a mapping", LEAST "probes: exo\n",
	 "10:9: probes: must be a mapping (key: value), not a single value\n"},
	{"bad address", LEAST "        z: {address: 203.0.113.256}\n",
	 "10:22: services.a.tiers.10.z.address: \"203.0.113.256\" is not an IPv4 or IPv6 "
	 "address\n"},
	{"port too high", LEAST "    port: 70000\n",
	 "10:11: services.a.port: 70000 is not between 1 and 65535\n"},
	{"octal port", LEAST "    port: 025\n",
	 "10:11: services.a.port: 025 has a leading zero: write 25 (there is no octal here)\n"},
	{"dangling probe", LEAST "    probe: exo\n",
	 "10:12: services.a.probe: no probe is named exo; the probes are: none\n"},
	{"a server that is a VIP", LEAST "        z: {address: 203.0.113.25}\n",
	 "10:22: services.a.tiers.10.z.address: this is the VIP of service a\n"},
	{"a server that is another service's VIP",
	 LEAST "  b:\n    address: 203.0.113.11\n    interface: eth0\n"
	       "    tiers: {10: {z: {address: 203.0.113.13}}}\n",
	 "8:22: services.a.tiers.10.x.address: *the VIP of service b\n"},
	{"a tier without servers", LEAST "      20: {}\n",
	 "10:7: services.a.tiers.20: a tier without servers\n"},
	{"a tier of nothing", LEAST "      20:\n",
	 "10:7: services.a.tiers.20: a tier without servers\n"},
	{"a service without tiers", LEAST "  b: {address: 203.0.113.26, interface: eth0}\n",
	 "10:3: services.b.tiers: is required\n"},
	{"a service with no tier in tiers",
	 LEAST "  b: {address: 203.0.113.26, interface: eth0, tiers: {}}\n",
	 "10:47: services.b.tiers: a service without tiers\n"},
	{"an alias", LEAST "        z: &z {address: 203.0.113.13}\n        w: *z\n",
	 "10:12: anchors are refused: write the value where it is needed\n"
	 "11:12: aliases are refused: write the value out\n"},
	{"an alias to its own parent", "interfaces: &i {eth0: *i}\n",
	 "1:13: anchors*refused*\n"
	 "1:23: aliases*refused*\n"},
	{"truncated", "interfaces: {eth0: {mode: au",
	 "2:1: did not find expected ',' or '}' while parsing a flow mapping that began at line 1, "
	 "column 20\n"},
	{"several at once",
	 "interfaces: {eth0: {mode: fast}}\nservices:\n  a:\n    address: mail.example.net\n"
	 "    port: 0\n    interface: eth1\n    probe: exo\n    tiers: {x: {}, 10: {}}\n",
	 "1:27: interfaces.eth0.mode: \"fast\" is not one of auto, native, generic\n"
	 "4:14: services.a.address: \"mail.example.net\" *not an*address\n"
	 "5:11: services.a.port: 0 *between 1 and 65535\n"
	 "6:16: services.a.interface: eth1 is not one of the interfaces: eth0\n"
	 "7:12: services.a.probe: no probe*exo; *: none\n"
	 "8:13: services.a.tiers.x: a tier's key is its preference: \"x\" is not a whole number\n"
	 "8:20: services.a.tiers.10: a tier without servers\n"},
};

static const struct row of_yaml[] = {
	{"nothing", "", "1:1: interfaces: is required\n1:1: services: is required\n"},
	{"only a comment", "# none\n",
	 "1:1: interfaces: is required\n1:1: services: is required\n"},
	{"a word", "mail\n", "1:1: must be a mapping*not a single value\n"},
	{"a list", "- a\n- b\n", "1:1: must be a mapping*not a list\n"},
	{"a second document", LEAST "---\n" LEAST, "10:1: a second document begins here\n"},
	{"a tag", LEAST "    port: !!int 25\n",
	 "10:11: tags are refused: the key determines the type of its value\n"},
	{"a tab", "interfaces:\n\teth0: {}\n",
	 "2:1: found character that cannot start any token while scanning for the next token: a tab; YAML is indented by "
	 "blanks\n"},
	{"a control character", "interfaces:\n  eth0: \x01\n",
	 "2:9: control characters are not allowed\n"},
	{"bytes that are no UTF-8", "# caf\xc3\xa9\nx: \xff\n",
	 "2:4: invalid leading UTF-8 octet\n"},
	{"columns are characters", "\xc3\xa9: 1\n" LEAST "\xc3\xa9\xc3\xa9: [\xc3\xa9, 2]x\n",
	 "11:11: did not find expected key while parsing a block mapping that began at line 1, "
	 "column 1\n"},
	{"a key that is a list", LEAST "? [a]\n: b\n", "10:3: a key must be a word\n"},
	{"a key with a NUL in it", LEAST "\"control\\0x\": b\n", "10:1: a key must*\n"},
	{"a value with a NUL in it", LEAST "datapath: {hash-key: \"a\\0b\"}\n",
	 "10:22: datapath.hash-key: has a NUL in it\n"},
	{"a merge key", LEAST "    <<: {port: 25}\n",
	 "10:5: services.a.<<: unknown key;* address, port, interface, advertise, withdraw, probe, min-up, tier-mode, failback, failback-hold, all-down, panic, on-unreachable, allow, allow-file, allow-mode, syn-limit, log-connections, mx, within, servers, tiers\n"},
	{"nesting", "a: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]\n",
	 "1:19: nested deeper than 16 levels\n"},
	{"an escape in a key", LEAST "\"a\\e[2J\\nb\": 1\n",
	 "10:1: a\\x1b[2J\\nb: unknown key;* interfaces, datapath, control, ha, dns, probes, services, notify, decap\n"},
};

static const struct row of_values[] = {
	{"hexadecimal", LEAST "    port: 0x19\n",
	 "10:11: services.a.port: \"0x19\" is not a whole number\n"},
	{"a sign", LEAST "    port: +25\n",
	 "10:11: services.a.port: \"+25\" is not a whole number\n"},
	{"a number beyond 64 bits", LEAST "    port: 18446744073709551641\n",
	 "10:11: services.a.port: 18446744073709551641 *between 1 and 65535\n"},
	{"zeros beyond what is shown",
	 LEAST "    failback-hold: 00000000000000000000000000000000000000000000000000"
	       "000000000000000000000000000000000000000000000000001\n",
	 "10:20: services.a.failback-hold: 0000000000000000000000000000000000000000000000000000000000000000000000000000... has a leading zero: write 1*\n"},
	{"no value", LEAST "    port:\n", "10:10: services.a.port: has no value\n"},
	{"null", LEAST "    interface: null\n",
	 "10:5: services.a.interface: repeated:*line 5, column 5\n"},
	{"a duration without unit", LEAST "    failback-hold: 30\n",
	 "10:20: services.a.failback-hold: 30 has no unit: write 30s, or another of ms, s, m, h, d\n"},
	{"a duration of two parts", LEAST "    failback-hold: 1h30m\n",
	 "10:20: services.a.failback-hold: \"1h30m\" is not a duration like 250ms, 10s, 15m, 1h or "
	 "21d\n"},
	{"a fraction", LEAST "    failback-hold: 1.5s\n",
	 "10:20: services.a.failback-hold: \"1.5s\" is not a duration*\n"},
	{"a long duration", LEAST "    failback-hold: 8d\n",
	 "10:20: services.a.failback-hold: 8d *between 0s and 7d\n"},
	{"a duration that would overflow", LEAST "    failback-hold: 99999999999999999999d\n",
	 "10:20: services.a.failback-hold: 99999999999999999999d *between 0s and 7d\n"},
	{"a duration with a leading zero", LEAST "    failback-hold: 010s\n",
	 "10:20: services.a.failback-hold: 010s has a leading zero: write 10s*\n"},
	{"a boolean", LEAST "    all-down: yes\n",
	 "10:15: services.a.all-down: \"yes\" *one of reset, drop\n"},
	{"words know case", LEAST "    advertise: ARP\n",
	 "10:16: services.a.advertise: \"ARP\" *one of arp, none, route\n"},
	{"martians",
	 LEAST "        z: {address: 127.0.0.1}\n"
	       "  b: {address: 'ff02::1', interface: eth0, tiers: {10: {z: {address: 1.2.3.4}}}}\n",
	 "10:22: services.a.tiers.10.z.address: 127.0.0.1 is a loopback, link-local, multicast, broadcast or reserved address\n"
	 "11:16: services.b.address: ff02::1 is a loopback*\n"},
	{"weights", LEAST "        z: {address: 203.0.113.13, weight: 257}\n",
	 "10:44: services.a.tiers.10.z.weight: 257 *between 0 and 256\n"},
	{"ways to forward", LEAST "        z: {address: 203.0.113.13, forward: gre}\n",
	 "10:45: services.a.tiers.10.z.forward: \"gre\" *one of l2, ipip\n"},
	{"tags",
	 "interfaces: {a: {vlan: 0}, b: {vlan: 4095}, c: {vlan: \"0\"}, d: {vlan: 4094}}\n"
	 "services: {a: {address: 1.2.3.4, interface: d, tiers: {1: {x: {address: 1.2.3.5}}}}}\n",
	 "1:24: interfaces.a.vlan: 0 *between 1 and 4094\n"
	 "1:38: interfaces.b.vlan: 4095 *between 1 and 4094\n"
	 "1:55: interfaces.c.vlan: 0 *between 1 and 4094\n"},
	{"preferences",
	 LEAST "      65536: {p: {address: 1.2.3.4}}\n      010: {q: {address: 1.2.3.5}}\n"
	       "      \"0x20\": {r: {address: 1.2.3.6}}\n",
	 "10:7: services.a.tiers.65536: *preference: 65536 *between 0 and 65535\n"
	 "11:7: services.a.tiers.010: *preference: 010 has a leading zero: write 10*\n"
	 "12:7: services.a.tiers.0x20: *preference: \"0x20\" is not a whole number\n"},
	{"names",
	 LEAST
	 "        -z: {address: 1.2.3.4}\n        z/y: {address: 1.2.3.5}\n"
	 "        aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff1234: {address: "
	 "1.2.3.6}\n  \"\": {}\n",
	 "10:9: services.a.tiers.10.-z: \"-z\" is not a name: letters, digits, dots, hyphens and "
	 "underscores, beginning with a letter or digit\n"
	 "11:9: services.a.tiers.10.z/y: \"z/y\" is not a name: letters, digits, dots, hyphens and "
	 "underscores, beginning with a letter or digit\n"
	 "12:9: services.a.tiers.10."
	 "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff1234: longer than 63 "
	 "characters\n"
	 "13:3: services.: \"\" is not a name: letters, digits, dots, hyphens and underscores, "
	 "beginning with a letter or digit\n"
	 "13:3: services..address: is required\n"
	 "13:3: services..interface: is required\n"
	 "13:3: services..tiers: is required\n"},
	{"interfaces' names",
	 "interfaces: {a/b: , eth0123456789abc: , ..: , \"e 0\": }\nservices:\n",
	 "1:14: interfaces.a/b: \"a/b\" is not a valid interface name\n"
	 "1:21: interfaces.eth0123456789abc: \"eth0123456789abc\" *interface name\n"
	 "1:41: interfaces...: \"..\" *interface name\n"
	 "1:47: interfaces.e 0: \"e 0\" *interface name\n"
	 "2:10: services: names no service\n"},
	{"no interface", "interfaces: {}\nservices: {}\n",
	 "1:1: interfaces: *no interface\n"
	 "2:1: services: *no service\n"},
	{"the datapath's numbers",
	 LEAST "datapath:\n  pin: mxlb\n  flows: 262_144\n  hash-key: \"caf\xc3\xa9\"\n"
	       "  table: 255\n  priority: 32766\n",
	 "11:8: datapath.pin: must be an absolute path\n"
	 "12:10: datapath.flows: \"262_144\" is not a whole number\n"
	 "13:13: datapath.hash-key: has characters that are not printable ASCII\n"
	 "14:10: datapath.table: 255 *between 256 and 4294963199\n"
	 "15:13: datapath.priority: 32766 *between 1 and 32765\n"},
	{"a mark without mask", LEAST "datapath: {mark: 0x6d780000}\n",
	 "10:18: datapath.mark: \"0x6d780000\" is not a mark and mask like 0x6d780000/0xffff0000\n"},
	{"a mark of nothing", LEAST "datapath: {mark: 0x0/0xffff0000}\n",
	 "10:18: datapath.mark: a mark of 0 would be on every packet\n"},
	{"a mark outside of its mask", LEAST "datapath: {mark: 0x6d781000/0xffff0000}\n",
	 "10:18: datapath.mark: 0x6d781000 has bits outside of its mask 0xffff0000\n"},
	{"a mask over the servers' bits", LEAST "datapath: {mark: 0x6d780000/0xfffff800}\n",
	 "10:18: datapath.mark: the mask 0xfffff800 does not leave the low 12 bits to the servers\n"},
	{"a mark beyond 32 bits", LEAST "datapath: {mark: 0x16d780000/0xffff0000}\n",
	 "10:18: datapath.mark: \"0x16d780000/0xffff0000\" is not a mark and mask*\n"},
	{"a program that only a shell could run", LEAST "notify: tell \"me\" | mail\n",
	 "10:9: notify: has a \", but no shell reads it: a program and its words\n"},
	{"a program by a name that any folder may have", LEAST "notify: tell me\n",
	 "10:9: notify: *absolute path\n"},
	{"the control socket",
	 LEAST "control:\n  socket: run/mxlb.sock\n  group: a b\n  operators: [\"\", [x], -x]\n",
	 "11:11: control.socket: *absolute path\n"
	 "12:10: control.group: \"a b\" is not a valid name of a user or group\n"
	 "13:15: control.operators: \"\" *name of a user or group\n"
	 "13:19: control.operators: *a list of names\n"
	 "13:24: control.operators: \"-x\" *name of a user or group\n"},
	{"where HTTP listens", LEAST "control: {http: 9125}\n",
	 "10:17: control.http: \"9125\" is not an address and a port like 127.0.0.1:9125 or "
	 "[::1]:9125\n"},
	{"a socket's path that is too long",
	 LEAST "control:\n  operators: root\n  socket: /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	       "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n",
	 "11:14: control.operators: *a list\n"
	 "12:11: control.socket: longer than 107 characters\n"},
	{"a HELO that would end its command",
	 LEAST "probes: {p: {helo: \"a\\r\\nDATA\", sni: \"a b\"}, q: {helo: '[192.0.2.1'}}\n",
	 "10:20: probes.p.helo: \"a\\r\\nDATA\" is neither a host name nor an address literal\n"
	 "10:38: probes.p.sni: \"a b\" *host name*\n"
	 "10:56: probes.q.helo: \"[192.0.2.1\" *host name*\n"},
	{"a probe's ranges",
	 LEAST "probes:\n  p:\n    interval: 99ms\n    timeout: 11m\n    fall: 0\n    rise: 101\n"
	       "    depth: quit\n    min-tls-version: 1.4\n",
	 "12:15: probes.p.interval: 99ms *between 100ms and 1h\n"
	 "13:14: probes.p.timeout: 11m *between 100ms and 10m\n"
	 "14:11: probes.p.fall: 0 *between 1 and 100\n"
	 "15:11: probes.p.rise: 101 *between 1 and 100\n"
	 "16:12: probes.p.depth: \"quit\" *one of connect, banner, ehlo, starttls, mail-from\n"
	 "17:22: probes.p.min-tls-version: \"1.4\" *one of 1.0, 1.1, 1.2, 1.3\n"},
};

static const struct row of_several[] = {
	{"a failback by hand where there is none",
	 LEAST "    tier-mode: add\n    failback: manual\n",
	 "11:15: services.a.failback: manual needs tier-mode: switch: with add a better tier joins at once\n"},
	{"one name in two tiers", LEAST "      20:\n        x: {address: 203.0.113.13}\n",
	 "11:9: services.a.tiers.20.x: duplicate name: already used in tier 10\n"},
	{"one name twice in a tier", LEAST "        x: {address: 203.0.113.13}\n",
	 "10:9: services.a.tiers.10.x: repeated:*line 8, column 9\n"},
	{"one address twice", LEAST "      5:\n        z: {address: 203.0.113.11}\n",
	 "8:22: services.a.tiers.10.x.address: already the address of z\n"},
	{"one VIP and port twice",
	 LEAST "    port: 25\n  b:\n    address: 203.0.113.25\n    interface: eth0\n"
	       "    tiers: {10: {z: {address: 203.0.113.11}}}\n",
	 "12:14: services.b.address: 203.0.113.25 port 25 is already used by service a\n"},
	{"one VIP in two ways",
	 LEAST
	 "  b:\n    address: 203.0.113.25\n    interface: eth1\n    port: 587\n    advertise: none\n"
	 "    tiers: {10: {z: {address: 203.0.113.11}}}\n"
	 "interfaces: {}\n",
	 "12:16: services.b.interface: eth1 *one of the interfaces: eth0\n"
	 "14:16: services.b.advertise: service a uses the same address with a different advertise setting\n"
	 "16:1: interfaces: repeated:*line 1, column 1\n"},
	{"one VIP on two interfaces",
	 "interfaces: {eth0: , eth1: }\nservices:\n"
	 "  a: {address: 1.2.3.4, interface: eth0, tiers: {1: {x: {address: 1.2.3.5}}}}\n"
	 "  b: {address: 1.2.3.4, interface: eth1, port: 26, tiers: {1: {x: {address: 1.2.3.5}}}}\n",
	 "4:36: services.b.interface: a has the same address on another interface\n"},
	{"weights that are all 0",
	 "interfaces: {eth0: }\nservices:\n  a:\n    address: 1.2.3.4\n    interface: eth0\n    tiers:\n"
	 "      10: {x: {address: 1.2.3.5, weight: 0}, y: {address: 1.2.3.6, weight: 0}}\n"
	 "      20: {z: {address: 1.2.3.7, weight: 0}}\n",
	 "6:5: services.a.tiers: every weight is 0: no server would take mail\n"},
	{"times longer than what holds them",
	 LEAST "probes:\n  p:\n    interval: 1s\n    fast-interval: 1001ms\n    timeout: 2s\n"
	       "    connect-timeout: 3s\n",
	 "13:20: probes.p.fast-interval: longer than interval\n"
	 "15:22: probes.p.connect-timeout: longer than timeout\n"},
	{"a refused time is not judged again",
	 LEAST
	 "probes:\n  p: {interval: 1s, fast-interval: 2x}\n  q: {interval: 1x, fast-interval: "
	 "1m}\n",
	 "11:36: probes.p.fast-interval: \"2x\" is not a duration*\n"
	 "12:17: probes.q.interval: \"1x\" is not a duration*\n"},
	{"a refused port is not judged again",
	 LEAST
	 "    port: x\n  b: {address: 203.0.113.25, interface: eth0, tiers: {1: {x: {address: "
	 "1.2.3.4}}}}\n",
	 "10:11: services.a.port: \"x\" is not a whole number\n"},
	{"peers of tunnels",
	 LEAST "decap:\n  from:\n  - 203.0.113.5\n  - 203.0.113.5\n  - 203.0.113.25\n"
	       "  - 224.0.0.1\n  - fe80::1\n  - 203.0.113.0/24\n  - [203.0.113.6]\n"
	       "  - \"203.0.113.7\\0\"\n",
	 "13:5: decap.from: 203.0.113.5 is listed already\n"
	 "14:5: decap.from: 203.0.113.25 is the VIP of service a\n"
	 "15:5: decap.from: 224.0.0.1 is a loopback*\n"
	 "16:5: decap.from: fe80::1 is a loopback*\n"
	 "17:5: decap.from: \"203.0.113.0/24\" *not an*address: write it without the prefix length\n"
	 "18:5: decap.from: *a list of addresses\n"
	 "19:5: decap.from: *NUL*\n"},
	{"one peer without a list", LEAST "decap: {from: 203.0.113.5}\n",
	 "10:15: decap.from: *a list\n"},
	{"peers beyond the limit",
	 LEAST "decap:\n  from: [1.0.0.1, 1.0.0.2, 1.0.0.3, 1.0.0.4, 1.0.0.5, 1.0.0.6, 1.0.0.7, "
	       "1.0.0.8, 1.0.0.9, 1.0.0.10, 1.0.0.11,\n    1.0.0.12, 1.0.0.13, 1.0.0.14, 1.0.0.15, "
	       "1.0.0.16, 1.0.0.17]\n",
	 "12:55: decap.from: more than 16 addresses\n"},
	{"neither services nor peers", "interfaces: {eth0: }\ndecap: {from: []}\n",
	 "1:1: services: is required\n"},
	{"no services, and a peer that is none", "interfaces: {eth0: }\ndecap: {from: [x]}\n",
	 "2:16: decap.from: \"x\" *not an*address\n"},
	{"what a policy needs",
	 LEAST "probes:\n"
	       "  a: {tls: domain-validation, ca-file: /dev/null/x}\n"
	       "  b: {tls: dane}\n"
	       "  c: {tls: dane, tlsa: [\"2 1 1 " HEX32 "\"]}\n"
	       "  d: {tls-certificate-name: CN=a}\n",
	 "11:12: probes.a.tls: domain-validation needs tls-domain\n"
	 "11:40: probes.a.ca-file: /dev/null/x: can't be read: Not a directory\n"
	 "12:12: probes.b.tls: dane needs tlsa or tlsa-name\n"
	 "13:12: probes.c.tls: dane with a record of usage 2 needs tls-domain\n"
	 "14:29: probes.d.tls-certificate-name: needs tls: encryption-only or more\n"},
	{"certificates",
	 LEAST "probes:\n  p:\n    tls: encryption-only\n    tls-domain: mail.*.contoso.com\n"
	       "    tls-certificate-name: mail.contoso.com\n"
	       "    tlsa: [\"1 1 1 00\", 7, [], \"3 1 1 00\"]\n    expiry-warn: 4000d\n"
	       "  q: {tlsa: x, ca-file: relative}\n",
	 "13:17: probes.p.tls-domain: \"mail.*.contoso.com\" has a * elsewhere than before the first dot, which Exchange Online does not accept\n"
	 "14:27: probes.p.tls-certificate-name: is not like \"<I>CN=Contoso CA, O=Contoso<S>CN=mail.contoso.com\": *OID.1.2.3=* at character 1\n"
	 "15:12: probes.p.tlsa: usage 1 is unusable for SMTP (RFC 7672 section 3.1.3): publish 2 or 3\n"
	 "15:24: probes.p.tlsa: is not a TLSA record*\n"
	 "15:27: probes.p.tlsa: *a list of records like \"3 1 1 <hex>\"\n"
	 "15:31: probes.p.tlsa: has 1 bytes of data where matching type 1 has 32\n"
	 "16:18: probes.p.expiry-warn: 4000d *between 0s and 3650d\n"
	 "17:13: probes.q.tlsa: *a list\n"
	 "17:25: probes.q.ca-file: *absolute path\n"},
	{"STARTTLS with no TLS", LEAST "probes: {p: {depth: starttls}}\n",
	 "10:21: probes.p.depth: starttls needs tls: encryption-only\n"},
};

static void expect_rows(const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++)
		bench_expect(rows[i].what, rows[i].text, -EINVAL, rows[i].errors);
}

static void every_error_that_was_promised_has_its_place(void **state)
{
	(void)state;
	expect_rows(shown, N(shown));
}

static void unsupported_yaml_is_refused(void **state)
{
	(void)state;
	expect_rows(of_yaml, N(of_yaml));
}

static void values_with_two_readings_or_out_of_range_are_refused(void **state)
{
	(void)state;
	expect_rows(of_values, N(of_values));
}

static void values_that_do_not_fit_each_other_are_refused(void **state)
{
	(void)state;
	expect_rows(of_several, N(of_several));
}

static void warnings_do_not_refuse(void **state)
{
	(void)state;
	bench_expect(
		"min-up", LEAST "      20: {z: {address: 1.2.3.4}}\n    min-up: 2\n", 0,
		"11:13: warning: services.a.min-up: tier 20 has 1: it is used only if no tier has "
		"enough\n");
	bench_expect("TLS out of reach", LEAST "probes: {p: {tls: encryption-only, depth: ehlo}}\n",
		     0,
		     "10:19: warning: probes.p.tls: never reached: depth ends before STARTTLS\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_error_that_was_promised_has_its_place),
		cmocka_unit_test(unsupported_yaml_is_refused),
		cmocka_unit_test(values_with_two_readings_or_out_of_range_are_refused),
		cmocka_unit_test(values_that_do_not_fit_each_other_are_refused),
		cmocka_unit_test(warnings_do_not_refuse),
	};

	return cmocka_run_group_tests_name("conf: errors", tests, bench_open, bench_close);
}
