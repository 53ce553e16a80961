# SPDX-License-Identifier: BSD-2-Clause
"""Everything that mxlbd has put into the system is removed by another program while mail flows (the table in
docs/operations.md): no connection is refused, no server is blamed, and it is restored within two seconds."""
import contextlib
import json
import re
import subprocess
import time

import pytest

from lab import OXFORD, ROOT, SERVERS, VIP, VIP6, Traffic, command, wait_until

HEALED_S = 2


@pytest.fixture
def running(balancer):
    balancer.start()
    balancer.wait_all_up()
    return balancer


def state(lab):
    """Everything that others could take away, in a fixed order."""
    shown = [lab.within("lb", "ip", family, *what.split()) for family in ("-4", "-6")
             for what in ("rule show", "route show table all proto 157", "neigh show nud permanent")]
    shown += [lab.within("lb", "sysctl", "-n", f"net.{family}.neigh.eth0.retrans_time_ms") for family in ("ipv4", "ipv6")]
    shown.append("filter" if "handle 0x6d786c62" in lab.within("lb", "tc", "filter", "show", "dev", "eth0", "egress", status=None)
                 else "no filter")
    return sorted(re.sub(r"expires \S+", "", line).strip() for text in shown for line in text.splitlines())


def two_rounds(balancer):
    probes = balancer.info("Probes")
    wait_until(lambda: balancer.info("Probes") >= probes + 2 * 2 * len(SERVERS), 15, "two rounds of probes")


def nobody_suffers(balancer, traffic, since):
    wrong = [a for a in traffic.attempts(since) if a.server not in OXFORD]
    assert len(traffic.attempts(since)) > 12 and not wrong, wrong[:3]
    moved = [line for line in balancer.log().splitlines() if " to=down" in line or "event=service_" in line and "state=up" in line]
    assert not moved, moved


FLUSH = {
    "every rule": ("ip {f} rule flush protocol 157", "policy rules"),
    "a rule": ("ip {f} rule del pref 27000", "policy rules"),
    "every route": ("ip {f} route flush table all proto 157", "routes"),
    "the stand-ins": ("ip -6 neigh flush dev eth0 nud permanent", "neighbour entries"),
    "the timer": ("sysctl -qw net.{ip}.neigh.eth0.retrans_time_ms=1000", "neighbour timers"),
}
ROWS = [(what, family) for what in FLUSH for family in ("-4", "-6") if (what, family) != ("the stand-ins", "-4")]


@pytest.mark.parametrize("what,family", ROWS)
def test_what_is_taken_away_is_put_back_and_no_mail_moves(lab, running, measured, what, family):
    take, name = FLUSH[what]
    take = take.format(f=family, ip="ipv4" if family == "-4" else "ipv6").split()
    before = state(lab)
    with Traffic(lab, VIP if family == "-4" else VIP6) as traffic:
        traffic.wait_seen(OXFORD)
        since = time.monotonic()
        for _ in range(3):
            lab.within("lb", *take, status=None)  # a flush looks again, and complains of what is back by then
            gone = time.monotonic()
            wait_until(lambda: state(lab) == before, HEALED_S, lambda: f"as before: {before}\n{running.log()}")
            healed = time.monotonic() - gone
            two_rounds(running)
        running.wait_all_up()
        nobody_suffers(running, traffic, since)
        connections = len(traffic.attempts(since))
    assert re.search(rf'event=put_back to=\d+ cause="{name}', running.log()), running.log()
    measured(f"there again after {healed:.2f} s at most, 0 of {connections} connections refused")


@pytest.mark.parametrize("forward", ["ipip"], indirect=True)
@pytest.mark.parametrize("take", ["tc qdisc del dev eth0 clsact", "tc filter del dev eth0 egress"])
def test_a_filter_that_is_taken_away_is_put_back(lab, running, measured, take):
    """Without the filter a probe goes out without a tunnel, to whoever has the VIP."""
    before = state(lab)
    assert "filter" in before
    with Traffic(lab) as traffic:
        traffic.wait_seen(OXFORD)
        since = time.monotonic()
        lab.within("lb", *take.split())
        wait_until(lambda: state(lab) == before, HEALED_S, "the filter is back")
        healed = time.monotonic() - since
        two_rounds(running)
        running.wait_all_up()
        nobody_suffers(running, traffic, since)
    assert 'event=put_back to=1 cause="filters of the probes' in running.log()
    measured(f"there again after {healed:.2f} s")


