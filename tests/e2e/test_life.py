# SPDX-License-Identifier: BSD-2-Clause
"""What restarts, reloads and changes of the balancer's interfaces do to the state in the kernel: afterwards it matches
the configuration, and a refused change has no effect."""
import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from lab import VIP6, Traffic, command, wait_until

ETH0, BOTH = "  eth0: {mode: auto}\n", "  eth0: {mode: auto}\n  eth1: {mode: auto}\n"
ETH1_INDEX = 1001
OXFORD_B = ('        oxford-b: {address: "203.0.113.12"}\n', '        oxford-b: {address: "2001:db8:113::12"}\n')


@pytest.fixture
def eth1(lab):
    """eth1() makes a second interface of the balancer, always with the same index."""
    def make():
        lab.within("lb", "ip", "link", "add", "eth1", "index", str(ETH1_INDEX), "type", "veth", "peer", "name", "far1")
        for end in ("eth1", "far1"):
            lab.within("lb", "ip", "link", "set", "dev", end, "up")
    make()
    yield make
    lab.within("lb", "ip", "link", "del", "eth1")


@pytest.fixture
def foreign_program(lab, eth1):
    lab.within("lb", "bpftool", "net", "attach", "xdpgeneric", "pinned", f"{lab.pin}-pass", "dev", "eth1")


def links(lab):
    """The indices of the interfaces for which a link is pinned."""
    return {int(path.name.removeprefix("link_")) for path in lab.pin.glob("v*/link_*")}


def mail_flows(lab):
    lab("send", "20")


# --- restarts ---

@pytest.mark.parametrize("before, after", [("native", "generic"), ("generic", "native")])
def test_a_restart_with_another_mode_brings_it_into_force(lab, balancer, before, after):
    balancer.configure(before)
    balancer.start()
    balancer.wait_all_up()
    assert lab.xdp() == before
    assert balancer.stop() == 0
    balancer.configure(after)
    balancer.start()
    assert lab.xdp() == after
    assert len(links(lab)) == 1
    mail_flows(lab)


def test_a_restart_with_a_mode_that_the_driver_refuses_leaves_the_old_one_at_work(lab, balancer):
    balancer.configure("generic")
    balancer.start()
    balancer.wait_all_up()
    assert balancer.stop() == 0
    # A veth refuses native XDP if its peer has more transmit queues than it has receive queues.
    lab.undo.callback(lab.within, "switch", "ethtool", "-L", "lb", "tx", "1")
    lab.within("switch", "ethtool", "-L", "lb", "tx", "2")
    balancer.configure("native")
    assert re.search(r'what="attach to eth0".*advice="[^"]*generic', lab("mxlbd", status=2))
    assert lab.xdp() == "generic"
    mail_flows(lab)
    balancer.configure("generic")
    balancer.start()  # and it can still be taken over
    balancer.wait_all_up()


def rules(lab, family):
    """The IDs of the servers whose probes have a rule."""
    shown = lab.within("lb", "ip", family, "rule", "show")
    return {int(mark, 16) & 0xfff for mark in re.findall(r"fwmark (0x6d78\w+)", shown)}


def tables(lab, family):
    """The IDs of the servers whose probes have a route."""
    shown = lab.within("lb", "ip", family, "route", "show", "table", "all")
    return {int(table) - 27000 for table in re.findall(r"\btable (27\d+)", shown)}


def neighbours(lab):
    """The IDs of the servers whose probes have a link-local neighbour (IPv6)."""
    shown = lab.within("lb", "ip", "-6", "neigh", "show", "dev", "eth0", "nud", "permanent")
    return {int(last, 16) for last in re.findall(r"fe80::6d78:6c62:6d78:(\w+)", shown)}


def test_a_server_removed_while_mxlbd_was_away_leaves_no_rule_table_or_neighbour(lab, balancer):
    balancer.start()
    balancer.wait_all_up()
    before = {family: rules(lab, family) for family in ("-4", "-6")}
    assert {len(ids) for ids in before.values()} == {3}
    assert before == {family: tables(lab, family) for family in before} and neighbours(lab) == before["-6"]
    assert balancer.stop() == 0
    balancer.configure(replace={line: "" for line in OXFORD_B})
    balancer.start()
    for service in ("hybrid-mail", "hybrid-mail6"):
        balancer.wait_for({"oxford-a": "up", "nuneaton": "up"}, 15, service)
    for family, ids in before.items():
        assert len(rules(lab, family)) == 2 and rules(lab, family) < ids
        assert tables(lab, family) == rules(lab, family)
    assert neighbours(lab) == rules(lab, "-6")


