# SPDX-License-Identifier: BSD-2-Clause
"""Faults of the balancer's own interface and of the program on it, with open and new sessions: noticed, and repaired
or reported, within two seconds (a measured figure; the tests themselves wait longer, because the machine may be busy)."""
import os
import re
import shutil
import signal
import time

import pytest

from mishaps import PATIENCE_S, Mail
from lab import VIP, wait_until

FLAPS = 20
OTHER_MAC = "02:00:00:00:07:05"


@pytest.fixture
def running(lab, balancer):
    balancer.start()
    balancer.wait_all_up()
    return balancer


def detach(lab):
    """Detaches the program by force, as anyone with the right to attach can. The link and its pin stay."""
    pin, = lab.pin.glob("v*/link_*")
    lab.within("lb", "bpftool", "link", "detach", "pinned", str(pin))


def attached_after(lab, since):
    wait_until(lab.xdp, PATIENCE_S, "the program is on the interface")
    return time.monotonic() - since


# --- the interface ---

def test_twenty_times_down_and_up_again_no_session_is_lost(lab, running, measured):
    """D1: the program stays attached, and mail flows as soon as the interface is up."""
    program, waits = lab.within("lb", "ip", "link", "show", "dev", "eth0").split("prog/xdp id ")[1].split()[0], []
    with Mail(lab) as mail:
        for _ in range(FLAPS):
            lab.take_down("lb")
            lab.mend()
            since = time.monotonic()
            found = wait_until(lambda: [a for a in mail.traffic.attempts(since) if a.server], PATIENCE_S, "a greeting")
            waits.append(found[0].at - since)
        mail.traffic.wait_seen({"oxford-a", "oxford-b"}, PATIENCE_S)
        assert f"prog/xdp id {program} " in lab.within("lb", "ip", "link", "show", "dev", "eth0")
        assert "down" not in running.verdicts().values()
        mail.end()
    measured(f"first connection after each up: {max(waits):.2f} s at worst")


def test_an_interface_that_is_deleted_and_recreated_carries_mail_again(lab, running, measured):
    """D2: it has another index and another address and is found by its name."""
    before, mac = {path.name for path in lab.pin.glob("v*/link_*")}, lab.mac("lb")
    with Mail(lab) as mail:
        lab.unplug("lb")
        wait_until(lambda: re.search("event=link interface=eth0 .*to=gone", running.log()), PATIENCE_S, "mxlbd sees it go")
        assert "Xdp_eth0: detached" in running.ask("show info")
        lab.plug("lb")
        since = time.monotonic()
        attached = attached_after(lab, since)
        back = mail.back_after(since)
        assert lab.mac("lb") != mac
        after = {path.name for path in lab.pin.glob("v*/link_*")}
        assert len(after) == 1 and after != before, "the dead link's pin is gone"
        no_server_is_blamed(running)
        mail.end()
    measured(f"attached again {attached:.2f} s after it was there, mail {back:.2f} s")


def test_another_address_of_the_interface_is_used_and_announced_to_the_neighbours(lab, balancer, measured):
    """D2: the router has to learn the address from mxlbd's announcement."""
    balancer.start()
    balancer.wait_all_up()
    before = lab.mac("lb")
    lab.undo.callback(lab.within, "lb", "ip", "link", "set", "dev", "eth0", "address", before)
    with Mail(lab) as mail:
        lab.within("lb", "ip", "link", "set", "dev", "eth0", "address", OTHER_MAC)
        back = mail.back_after(time.monotonic())
        seen = lab.within("router", "ip", "neigh", "show", VIP, "dev", "lan")
        assert OTHER_MAC in seen, seen
        no_server_is_blamed(balancer)
        mail.end()
    measured(f"mail {back:.2f} s after the change")


def test_a_smaller_mtu_of_the_interface_is_reported_and_breaks_no_session(lab, running, measured):
    """D5: full-size packets are lost before the interface, and no sender gets an error. A larger MTU is not
    reported."""
    lab.undo.callback(lab.within, "lb", "ip", "link", "set", "dev", "eth0", "mtu", "1500")
    with Mail(lab) as mail:
        since = time.monotonic()
        lab.within("lb", "ip", "link", "set", "dev", "eth0", "mtu", "1400")
        wait_until(lambda: "event=mtu_lowered interface=eth0 from=1500 to=1400" in running.log(), PATIENCE_S, "the report")
        told = time.monotonic() - since
        lab.within("lb", "ip", "link", "set", "dev", "eth0", "mtu", "1500")
        lab("send", "20")
        assert running.log().count("event=mtu_lowered") == 1
        mail.end()
    measured(f"reported after {told:.2f} s")


def no_server_is_blamed(balancer):
    """Two more rounds of probes of both services, after which no server is down: the servers know the new address of
    this box."""
    probes = balancer.info("Probes")
    wait_until(lambda: balancer.info("Probes") >= probes + 2 * 6, PATIENCE_S, "two rounds of probes")
    assert " to=down " not in balancer.log(), balancer.log()


# --- the program ---

