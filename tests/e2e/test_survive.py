# SPDX-License-Identifier: BSD-2-Clause
"""Everything that can happen to mxlbd with 200 open sessions and a steady stream of new ones: none breaks, none is
refused. And its descriptors and memory stay constant. With MXLB_SURVIVE=1 (`make survive`): 1,000 reloads, and two
hours' worth of probes."""
import os
import re
import signal
import socket
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import pytest

from games import Sessions, assert_alive, assert_ended_well
from lab import OXFORD, VIP, VIP6, Traffic, children, command, wait_until
from test_life import neighbours, rules, tables

LONG = os.environ.get("MXLB_SURVIVE") == "1"
N_RELOADS = 1000 if LONG else 100
WARM = N_RELOADS // 5
PROBE_S = 3  # more than a probe of the lab's takes
SETTLED_S = 40  # more than a probe that times out
GROWTH_KB = 1024
BOTH = (VIP, "hybrid-mail"), (VIP6, "hybrid-mail6")
IPS = pytest.mark.parametrize("vip, service", BOTH if LONG else BOTH[:1])

# Two hours of the default settings for the lab's six backends, a reload a minute: 7200 s / 10 s * 6 probes. Here an interval is 100 ms.
HOURS = 2 if LONG else 0.05
N_PROBES, N_SOAK_RELOADS = int(HOURS * 3600 / 10 * 6), max(int(HOURS * 60), 5)


class Load:
    def __init__(self, lab, sessions, traffic):
        self.lab, self.sessions, self.traffic = lab, sessions, traffic
        self.began = time.monotonic()

    def goes_on(self):
        self.traffic.wait_seen(OXFORD)
        assert_alive(self.sessions.noop())


@contextmanager
def load(lab, vip):
    with Sessions(lab, vip) as sessions, Traffic(lab, vip) as traffic:
        sessions.open(100, 100)
        traffic.wait_seen(OXFORD)
        it = Load(lab, sessions, traffic)
        yield it
        it.goes_on()
        assert_ended_well(sessions.quit())
    refused = [a for a in traffic.attempts() if a.server not in OXFORD]
    assert not refused, f"{len(refused)} of {len(traffic.attempts())} new connections: {refused[:3]}"


def in_force(lab):
    return {each.__name__ + family: each(lab, family) for each in (rules, tables) for family in ("-4", "-6")} | {
        "neighbours": neighbours(lab), "pins": sorted(str(path) for path in lab.pin.rglob("v*/*"))}


def program(lab):
    return re.search(r"prog/xdp id (\d+)", lab.within("lb", "ip", "link", "show", "dev", "eth0"))[1]


@IPS
def test_killed_restarted_or_with_its_child_killed_it_breaks_and_refuses_nothing(lab, balancer, vip, service, measured):
    """K1, K3, U1: the next mxlbd knows all verdicts from the start and replaces the program of the old one."""
    balancer.start()
    balancer.wait_all_up()
    before = in_force(lab)
    with load(lab, vip) as under:
        child, = children(balancer.process.pid)
        os.kill(child, signal.SIGKILL)
        wait_until(lambda: balancer.info("Probe_child_restarts") == 1, 10, "another child")
        under.goes_on()
        programs, took = [program(lab)], []
        for end in (balancer.process.kill, balancer.process.terminate):
            balancer.process.kill() if end == balancer.process.kill else balancer.process.terminate()
            balancer.process.wait(10)
            under.goes_on()
            since = time.monotonic()
            balancer.start()
            took.append(time.monotonic() - since)
            assert set(balancer.verdicts(service).values()) == {"up"}
            assert balancer.service(service)["active_tier"] == 10
            under.goes_on()
            assert "event=adopted backends=6" in balancer.log()
            assert not re.search(r'event=service_(?!.*cause="start")|to=(down|unknown)', balancer.log()), balancer.log()
            assert in_force(lab) == before
            programs.append(program(lab))
        assert len(set(programs)) == 3
    measured(f"answering with all verdicts {max(took):.2f} s after its start, of {len(under.traffic.attempts())} new connections "
             "none was refused")


