/* SPDX-License-Identifier: BSD-2-Clause */
/* The shared page. Its size is sealed, because a parent that reads beyond a file's end would be killed. */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
#include "probe/pulse.h"

static int map(int fd, struct pulse **out)
{
	void *page = mmap(NULL, sizeof(**out), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (page == MAP_FAILED)
		return -errno;
	*out = page;
	return 0;
}

int pulse_new(struct pulse **out, int *fd)
{
	int memory = memfd_create("pulse", MFD_CLOEXEC | MFD_ALLOW_SEALING), err = 0;

	if (memory < 0)
		return -errno;
	if (ftruncate(memory, sizeof(**out)) ||
	    fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		err = -errno;
	if (!err)
		err = map(memory, out);
	if (err)
		close(memory);
	else
		*fd = memory;
	return err;
}

int pulse_attach(int fd, struct pulse **out)
{
	int err = map(fd, out);

	close(fd);
	return err;
}

void pulse_free(struct pulse *p)
{
	if (p)
		munmap(p, sizeof(*p));
}

void pulse_begin(struct pulse *p, uint32_t number, uint32_t id)
{
	atomic_store_explicit(&p->step, (uint64_t)number << 32 | id, memory_order_relaxed);
}

void pulse_end(struct pulse *p)
{
	atomic_store_explicit(&p->step, 0, memory_order_relaxed);
}
