/* SPDX-License-Identifier: BSD-2-Clause */
/* Random traffic for the flow table, with changing surroundings; the same for the same seed. */
#ifndef PACKET_FLOWTRAFFIC_H
#define PACKET_FLOWTRAFFIC_H

#include <stdint.h>

/* Sends so many packets through flowbench_run(); a test that fails there ends it. */
void flowtraffic_run(uint64_t seed, uint64_t packets);

#endif
