/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The Internet checksum (RFC 1071) over short headers that this program writes itself. Calls no helper. */
#ifndef MXLB_CHECKSUM_H
#define MXLB_CHECKSUM_H

#include <linux/types.h>

/* bytes: a constant, even number, so that the loop unrolls. */
static __always_inline __u32 sum_words(const void *at, __u32 bytes, __u32 sum)
{
	const __u16 *w = at;
	__u32 i;

#pragma unroll
	for (i = 0; i < bytes / 2; i++)
		sum += w[i];
	return sum;
}

static __always_inline __u16 sum_finish(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

#endif
