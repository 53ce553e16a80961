#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Users' devices, in a VM made by check-devices: the mode that mxlbd chooses on each, doctor's findings, and whether
mail passes. Prints one table row per case; exit status 1 if anything differs from what is expected.

    devices.py [CASE...]        without names: all whose NICs this VM has, but those for VMs with other taps
"""
import json
import os
import sys
import time
import traceback
from pathlib import Path

from vmsite import Failure, Site, VIPS, lines, nic, nics, run, wait_until

TAP = "52:54:00:00:00:01", "52:54:00:00:00:02"
HUB = "52:54:00:01:00:01", "52:54:00:01:00:02"
HUB2 = "52:54:00:01:00:03", "52:54:00:01:00:04"
E1000E = "52:54:00:01:00:05", "52:54:00:01:00:06"
VMXNET3 = "52:54:00:01:00:07", "52:54:00:01:00:08"
CHECKS = "interfaces", "xdp", "offloads", "queues", "sight"


def there(*macs):
    return set(macs) <= set(nics().values())


CASES = {}


NAMED = set()  # cases that run only if they are named


def case(needs, mode, vlan=None, conf="{mode: auto}", interface="eth0", named=False):
    """mode: the XDP mode that mxlbd chooses; None: the one that the kernel's driver has."""
    def add(fn):
        CASES[fn.__name__] = (fn, needs, mode, vlan, conf, interface)
        if named:
            NAMED.add(fn.__name__)
        return fn
    return add


def plain(site, pair):
    site.space("lb")
    site.take(nic(pair[0]), "lb", "eth0")
    site.switch(nic(pair[1]))
    site.ip_device("lb", "eth0")


@case(TAP, "native")
def virtio_tap(site):
    """virtio_net with the offloads of a tap device."""
    plain(site, TAP)


@case(TAP, "native", named=True)
def virtio_tap_one_queue(site):
    """A VM whose tap devices have one queue pair."""
    plain(site, TAP)


@case(TAP, "generic", named=True)
def virtio_offloads_fixed(site):
    """A VM whose tap devices have ctrl_guest_offloads=off."""
    plain(site, TAP)


@case(TAP, "native", vlan=7, conf="{mode: auto, vlan: 7}")
def virtio_tap_vlan(site):
    plain(site, TAP)


@case(HUB, "native")
def virtio_one_queue(site):
    plain(site, HUB)


@case(HUB, "generic", vlan=7, interface="eth0.7")
def virtio_8021q_device(site):
    """The VLAN device itself is the interface."""
    plain(site, HUB)


@case((), "generic", vlan=7, interface="eth0.7")
def veth_8021q_device(site):
    veth(site)


@case((), "native", vlan=7, conf="{mode: auto, vlan: 7}")
def veth_vlan(site):
    """The tag is in the metadata, not in the frame, since the sending end inserts none (txvlan): no setting of this end
    changes that."""
    veth(site)
    yield "blind"


@case((), "native", vlan=7, conf="{mode: auto, vlan: 7}")
def veth_vlan_txvlan_off(site):
    veth(site)
    site.within("sw", "ethtool", "-K", "uplink", "txvlan", "off")


def veth(site):
    site.space("lb")
    lines("ip -n lb link add eth0 type veth peer name uplink")
    run("nsenter", "--net=/run/netns/lb", "ip", "link", "set", "uplink", "netns", str(os.getpid()))
    site.switch("uplink")
    peer_program(site, "uplink")
    site.ip_device("lb", "eth0")


def peer_program(site, device):
    """Native XDP_TX on a veth needs a program on the peer."""
    program, pin = site.work / "pass.o", "/sys/fs/bpf/pass"
    if not Path(pin).exists():
        run("clang", "-target", "bpf", "-O2", "-x", "c", "-c", "-", "-o", program,
            input='__attribute__((section("xdp"), used)) int pass(void *ctx) { return 2; /* XDP_PASS */ }')
        run("/usr/sbin/bpftool", "prog", "load", program, pin, "type", "xdp")
    site.within("sw", "/usr/sbin/bpftool", "net", "attach", "xdpdrv", "pinned", pin, "dev", device)


def bond(site, options, switch_options=None):
    """virtio_net reports no speed and duplex by default, and 802.3ad accepts no slave without them."""
    site.space("lb")
    near, far = (HUB[0], HUB2[0]), [nic(HUB[1]), nic(HUB2[1])]
    lines(f"ip -n lb link add bond0 type bond {options}")
    for mac, name in zip(near, ("eth0", "eth1")):
        site.take(nic(mac), "lb", name)
        site.within("lb", "ethtool", "-s", name, "speed", "1000", "duplex", "full")
        lines(f"ip -n lb link set {name} master bond0")
    if switch_options:
        site.switch()
        lines(f"ip -n sw link add trunk type bond {switch_options}")
        for device in far:
            lines(f"ip link set {device} netns sw")
            site.within("sw", "ethtool", "-s", device, "speed", "1000", "duplex", "full")
            lines(f"ip -n sw link set {device} master trunk")
        lines("ip -n sw link set trunk master br0 up")
    else:
        site.switch(*far)
    site.ip_device("lb", "bond0")


def detail(space, device, *keys):
    """From `ip -details`, because sysfs shows only the initial network namespace."""
    at = json.loads(run("ip", "-n", space, "-d", "-j", "link", "show", "dev", device))[0]["linkinfo"]
    for key in keys:
        at = at.get(key, {})
    return at


def active_slave():
    return detail("lb", "bond0", "info_data", "active_slave")


