/* SPDX-License-Identifier: BSD-2-Clause */
/* A segment of the flow table's model as a frame, and a frame as a RST of it. Quick: no checksum but IPv4's is made. */
#ifndef PACKET_FLOWFRAME_H
#define PACKET_FLOWFRAME_H

#include "bench.h"
#include "../model/flowmodel.h"

/* pad: bytes behind the packet that are not its own. */
void flowframe_build(struct frame *f, const struct flowmodel_segment *s, uint16_t port,
		     unsigned pad);
/* True when the frame is the RST that the model wants, checksums and all. */
bool flowframe_is_reset(const struct frame *f, const struct flowmodel_result *r);

#endif
