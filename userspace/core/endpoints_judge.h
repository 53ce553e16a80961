/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Is a list of addresses that was fetched from the network plausible enough to replace the one in use? A wrong list locks out
 * Exchange Online, or lets everybody in. Pure.
 */
#ifndef MXLB_ENDPOINTS_JUDGE_H
#define MXLB_ENDPOINTS_JUDGE_H

#define ENDPOINTS_PREFIXES_MAX 1000 /* Microsoft's list has some 20 */
#define ENDPOINTS_V4_LEN_MIN   10   /* its widest IPv4 prefix is a /14 */
#define ENDPOINTS_V6_LEN_MIN   24   /* its widest IPv6 prefix is a /48 */

struct endpoints_size {
	unsigned n_v4, n_v6;	     /* prefixes */
	unsigned v4_least, v6_least; /* length of the widest one: 0 to 32, 0 to 128 */
};

/*
 *  1. It has prefixes of both families.
 *  2. It has no more than ENDPOINTS_PREFIXES_MAX.
 *  3. None is wider than ENDPOINTS_V4_LEN_MIN or ENDPOINTS_V6_LEN_MIN.
 *  4. Of each family it has at least half as many as the list in use.
 *
 * was: the list in use; NULL: there is none. NULL: plausible; else the reason, written into text.
 */
const char *endpoints_refuse(const struct endpoints_size *is, const struct endpoints_size *was,
			     char text[160]);

#endif
