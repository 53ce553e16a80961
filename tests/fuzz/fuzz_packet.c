// SPDX-License-Identifier: BSD-2-Clause
/*
 * libFuzzer drives the program's native build (../packet/native.h). An input is a row of frames: two bytes of length, of
 * which the highest bit says by which interface it came, one that says how much is linear, and the frame; each input finds
 * empty flow tables. With -write-corpus DIRECTORY
 * it writes the sound frames of mutate.h as a corpus to start from, and ends.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../packet/mutate.h"
#include "../packet/nativesite.h"

#define LINES	   4
#define FRAMES_MAX 8
#define HEAD	   3

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_corpus(const char *directory)
{
	static struct mutant m;

	mutate_up();
	for (unsigned i = 0; i < 2 * mutate_sound_count(); i++) {
		char path[4096];
		FILE *file;

		mutate_sound(i / 2, &m);
		if (i % 2)
			mutate_tag(&m, 0);
		snprintf(path, sizeof(path), "%s/sound-%03u", directory, i);
		file = fopen(path, "w");
		for (int twice = 0; file && twice < 2; twice++) {
			fputc(m.second << 7 | m.len >> 8, file);
			fputc(m.len, file);
			fputc(0xff, file);
			fwrite(m.b, 1, m.len, file);
		}
		if (!file || fclose(file)) {
			perror(path);
			exit(1);
		}
	}
	mutate_down();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	if (*argc == 3 && !strcmp((*argv)[1], "-write-corpus")) {
		write_corpus((*argv)[2]);
		exit(0);
	}
	nativesite_up(LINES);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	native_forget();
	native_buckets(true);
	for (int i = 0; i < FRAMES_MAX && size > HEAD; i++) {
		unsigned len = (data[0] & 0x7f) << 8 | data[1];
		unsigned linear = data[2] == 0xff ? len : data[2];
		bool second = data[0] >> 7;
		struct native_outcome o;

		data += HEAD;
		size -= HEAD;
		len = len < size ? len : size;
		if (len < 14)
			return 0;
		nativesite_run(data, len, linear < 14 ? 14 : linear, second, &o);
		data += len;
		size -= len;
	}
	return 0;
}