def test_a_program_that_is_detached_by_force_is_put_back(lab, running, measured):
    """D3: the kernel sends no event for a detached link, so mxlbd polls it."""
    with Mail(lab) as mail:
        since = time.monotonic()
        detach(lab)
        attached = attached_after(lab, since)
        back = mail.back_after(since)
        mail.end()
    assert re.findall(r'event=interface interface=eth0 from=(\S*) to=(\S*)(?: cause="(.*)")?', running.log()) == [
        ("native", "detached", "another program detached it"), ("detached", "native", "")]
    measured(f"attached again after {attached:.2f} s, mail after {back:.2f} s")


def test_pins_that_are_removed_are_put_back_and_the_next_mxlbd_takes_them_over(lab, running, measured):
    """D3, K6: a link without a pin ends with the last process that has it open."""
    directory, = lab.pin.glob("v*")
    before = {path.name for path in directory.iterdir()}
    with Mail(lab) as mail:
        since = time.monotonic()
        shutil.rmtree(directory)
        wait_until(lambda: directory.exists() and {path.name for path in directory.iterdir()} == before, PATIENCE_S,
                   "the pins are back")
        took = time.monotonic() - since
        wait_until(lambda: f"event=pins_put_back pins={len(before)}" in running.log(), 5, "it is in the log")
        running.process.kill()
        running.process.wait()
        assert lab.xdp(), "the kernel goes on"
        running.start()
        assert "event=adopted backends=6" in running.log()
        running.wait_all_up()
        failed = [a for a in mail.traffic.attempts(since) if not a.server]
        assert not failed, failed[:3]
        mail.end()
    measured(f"back after {took:.2f} s")


def test_maps_that_a_refused_mxlbd_left_in_place_of_the_removed_ones_are_not_adopted(lab, balancer):
    """K6: the directory is removed and created again, and before mxlbd notices, another mxlbd starts there and is
    refused. The next one must take over the flows of the program in force."""
    own = lab.pin / "own"
    balancer.configure(replace={f"pin: {lab.pin}": f"pin: {own}"})
    balancer.start()
    balancer.wait_all_up()
    with Mail(lab) as mail:
        lab("ctl", "drain", "hybrid-mail/oxford-a")  # its sessions live by the flow table alone
        balancer.process.send_signal(signal.SIGSTOP)
        owner = own.stat()
        shutil.rmtree(own)
        own.mkdir(0o700)
        os.chown(own, owner.st_uid, owner.st_gid)
        assert "another process listens there" in lab("mxlbd", status=2)
        assert list(own.glob("v*/flows4*"))
        balancer.process.send_signal(signal.SIGCONT)
        wait_until(lambda: list(own.glob("v*/link_*")), PATIENCE_S, "the link's pin is back")
        balancer.process.kill()
        balancer.process.wait()
        balancer.start()
        assert balancer.backend("oxford-a")["admin"] == "drain"
        mail.end()


@pytest.mark.parametrize("how", ["xdp", "xdpgeneric", "xdpdrv"])
def test_no_other_program_can_be_attached_while_mxlbs_is(lab, running, how):
    """D4: once mxlbd has started, the kernel refuses other programs. The test uses ip, as people would."""
    said = lab.within("lb", "ip", "-force", "link", "set", "dev", "eth0", how, "pinned", f"{lab.pin}-pass", status=2)
    assert "XDP" in said or "busy" in said, said
    lab("send", "20")


def test_another_program_that_took_its_place_is_reported_and_replaced_once_it_is_gone(lab, running, measured):
    """D4: mxlb's program is detached and another attached at once. mxlbd reports the other program once, leaves it
    alone and waits until it is gone."""
    with Mail(lab) as mail:
        running.process.send_signal(signal.SIGSTOP)  # so that it does not come first
        detach(lab)
        lab.within("lb", "bpftool", "net", "attach", "xdpgeneric", "pinned", f"{lab.pin}-pass", "dev", "eth0")
        running.process.send_signal(signal.SIGCONT)
        since = time.monotonic()
        refused = re.compile(r'event=refused what="attach to eth0" .*another XDP program \(id \d+\) is there')
        wait_until(lambda: refused.search(running.log()), PATIENCE_S, "the other program is reported")
        told = time.monotonic() - since
        looks = running.info("Uptime_sec")
        wait_until(lambda: running.info("Uptime_sec") >= looks + 2, PATIENCE_S, "two more looks")
        assert len(refused.findall(running.log())) == 1
        since = time.monotonic()
        lab.within("lb", "bpftool", "net", "detach", "xdpgeneric", "dev", "eth0")
        attached = attached_after(lab, since)
        mail.back_after(since)
        mail.end()
    measured(f"reported after {told:.2f} s, attached {attached:.2f} s after it was gone")


def test_if_the_driver_refuses_native_mode_auto_is_generic_and_reported(lab, balancer):
    """D5: a veth refuses native XDP if its peer has more transmit queues than it has receive queues."""
    lab.undo.callback(lab.within, "switch", "ethtool", "-L", "lb", "tx", "1")
    lab.within("switch", "ethtool", "-L", "lb", "tx", "2")
    balancer.start()
    balancer.wait_all_up()
    assert lab.xdp() == "generic" and "Xdp_eth0: generic" in balancer.ask("show info")
    assert balancer.log().count("event=xdp_native_impossible interface=eth0") == 1
    lab("send", "20")
