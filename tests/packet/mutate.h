/* SPDX-License-Identifier: BSD-2-Clause */
/* Mutated valid frames, each derived from a seed and its number alone, so that any of them can be reproduced by itself. */
#ifndef PACKET_MUTATE_H
#define PACKET_MUTATE_H

#include <stdbool.h>
#include <stdint.h>

#define MUTANT_MAX 9216

struct mutant {
	unsigned len; /* at least 14: what the kernel takes for a test run */
	unsigned
		linear; /* how many of them the program sees without a helper; len: all that a page holds */
	const char *from; /* the sound frame's name */
	bool second;	  /* came by the second interface, which has a tag (ways.h) */
	uint8_t b[MUTANT_MAX];
};

/* Makes the sound frames. Once, before all else. */
void mutate_up(void);
void mutate_down(void);
unsigned mutate_sound_count(void);
/* A sound frame as it is. */
void mutate_sound(unsigned which, struct mutant *out);
/* As it comes by the second interface. priority: with the tag's DEI bit, 0 to 15. */
void mutate_tag(struct mutant *m, uint8_t priority);
/* The n-th frame of this seed: about one in five is left as it was. */
void mutate(uint64_t seed, uint64_t n, struct mutant *out);
/* The n-th of another kind: a segment of one of few connections, seldom anything else. */
void mutate_segment(uint64_t seed, uint64_t n, struct mutant *out);
/* For the test's own choices, by its own seed; 0 to below - 1. */
uint32_t mutate_roll(uint64_t *state, uint32_t below);

#endif
