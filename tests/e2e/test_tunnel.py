# SPDX-License-Identifier: BSD-2-Clause
"""Servers behind a tunnel: packets that fit and that do not, far ends that unpack and that do not, and what is left in
the kernel when mxlbd dies, restarts or changes its configuration."""
import contextlib
import hashlib
import json
import re

import pytest

from lab import CLIENT, CLIENT6, FAR, HERE, OXFORD, SERVERS, VIP, VIP6, Traffic, wait_until
from netlink_net import repeat

FAR4, FAR6 = "192.0.2.13", "2001:db8:2::13"
SIZE = 25_000_000
STALL_S = 2.0
VIPS = pytest.mark.parametrize("vip, service", [(VIP, "hybrid-mail"), (VIP6, "hybrid-mail6")], ids=["IPv4", "IPv6"])
TUNNELS = pytest.mark.parametrize("forward", ["ipip", "ipip6"], indirect=True)


@pytest.fixture
def forward(request):
    return getattr(request, "param", "ipip")


@pytest.fixture
def running(lab, balancer):
    balancer.start()
    balancer.wait_all_up()
    return balancer


@pytest.fixture
def far(lab):
    """The far site with the far end of its server's tunnel running."""
    lab.add_farsite()
    lab.farend(FAR)


def set_tiers(balancer, mode="auto", **services):
    """The lab's configuration with other tiers: set_tiers(balancer, name={10: {"far": "192.0.2.13"}})."""
    balancer.configure(mode)
    text = balancer.lab.config_file.read_text()
    for name, tiers in services.items():
        lines = "".join(f"      {preference}:\n" + "".join(f'        {backend}: {{address: "{address}", forward: ipip}}\n'
                                                            for backend, address in backends.items())
                        for preference, backends in tiers.items())
        text, n = re.subn(rf"(  {name.replace('_', '-')}:\n(?:    .*\n)*?    tiers:\n)(?:      .*\n)+", rf"\1{lines}", text)
        assert n == 1
    balancer.lab.config_file.write_text(text)


# --- packets that do not fit ---

def forget_mtus(lab):
    """Clears the path MTUs that the client and the balancer learned in earlier tests."""
    for host in ("client", "lb"):
        for family in ("-4", "-6"):
            lab.within(host, "ip", family, "route", "flush", "cache")


def message_files(lab):
    return {path for host in (*SERVERS, FAR) for path in (lab.run / host / "mail/new").glob("*")}


def text_digest(path):
    """The digest of the message as it was sent, without the headers that the server added."""
    data = path.read_bytes()
    return hashlib.sha256(data[data.index(b"From: sender@example.net\n"):]).hexdigest()


def send_message(lab, vip, seed):
    """Sends SIZE bytes and fails unless a server stored exactly these. Returns the sender's observations."""
    before = message_files(lab)
    sent = json.loads(lab.within("client", "/usr/bin/python3", "-B", str(HERE / "send_message.py"), vip, str(SIZE), seed))
    path, = wait_until(lambda: message_files(lab) - before, 30, "the message is in a mailbox")
    assert text_digest(path) == sent["sha256"], "byte for byte"
    path.unlink()
    return sent


def figures(sent):
    return (f"{sent['bytes']} bytes in {sent['seconds']:.2f} s, nothing acknowledged for at most {sent['longest_s']:.3f} s, "
            f"{sent['retransmitted']} segments sent again, path MTU {sent['pmtu']}")


def overhead(outer):
    return 40 if ":" in outer else 20


@TUNNELS
@VIPS
def test_a_message_of_25_MB_in_full_segments_passes_the_tunnel_whole_and_without_a_stall(
        lab, running, measured, vip, service):
    forget_mtus(lab)
    before = running.status()["drops"]["too_big"]
    sent = send_message(lab, vip, f"{vip} 1500")
    too_big = running.status()["drops"]["too_big"] - before
    assert sent["pmtu"] == 1500 - overhead(running.backend("oxford-a", service)["address"])
    assert sent["longest_s"] < STALL_S
    assert too_big > 0, "the counter says why the path's MTU is smaller"
    measured(f"{figures(sent)}, too_big {too_big}")


def narrow_the_second_hop(lab, mtu):
    for host, device in (("hop", FAR), (FAR, "eth0")):
        lab.undo.callback(lab.within, host, "ip", "link", "set", "dev", device, "mtu", "1500")
        lab.within(host, "ip", "link", "set", "dev", device, "mtu", str(mtu))


