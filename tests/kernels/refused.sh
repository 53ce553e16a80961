#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Checks mxlbd's messages and exit status on a kernel that cannot load its BPF program. On a kernel that is too old (5.10) the program
# as shipped is refused; on any other one the program of `make refused`, which is broken on purpose. Needs root; meant to run in a
# VM of a kernel, and runs on the host too.
#
#     tests/kernels/refused.sh [BUILD-DIRECTORY]
#
# Prints the messages, and "not ok" for each failure; then the exit status is 1.
set -u
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=$(realpath "${1:-$root/build}")
here=$(mktemp -d)
chmod 755 "$here"
trap 'rm -rf "$here"' EXIT
release=$(uname -r)
status=0

report() { # WHAT STATUS OUTPUT
	if [ "$2" = 0 ]; then
		echo "ok $release: $1"
	else
		echo "not ok $release: $1"
		status=1
	fi
	sed 's/^/    /' <<<"$3"
}

too_old() {
	[ "$(printf '%s\n6.1\n' "$release" | sort -V | head -n 1)" != 6.1 ]
}

# The last line has the error and the advice. If the verifier refused, also checks for its reason and a bounded number of lines.
explained() {
	local last
	last=$(tail -n 1 <<<"$1")
	grep -q 'event=refused what="load the BPF program" error=".*Linux '"$release"'.*" advice=".*boot .*"' <<<"$last" || return
	if too_old; then
		grep -q 'is too old" advice="boot Linux 6.1 or newer' <<<"$last"
	else
		grep -q 'event=verifier line=[0-9]* text="invalid access to packet' <<<"$1" &&
			[ "$(wc -l <<<"$1")" -lt 20 ]
	fi
}

# As user and with capabilities as the unit has it.
as_unit() {
	local caps=-all cap
	for cap in $(sed -n 's/^AmbientCapabilities=//p' "$root/scripts/mxlb.service"); do
		caps+=,+$(tr '[:upper:]' '[:lower:]' <<<"${cap#CAP_}")
	done
	setpriv --reuid=61999 --regid=61999 --clear-groups --no-new-privs --bounding-set="$caps" --inh-caps="$caps" \
		--ambient-caps="$caps" "$@"
}

# The program under test, with an mxlbctl beside it.
if too_old; then
	cp "$build/mxlbd" "$build/mxlbctl" "$here"
else
	cp "$build/refused/mxlbd" "$build/refused/mxlbctl" "$here"
fi
mkdir "$here/pins"
mount -t bpf bpf "$here/pins"
chown 61999:61999 "$here/pins"
trap 'umount "$here/pins"; rm -rf "$here"' EXIT
cat >"$here/mxlb.yaml" <<END
datapath: {pin: $here/pins}
control: {socket: /tmp/mxlb-refused.sock}
interfaces:
  lo: {mode: generic}
services:
  mail:
    address: 192.0.2.25
    interface: lo
    tiers:
      10:
        one: {address: 192.0.2.9}
END

for who in env as_unit; do
	output=$("$who" "$here/mxlbd" --check-load 2>&1)
	[ $? = 3 ] && explained "$output"
	report "--check-load: exit status 3, explained ($who)" $? "$output"

	output=$("$who" timeout 60 "$here/mxlbd" -c "$here/mxlb.yaml" 2>&1)
	[ $? = 3 ] && explained "$output"
	report "the start: exit status 3, explained ($who)" $? "$output"
	find "$here/pins" -mindepth 1 -delete
done

output=$("$here/mxlbd" -t -c "$here/mxlb.yaml" 2>&1)
[ $? = 3 ] && grep -q 'configuration is valid' <<<"$output" && grep -q "can't be loaded" <<<"$output"
report "-t: exit status 3, the configuration apart" $? "$output"

if ! too_old; then
	output=$("$here/mxlbd" --check-load --debug 2>&1)
	grep -q 'event=libbpf text="invalid access to packet' <<<"$output"
	report "--debug: the verifier's log is not cut at its first line break" $? "$(grep -c . <<<"$output") lines"
fi

output=$("$here/mxlbctl" doctor -c "$here/mxlb.yaml" 2>&1 | sed -n '/^[a-z ]* \(kernel\|bpf\) /,/^[a-z]* *jit/p')
grep -q "^error  *bpf " <<<"$output" && { ! too_old || grep -q "^error  *kernel " <<<"$output"; }
report "doctor: an error" $? "$output"

output=$(grep '^RestartPreventExitStatus=' "$root/scripts/mxlb.service")
grep -qw 3 <<<"$output"
report "the unit does not restart after 3" $? "$output"
exit $status
