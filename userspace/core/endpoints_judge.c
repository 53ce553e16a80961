/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/endpoints_judge.h"

#include <stddef.h>
#include <stdio.h>

#define REFUSE(...) (snprintf(text, 160, __VA_ARGS__), text)

const char *endpoints_refuse(const struct endpoints_size *is, const struct endpoints_size *was,
			     char text[160])
{
	if (!is->n_v4 || !is->n_v6) /* rule 1 */
		return REFUSE("has no %s prefix for TCP 25", is->n_v4 ? "IPv6" : "IPv4");
	if (is->n_v4 + is->n_v6 > ENDPOINTS_PREFIXES_MAX) /* rule 2 */
		return REFUSE("has %u prefixes for TCP 25, more than %d are not plausible",
			      is->n_v4 + is->n_v6, ENDPOINTS_PREFIXES_MAX);
	if (is->v4_least < ENDPOINTS_V4_LEN_MIN) /* rule 3 */
		return REFUSE("has an IPv4 prefix of length %u, wider than /%d is not plausible",
			      is->v4_least, ENDPOINTS_V4_LEN_MIN);
	if (is->v6_least < ENDPOINTS_V6_LEN_MIN)
		return REFUSE("has an IPv6 prefix of length %u, wider than /%d is not plausible",
			      is->v6_least, ENDPOINTS_V6_LEN_MIN);
	if (was && (2 * is->n_v4 < was->n_v4 || 2 * is->n_v6 < was->n_v6)) /* rule 4 */
		return REFUSE("has lost more than half of its prefixes: %u IPv4 and %u IPv6, "
			      "before %u and %u",
			      is->n_v4, is->n_v6, was->n_v4, was->n_v6);
	return NULL;
}
