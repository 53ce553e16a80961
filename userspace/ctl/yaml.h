/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A JSON document as YAML, for people and for conf/.
 */
#ifndef MXLB_CTL_YAML_H
#define MXLB_CTL_YAML_H

#include <jansson.h>
#include <stdio.h>

/* Objects, arrays, strings, integers, nothing else. 0, -EINVAL: what YAML can't say, -ENOMEM or -EIO. */
int yaml_print(const json_t *json, FILE *to);

#endif
