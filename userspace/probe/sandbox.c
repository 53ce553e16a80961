/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Gives up a child's privileges, resources and system calls, in this order, because each step needs what the next takes
 * away. The allow-list of system calls: the probe child may use only the descriptors that it is given, and may not
 * connect, open, create, execute or become anything; the resolver child may make sockets of the internet, too. Any other
 * call kills it (SIGSYS), which the parent logs.
 */
#include <errno.h>
#include <grp.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/capability.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include "probe/sandbox.h"

#define NOBODY	      65534
#define CALLS_COMMON  allowed_calls, sizeof(allowed_calls) / sizeof(allowed_calls[0])
#define CALLS_NETWORK network_calls, sizeof(network_calls) / sizeof(network_calls[0])

/*
 * AddressSanitizer reserves terabytes of address space, and its leak check at exit starts a thread that traces the
 * process: builds with it keep all other restrictions.
 */
#ifdef __SANITIZE_ADDRESS__
#define UNDER_ASAN 1
#else
#define UNDER_ASAN 0
#endif

static const int allowed_calls[] = {
	/* the sockets */
	SCMP_SYS(getsockopt),
	SCMP_SYS(recvfrom),
	SCMP_SYS(recvmsg),
	SCMP_SYS(close),
	/*
	 * The loop. A socket that we close while the parent has not yet closed its copy stays in the epoll set; libev
	 * makes a new set then.
	 */
	SCMP_SYS(epoll_create1),
	SCMP_SYS(epoll_ctl),
	SCMP_SYS(epoll_wait),
	SCMP_SYS(epoll_pwait),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(restart_syscall),
	/* memory; mmap() has a rule of its own below, and so has sendto() */
	SCMP_SYS(brk),
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(madvise),
	/* OpenSSL: randomness, its locks, and whether we forked */
	SCMP_SYS(getrandom),
	SCMP_SYS(futex),
	SCMP_SYS(getpid),
	/* the end */
	SCMP_SYS(write), /* libc's last words on stderr */
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
};

/* Of a child with sockets of its own, and a thread that talks to it by pipes; socket() has a rule of its own. */
static const int network_calls[] = {
	SCMP_SYS(bind),	    SCMP_SYS(connect),	      SCMP_SYS(sendto),	     SCMP_SYS(sendmsg),
	SCMP_SYS(read),	    SCMP_SYS(writev),	      SCMP_SYS(setsockopt),  SCMP_SYS(getsockname),
	SCMP_SYS(poll),	    SCMP_SYS(ppoll),	      SCMP_SYS(getpeername), SCMP_SYS(fcntl),
	SCMP_SYS(eventfd2), SCMP_SYS(rt_sigprocmask), SCMP_SYS(sched_yield), SCMP_SYS(epoll_pwait2),
};

struct limit {
	int resource;
	rlim_t max;
	bool under_asan;
};

static int limit_resources(const struct limit *limits, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct rlimit now, want = {.rlim_cur = limits[i].max, .rlim_max = limits[i].max};

		if (UNDER_ASAN && !limits[i].under_asan)
			continue;
		if (getrlimit(limits[i].resource, &now))
			return -errno;
		if (want.rlim_max > now.rlim_max) /* lowering needs no privilege, raising does */
			want.rlim_cur = want.rlim_max = now.rlim_max;
		if (setrlimit(limits[i].resource, &want))
			return -errno;
	}
	return 0;
}

static bool sandbox_may(cap_value_t cap)
{
	cap_flag_value_t set = CAP_CLEAR;
	cap_t caps = cap_get_proc();

	if (caps)
		cap_get_flag(caps, cap, CAP_EFFECTIVE, &set);
	cap_free(caps);
	return set == CAP_SET;
}

/* Root changes to an unprivileged user if possible. Otherwise it keeps its uid without any capability. */
static int become_nobody(void)
{
	if (geteuid() || !sandbox_may(CAP_SETUID) || !sandbox_may(CAP_SETGID))
		return 0;
	if (setgroups(0, NULL) || setresgid(NOBODY, NOBODY, NOBODY) ||
	    setresuid(NOBODY, NOBODY, NOBODY))
		return -errno;
	return 0;
}

static int sandbox_drop_capabilities(void)
{
	cap_t none = cap_init();
	int err = 0;

	if (!none || cap_set_proc(none) || cap_reset_ambient())
		err = -errno;
	cap_free(none);
	return err;
}

static void drop_bounding_set(void)
{
	if (!sandbox_may(CAP_SETPCAP))
		return; /* no_new_privs makes the set irrelevant; it is emptied anyway */
	for (cap_value_t cap = 0; cap < cap_max_bits(); cap++)
		cap_drop_bound(cap);
}

static int allow(scmp_filter_ctx filter, const int *calls, size_t n)
{
	int err = 0;

	for (size_t i = 0; i < n && !err; i++)
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
	return err;
}

static int allow_internet(scmp_filter_ctx filter)
{
	static const unsigned families[] = {AF_INET, AF_INET6};
	int err = allow(filter, CALLS_NETWORK);

	for (size_t i = 0; i < 2 && !err; i++)
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
				       SCMP_A0(SCMP_CMP_EQ, families[i]));
	return err;
}

static int filter_calls(const struct sandbox *s)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int err = -ENOMEM;

	if (!filter)
		return err;
	err = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, s->internet); /* its thread, too */
	if (!err) /* by default that of another ABI ends only the thread */
		err = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (!err)
		err = allow(filter, CALLS_COMMON);
	if (!err)
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
				       SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (!err && s->internet)
		err = allow_internet(filter);
	else if (!err) /* without an address: with one, MSG_FASTOPEN would connect (tcp(7)) */
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(sendto), 1,
				       SCMP_A4(SCMP_CMP_EQ, 0));
	if (!err)
		err = seccomp_load(filter);
	seccomp_release(filter);
	return err;
}

int sandbox_drop(const struct sandbox *s)
{
	const struct limit limits[] = {
		{RLIMIT_NOFILE, s->files, true},
		{RLIMIT_FSIZE, 0, true},
		{RLIMIT_CORE, 0, true},
		{RLIMIT_AS, s->memory, false},
	};
	int err;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -errno;
	drop_bounding_set();
	err = become_nobody();
	/* a long computation must not outlive mxlbd; after setuid(), which clears it (prctl(2)) */
	if (!err && prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0))
		err = -errno;
	if (!err)
		err = sandbox_drop_capabilities();
	return err ?: limit_resources(limits, sizeof(limits) / sizeof(limits[0]));
}

int sandbox_close(const struct sandbox *s)
{
	const struct limit no_more = {RLIMIT_NPROC, 0, false};
	int err = limit_resources(&no_more, 1);

	if (err || UNDER_ASAN)
		return err;
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)) /* after setuid(), which resets it */
		return -errno;
	return filter_calls(s);
}