def problems(balancer):
    return {(p["name"], p["service"]) for p in balancer.status()["problems"]}


@contextlib.contextmanager
def own_mta(lab):
    """A mail server on the balancer that accepts everything, with a name that no server has."""
    code = ("import socket\n"
            "s = socket.create_server(('::', 25), family=socket.AF_INET6, dualstack_ipv6=True)\n"
            "print('ready', flush=True)\n"
            "while True:\n"
            "    c, _ = s.accept()\n"
            "    c.sendall(b'220 edge.example.net ESMTP\\r\\n')\n"
            "    try:\n"
            "        while c.recv(4096): c.sendall(b'250 edge.example.net\\r\\n')\n"
            "    except OSError: pass\n")
    server = subprocess.Popen([*lab.nsenter("lb"), "/usr/bin/python3", "-c", code], stdout=subprocess.PIPE)
    try:
        assert server.stdout.readline() == b"ready\n"
        yield
    finally:
        server.kill()
        server.wait()


@pytest.mark.parametrize("mta", [False, True])
@pytest.mark.parametrize("vip,service,bits", [(VIP, "hybrid-mail", 32), (VIP6, "hybrid-mail6", 128)])
def test_a_vip_that_becomes_an_address_of_this_box_moves_no_mail_and_is_reported_everywhere(lab, balancer, measured, vip, service,
                                                                                         bits, mta):
    balancer.configure(replace={"tls: encryption-only": "tls: none"})
    balancer.start()
    balancer.wait_all_up()
    lab.undo.callback(lab.within, "lb", "ip", "addr", "del", f"{vip}/{bits}", "dev", "lo", status=None)
    with own_mta(lab) if mta else contextlib.nullcontext(), Traffic(lab, vip) as traffic:
        traffic.wait_seen(OXFORD)
        since = time.monotonic()
        lab.within("lb", "ip", "addr", "add", f"{vip}/{bits}", "dev", "lo")
        wait_until(lambda: ("vip_local", service) in problems(balancer), HEALED_S, "the problem is known")
        known = time.monotonic() - since
        balancer.wait_for({host: "unknown" for host in SERVERS}, 10, service)
        two_rounds(balancer)
        reasons = {b["reason"] for tier in balancer.service(service)["tiers"] for b in tier["servers"]}
        assert reasons == {"local_error"}, reasons
        assert f"event=problem service={service} from=none to=vip_local" in balancer.log()
        finding, = (f for f in balancer.status()["diagnosis"] if f["code"] == "vip_local")
        assert vip in finding["text"]
        for words in ("status",), ("check",), ("doctor",):
            assert finding["text"] in " ".join(lab("ctl", *words, status=None).split()), words
        metric = f'mxlb_problem{{name="vip_local",service="{service}"}} 1'
        assert metric in lab.within("lb", "curl", "-s", "http://127.0.0.1:9125/metrics")
        traffic.wait_seen(OXFORD)
        lab.within("lb", "ip", "addr", "del", f"{vip}/{bits}", "dev", "lo")
        wait_until(lambda: not problems(balancer), HEALED_S, "the problem is over")
        balancer.wait_for({host: "up" for host in SERVERS}, 10, service)
        nobody_suffers(balancer, traffic, since)
        connections = len(traffic.attempts(since))
    assert "event=problem service=" + service + " from=vip_local to=none" in balancer.log()
    measured(f"known after {known:.2f} s, 0 of {connections} connections refused")


@pytest.mark.parametrize("pref", ["100", "30000"])
@pytest.mark.parametrize("way", ["via 203.0.113.1", "dev tun7"])
def test_a_foreign_rule_that_routes_all_traffic_elsewhere_moves_no_mail(lab, running, measured, way, pref):
    """Like that of a VPN client: it sends all traffic to its own table, before mxlb's rules or after them."""
    for undo in (f"rule del pref {pref}", "link del tun7", "route flush table 77"):
        lab.undo.callback(lab.within, "lb", "ip", *undo.split(), status=None)
    with Traffic(lab) as traffic:
        traffic.wait_seen(OXFORD)
        for change in ("tuntap add tun7 mode tun", "link set tun7 up", f"route add default {way} table 77"):
            lab.within("lb", "ip", *change.split())
        since = time.monotonic()
        lab.within("lb", "ip", "rule", "add", "pref", pref, "lookup", "77")
        if pref == "100":
            wait_until(lambda: ("probe_astray", "hybrid-mail") in problems(running), HEALED_S, "the problem is known")
            measured(f"known after {time.monotonic() - since:.2f} s")
            running.wait_for({host: "unknown" for host in SERVERS}, 10)
        two_rounds(running)
        lab.within("lb", "ip", "rule", "del", "pref", pref)
        wait_until(lambda: not problems(running), 3 * HEALED_S, "the problem is over")
        running.wait_all_up()
        nobody_suffers(running, traffic, since)


