/* SPDX-License-Identifier: BSD-2-Clause */
/* The sandbox of the probe child. Entered once, before the first byte of a peer or the first socket arrives. */
#ifndef MXLB_SANDBOX_H
#define MXLB_SANDBOX_H

/* 0 or -errno; after an error the process must end. */
int sandbox_enter(void);

#endif
