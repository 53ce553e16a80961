/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sends TCP packets that nobody meant, to a VIP in the lab, as fast as it can or RATE a second, until SIGTERM:
 *
 *   forge-packets IFACE MAC VIP PORT SEED RATE syn
 *   forge-packets IFACE MAC VIP PORT SEED RATE syn-again
 *   forge-packets IFACE MAC VIP PORT SEED RATE ack
 *   forge-packets IFACE MAC VIP PORT SEED RATE syn-from ADDRESS LENGTH [TIMES]
 *   forge-packets IFACE MAC VIP PORT SEED RATE {pairs | pairs-again | pairs-data | data | mails} [PACKETS]
 *   forge-packets IFACE MAC VIP PORT SEED RATE CLIENT CLIENT_PORT...
 *
 * "syn": SYNs from everywhere in 100.64.0.0/10 or 2001:db8:64::/64; "syn-again": the same AGAIN of them over and over; "ack": segments
 * with ACK from there. "syn-from": SYNs from everywhere in a prefix, each of them TIMES in a row. "pairs": from there, a SYN and the ACK behind it, as a connection begins; "pairs-again": and RATE connections later,
 * which is some seconds, another ACK; "pairs-data": two segments with data at once; "data": these without the handshake; "mails": as if a client had
 * sent a message of 16 KB and ended. It ends after PACKETS.
 * Else, on each of these tuples in turn: a SYN, a FIN, a RST, and a SYN with the ACK that would follow it; every sequence
 * number is a guess. Ends with one line of JSON.
 * By a packet socket past the queueing discipline: IFACE's frames are the only traffic it can make.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ether.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH	   64
#define TUPLES_MAX 1024
#define AGAIN	   1024
#define DATA	   16 /* bytes */
#define JUMP	   16384
#define FRAME_MAX \
	(sizeof(struct ether_header) + sizeof(struct ip6_hdr) + sizeof(struct tcphdr) + DATA)
#define SYN_SOURCES 0x64400000 /* 100.64.0.0/10, RFC 6598 */

enum kind { KIND_SYN, KIND_FIN, KIND_RST, KIND_PAIR_SYN, KIND_PAIR_ACK, KIND_COUNT };

static const uint8_t kind_flags[KIND_COUNT] = {
	[KIND_SYN] = TH_SYN,	  [KIND_FIN] = TH_FIN | TH_ACK, [KIND_RST] = TH_RST,
	[KIND_PAIR_SYN] = TH_SYN, [KIND_PAIR_ACK] = TH_ACK,
};

/* The packets of each forged connection, a letter each: SYN, ACK, data, a later ACK, data 16 KB further on, FIN. */
static const struct {
	const char *name, *steps;
} floods[] = {{"pairs", "SA"},
	      {"pairs-again", "SAL"},
	      {"pairs-data", "SADD"},
	      {"data", "DD"},
	      {"mails", "SADJF"}};

struct forger {
	int fd;
	uint8_t mac[6], own_mac[6];
	bool v6, flood, again, ack;
	unsigned prefix_len, times, done; /* "syn-from"; 0: another one */
	uint64_t one;			  /* the random number that it is made from */
	uint64_t seed;
	unsigned forged;
	uint8_t vip[16], client[16];
	uint16_t port, ports[TUPLES_MAX];
	unsigned n_ports, next_port;
	enum kind kind;
	uint32_t seq;
	uint64_t random, rate, most;
	const char *steps; /* of a flood of connections; NULL: another one */
	uint64_t connection;
	unsigned step, data; /* data: bytes of the current frame */
	uint64_t sent, refused;
};

static volatile sig_atomic_t ended;

static void on_term(int number)
{
	ended = number;
}

static uint64_t roll(struct forger *f) /* xorshift64* */
{
	f->random ^= f->random >> 12;
	f->random ^= f->random << 25;
	f->random ^= f->random >> 27;
	return f->random * 0x2545f4914f6cdd1dULL;
}