ADDRESS = {"-4": ("addr del 203.0.113.5/24 dev eth0", "addr add 203.0.113.5/24 dev eth0"),
           "-6": ("-6 addr flush dev eth0", "addr add 2001:db8:113::5/64 dev eth0 nodad")}


@pytest.mark.parametrize("family", ADDRESS)
def test_without_an_address_of_its_own_the_box_blames_no_server(lab, running, family):
    """mxlbd does not restore the address. Its routes disappear with it."""
    take, give = ADDRESS[family]
    vip, service = (VIP, "hybrid-mail") if family == "-4" else (VIP6, "hybrid-mail6")
    routes = [f"{family} route replace default via {'203.0.113.1' if family == '-4' else '2001:db8:113::1'}", give]
    for undo in routes:
        lab.undo.callback(lab.within, "lb", "ip", *undo.split(), status=None)
    for own in re.findall(r"inet6 (fe80\S+)", lab.within("lb", "ip", "-6", "-o", "address", "show", "dev", "eth0")):
        lab.undo.callback(lab.within, "lb", "ip", "address", "replace", own, "dev", "eth0", "nodad")  # the flush takes it, too
    with Traffic(lab, vip) as traffic:
        traffic.wait_seen(OXFORD)
        since = time.monotonic()
        lab.within("lb", "ip", *take.split())
        running.wait_for({host: "unknown" for host in SERVERS}, 15, service)
        two_rounds(running)
        lab.within("lb", "ip", *give.split())
        running.wait_for({host: "up" for host in SERVERS}, 15, service)
        nobody_suffers(running, traffic, since)


def test_a_reload_leaves_no_multicast_group_that_is_still_served(lab, running):
    """A switch with MLD snooping forwards no solicitation for the VIP between a leave and the next join."""
    def reports():
        text = lab.within("lb", "nstat", "-asz", "Icmp6OutMLDv2Reports", "Icmp6OutGroupMembReductions")
        return re.findall(r"^(Icmp6Out\S+) +(\d+)", text, re.M)
    group = "ff02::1:ff00:25"
    wait_until(lambda: group in lab.within("lb", "ip", "-6", "maddr", "show", "dev", "eth0"), 10, "the group is joined")
    text = lab.config_file.read_text()
    # reports of a join are repeated for some time (RFC 3810 section 6.1)
    uptime = running.info("Uptime_sec")
    wait_until(lambda: running.info("Uptime_sec") >= uptime + 3, 10, "reports have ended")
    before = reports()
    for fall in (3, 4, 2):
        lab.config_file.write_text(text.replace("fall: 2", f"fall: {fall}"))
        assert not running.ask("reload").strip()
    uptime = running.info("Uptime_sec")
    wait_until(lambda: running.info("Uptime_sec") >= uptime + 4, 10, "announcements are over")
    assert reports() == before
    start = text.index("  hybrid-mail6:")
    lab.config_file.write_text(text[:start])
    assert not running.ask("reload").strip()
    wait_until(lambda: group not in lab.within("lb", "ip", "-6", "maddr", "show", "dev", "eth0"), 10, "it is left at last")
    wait_until(lambda: reports() != before, 5, "which a report tells")


