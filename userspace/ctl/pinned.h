/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A command that mxlbd answers, or, while none runs, its binary from the pinned maps (mxlbd --pinned).
 */
#ifndef MXLB_CTL_PINNED_H
#define MXLB_CTL_PINNED_H

#include "ctl/ctl.h"

/*
 * As link_ask(). *stopped: no mxlbd answered, and the reply is made from the pinned maps, with a note on stderr. A file
 * (ctl->file) without a socket means that file's mxlbd.
 */
enum ctl_exit pinned_ask(const struct ctl *ctl, const char *command, struct buf *reply,
			 bool *stopped);

#endif
