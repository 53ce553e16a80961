/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Gives up the probe child's privileges, resources and system calls, in this order, because each step needs what the
 * next takes away. The allow-list of system calls: a child may use only the descriptors that it is given, and may not
 * connect, open, create, execute or become anything. Any other call kills it (SIGSYS), which the parent logs.
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
#include <unistd.h>
#include "mxlb/limits.h"
#include "probe/sandbox.h"

#define NOBODY	  65534

/* A probe and a fallback for each server, and a few more. */
#define FILES_MAX (2 * MXLB_MAX_BACKENDS + 64)

/*
 * AddressSanitizer reserves terabytes of address space, and its leak check at exit starts a thread that traces the
 * process: builds with it keep all other restrictions.
 */
#ifdef __SANITIZE_ADDRESS__
#define UNDER_ASAN 1
#else
#define UNDER_ASAN 0
#endif

static const struct {
	int resource;
	rlim_t max;
	bool under_asan;
} limits[] = {
	{RLIMIT_NOFILE, FILES_MAX, true}, {RLIMIT_FSIZE, 0, true},	  {RLIMIT_CORE, 0, true},
	{RLIMIT_NPROC, 0, false},	  {RLIMIT_AS, 512u << 20, false},
};

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

static int limit_resources(void)
{
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
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

static bool may(cap_value_t cap)
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
	if (geteuid() || !may(CAP_SETUID) || !may(CAP_SETGID))
		return 0;
	if (setgroups(0, NULL) || setresgid(NOBODY, NOBODY, NOBODY) ||
	    setresuid(NOBODY, NOBODY, NOBODY))
		return -errno;
	return 0;
}

static int drop_capabilities(void)
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
	if (!may(CAP_SETPCAP))
		return; /* no_new_privs makes the set irrelevant; it is emptied anyway */
	for (cap_value_t cap = 0; cap < cap_max_bits(); cap++)
		cap_drop_bound(cap);
}

static int filter_calls(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int err = -ENOMEM;

	if (!filter)
		return err;
	for (size_t i = 0; i < sizeof(allowed_calls) / sizeof(allowed_calls[0]); i++) {
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed_calls[i], 0);
		if (err)
			goto out;
	}
	err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
			       SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (!err) /* without an address: with one, MSG_FASTOPEN would connect (tcp(7)) */
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(sendto), 1,
				       SCMP_A4(SCMP_CMP_EQ, 0));
	if (!err)
		err = seccomp_load(filter);
out:
	seccomp_release(filter);
	return err;
}

int sandbox_enter(void)
{
	int err;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -errno;
	drop_bounding_set();
	err = become_nobody();
	/* a long computation must not outlive mxlbd; after setuid(), which clears it (prctl(2)) */
	if (!err && prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0))
		err = -errno;
	if (!err)
		err = drop_capabilities();
	if (!err)
		err = limit_resources();
	if (err || UNDER_ASAN)
		return err;
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)) /* after setuid(), which resets it */
		return -errno;
	return filter_calls();
}
