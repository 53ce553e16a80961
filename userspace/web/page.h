/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The status page as one document: page/page.html with page.css and page.js in it. Nothing of it is loaded from elsewhere.
 */
#ifndef MXLB_CONTROL_PAGE_H
#define MXLB_CONTROL_PAGE_H

#include "util/buf.h"

#define PAGE_POLICY_SIZE 512

struct page {
	struct buf text;
	char policy
		[PAGE_POLICY_SIZE]; /* of Content-Security-Policy: this style and this script, and nothing else */
};

int page_make(struct page *p); /* 0 or -ENOMEM */
void page_free(struct page *p);

#endif
