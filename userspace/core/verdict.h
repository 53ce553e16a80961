/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The result of a probe: stage, reason, the server's words, times. The list of reasons exists once, here: each with
 * its verdict, whether it acts at once, and the code that Exchange Online would report (docs/protocol-notes.md 3.1).
 * The names of reasons appear in JSON, logs and metrics and must not change.
 */
#ifndef MXLB_VERDICT_H
#define MXLB_VERDICT_H

#include <stdbool.h>
#include <stdint.h>
#include "core/config.h"

enum verdict { VERDICT_UNKNOWN, VERDICT_UP, VERDICT_DRAINING, VERDICT_DOWN };

#define VERDICT_COUNT (VERDICT_DOWN + 1)

/*
 * The effect of a result on the verdict: it counts towards fall and rise, acts at once, or changes nothing. The last
 * kind is evidence about this client only (docs/verdicts.md): a warning.
 */
enum effect { EFFECT_COUNT, EFFECT_NOW, EFFECT_NONE };

/* name, verdict, effect, Exchange Online's code, what it means in a sentence */
#define MXLB_REASONS(R)                                                                            \
	R(not_probed, UNKNOWN, NOW, "", "no probe has finished yet")                               \
	R(local_error, UNKNOWN, NOW, "", "this box could not probe")                               \
	R(local_carrier, UNKNOWN, NOW, "", "this box's own interface has no link")                 \
	R(local_clock, UNKNOWN, NOW, "", "this box's clock jumped, so it cannot judge dates")      \
	R(local_stall, UNKNOWN, NOW, "", "this box stalled during the probe")                      \
	R(ok, UP, COUNT, "", "every stage passed")                                                 \
	R(per_source_limit, UNKNOWN, NONE, "", "the server limits connections from the probe")     \
	R(sender_refused, UNKNOWN, NONE, "", "the server refuses the probe's sender address")      \
	R(source_refused, UNKNOWN, NONE, "", "the server refuses this box's address or name")      \
	R(tls_required, UNKNOWN, NONE, "", "the server requires TLS, but the probe has tls: none") \
	R(greylisted, UNKNOWN, NONE, "", "the server greylists the probe")                         \
	R(probe_refused, UNKNOWN, NONE, "",                                                        \
	  "the server refuses the probe, but not its other clients")                               \
	R(greeting_421, DRAINING, NOW, "4.4.317", "the greeting was 421")                          \
	R(greeting_4xx, DRAINING, COUNT, "4.4.317", "the greeting was a temporary refusal")        \
	R(ehlo_421, DRAINING, NOW, "4.4.317", "the answer to EHLO was 421")                        \
	R(ehlo_4xx, DRAINING, COUNT, "4.4.317", "EHLO was refused temporarily")                    \
	R(mail_421, DRAINING, NOW, "4.4.317", "the answer to MAIL FROM was 421 (maintenance)")     \
	R(mail_4xx, DRAINING, COUNT, "4.4.317",                                                    \
	  "MAIL FROM was refused temporarily (back pressure)")                                     \
	R(unreachable, DOWN, NOW, "4.4.315", "the host is unreachable")                            \
	R(refused, DOWN, NOW, "4.4.316", "connection refused")                                     \
	R(connect_timeout, DOWN, COUNT, "4.4.315", "no answer to the connection attempt")          \
	R(vip_missing, DOWN, COUNT, "4.4.315",                                                     \
	  "the host answers on its own address, but not on the VIP")                               \
	R(not_on_link, DOWN, COUNT, "4.4.315",                                                     \
	  "the server is behind a router, where forward: l2 cannot reach it")                      \
	R(tunnel_silent, DOWN, COUNT, "4.4.315",                                                   \
	  "the host answers on its own address, but not to packets sent through its tunnel")       \
	R(greeting_silent, DOWN, COUNT, "4.4.315", "connected, but received no greeting in time")  \
	R(greeting_5xx, DOWN, NOW, "4.4.317", "the greeting was a permanent refusal")              \
	R(timeout, DOWN, COUNT, "4.4.315", "the dialogue did not finish in time")                  \
	R(closed_early, DOWN, COUNT, "4.4.318", "the server closed the connection abruptly")       \
	R(malformed, DOWN, COUNT, "4.4.317", "the reply was not SMTP")                             \
	R(reply_too_long, DOWN, COUNT, "4.4.317", "the reply exceeded the size limit")             \
	R(ehlo_refused, DOWN, COUNT, "4.4.317", "EHLO was refused")                                \
	R(no_starttls, DOWN, COUNT, "4.4.317", "the server does not offer STARTTLS")               \
	R(starttls_refused, DOWN, COUNT, "4.4.317", "the server refused STARTTLS")                 \
	R(starttls_injection, DOWN, COUNT, "4.4.317", "plaintext followed the answer to STARTTLS") \
	R(tls_handshake, DOWN, COUNT, "4.4.317", "the TLS handshake failed")                       \
	R(tls_version, DOWN, COUNT, "4.4.317", "the TLS version is below min-tls-version")         \
	R(certificate_expired, DOWN, COUNT, "4.7.320", "a certificate has expired")                \
	R(certificate_not_yet_valid, DOWN, COUNT, "4.7.320", "a certificate is not valid yet")     \
	R(certificate_untrusted, DOWN, COUNT, "4.7.320",                                           \
	  "the chain does not lead to a trusted authority")                                        \
	R(certificate_incomplete_chain, DOWN, COUNT, "4.7.320",                                    \
	  "the server does not send an intermediate certificate")                                  \
	R(certificate_weak, DOWN, COUNT, "4.7.320", "a key or signature is too weak")              \
	R(certificate_wrong_name, DOWN, COUNT, "4.7.320",                                          \
	  "the certificate does not match tls-domain")                                             \
	R(certificate_wrong_issuer, DOWN, COUNT, "4.7.320",                                        \
	  "the certificate has the right subject but another issuer")                              \
	R(certificate_self_signed, DOWN, COUNT, "4.7.320",                                         \
	  "the certificate is self-signed and not in the CA bundle")                               \
	R(certificate_wrong_purpose, DOWN, COUNT, "4.7.320",                                       \
	  "a certificate's key usage does not allow a TLS server")                                 \
	R(certificate_no_ca, DOWN, COUNT, "4.7.320",                                               \
	  "an issuer in the chain is not a certificate authority")                                 \
	R(certificate_path_length, DOWN, COUNT, "4.7.320",                                         \
	  "the chain is longer than an authority or the limit allows")                             \
	R(certificate_name_constraint, DOWN, COUNT, "4.7.320",                                     \
	  "an authority's name constraints exclude this name")                                     \
	R(certificate_bad_signature, DOWN, COUNT, "4.7.320", "a signature in the chain is wrong")  \
	R(certificate_unsupported, DOWN, COUNT, "4.7.320",                                         \
	  "a certificate has an unsupported critical extension or encoding")                       \
	R(certificate_wrong_subject, DOWN, COUNT, "4.7.320",                                       \
	  "the certificate does not have tls-certificate-name's subject")                          \
	R(tlsa_mismatch, DOWN, COUNT, "5.7.323", "the certificate does not match any TLSA record") \
	R(mail_refused, DOWN, COUNT, "4.4.317", "MAIL FROM was refused")                           \
	R(proxy_expected, DOWN, COUNT, "4.4.317", "the server expects a PROXY protocol header")    \
	R(expensive, UNKNOWN, NONE, "", "a full probe costs this box too much CPU")