def down_goes(slave, other):
    lines(f"ip -n lb link set {slave} down")
    wait_until(lambda: active_slave() == other, f"{other} is the active slave")


@case(HUB + HUB2, "native", interface="bond0")
def bond_active_backup(site):
    bond(site, "mode active-backup miimon 100")
    yield
    active = active_slave()
    other = {"eth0": "eth1", "eth1": "eth0"}[active]
    down_goes(active, other)
    yield
    lines(f"ip -n lb link set {active} nomaster\nip -n lb link set {active} master bond0")
    wait_until(lambda: detail("lb", active, "info_slave_data", "mii_status") == "UP", f"{active} is a slave again")
    down_goes(other, active)
    yield


LACP = "mode 802.3ad miimon 100 lacp_rate fast"


@case(HUB + HUB2, "native", interface="bond0")
def bond_8023ad(site):
    bond(site, LACP, LACP)
    wait_until(lambda: detail("lb", "bond0", "info_data", "ad_info", "num_ports") == 2, "both ports are in one aggregator")


@case(HUB + HUB2, "native", vlan=7, conf="{mode: auto, vlan: 7}", interface="bond0")
def bond_vlan(site):
    bond(site, "mode active-backup miimon 100")


@case(HUB + HUB2, "generic", vlan=7, interface="bond0.7")
def bond_8021q_device(site):
    bond(site, "mode active-backup miimon 100")


@case(HUB, "generic", interface="br0")
def bridge(site):
    site.space("lb")
    site.take(nic(HUB[0]), "lb", "eth0")
    lines("""ip -n lb link add br0 type bridge forward_delay 0
             ip -n lb link set eth0 master br0 up""")
    site.switch(nic(HUB[1]))
    site.ip_device("lb", "br0")


@case(E1000E, "generic")
def e1000e(site):
    plain(site, E1000E)


@case(E1000E, "generic", vlan=7, conf="{mode: auto, vlan: 7}")
def e1000e_vlan(site):
    plain(site, E1000E)


@case(VMXNET3, None)
def vmxnet3(site):
    plain(site, VMXNET3)


@case(VMXNET3, None, vlan=7, conf="{mode: auto, vlan: 7}")
def vmxnet3_vlan(site):
    plain(site, VMXNET3)


def mail(site):
    site.send(f"{VIPS[0]},4,20000", f"{VIPS[1]},4,20000", f"{VIPS[0]},1,2000000")
    return "4+6, 2 MB"


def blind(site):
    """The servers answer the probes, but no mail arrives: status, log and doctor report this."""
    site.wait_all_up()
    wait_until(lambda: site.interface()["sight"] == "blind", "mxlbd knows that it is blind")
    states = {s["state"] for s in site.status()["services"]}
    if states != {"blind"} or "event=interface_blind" not in site.log():
        raise Failure(f"blind, and the services are {states}: {site.log()[-800:]}")
    if not any(level == "error" and check == "sight" for level, check, _, _ in site.doctor("sight")):
        raise Failure("doctor does not say that it is blind")
    return "BLIND, reported"


def exercise(site, steps, row):
    site.wait_all_up()
    row["mail"] = mail(site)
    for _ in steps:
        site.wait_all_up()
        row["mail"] = mail(site) + ", and after each step"
    wait_until(lambda: site.interface()["sight"] == "sees", "mxlbd knows that it sees")
    for word in ("vip_conflict", "interface_blind"):
        if f"event={word}" in site.log():
            raise Failure(f"an event that is none: {word}: {site.log()[-800:]}")


def play(name):
    fn, _, mode, vlan, conf, interface = CASES[name]
    site = Site(vlan)
    row, problems = {"mode": "-", "mail": "none", "doctor": "-"}, []
    try:
        steps = fn(site) or iter(())
        first = next(steps, None)
        site.configure(interface, conf)
        row["kernel_before"] = run("dmesg").count("\n")
        site.start()
        row["mode"] = site.interface()["xdp"]
        if mode and row["mode"] != mode:
            problems.append(f"mode {row['mode']}, expected {mode}")
        if first == "blind":
            row["mail"] = blind(site)
        else:
            exercise(site, steps, row)
    except Failure as failure:
        problems.append(str(failure))
    except Exception:  # a table with a hole is better than none
        problems.append(traceback.format_exc())
    try:
        if site.mxlbd and site.mxlbd.poll() is None:
            row["interface"] = site.interface()
            row["doctor"] = "; ".join(f"{level} {check}: {text}" for level, check, text, _ in site.doctor(*CHECKS)) or "ok"
            row["kernel"] = "\n".join(run("dmesg").split("\n")[row["kernel_before"]:])
            row["log"] = site.log()
        site.close()
    except Failure as failure:
        problems.append(f"at the end: {failure}")
    return row, problems


def main():
    wanted = sys.argv[1:] or [name for name, spec in CASES.items() if there(*spec[1]) and name not in NAMED]
    failed = 0
    for name in wanted:
        began = time.monotonic()
        row, problems = play(name)
        failed += bool(problems)
        print(f"{name:22} {row['mode']:8} mail {row['mail']:10} doctor {row['doctor']}  [{time.monotonic() - began:.0f} s]",
              flush=True)
        for problem in problems:
            print(f"    FAILED {problem}", flush=True)
        if problems or os.environ.get("MXLB_V"):
            print("    " + "\n    ".join((row.get("kernel", "") + "\n" + row.get("log", "") + str(row.get("interface"))).split("\n")),
                  flush=True)
    print(f"{len(wanted) - failed} passed, {failed} failed")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
