#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Checks that this kernel loads the BPF program, as root and with the unit's capabilities alone, and that mxlbd is refused without
# CAP_PERFMON. Needs root; meant for a VM of each kernel (scripts/vm), but runs on the host too.
#
#     tests/kernels/load.sh [BUILD-DIRECTORY]
#
# Prints the verifier's statistics, and "not ok" for each failure; then the exit status is 1.
set -u
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
mxlbd=$(realpath "${1:-$root/build}")/mxlbd
status=0

report() { # WHAT STATUS OUTPUT
	if [ "$2" = 0 ]; then
		echo "ok $(uname -r): $1"
	else
		echo "not ok $(uname -r): $1"
		status=1
	fi
	sed 's/^/    /' <<<"$3"
}

# With these capabilities (a list as of the unit) and no other, as a user without a name.
with() {
	local caps=$1
	shift
	caps=-all$(for cap in $caps; do printf ',+%s' "$(tr '[:upper:]' '[:lower:]' <<<"${cap#CAP_}")"; done)
	setpriv --reuid=61999 --regid=61999 --clear-groups --no-new-privs --bounding-set="$caps" --inh-caps="$caps" \
		--ambient-caps="$caps" "$@" 2>&1
}

# The kernel then takes CAP_BPF for CAP_PERFMON in most places, and the load proves nothing.
if grep -qw mitigations=off /proc/cmdline; then
	report "booted without mitigations=off" 1 "$(cat /proc/cmdline)"
fi

output=$("$mxlbd" --check-load 2>&1)
report "loads as root" $? "$output"

unit=$(sed -n 's/^AmbientCapabilities=//p' "$root/scripts/mxlb.service")
output=$(with "$unit" "$mxlbd" --check-load)
report "loads with the unit's capabilities" $? "$output"

output=$(with "CAP_BPF CAP_NET_ADMIN CAP_NET_RAW" "$mxlbd" --check-load)
[ $? = 3 ] && grep -q 'error="CAP_PERFMON missing"' <<<"$output"
report "is refused without CAP_PERFMON" $? "$output"
exit $status
