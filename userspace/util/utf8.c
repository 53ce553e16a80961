/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Decides which characters may be displayed. C0 and C1 controls, surrogates, overlong forms, line separators, and the
 * marks that reorder or hide text (Unicode's "Trojan Source" characters) are refused, because names come from foreign
 * certificates.
 */
#include "util/utf8.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static const struct {
	uint32_t first, last;
} hidden[] = {
	{0x00, 0x1f},	  {0x7f, 0x9f},	    {0xad, 0xad},     {0x061c, 0x061c},
	{0x180e, 0x180e}, {0x200b, 0x200f}, {0x2028, 0x202e}, {0x2060, 0x206f},
	{0xd800, 0xdfff}, {0xfeff, 0xfeff}, {0xfff0, 0xfffb}, {0xe0000, 0xe0fff},
};

static bool is_hidden(uint32_t c)
{
	for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++)
		if (c >= hidden[i].first && c <= hidden[i].last)
			return true;
	return (c & 0xfffe) == 0xfffe || c > 0x10ffff;
}

size_t utf8_printable(const char *text, size_t len)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	const unsigned char *b = (const unsigned char *)text;
	size_t n;
	uint32_t c;

	if (!len)
		return 0;
	n = b[0] < 0x80 ? 1 : b[0] >= 0xf0 ? 4 : b[0] >= 0xe0 ? 3 : b[0] >= 0xc0 ? 2 : 0;
	if (!n || n > len || b[0] >= 0xf8)
		return 0;
	c = n == 1 ? b[0] : b[0] & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if ((b[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (b[i] & 0x3f);
	}
	return c < least[n] || is_hidden(c) ? 0 : n;
}

void utf8_scrub(char *text)
{
	size_t len = strlen(text), used = 0, n;

	for (size_t i = 0; i < len; i += n ? n : 1) {
		n = utf8_printable(text + i, len - i);
		memmove(text + used, text + i, n);
		used += n;
	}
	text[used] = '\0';
}

size_t utf8_columns(const char *text)
{
	size_t columns = 0;

	for (; *text; text++)
		columns += ((unsigned char)*text & 0xc0) != 0x80;
	return columns;
}

size_t utf8_bytes(const char *text, size_t columns)
{
	size_t i = 0;

	for (; text[i]; i++)
		if (((unsigned char)text[i] & 0xc0) != 0x80 && !columns--)
			break;
	return i;
}