static uint32_t sum(const void *at, size_t len, uint32_t from)
{
	const uint8_t *b = at;

	for (size_t i = 0; i + 1 < len; i += 2)
		from += b[i] << 8 | b[i + 1];
	return from;
}

static uint16_t fold(uint32_t s)
{
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return htons(~s);
}

static size_t put_ip4(const struct forger *f, uint8_t *at, const uint8_t *from, uint32_t *pseudo)
{
	struct ip ip = {.ip_v = 4,
			.ip_hl = 5,
			.ip_len = htons(sizeof(ip) + sizeof(struct tcphdr) + f->data),
			.ip_off = htons(IP_DF),
			.ip_ttl = 60,
			.ip_p = IPPROTO_TCP};

	memcpy(&ip.ip_src, from, 4);
	memcpy(&ip.ip_dst, f->vip, 4);
	ip.ip_sum = fold(sum(&ip, sizeof(ip), 0));
	memcpy(at, &ip, sizeof(ip));
	*pseudo = sum(&ip.ip_src, 8, IPPROTO_TCP + sizeof(struct tcphdr) + f->data);
	return sizeof(ip);
}

static size_t put_ip6(const struct forger *f, uint8_t *at, const uint8_t *from, uint32_t *pseudo)
{
	struct ip6_hdr ip = {0};

	ip.ip6_flow = htonl(6u << 28);
	ip.ip6_plen = htons(sizeof(struct tcphdr) + f->data);
	ip.ip6_nxt = IPPROTO_TCP;
	ip.ip6_hlim = 60;
	memcpy(&ip.ip6_src, from, 16);
	memcpy(&ip.ip6_dst, f->vip, 16);
	memcpy(at, &ip, sizeof(ip));
	*pseudo = sum(&ip.ip6_src, 32, IPPROTO_TCP + sizeof(struct tcphdr) + f->data);
	return sizeof(ip);
}

/* Only the BSD names of the TCP header are used: it is a union, and initializing one half clears the other. */
static size_t put_frame(const struct forger *f, uint8_t *at, const uint8_t *from, struct tcphdr tcp)
{
	struct ether_header eth = {.ether_type = htons(f->v6 ? ETHERTYPE_IPV6 : ETHERTYPE_IP)};
	uint32_t pseudo;
	size_t len = sizeof(eth);

	memcpy(eth.ether_dhost, f->mac, 6);
	memcpy(eth.ether_shost, f->own_mac, 6);
	memcpy(at, &eth, sizeof(eth));
	len += f->v6 ? put_ip6(f, at + len, from, &pseudo) : put_ip4(f, at + len, from, &pseudo);
	tcp.th_dport = htons(f->port);
	tcp.th_off = sizeof(tcp) / 4;
	tcp.th_win = htons(64240);
	tcp.th_sum = fold(sum(&tcp, sizeof(tcp), pseudo));
	memcpy(at + len, &tcp, sizeof(tcp));
	memset(at + len + sizeof(tcp), 0, f->data);
	return len + sizeof(tcp) + f->data;
}

