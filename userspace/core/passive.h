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

/* How surprising it is that clients leave early. */
enum passive_doubt {
	PASSIVE_EXPECTED, /* the refusal names a state of the server, which all clients meet */
	PASSIVE_OPEN,	  /* it does not; for the first two seconds */
	PASSIVE_STANDING, /* after that; the refusal of the probe may last for days */
};

void passive_add(struct passive_volumes *v, uint32_t units);
/* Whether these are enough to know what is usual. */
bool passive_is_known(const struct passive_volumes *usual);
/* early: the probe was refused before MAIL FROM, so a client that sends a message got further than the probe. */
enum passive_finding passive_judge(const struct passive_flows *f, bool early,
				   enum passive_doubt doubt);

/* The same for connections that ended in other periods. */
bool passive_all_refused(const struct passive_volumes *is, const struct passive_volumes *usual,
			 enum passive_doubt doubt);
bool passive_any_taken(const struct passive_volumes *is, const struct passive_volumes *usual);

/* How often clients whose probe is refused deliver a message. Zero it when the refusals begin. */
struct passive_takes {
	uint64_t last_ms;  /* the last one; 0: none since the refusals began */
	uint64_t usual_ms; /* the longest usual time between two */
};

/* A client has delivered one; since_ms: when the refusals began; 0: not yet, so it is not noted. */
void passive_takes_note(struct passive_takes *t, uint64_t since_ms, uint64_t now_ms);
/* Whether none has for unusually long, or since the refusals began. */
bool passive_takes_missing(const struct passive_takes *t, uint64_t now_ms);

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
/* The silence of its clients after which a probe is due. */
uint32_t passive_hint_limit(uint32_t usual_ms);

/* A server that does not greet, as clients and a probe experience it. */
struct passive_quiet {
	uint64_t clients_ms, clients; /* how long clients have sent nothing; how many connected */
	uint64_t probe_ms;	      /* how long a probe has received nothing */
	uint32_t usual_ms;	      /* the server's usual time to greet */
	bool is_last;		      /* no other server of the service is up */
	bool greets_elsewhere;	      /* a probe of it for another service was greeted meanwhile */
};

/* Whether it is silent towards everyone. */
bool passive_is_silent(const struct passive_quiet *q);

/* A clock that stops while this box is late, because what was not received then may be the fault of this box. */
struct passive_clock {
	uint64_t ms, looked_ms;
};

/* The time by that clock, at a look that was planned planned_ms after the previous one. */
uint64_t passive_clock_look(struct passive_clock *c, uint32_t planned_ms, uint64_t now_ms);

/* How much the connections of a server carry, in consecutive rows of connections. */
struct passive_pace {
	uint64_t opened, bytes;	 /* the counters as last seen */
	uint64_t n, sum;	 /* of the row that is open */
	uint64_t run_n, run_sum; /* of the connections since the last one that carried enough */
	uint64_t run_since_ms;	 /* when the first of them opened */
	uint64_t usual_run_ms;	 /* how long such a run usually lasts at most */
	uint64_t usual;		 /* bytes of a connection; 0: no row is complete yet */
	uint16_t low;		 /* a bit for each of the last 16 rows: it carried less than half */
	uint8_t rows;		 /* how many were complete, up to PACE_KNOWN */
	bool seen;		 /* the counters have been seen once */
};

/*
 * opened: connections established; bytes: of all packets to the server; silent: its clients have sent nothing for as
 * long as a hint takes. True: they seem to leave early.
 */
bool passive_pace_look(struct passive_pace *p, uint64_t opened, uint64_t bytes, bool silent,
		       uint64_t now_ms);
/* Whether all clients of the last row or more left early. silence: of the same clients. usual: connections of before. */
bool passive_run_refused(const struct passive_pace *p, const struct passive_silence *silence,
			 const struct passive_volumes *usual, enum passive_doubt doubt,
			 uint64_t now_ms);

#endif
