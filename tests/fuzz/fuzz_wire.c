/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The child's records as its parent takes them. The first byte chooses an honest record, the others change it: an
 * offset of two bytes, a length, that many bytes. What passes the check must be safe in the parent's hands: it is
 * made into a report, as it would be.
 */
#include <errno.h>
#include <string.h>
#include "fuzz.h"
#include "probe/report.h"
#include "probe/wire.h"
#include "util/utf8.h"

static struct wire_answer honest(uint8_t which)
{
	struct wire_answer a = {.magic = WIRE_MAGIC, .id = 7};

	a.kind = 1 + which % WIRE_NOTE;
	if (a.kind == WIRE_NOTE) {
		a.note.kind = NOTE_EVENT + which / WIRE_NOTE % NOTE_JUDGEMENT;
	} else if (a.kind == WIRE_RESULT) {
		a.result.reason = REASON_ok;
		a.result.stage = STAGE_DONE;
		a.result.smtp_code = 250;
		strcpy(a.result.text, "250 ok");
		strcpy(a.result.tls.version, "TLSv1.3");
		a.result.tls.n_names = 1;
	}
	return a;
}

static void change(struct wire_answer *a, const uint8_t *data, size_t size)
{
	while (size > 3) {
		size_t at = (data[0] | data[1] << 8) % sizeof(*a), len = data[2];

		data += 3;
		size -= 3;
		if (len > size)
			len = size;
		if (len > sizeof(*a) - at)
			len = sizeof(*a) - at;
		memcpy((char *)a + at, data, len);
		data += len;
		size -= len;
	}
}

/* Names are in UTF-8, and nothing in them affects the surrounding text. */
static void must_be_utf8(const char *text)
{
	size_t left = strlen(text), n;

	for (; left; text += n, left -= n) {
		n = utf8_printable(text, left);
		MUST(n);
	}
}

static void use(const struct wire_answer *a)
{
	struct probe_result result = {.reason = REASON_ok};
	struct addr address = {{0}};
	struct probe_report report;
	json_t *json;
	char *text;

	report_begin(&report, 1767225600, TLS_NONE);
	if (a->kind == WIRE_NOTE)
		report_note(&report, &a->note);
	else if (a->kind == WIRE_RESULT)
		result = a->result;
	json = report_end(&report, &address, 25, &result);
	MUST(json);
	text = json_dumps(json, JSON_COMPACT);
	MUST(text);
	must_be_utf8(text);
	free(text);
	json_decref(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wire_answer a;

	if (!size)
		return 0;
	a = honest(data[0]);
	MUST(!wire_check_answer(&a, sizeof(a)));
	change(&a, data + 1, size - 1);
	MUST(wire_check_answer(&a, sizeof(a) - 1 - data[0]) == -EBADMSG);
	if (!wire_check_answer(&a, sizeof(a)))
		use(&a);
	return 0;
}
