/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From the text of one value to the field of a struct: pure, one function a kind of value. Each gives 0, or
 * -EINVAL and in `why` what is wrong with the text, without the place.
 */
#ifndef MXLB_CONF_VALUE_H
#define MXLB_CONF_VALUE_H

#include <stddef.h>
#include <stdint.h>

#define VALUE_WHY_SIZE 256

struct value_kind {
	uint64_t min,
		max; /* of numbers; durations in ms; of words, min is the first one's number */
	const char *const *words; /* ends with NULL; number min, min + 1, ... */
	size_t size;		  /* of the field in bytes: text with its NUL, numbers 2, 4 or 8 */
};

typedef int value_fn(const struct value_kind *kind, const char *text, void *field,
		     char why[VALUE_WHY_SIZE]);

#define VALUE_DURATION_SIZE 32
/* In the largest unit that leaves a whole number: what value_duration() reads. Returns buf. */
char *value_duration_text(uint64_t ms, char buf[VALUE_DURATION_SIZE]);

value_fn value_integer;	   /* decimal; no sign, no leading zero */
value_fn value_duration;   /* 250ms 10s 15m 21d 1h, to ms */
value_fn value_word;	   /* one of a list */
value_fn value_bool;	   /* true or false, and nothing else */
value_fn value_address;	   /* struct addr; not martian */
value_fn value_listen;	   /* struct listen_conf: any address, and a port; may be empty */
value_fn value_prefix;	   /* struct prefix; any, in its only form */
value_fn value_mark;	   /* uint32_t[2]: mark, mask; 0x6d780000/0xffff0000 */
value_fn value_name;	   /* of services, servers, probes: [A-Za-z0-9][A-Za-z0-9._-]{0,62} */
value_fn value_interface;  /* as Linux names them */
value_fn value_account;	   /* a user's or group's name */
value_fn value_host;	   /* a domain name or an address literal; may be empty */
value_fn value_domain;	   /* a domain name, to dns_canonical()'s form; may be empty */
value_fn value_sender;	   /* local@domain; may be empty: the null sender */
value_fn value_path;	   /* absolute */
value_fn value_file;	   /* absolute, or empty: none */
value_fn value_command;	   /* an absolute path and words; or empty */
value_fn value_tls_domain; /* a domain, or *. and one; may be empty */
value_fn value_certname;   /* "<I>issuer<S>subject"; may be empty */
value_fn value_text;	   /* printable ASCII; may be empty */

#endif