def test_the_groups_of_ipv6_vips_that_an_mtu_took_away_are_joined_again(lab, running, measured):
    """Below an MTU of 1280 the kernel disables IPv6 on the interface, with all memberships and addresses."""
    group = "ff02::1:ff00:25"

    def member():
        return group in lab.within("lb", "ip", "-6", "maddr", "show", "dev", "eth0")

    def give():
        lab.within("lb", "ip", "link", "set", "dev", "eth0", "mtu", "1500")
        lab.within("lb", "ip", "address", "replace", "2001:db8:113::5/64", "dev", "eth0", "nodad")
        lab.within("lb", "ip", "-6", "route", "replace", "default", "via", "2001:db8:113::1")
    wait_until(member, 10, "the group is joined")
    lab.undo.callback(give)
    for own in re.findall(r"inet6 (fe80\S+)", lab.within("lb", "ip", "-6", "-o", "address", "show", "dev", "eth0")):
        lab.undo.callback(lab.within, "lb", "ip", "address", "replace", own, "dev", "eth0", "nodad")
    with Traffic(lab) as traffic:
        traffic.wait_seen(OXFORD)
        since = time.monotonic()
        lab.within("lb", "ip", "link", "set", "dev", "eth0", "mtu", "1200")
        wait_until(lambda: not member(), 5, "the kernel has ended IPv6")
        give()
        back = time.monotonic()
        wait_until(member, HEALED_S, "the group is joined again")
        healed = time.monotonic() - back
        two_rounds(running)
        running.wait_all_up()
        nobody_suffers(running, traffic, since)
    measured(f"joined again after {healed:.2f} s")


def test_a_renamed_interface_is_followed_and_reported(lab, running, measured):
    """udev may rename it late, or a person at any time. Afterwards a server gets another network card."""
    def rename(a, b):
        for change in (f"link set {a} down", f"link set {a} name {b}", f"link set {b} up", "route replace default via 203.0.113.1",
                        f"address replace 2001:db8:113::5/64 dev {b} nodad", "-6 route replace default via 2001:db8:113::1"):
            lab.within("lb", "ip", *change.split(), status=None)
    mac = lab.mac("oxford-a")
    lab.undo.callback(lab.within, "lb", "ip", "neigh", "flush", "dev", "eth0", status=None)  # last: it knows the other MAC
    lab.undo.callback(lab.within, "oxford-a", "ip", "link", "set", "dev", "eth0", "address", mac)
    lab.undo.callback(rename, "other9", "eth0")
    rename("eth0", "other9")
    wait_until(lambda: ("interface_renamed", "") in problems(running), HEALED_S, "the problem is known")
    assert "other9" in lab("ctl", "check", status=2)
    running.wait_all_up()
    with Traffic(lab) as traffic:
        traffic.wait_seen(OXFORD)
        lab.within("oxford-a", "ip", "link", "set", "dev", "eth0", "address", "02:00:00:00:00:aa")
        wait_until(lambda: running.backend("oxford-a")["neighbour"]["mac"] == "02:00:00:00:00:aa", 15, "its new MAC is known")
        running.wait_all_up()
        traffic.wait_seen(OXFORD)
    lab.within("lb", "bpftool", "link", "detach", "pinned", str(next(lab.pin.glob("v*/link_*"))))
    wait_until(lambda: lab.xdp("other9"), HEALED_S, "the program is there again")
    rename("other9", "eth0")
    wait_until(lambda: not problems(running), 3 * HEALED_S, "the problem is over")
    running.wait_all_up()
    assert not re.findall(r"backend=(?:oxford-b|nuneaton) from=\S+ to=down", running.log()), running.log()


def test_an_interface_may_be_given_by_an_alternative_name(lab, balancer):
    lab.undo.callback(lab.within, "lb", "ip", "link", "property", "del", "dev", "eth0", "altname", "enp1s0f0", status=None)
    lab.within("lb", "ip", "link", "property", "add", "dev", "eth0", "altname", "enp1s0f0")
    balancer.configure(replace={"eth0: {mode": "enp1s0f0: {mode", "interface: eth0": "interface: enp1s0f0"})
    text = lab.config_file.read_text()
    lab.config_file.write_text(text.replace("interface: eth0", "interface: enp1s0f0"))
    balancer.start()
    balancer.wait_all_up()
    lab("send", "20")
    assert not problems(balancer)