@pytest.mark.parametrize("address", [FAR4, FAR6], ids=["outer-IPv4", "outer-IPv6"])
@VIPS
def test_a_message_of_25_MB_passes_a_link_of_1400_bytes_two_hops_behind_the_tunnels_beginning(
        lab, balancer, far, measured, vip, service, address):
    lab.undo.callback(forget_mtus, lab)
    forget_mtus(lab)
    set_tiers(balancer, **{service: {10: {FAR: address}}})
    balancer.start()
    balancer.wait_for({FAR: "up"}, 15, service)
    assert balancer.backend(FAR, service)["tunnel"]["mtu"] == 1500
    narrow_the_second_hop(lab, 1400)
    sent = send_message(lab, vip, f"{vip} {address} 1400")
    assert sent["pmtu"] == 1400 - overhead(address)
    assert sent["longest_s"] < STALL_S
    wait_until(lambda: balancer.backend(FAR, service)["tunnel"]["mtu"] == 1400, 5, "the tunnel's MTU is 1400")
    assert balancer.verdicts(service)[FAR] == "up"
    measured(f"{figures(sent)}, too_big {balancer.status()['drops']['too_big']}")


TOO_BIG = """
import socket, struct, sys
box, far, mtu = socket.inet_aton(sys.argv[1]), socket.inet_aton(sys.argv[2]), int(sys.argv[3])
def summed(b):
    s = sum(struct.unpack(f">{len(b) // 2}H", b))
    return ~((s & 0xffff) + (s >> 16)) & 0xffff
outer = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 1500, 0, 0x4000, 64, 4, 0, box, far)  # IPv4 in IPv4
inner = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 1480, 0, 0x4000, 63, 6, 0, bytes(4), bytes(4))[:8]  # all that a router must quote
icmp = struct.pack(">BBHHH", 3, 4, 0, 0, mtu) + outer[:10] + struct.pack(">H", summed(outer)) + outer[12:] + inner
icmp = icmp[:2] + struct.pack(">H", summed(icmp)) + icmp[4:]
socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP).sendto(icmp, (sys.argv[1], 0))
"""
LEAST_MTU = 552 + 20  # the kernel's net.ipv4.route.min_pmtu and the outer header
LB = "203.0.113.5"


def forge_too_big(lab, mtu):
    lab.within("router", "/usr/bin/python3", "-c", TOO_BIG, LB, FAR4, str(mtu))


@pytest.mark.parametrize("locked", [False, True], ids=["believed", "locked"])
def test_a_forged_error_about_a_tunnels_packets_slows_mail_and_a_locked_mtu_refuses_it(lab, balancer, far, measured, locked):
    """Anyone who knows the two addresses of a tunnel can forge it. Mail still passes if the sender gets the resulting
    ICMP error."""
    lab.undo.callback(forget_mtus, lab)
    forget_mtus(lab)
    if locked:
        route = lab.within("lb", "ip", "-4", "route", "show", "default").split()
        way = (FAR4, *route[1:5])  # via ROUTER dev eth0
        lab.undo.callback(lab.within, "lb", "ip", "route", "del", *way)
        lab.within("lb", "ip", "route", "add", *way, "mtu", "lock", "1500")
    set_tiers(balancer, hybrid_mail={10: {FAR: FAR4}})
    balancer.start()
    balancer.wait_for({FAR: "up"}, 15)
    mtu = lambda: balancer.backend(FAR)["tunnel"]["mtu"]  # noqa: E731
    assert mtu() == 1500
    for forged in (68, 600):
        def believed():
            wait_until(lambda: mtu() == max(forged, LEAST_MTU) or forged > mtu() >= LEAST_MTU, 4,
                       f"{forged} is believed as far as it goes")
        if locked:
            for _ in range(3):  # one may be lost
                forge_too_big(lab, forged)
        else:
            repeat(lambda: forge_too_big(lab, forged), believed)
    sent = send_message(lab, VIP, f"forged {locked}")
    assert mtu() == (1500 if locked else LEAST_MTU)
    assert balancer.verdicts()[FAR] == "up"
    measured(f"{'mtu lock' if locked else 'believed'}: {figures(sent)}")


# --- far ends ---

def tunnelled(balancer, service="hybrid-mail"):
    return {b["name"]: b["forward"] for tier in balancer.service(service)["tiers"] for b in tier["servers"]}


@TUNNELS
def test_the_servers_see_the_clients_own_address_and_answer_it_directly(lab, running, forward):
    assert set(tunnelled(running).values()) == {"ipip"}
    for vip, client in ((VIP, CLIENT), (VIP6, CLIENT6)):
        since = lab.log_sizes()
        lab("send", "40", vip)
        wait_until(lambda: sum(lab.connections(since, client).values()) == 40, 20, "40 connections in the servers' logs")