static uint64_t mix(uint64_t x) /* splitmix64 */
{
	x += 0x9e3779b97f4a7c15ULL;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

/* The next packet of a forged connection: address, port and sequence number follow from the connection's number. */
static size_t next_connection(struct forger *f, uint8_t *at)
{
	uint8_t from[16] = {0x20, 0x01, 0x0d, 0xb8, 0, 0x64};
	char step = f->steps[f->step];
	uint64_t which = f->connection - (step == 'L' ? f->rate : 0), r = mix(f->seed ^ which);
	uint32_t from4 = htonl(SYN_SOURCES | (r & 0x3fffff)), number = mix(r);
	struct tcphdr tcp = {.th_flags = step == 'S'   ? TH_SYN
					 : step == 'F' ? TH_FIN | TH_ACK
						       : TH_ACK};
	size_t len;

	tcp.th_sport = htons(1024 + (r >> 22) % 64512);
	for (unsigned i = 0; i < f->step; i++)
		number += f->steps[i] == 'S'   ? 1
			  : f->steps[i] == 'D' ? DATA
			  : f->steps[i] == 'J' ? JUMP + DATA
					       : 0;
	tcp.th_seq = htonl(number + (step == 'J' ? JUMP : 0));
	f->data = step == 'D' || step == 'J' ? DATA : 0;
	r = mix(r + 1);
	memcpy(from + (f->v6 ? 8 : 0), f->v6 ? (void *)&r : &from4, f->v6 ? 8 : 4);
	len = put_frame(f, at, from, tcp);
	f->data = 0;
	if (!f->steps[++f->step]) {
		f->step = 0;
		f->connection++;
	}
	return len;
}

/* A SYN from a prefix, f->times in a row. */
static size_t next_from_prefix(struct forger *f, uint8_t *at)
{
	struct tcphdr tcp = {.th_flags = TH_SYN};
	uint8_t from[16];
	uint64_t r;

	if (!f->done)
		f->one = roll(f);
	f->done = (f->done + 1) % f->times;
	memcpy(from, f->client, 16);
	for (unsigned bit = f->prefix_len; bit < (f->v6 ? 128 : 32); bit++) {
		r = mix(f->one + bit / 64 + 1);
		from[bit / 8] ^= (r >> bit % 64 & 1) << (7 - bit % 8);
	}
	r = mix(f->one);
	tcp.th_sport = htons(1024 + r % 64512);
	tcp.th_seq = r >> 32;
	return put_frame(f, at, from, tcp);
}

/* A SYN, or an ACK, from anywhere. */
static size_t next_flood(struct forger *f, uint8_t *at)
{
	uint8_t from[16] = {0x20, 0x01, 0x0d, 0xb8, 0, 0x64};
	struct tcphdr tcp = {.th_flags = f->ack ? TH_ACK : TH_SYN};
	uint32_t from4;
	uint64_t r;

	if (f->times)
		return next_from_prefix(f, at);
	if (f->again && f->forged++ % AGAIN == 0)
		f->random = f->seed;
	r = roll(f);
	from4 = htonl(SYN_SOURCES | (r & 0x3fffff));
	tcp.th_sport = htons(1024 + (r >> 22) % 64512);
	tcp.th_seq = r >> 32;
	if (f->v6) {
		r = roll(f);
		memcpy(from + 8, &r, 8);
	} else {
		memcpy(from, &from4, 4);
	}
	return put_frame(f, at, from, tcp);
}

/* The next kind on this tuple, or the first on the next one. */
static size_t next_on_tuple(struct forger *f, uint8_t *at)
{
	struct tcphdr tcp = {.th_sport = htons(f->ports[f->next_port]),
			     .th_flags = kind_flags[f->kind]};

	f->seq = f->kind == KIND_PAIR_ACK ? f->seq + 1 : (uint32_t)(roll(f) >> 32);
	tcp.th_seq = htonl(f->seq);
	if (tcp.th_flags & TH_ACK)
		tcp.th_ack = roll(f) >> 32;
	if (++f->kind == KIND_COUNT) {
		f->kind = KIND_SYN;
		f->next_port = (f->next_port + 1) % f->n_ports;
	}
	return put_frame(f, at, f->client, tcp);
}

static void send_batch(struct forger *f)
{
	static uint8_t frame[BATCH][FRAME_MAX];
	struct iovec iov[BATCH];
	struct mmsghdr message[BATCH];
	int n;

	memset(message, 0, sizeof(message));
	for (int i = 0; i < BATCH; i++) {
		iov[i].iov_base = frame[i];
		iov[i].iov_len = f->steps   ? next_connection(f, frame[i])
				 : f->flood ? next_flood(f, frame[i])
					    : next_on_tuple(f, frame[i]);
		message[i].msg_hdr.msg_iov = &iov[i];
		message[i].msg_hdr.msg_iovlen = 1;
	}
	n = sendmmsg(f->fd, message, BATCH, 0);
	if (n < 0 && errno != ENOBUFS && errno != EINTR && errno != EAGAIN) {
		perror("forge-packets: sendmmsg");
		exit(1);
	}
	f->sent += n > 0 ? n : 0;
	f->refused += BATCH - (n > 0 ? n : 0);
}

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static void run(struct forger *f)
{
	double begin = now_s(), ahead;

	while (!ended && (!f->most || f->sent < f->most)) {
		send_batch(f);
		if (!f->rate)
			continue;
		ahead = (double)(f->sent + f->refused) / f->rate - (now_s() - begin);
		if (ahead > 0)
			usleep(ahead * 1e6);
	}
	printf("{\"sent\": %" PRIu64 ", \"refused\": %" PRIu64 ", \"seconds\": %.3f}\n", f->sent,
	       f->refused, now_s() - begin);
}

static void open_interface(struct forger *f, const char *name)
{
	struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = if_nametoindex(name)};
	struct ifreq request = {0};
	int one = 1;

	strncpy(request.ifr_name, name, sizeof(request.ifr_name) - 1);
	f->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (f->fd < 0 || bind(f->fd, (struct sockaddr *)&to, sizeof(to)) ||
	    ioctl(f->fd, SIOCGIFHWADDR, &request) ||
	    setsockopt(f->fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one))) {
		perror("forge-packets: packet socket");
		exit(1);
	}
	memcpy(f->own_mac, request.ifr_hwaddr.sa_data, 6);
}

