/* SPDX-License-Identifier: BSD-2-Clause */
/* The site of bench.h without a kernel, for the native build only: the maps as mxlbd would have written them. */
#ifndef PACKET_NATIVESITE_H
#define PACKET_NATIVESITE_H

#include "native.h"

#define NATIVESITE_INGRESS 1
#define NATIVESITE_SECOND  2 /* has a tag: ways.h */

/* Calls native_up() with it; the maps stay until the process ends. */
void nativesite_up(uint32_t lines);
/* Runs a frame. Ends the process with a message on stderr if the outcome breaks a rule that holds for every frame. */
void nativesite_run(const uint8_t *frame, unsigned len, unsigned linear, bool second,
		    struct native_outcome *out);

#endif
