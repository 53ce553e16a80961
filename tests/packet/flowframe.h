/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds a frame from a segment of the flow table's model, and checks a RST. Fast: only IPv4's checksum is set. */
#ifndef PACKET_FLOWFRAME_H
#define PACKET_FLOWFRAME_H

#include "bench.h"
#include "../model/flowmodel.h"

/* pad: bytes after the packet that do not belong to it. */
void flowframe_build(struct frame *f, const struct flowmodel_segment *s, uint16_t port,
		     unsigned pad);
/* True if the frame is the RST that the model expects, with correct checksums. */
bool flowframe_is_reset(const struct frame *f, const struct flowmodel_result *r);

#endif
