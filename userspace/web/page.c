/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The page's parts, which the assembler puts into the binary (the build runs in the source's root), and the policy
 * that lets a browser run them: by their hashes, so that nothing a server sends can become a style or a script.
 */
#include "web/page.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define EMBED(name, file)                                                                      \
	__asm__(".section .rodata\n" #name ": .incbin \"userspace/web/page/" file "\"\n" #name \
		"_end:\n.previous\n");                                                         \
	extern const char name[], name##_end[]

EMBED(page_html, "page.html");
EMBED(page_css, "page.css");
EMBED(page_js, "page.js");

#define SHA256_SIZE 32
#define BASE64_SIZE (4 * ((SHA256_SIZE + 2) / 3) + 1)
#define HASH_SIZE   (sizeof("'sha256-'") + BASE64_SIZE)

/* As CSP names what is inline: of the bytes between the tags (CSP level 3, section 8.2.3). */
static void hash(const char *from, const char *to, char text[HASH_SIZE])
{
	unsigned char sum[SHA256_SIZE], base64[BASE64_SIZE];

	EVP_Digest(from, (size_t)(to - from), sum, NULL, EVP_sha256(), NULL);
	EVP_EncodeBlock(base64, sum, sizeof(sum));
	snprintf(text, HASH_SIZE, "'sha256-%s'", (char *)base64);
}

/* The parts take the places of "@style@" and "@script@". */
static const char *append_to(struct buf *out, const char *from, const char *mark)
{
	const char *end = memmem(from, (size_t)(page_html_end - from), mark, strlen(mark));

	if (!end)
		return from;
	buf_append(out, from, (size_t)(end - from));
	return end + strlen(mark);
}

int page_make(struct page *p)
{
	char style[HASH_SIZE], script[HASH_SIZE];
	const char *rest = page_html;

	*p = (struct page){0};
	rest = append_to(&p->text, rest, "@style@");
	buf_append(&p->text, page_css, (size_t)(page_css_end - page_css));
	rest = append_to(&p->text, rest, "@script@");
	buf_append(&p->text, page_js, (size_t)(page_js_end - page_js));
	buf_append(&p->text, rest, (size_t)(page_html_end - rest));
	hash(page_css, page_css_end, style);
	hash(page_js, page_js_end, script);
	snprintf(
		p->policy, sizeof(p->policy),
		"default-src 'none'; style-src %s; script-src %s; connect-src 'self'; img-src data:; "
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
		style, script);
	return p->text.failed ? -ENOMEM : 0;
}

void page_free(struct page *p)
{
	buf_free(&p->text);
}