def test_pins_that_are_unmounted_outside_are_noticed_and_mail_goes_on(lab, balancer, measured):
    """In mxlbd's mount namespace nothing changes, except that the mount is no longer a slave of another."""
    keep = lab.pin.with_name(f"{lab.pin.name}-keep")  # a mount namespace of another lab may still have the old file system

    def mount_again():
        command("bpftool", "link", "detach", "pinned", str(keep))
        keep.unlink()
        command(str(ROOT / "scripts/confine"), "-s", f"/sys/fs/bpf/mxlb={lab.pin}", "prepare")
    command("mount", "--make-shared", str(lab.pin))
    balancer.start()
    balancer.wait_all_up()
    looks = balancer.info("Uptime_sec")
    wait_until(lambda: balancer.info("Uptime_sec") >= looks + 6, 10, "the mounts were looked at")
    command("bpftool", "link", "pin", "pinned", str(next(lab.pin.glob("v*/link_*"))), str(keep))
    lab.undo.callback(mount_again)
    with Traffic(lab) as traffic:
        traffic.wait_seen(OXFORD)
        since = time.monotonic()
        command("umount", "-l", str(lab.pin))
        wait_until(lambda: ("pins", "") in problems(balancer), 10, "the problem is known")
        measured(f"known after {time.monotonic() - since:.1f} s")
        assert "was unmounted outside" in lab("ctl", "check", status=2)
        two_rounds(balancer)
        nobody_suffers(balancer, traffic, since)


# --- inputs that went bad overnight ---

def shorten(path):
    path.write_bytes(path.read_bytes()[:path.stat().st_size // 2])


BREAK = {
    "empty": lambda path: path.write_bytes(b""),
    "half written": shorten,
    "gone": lambda path: path.unlink(),
    "not for mxlbd's user": lambda path: path.chmod(0),
}
ALLOWED = ["198.51.100.0/24", "203.0.113.0/24", "192.0.2.0/24", "198.18.0.0/24", "2001:db8::/32"]


@pytest.mark.parametrize("how", [*BREAK, "three of four prefixes gone"])
@pytest.mark.parametrize("key", ["allow-file", "ca-file"])
def test_a_start_with_a_file_that_became_invalid_uses_its_last_good_copy_and_reports_it(lab, balancer, key, how):
    file = lab.run / "input"
    lab.undo.callback(file.unlink, missing_ok=True)
    if key == "allow-file":
        good = json.dumps([{"id": 10, "tcpPorts": "25", "ips": ALLOWED}]).encode()
        balancer.configure(replace={"failback-hold: 0s": f"failback-hold: 0s\n    allow-file: {file}"})
        name, service = "allow_file", "hybrid-mail"
    else:
        good = (lab.run / "cert.pem").read_bytes()
        balancer.configure(replace={"tls: encryption-only": f"tls: certificate-validation\n    ca-file: {file}"})
        name, service = "ca_file", ""
    if how not in BREAK and key == "ca-file":
        pytest.skip("a bundle has no size to be judged by")
    file.write_bytes(good)
    balancer.start()
    balancer.wait_all_up()
    assert not problems(balancer) and balancer.stop() == 0
    if how in BREAK:
        BREAK[how](file)
    else:
        file.write_text(json.dumps([{"id": 10, "tcpPorts": "25", "ips": [ALLOWED[0], ALLOWED[-1]]}]))
    assert "is valid" in lab("mxlbd", "-t", status=0 if how not in BREAK else 1) or how in BREAK
    with Traffic(lab) as traffic:
        balancer.start()
        probes = balancer.info("Probes")
        wait_until(lambda: balancer.info("Probes") >= probes + 12, 15, "two rounds of probes")
        balancer.wait_all_up()
        assert (name, service) in problems(balancer), balancer.log()
        assert f"to={name}" in balancer.log() and "warning: " in balancer.log()
        assert str(file) in " ".join(lab("ctl", "check", status=1).split())
        traffic.wait_seen(OXFORD)
        file.unlink(missing_ok=True)
        file.write_bytes(good)
        if key == "allow-file":
            assert not balancer.ask("reload").strip()
        wait_until(lambda: (name, service) not in problems(balancer), 45, "the problem is over")
        balancer.wait_all_up()
        assert {a.server for a in traffic.attempts()} == set(OXFORD)


def test_without_a_copy_a_file_that_is_no_good_refuses_the_start_as_before(lab, balancer):
    file = lab.run / "input"
    lab.undo.callback(file.unlink, missing_ok=True)
    file.write_text("[{")
    balancer.configure(replace={"failback-hold: 0s": f"failback-hold: 0s\n    allow-file: {file}"})
    assert "is not JSON" in lab("mxlbd", status=1)
