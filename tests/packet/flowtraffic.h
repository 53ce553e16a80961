/* SPDX-License-Identifier: BSD-2-Clause */
/* Random traffic for the flow table, with changing surroundings; the same for the same seed. */
#ifndef PACKET_FLOWTRAFFIC_H
#define PACKET_FLOWTRAFFIC_H

#include <stdint.h>

/* Sends this many packets through flowbench_run(); a difference fails the test. */
void flowtraffic_run(uint64_t seed, uint64_t packets);

#endif