def test_started_without_standard_files_mxlbd_does_not_reuse_their_descriptors(lab, balancer):
    lab("mxlbd", "--help")  # has the binaries copied
    balancer.start("run", "bash", "-c", 'exec "$0" -c "$1" <&- >&- 2>&-', str(lab.run / "bin/mxlbd"), str(lab.config_file))
    files = Path(f"/proc/{balancer.process.pid}/fd")
    assert [os.readlink(files / str(fd)) for fd in range(3)] == ["/dev/null"] * 3
    balancer.wait_all_up()


# --- reloads ---

def solicited_node_groups(lab):
    return re.findall(r"inet6 (ff02::1:ff\S+)", lab.within("lb", "ip", "-6", "maddr", "show", "dev", "eth0"))


def test_after_a_reload_the_ipv6_vip_still_answers_solicitations(lab, balancer):
    balancer.start()
    balancer.wait_all_up()
    wait_until(lambda: "ff02::1:ff00:25" in solicited_node_groups(lab), 5, "the VIP's group is joined")
    wait_until(lambda: balancer.status()["uptime_s"] >= 4, 10, "the start's own announcements, which join too, are over")
    lab("ctl", "reload")
    wait_until(lambda: "ff02::1:ff00:25" in solicited_node_groups(lab), 5, "the VIP's group is joined again")
    lab.within("router", "ip", "-6", "neigh", "flush", "dev", "lan")
    with Traffic(lab, VIP6) as traffic:
        traffic.wait_seen({"oxford-a", "oxford-b"})


