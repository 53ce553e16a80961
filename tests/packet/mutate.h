/* SPDX-License-Identifier: BSD-2-Clause */
/* Mutated valid frames, each derived from a seed and its number alone, so that any of them can be reproduced by itself. */
#ifndef PACKET_MUTATE_H
#define PACKET_MUTATE_H

#include <stdbool.h>
#include <stdint.h>

#define MUTANT_MAX 9216

struct mutant {
	unsigned len; /* at least 14: the kernel's minimum for a test run */
	unsigned
		linear; /* how many of them the program can read without a helper; len: as many as fit into a page */
	const char *from; /* the sound frame's name */
	bool second;	  /* arrived on the second interface, which has a tag (ways.h) */
	uint8_t b[MUTANT_MAX];
};

/* Makes the valid frames. Call it once, first. */
void mutate_up(void);
void mutate_down(void);
unsigned mutate_sound_count(void);
/* A sound frame as it is. */
void mutate_sound(unsigned which, struct mutant *out);
/* The frame as it arrives on the second interface. priority: with the tag's DEI bit, 0 to 15. */
void mutate_tag(struct mutant *m, uint8_t priority);
/* The n-th frame of this seed: about one in five is unchanged. */
void mutate(uint64_t seed, uint64_t n, struct mutant *out);
/* The n-th frame of another kind: mostly a segment of one of a few connections. */
void mutate_segment(uint64_t seed, uint64_t n, struct mutant *out);
/* A random number for the test, with its own seed: 0 to below - 1. */
uint32_t mutate_roll(uint64_t *state, uint32_t below);

#endif