def anonymous_kb(pid):
    """Without the pages of files, which come with the first use of a function and go when the machine needs memory."""
    return int(re.search(r"^RssAnon:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.M)[1])


def held(balancer):
    """Open files of mxlbd and its child (the lowest number during more than a probe's time, since probes hold some) and
    the memory of each in kB."""
    return balancer.fewest_files(PROBE_S), memory_kb(balancer)


def memory_kb(balancer):
    return [anonymous_kb(each) for each in (balancer.process.pid, *children(balancer.process.pid))]


def assert_flat(before, balancer):
    """A probe of a busy Postfix may hold its socket until it times out; a lost descriptor stays for ever."""
    after = balancer.fewest_files(SETTLED_S, enough=len(before[0])), memory_kb(balancer)
    more = Counter(after[0]) - Counter(before[0])
    assert len(after[0]) <= len(before[0]), f"{len(before[0])} descriptors became {len(after[0])}: {dict(more)}"
    grown = [b - a for a, b in zip(before[1], after[1])]
    assert max(grown) < GROWTH_KB, f"grew by {grown} kB"
    return f"{len(after[0])} descriptors, memory grew by {grown} kB"


@pytest.mark.parametrize("vip, service", BOTH)
def test_reloads_under_load_break_and_refuse_nothing_and_cost_no_descriptor_and_no_memory(lab, balancer, vip, service, measured):
    """R3: each reload changes the ring; some are of an invalid file."""
    balancer.start()
    balancer.wait_all_up()
    text = lab.config_file.read_text()
    heavier = re.sub(r"(oxford-b: \{address: \"[^\"]*\")", r"\1, weight: 2", text)
    assert heavier.count("weight: 2") == 2
    with load(lab, vip) as under:
        for n in range(N_RELOADS):
            if n == WARM:
                before, began = held(balancer), time.monotonic()
            bad = n % 50 == 49
            lab.config_file.write_text("bad" if bad else (heavier, text)[n % 2])
            assert bool(balancer.ask("reload").strip()) == bad, n
        rate = (N_RELOADS - WARM) / (time.monotonic() - began)
        flat = assert_flat(before, balancer)
    measured(f"{N_RELOADS} reloads, {rate:.0f} a second; {flat}; {len(under.traffic.attempts())} new connections, none refused")


def configure_interval(balancer, interval):
    balancer.configure(replace={" interval: 1s": f" interval: {interval}", "fast-interval: 250ms": f"fast-interval: {interval}"})


def test_two_hours_worth_of_probes_and_reloads_cost_no_descriptor_and_no_memory(lab, balancer, measured):
    """X7: as many as in two hours with default settings, with one dead server; a shorter run in the check."""
    lab.stop("nuneaton")
    configure_interval(balancer, "100ms")
    balancer.start()
    balancer.wait_for({"oxford-a": "up", "oxford-b": "up", "nuneaton": "down"}, 20)

    def go_on(probes, reloads):
        configure_interval(balancer, "100ms")
        assert balancer.ask("reload").strip() == ""
        goal = balancer.info("Probes")
        for n in range(1, reloads + 1):
            wait_until(lambda: balancer.info("Probes") >= goal + probes * n // reloads, 120, f"{probes} probes")
            assert balancer.ask("reload").strip() == ""
        configure_interval(balancer, "1h")  # no probe holds a socket then
        assert balancer.ask("reload").strip() == ""
    go_on(N_PROBES // 5, N_SOAK_RELOADS // 5)
    before = held(balancer)
    go_on(N_PROBES, N_SOAK_RELOADS)
    flat = assert_flat(before, balancer)
    assert balancer.info("Probe_child_restarts") == 0
    measured(f"{N_PROBES} probes and {N_SOAK_RELOADS} reloads: {flat}")


def test_one_that_stands_still_is_seen_from_outside_and_knows_better_as_soon_as_it_goes_on(lab, balancer, measured):
    """K2: a stopped mxlbd: mail to the dead server fails, the supervisor gets no word, and commands get no answer."""
    address = lab.run / "notify.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify, Traffic(lab) as traffic:
        lab.undo.callback(address.unlink)
        notify.bind(str(address))
        address.chmod(0o666)
        notify.settimeout(10)
        balancer.start("mxlbd", NOTIFY_SOCKET=str(address), WATCHDOG_USEC="1000000")
        while b"WATCHDOG=1" not in notify.recv(4096):
            pass
        balancer.wait_all_up()
        traffic.wait_seen(OXFORD)
        balancer.process.send_signal(signal.SIGSTOP)
        lab.stop("oxford-b")
        notify.setblocking(False)
        try:
            while notify.recv(4096):  # what it had sent before
                pass
        except BlockingIOError:
            pass
        wait_until(lambda: None in traffic.seen(), 10, "connections to the dead one fail")
        with pytest.raises(TimeoutError):
            balancer.ask("show info")
        with pytest.raises(BlockingIOError):
            notify.recv(4096)
        since = time.monotonic()
        balancer.process.send_signal(signal.SIGCONT)
        balancer.wait_for({"oxford-b": "down"})
        took = time.monotonic() - since
        traffic.wait_seen({"oxford-a"})
    measured(f"the dead one was out {took:.2f} s after mxlbd went on")


IDLE_S = 12  # two steps of the history, and four ARP requests for the VIP
IDLE_CALLS = 100  # a second; 20 of them are looks for hints


def test_with_nothing_to_do_it_makes_few_bpf_calls(lab, balancer, tmp_path, measured):
    """Counters are read in batches. One by one they took 2,000 calls, every three seconds and for each view of the
    page."""
    balancer.start()
    balancer.wait_all_up()
    trace, began = tmp_path / "bpf", time.monotonic()
    command("timeout", "--signal=INT", str(IDLE_S), "strace", "-e", "trace=bpf", "-o", str(trace), "-p", str(balancer.process.pid),
            status=None)
    rate = trace.read_text().count("bpf(BPF_") / (time.monotonic() - began)
    assert 0 < rate < IDLE_CALLS
    measured(f"an mxlbd of six backends makes {rate:.0f} bpf() calls a second when it has nothing to do")