@TUNNELS
def test_a_far_end_that_does_not_strip_is_down_until_it_does(lab, running):
    lab.stop_farend("oxford-a")
    for service in ("hybrid-mail", "hybrid-mail6"):
        running.wait_for({"oxford-a": "down", "oxford-b": "up"}, 15, service)
    assert running.backend("oxford-a")["reason"] == "tunnel_silent", "its own address answers"
    with Traffic(lab) as traffic:
        traffic.wait_seen({"oxford-b"})
    lab.farend("oxford-a")
    for service in ("hybrid-mail", "hybrid-mail6"):
        running.wait_for({"oxford-a": "up"}, 15, service)
    with Traffic(lab) as traffic:
        traffic.wait_seen(OXFORD)


def farend_config(lab, host, rest, mode="auto"):
    return f"""
interfaces: {{eth0: {{mode: {mode}}}}}
datapath: {{pin: {lab.pin}-{host}, flows: 1024}}
control: {{socket: {lab.run}/{host}/mxlb.sock, group: mxlb}}
{rest}"""


def test_a_far_end_strips_for_its_peers_only(lab, running):
    lab.farend("oxford-a", farend_config(lab, "oxford-a", 'decap: {from: [203.0.113.99, "2001:db8:113::5"]}'))
    running.wait_for({"oxford-a": "down", "oxford-b": "up"}, 15)
    running.wait_for({"oxford-a": "up"}, 15, "hybrid-mail6")  # of the other tunnel it knows the peer
    with Traffic(lab) as traffic:
        traffic.wait_seen({"oxford-b"})


def lose_vips(lab, host):
    for address, family in ((f"{VIP}/32", "-4"), (f"{VIP6}/128", "-6")):
        nodad = ["nodad"] if family == "-6" else []
        lab.undo.callback(lab.within, host, "ip", family, "address", "replace", address, "dev", "lo", *nodad)
        lab.within(host, "ip", family, "address", "del", address, "dev", "lo")


OWN_TIERS = """
decap: {from: [203.0.113.5, "2001:db8:113::5"]}
probes:
  exo: {interval: 1s, fast-interval: 250ms, connect-timeout: 1s, fall: 2, rise: 2, helo: probe.example.net, tls: encryption-only}
services:
  hybrid-mail:
    {address: 203.0.113.25, interface: eth0, advertise: none, probe: exo,
     tiers: {10: {oxford-a: {address: 203.0.113.11}, oxford-b: {address: 203.0.113.12}}}}
  hybrid-mail6:
    {address: "2001:db8:113::25", interface: eth0, advertise: none, probe: exo,
     tiers: {10: {oxford-a: {address: "2001:db8:113::11"}, oxford-b: {address: "2001:db8:113::12"}}}}
"""


def test_a_far_end_with_tiers_of_its_own_serves_from_them(lab, balancer):
    lose_vips(lab, "nuneaton")
    # Generic, because the switch's end of nuneaton's cable has no program, without which a native one can send nothing.
    lab.farend("nuneaton", farend_config(lab, "nuneaton", OWN_TIERS, "generic"))
    set_tiers(balancer, hybrid_mail={10: {"nuneaton": "203.0.113.13"}}, hybrid_mail6={10: {"nuneaton": "203.0.113.13"}})
    balancer.start()
    for vip, service, client in ((VIP, "hybrid-mail", CLIENT), (VIP6, "hybrid-mail6", CLIENT6)):
        balancer.wait_for({"nuneaton": "up"}, 20, service)
        since = lab.log_sizes()
        with Traffic(lab, vip) as traffic:
            traffic.wait_seen(OXFORD)
        wait_until(lambda: all(lab.connections(since, client)[host] for host in OXFORD), 10, "with the client's address")
    lab.stop("oxford-a")
    lab.stop("oxford-b")
    balancer.wait_for({"nuneaton": "down"}, 15)


NOWHERE = "198.51.100.77"
MANY_DATAGRAMS = """import contextlib, socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(40):
    with contextlib.suppress(OSError):
        s.sendto(b"x", (sys.argv[1], 9))
"""
# Closed at once, because the kernel would send the SYN again after a second.
ONE_SYN = "import socket, sys; s = socket.socket(); s.setblocking(False); s.connect_ex((sys.argv[1], 25)); s.close()"


def exhaust_icmp(lab):
    """Linux limits its ICMP errors by a budget for each host that it tells: one a second, six at once, and an error of a route
    costs two of them (ip_error() and icmp_send() take one each). So a SYN may stay without one; one after 2 s of silence does not."""
    lab.undo.callback(lab.within, "router", "ip", "route", "del", "unreachable", NOWHERE)
    lab.within("router", "ip", "route", "add", "unreachable", NOWHERE)
    lab.within("lb", "/usr/bin/python3", "-c", MANY_DATAGRAMS, NOWHERE)