static void usage(void)
{
	fputs("usage: forge-packets IFACE MAC VIP PORT SEED RATE "
	      "{syn | syn-again | ack | syn-from ADDRESS LENGTH [TIMES] | {pairs | pairs-again | pairs-data | data | mails} [PACKETS] | "
	      "CLIENT CLIENT_PORT...}\n",
	      stderr);
	exit(2);
}

static void take_arguments(struct forger *f, int argc, char **argv)
{
	struct ether_addr *mac = argc > 7 ? ether_aton(argv[2]) : NULL;

	if (!mac)
		usage();
	memcpy(f->mac, mac, 6);
	f->v6 = strchr(argv[3], ':');
	f->port = atoi(argv[4]);
	f->random = strtoull(argv[5], NULL, 10) * 2 + 1; /* xorshift never leaves 0 */
	f->rate = strtoull(argv[6], NULL, 10);
	f->seed = f->random;
	f->again = !strcmp(argv[7], "syn-again");
	f->ack = !strcmp(argv[7], "ack");
	for (size_t i = 0; i < sizeof(floods) / sizeof(floods[0]); i++)
		if (!strcmp(argv[7], floods[i].name))
			f->steps = floods[i].steps;
	if (f->steps && argc > 8)
		f->most = strtoull(argv[8], NULL, 10);
	f->flood = f->steps || f->again || f->ack || !strcmp(argv[7], "syn");
	if (!strcmp(argv[7], "syn-from") && argc > 9) {
		f->flood = true;
		f->prefix_len = atoi(argv[9]);
		f->times = argc > 10 ? atoi(argv[10]) : 1;
		if (!f->times || inet_pton(f->v6 ? AF_INET6 : AF_INET, argv[8], f->client) != 1)
			usage();
	}
	if (inet_pton(f->v6 ? AF_INET6 : AF_INET, argv[3], f->vip) != 1 ||
	    (!f->flood && inet_pton(f->v6 ? AF_INET6 : AF_INET, argv[7], f->client) != 1))
		usage();
	for (int i = 8; i < argc && f->n_ports < TUPLES_MAX; i++)
		f->ports[f->n_ports++] = atoi(argv[i]);
	if (!f->flood && !f->n_ports)
		usage();
}

int main(int argc, char **argv)
{
	struct sigaction act = {.sa_handler = on_term};
	static struct forger f;

	take_arguments(&f, argc, argv);
	open_interface(&f, argv[1]);
	sigaction(SIGTERM, &act, NULL);
	sigaction(SIGINT, &act, NULL);
	run(&f);
	return 0;
}