enum reason {
#define R(name, verdict, effect, exo, text) REASON_##name,
	MXLB_REASONS(R)
#undef R
		REASON_COUNT
};

enum probe_stage {
	STAGE_NONE,
	STAGE_CONNECT,
	STAGE_GREETING,
	STAGE_EHLO,
	STAGE_STARTTLS,
	STAGE_TLS,
	STAGE_EHLO_TLS,
	STAGE_MAIL_FROM,
	STAGE_DONE,
};

#define TLS_NAMES_MAX	8
#define TLS_NAME_SIZE	128
#define TLS_DN_SIZE	512
#define PROBE_TEXT_SIZE 256

/* The certificate and session as seen after the handshake; .version empty: no TLS was spoken. */
struct tls_info {
	char version[16]; /* "TLSv1.3" */
	char cipher[64];
	/* as Windows prints them (CertNameToStr, CERT_X500_NAME_STR, reversed) */
	char subject[TLS_DN_SIZE], issuer[TLS_DN_SIZE];
	char names[TLS_NAMES_MAX][TLS_NAME_SIZE];
	uint8_t n_names;
	int64_t not_before, not_after; /* seconds since 1970, UTC */
	uint8_t sha1[20];	       /* of the certificate: Exchange's thumbprint */
	uint8_t spki_sha256[32];       /* TLSA 3 1 1 */
	uint8_t spki_sha512[64], cert_sha256[32], cert_sha512[64]; /* 3 1 2, 3 0 1, 3 0 2 */
};

/* Plain values, no pointers: crosses from the probe child by copy. Text is printable UTF-8 (util/utf8.h), NUL-terminated. */
struct probe_result {
	enum reason reason;
	enum probe_stage stage;				    /* the last one entered */
	uint16_t smtp_code;				    /* of the reply that decided; 0: none */
	uint32_t connect_ms, greeting_ms, tls_ms, total_ms; /* 0: stage not reached */
	uint32_t cpu_ms;				    /* CPU time of this box for the probe */
	char text[PROBE_TEXT_SIZE]; /* the server's own words or the local error, escaped */
	struct tls_info tls;
};

const char *verdict_name(enum verdict v); /* "up" */
const char *reason_name(enum reason r);	  /* "greeting_421" */
enum verdict reason_verdict(enum reason r);
enum effect reason_effect(enum reason r);
/* The server passed every stage except for its certificate. */
bool reason_is_certificate(enum reason r);
/* The server refuses this client; this says nothing about other clients. */
bool reason_is_client(enum reason r);
/* The server refused in SMTP (greeting, EHLO or MAIL FROM); whether it refuses other clients is not known. */
bool reason_is_refusal(enum reason r);
/* The server was not reached, which this box may have caused (panic.c). */
bool reason_is_connect(enum reason r);
/* The first stage that this reason casts doubt on; STAGE_NONE: it is not a fault of the server. */
enum probe_stage reason_stage(enum reason r);
const char *reason_exo_code(enum reason r, enum tls_policy policy); /* "4.4.317" or "" */
const char *reason_text(enum reason r);
const char *stage_name(enum probe_stage s); /* "connect" "greeting" "ehlo" "starttls" ... */

#endif
