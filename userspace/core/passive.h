/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the datapath sees of a server without a probe: its clients. Pure; the caller reads the counters and the flow
 * table and gives the time. With direct server return only the clients' half of each connection is seen. Rules are
 * numbered in passive.c.
 */
#ifndef MXLB_PASSIVE_H
#define MXLB_PASSIVE_H

#include <stdbool.h>
#include <stdint.h>

#define PASSIVE_UNIT_CAP \
	64 /* of 256 bytes: 16 KiB, more than TLS with a client's certificates costs */

/* Finished connections, by how much their clients sent, in units of 256 bytes. */
struct passive_volumes {
	uint32_t n, of[PASSIVE_UNIT_CAP + 1];
};

/* Those of one server, by when they ended. */
struct passive_flows {
	struct passive_volumes now;   /* in the last one or two seconds */
	struct passive_volumes since; /* since the probe was refused, the last seconds */
	struct passive_volumes usual; /* before that */
};

enum passive_finding {
	PASSIVE_NONE,	 /* too few connections to tell */
	PASSIVE_UNCLEAR, /* connections, but they prove nothing */
	PASSIVE_TAKES,	 /* a client sent as much as usual */
	PASSIVE_REFUSES, /* all clients leave early */
};

void passive_add(struct passive_volumes *v, uint32_t units);
/* early: the probe was refused before MAIL FROM, so a client that sends a message got further than the probe. */
enum passive_finding passive_judge(const struct passive_flows *f, bool early);

/* The same for connections that ended in other periods. */
bool passive_all_refused(const struct passive_volumes *is, const struct passive_volumes *usual);
bool passive_any_taken(const struct passive_volumes *is, const struct passive_volumes *usual);

/* Detects that clients open connections and then send nothing. */
struct passive_silence {
	uint64_t opened, spoken; /* the counters as last seen */
	uint64_t since_ms;	 /* the first connection of this row; 0: there is no row */
	uint64_t n, others;	 /* opened, and other segments seen, since then */
	bool seen;		 /* the counters have been seen once */
};

/* opened: connections established; spoken: segments behind a handshake; both only rise. */
void passive_silence_look(struct passive_silence *s, uint64_t opened, uint64_t spoken,
			  uint64_t now_ms);
/* For how many ms clients have connected and sent nothing; 0: they send, or none connects. */
uint64_t passive_silence_ms(const struct passive_silence *s, uint64_t now_ms);

/* How long this server usually takes to greet: follows a slower greeting at once, a faster one slowly. */
uint32_t passive_greeting_learn(uint32_t usual_ms, uint32_t greeting_ms);
/* The silence of a probe after which the clients' silence counts. */
uint32_t passive_greeting_limit(uint32_t usual_ms);

#endif
