/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Limits shared by the kernel program, mxlbd and the configuration. bpf/maps.h has the memory that follows from them. */
#ifndef MXLB_LIMITS_H
#define MXLB_LIMITS_H

#define MXLB_MAX_PORTS	   16	/* interfaces that carry the program */
#define MXLB_MAX_SLAVES	   16	/* slaves of all bonds; with more a perfect hash is hard to find */
#define MXLB_MAX_SERVICES  64	/* VIP:port pairs */
#define MXLB_MAX_VIP_PORTS 8	/* services that share one VIP address */
#define MXLB_MAX_SERVERS   4096 /* over all services; index 0 means "none" */
#define MXLB_MAX_WEIGHT	   256
#define MXLB_MAX_PEERS	   16	 /* tunnels that end here */
#define MXLB_MAX_PREFIXES  16384 /* in the allow-lists of all services */

/* The oldest kernel that mxlb supports: Debian 12's. */
#define MXLB_LINUX_MAJOR   6
#define MXLB_LINUX_MINOR   1

#endif