@pytest.mark.parametrize("forwards, flags", [("1", "router, override"), ("0", "override")], ids=["router", "host"])
def test_an_ipv6_announcement_has_the_router_flag_of_this_box(lab, balancer, forwards, flags):
    """Also with the unit's restrictions, where there is no /proc/sys."""
    key = "net.ipv6.conf.eth0.forwarding"
    before = lab.within("lb", "sysctl", "-n", key).strip()
    lab.undo.callback(lab.within, "lb", "sysctl", "-qw", f"{key}={before}")
    lab.within("lb", "sysctl", "-qw", f"{key}={forwards}")
    with lab.popen("exec", "switch", "timeout", "30", "tcpdump", "-Z", "root", "-i", "lb", "-nn", "-v", "-l",
                   "icmp6 and ip6[40] == 136 and src host " + VIP6, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as dump:
        while "listening on" not in dump.stderr.readline():
            pass
        balancer.start()
        said = "".join(dump.stdout.readline() for _ in range(3))
        dump.terminate()
    assert f"Flags [{flags}]" in said, said


def test_a_reload_with_a_shorter_interval_does_not_wait_for_the_end_of_the_old_one(lab, balancer):
    balancer.configure(replace={"    interval: 1s": "    interval: 1h"})
    balancer.start()
    balancer.wait_all_up()
    lab.stop("oxford-a")
    balancer.configure()
    lab("ctl", "reload")
    balancer.wait_for({"oxford-a": "down"}, 10)


def test_the_last_error_is_shown_verbatim(lab, balancer):
    balancer.start()
    balancer.configure(replace={"probe: exo": "probe: e?o"})
    said = lab("ctl", "reload", status=1).removeprefix("mxlbctl: refused: ")
    assert said.count("\n") == 2 and '"e?o"' in said, "a line for each service, with quotes in it"
    assert balancer.status()["config"]["last_error"] == said


# --- the balancer's own interfaces ---

def test_of_a_refused_start_no_program_stays_on_the_interfaces_before_the_refused_one(lab, balancer, foreign_program):
    balancer.configure(replace={ETH0: BOTH})
    assert 'what="attach to eth1"' in lab("mxlbd", status=2)
    assert lab.xdp("eth0") is None and not links(lab)
    assert lab.xdp("eth1") == "generic", "the other program is still there"


def test_a_refused_restart_leaves_the_interfaces_at_work_that_were_so_before(lab, balancer, foreign_program):
    balancer.start()
    balancer.wait_all_up()
    assert balancer.stop() == 0
    balancer.configure(replace={ETH0: BOTH})
    assert 'what="attach to eth1"' in lab("mxlbd", status=2)
    assert lab.xdp("eth0") and len(links(lab)) == 1
    mail_flows(lab)


def test_an_interface_that_the_configuration_no_longer_names_loses_the_program_at_the_next_start(lab, balancer, eth1):
    balancer.configure(replace={ETH0: BOTH})
    balancer.start()
    balancer.wait_all_up()
    assert lab.xdp("eth1") and ETH1_INDEX in links(lab)
    assert balancer.stop() == 0
    balancer.configure()
    balancer.start()
    assert lab.xdp("eth1") is None and ETH1_INDEX not in links(lab)
    told = [json.loads(line) for line in balancer.ask("show events json").splitlines() if line]
    event, = (e for e in told if e["interface"] == "eth1")
    assert (event["event"], event["to"]) == ("interface", "undeclared") and event["line"] in balancer.log()
    assert lab.xdp("eth0")
    mail_flows(lab)


def devmap(balancer):
    """The indices of the interfaces to which the program can send, as the kernel has them."""
    files = Path(f"/proc/{balancer.process.pid}/fdinfo").iterdir()
    about = next(text for text in (file.read_text() for file in files) if re.search(r"^map_type:\t14$", text, re.M))
    number = re.search(r"^map_id:\t(\d+)$", about, re.M)[1]
    entries = json.loads(command("bpftool", "-j", "map", "dump", "id", number))
    return {int.from_bytes(bytes(int(byte, 16) for byte in entry["value"]), "little")
            for entry in entries if isinstance(entry["value"], list)}


def test_an_interface_recreated_under_the_same_index_carries_the_program_again(lab, balancer, eth1):
    balancer.configure(replace={ETH0: BOTH})
    balancer.start()
    balancer.wait_all_up()
    assert lab.xdp("eth1") and ETH1_INDEX in devmap(balancer)
    lab.within("lb", "ip", "link", "del", "eth1")
    wait_until(lambda: re.search("event=link interface=eth1 .*to=gone", balancer.log()), 5, "mxlbd sees it go")
    eth1()
    wait_until(lambda: lab.xdp("eth1"), 5, "the program is on the new one")
    wait_until(lambda: ETH1_INDEX in devmap(balancer), 5, "frames can be sent out of it")
    assert ETH1_INDEX in links(lab)


def test_while_the_boxs_interface_is_down_no_server_is_blamed_and_the_reason_is_the_interface(lab, balancer):
    balancer.start()
    balancer.wait_all_up()
    lab.take_down("lb")
    wait_until(lambda: balancer.backend("oxford-a")["verdict"] == "unknown", 10, "nothing is known of the servers")
    def told():
        backends = [balancer.backend(host, service) for host in ("oxford-a", "oxford-b", "nuneaton")
                    for service in ("hybrid-mail", "hybrid-mail6")]
        assert {b["verdict"] for b in backends} <= {"up", "unknown"}
        return {b["reason"] for b in backends} == {"local_carrier"} and {"eth0" in b["text"] for b in backends} == {True}
    wait_until(told, 10, "the interface is the reason")
    lab.mend()
    balancer.wait_all_up()


def test_announcements_that_are_not_allowed_are_complained_of_once_with_the_way_out(lab, balancer):
    lab("mxlbd", "--help")  # has the binaries copied
    less = "CAP_BPF CAP_NET_ADMIN CAP_PERFMON"
    balancer.start("run", "-o", f"CapabilityBoundingSet={less}", "-o", f"AmbientCapabilities={less}",
                   str(lab.run / "bin/mxlbd"), "-c", str(lab.config_file))
    balancer.wait_all_up()
    for _ in range(3):  # each announces every VIP at once
        lab("ctl", "reload")
    wait_until(lambda: "event=announce_failed" in balancer.log(), 5, "the complaint")
    complaints = [line for line in balancer.log().splitlines() if "announce" in line]
    assert len(complaints) == 1 and "advice=" in complaints[0] and "CAP_NET_RAW" in complaints[0], complaints
