// SPDX-License-Identifier: BSD-2-Clause
/* Reads and gives up capabilities. Never raises one. */
#include <errno.h>
#include <sys/capability.h>
#include "util/capability.h"

bool capability_held(int capability)
{
	cap_flag_value_t set = CAP_CLEAR;
	cap_t caps = cap_get_proc();

	if (caps)
		cap_get_flag(caps, capability, CAP_EFFECTIVE, &set);
	cap_free(caps);
	return set == CAP_SET;
}

/* From the three sets that capset(2) writes. The kernel removes it from the ambient set with them. */
static int clear(cap_value_t capability)
{
	cap_t caps = cap_get_proc();
	int err = 0;

	if (!caps || cap_set_flag(caps, CAP_EFFECTIVE, 1, &capability, CAP_CLEAR) ||
	    cap_set_flag(caps, CAP_PERMITTED, 1, &capability, CAP_CLEAR) ||
	    cap_set_flag(caps, CAP_INHERITABLE, 1, &capability, CAP_CLEAR) || cap_set_proc(caps))
		err = -errno;
	cap_free(caps);
	return err;
}

int capability_drop(int capability)
{
	int bounding = 0, err;

	if (cap_get_bound(capability) > 0 && cap_drop_bound(capability))
		bounding = -errno;
	err = clear(capability);
	return err ? err : bounding;
}