def test_a_router_that_knows_no_way_to_the_far_end_starts_a_probe(lab, balancer, far):
    """With an interval of an hour, and before a SYN is retransmitted."""
    set_tiers(balancer, hybrid_mail={10: {"far": FAR4}})
    text = lab.config_file.read_text()
    lab.config_file.write_text(text.replace(" interval: 1s", " interval: 1h"))
    balancer.start()
    balancer.wait_for({"far": "up"}, 20)
    lab.undo.callback(lab.within, "router", "ip", "route", "del", "unreachable", FAR4)
    lab.within("router", "ip", "route", "add", "unreachable", FAR4)
    exhaust_icmp(lab)

    def one_syn_shows_it():
        lab.within("client", "/usr/bin/python3", "-c", ONE_SYN, VIP)
        with contextlib.suppress(AssertionError):
            return wait_until(lambda: balancer.verdicts() == {"far": "down"}, 3, "far is down")
        return False

    wait_until(one_syn_shows_it, 20, "one SYN shows it")
    assert balancer.backend("far")["reason"] == "unreachable"
    assert balancer.backend("far")["flow_table"]["retransmits"] == 0


# --- what is left in the kernel ---

def filters(lab, device="eth0"):
    """The egress filters of the balancer: [(priority, handle, program)]."""
    shown = json.loads(lab.within("lb", "tc", "-json", "filter", "show", "dev", device, "egress"))
    return [(f["pref"], f["options"].get("handle"), f["options"].get("bpf_name", "")) for f in shown if "options" in f]


def ours(lab, device="eth0"):
    return [f for f in filters(lab, device) if f[2].startswith("probe")]


def probe_mtus(lab):
    """The MTUs of the routes for probes to the VIPs; "" is the interface's."""
    shown = "".join(lab.within("lb", "ip", family, "route", "show", "table", "all", "proto", "157") for family in ("-4", "-6"))
    routes = [line for line in shown.splitlines() if " via " in line]
    assert len(routes) == 2 * len(SERVERS)
    return {"".join(re.findall(r"\bmtu (\d+)", line)) for line in routes}


def add_foreign_filter(lab, priority):
    lab.within("lb", "tc", "filter", "add", "dev", "eth0", "egress", "pref", str(priority), "bpf", "bytecode", "1,6 0 0 0")


def test_mail_flows_through_the_tunnel_while_mxlbd_is_dead_and_the_next_one_takes_over(lab, running, measured):
    assert len(ours(lab)) == 1
    with Traffic(lab) as traffic:
        traffic.wait_seen(OXFORD)
        running.process.kill()
        running.process.wait()
        traffic.wait_seen(OXFORD)
        running.start()
        running.wait_all_up()
        traffic.wait_seen(OXFORD)
    failed = [a for a in traffic.attempts() if a.error]
    assert not failed, f"{len(failed)} of {len(traffic.attempts())} failed meanwhile: {failed[:3]}\n{running.log()}"
    assert len(ours(lab)) == 1, "taken over, not put beside"
    measured(f"mxlbd killed and started again, {len(traffic.attempts())} connections: 0 failed")


def test_the_probes_filter_and_mtu_go_with_the_last_tunnel_and_other_filters_stay(lab, balancer):
    lab.within("lb", "tc", "qdisc", "replace", "dev", "eth0", "clsact")
    add_foreign_filter(lab, 1)
    add_foreign_filter(lab, 65000)
    foreign = filters(lab)
    assert len(foreign) == 2
    balancer.start()
    balancer.wait_all_up()
    assert len(ours(lab)) == 1 and len(filters(lab)) == 3
    assert probe_mtus(lab) == {"1480", "1460"}
    text = lab.config_file.read_text()
    lab.config_file.write_text(text.replace(", forward: ipip", ""))
    lab("ctl", "reload")
    wait_until(lambda: not ours(lab), 10, "no tunnel, no filter")
    assert filters(lab) == foreign
    wait_until(lambda: probe_mtus(lab) == {""}, 10, "the routes for probes have the interface's MTU again")
    balancer.wait_all_up()
    lab.config_file.write_text(text)
    lab("ctl", "reload")
    wait_until(lambda: len(ours(lab)) == 1, 10, "tunnels again, and a filter")
    balancer.wait_all_up()
    assert balancer.stop() == 0
    balancer.configure(replace={", forward: ipip": ""})
    balancer.start()
    wait_until(lambda: not ours(lab), 10, "what an earlier mxlbd left is removed")
    assert filters(lab) == foreign


def test_a_filter_removed_by_another_process_is_restored(lab, running):
    lab.within("lb", "tc", "qdisc", "del", "dev", "eth0", "clsact")
    wait_until(lambda: len(ours(lab)) == 1, 2, "the filter is back")
    wait_until(lambda: "event=put_back to=1" in running.log(), 5, "it is in the log")
    running.wait_all_up()
