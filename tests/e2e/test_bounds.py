# SPDX-License-Identifier: BSD-2-Clause
"""Descriptors, memory, processes, disk or log space run out, or another process changes what is pinned: mxlbd keeps
running, blames no server, and recovers; if it cannot start it reports why, and mail goes where it went before."""
import os
import random
import re
import shutil
import signal
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from games import Sessions, assert_alive, flows, verdict_times
from lab import OXFORD, SERVERS, VIP, VIP6, Traffic, children, command, wait_until
from pinned import Pinned

GAMES = float(os.environ.get("MXLB_GAMES_S", 0)) > 0
CGROUPS = Path("/sys/fs/cgroup")


@pytest.fixture
def running(balancer):
    balancer.start()
    balancer.wait_all_up()
    return balancer


def binary(lab):
    lab("mxlbd", "--help")  # has the binaries copied
    return [str(lab.run / "bin/mxlbd"), "-c", str(lab.config_file)]


def nobody_is_blamed(balancer):
    assert " to=down" not in balancer.log(), balancer.log()


def refused_with(said, *words):
    assert re.search(r"event=refused|cannot start|error=", said) and all(word in said for word in words), said


@contextmanager
def cgroup(kind, **limits):
    """A cgroup (version 1) with these limits."""
    path = CGROUPS / kind / f"mxlb-{os.getpid()}"
    if not path.parent.is_dir():
        pytest.skip(f"no cgroup controller {kind}")
    path.mkdir()
    for name, value in limits.items():
        (path / f"{kind}.{name}").write_text(str(value))
    try:
        yield path
    finally:
        for pid in (path / "cgroup.procs").read_text().split():
            (path.parent / "cgroup.procs").write_text(pid)
        wait_until(lambda: not (path / "cgroup.procs").read_text(), 5, "nobody is in the group")
        path.rmdir()


# --- descriptors, memory, processes ---

def test_with_32_descriptors_a_start_is_refused_with_the_reason_and_the_kernel_goes_on(lab, running):
    """X1: a start needs more descriptors. (A running mxlbd without free descriptors: test_trouble.py.)"""
    assert running.stop() == 0
    said = lab("run", "-o", "LimitNOFILE=32", *binary(lab), status=2)
    refused_with(said, "descriptors", "advice=")
    assert lab.xdp()
    lab("send", "5")
    running.start()
    running.wait_all_up()


def test_locked_memory_does_not_matter(lab, balancer):
    """X4: since 5.11 Linux charges BPF memory to the cgroup instead."""
    balancer.start("run", "-o", "LimitMEMLOCK=0", *binary(lab))
    balancer.wait_all_up()
    lab("send", "5")


def test_with_32_mb_of_memory_a_cold_start_fails_cleanly_and_a_takeover_works(lab, balancer):
    """X2: the maps need more than that. When they exist, mxlbd and its child need little."""
    with cgroup("memory", limit_in_bytes=32 << 20) as group:
        enter = ["sh", "-c", f'echo $$ >{group}/cgroup.procs; exec "$@"', "sh", *lab_words(lab, "mxlbd")]
        done = subprocess.run(enter, env=lab.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
        assert done.returncode in (2, -signal.SIGKILL), done.stdout
        assert not lab.xdp(), "no program with half of its maps"
        balancer.start()
        balancer.wait_all_up()
        assert balancer.stop() == 0
        with (lab.run / "small.log").open("w") as log:
            small = subprocess.Popen(enter, env=lab.env, stdout=log, stderr=log)
        try:
            balancer.process = small
            wait_until(balancer.answers, 20, "it answers")
            balancer.wait_all_up()
            probes = balancer.info("Probes")
            wait_until(lambda: balancer.info("Probes") > probes + 12, 20, "probes go on")
            assert set(balancer.verdicts().values()) == {"up"}
            lab("send", "5")
        finally:
            small.terminate()
            small.wait(10)


def lab_words(lab, *words):
    return [str(Path(__file__).resolve().parents[2] / "scripts/lab"), *words]


def test_without_room_for_a_child_nothing_is_known_any_more_until_there_is_again(lab, balancer):
    """X3: pids.max. No server is blamed, and mail flows."""
    balancer.configure(replace={"    timeout: 10s": "    timeout: 3s"})
    balancer.start()
    balancer.wait_all_up()
    with cgroup("pids", max=1) as group, Traffic(lab) as traffic:
        (group / "cgroup.procs").write_text(str(balancer.process.pid))
        child, = children(balancer.process.pid)
        os.kill(child, signal.SIGKILL)
        wait_until(lambda: "event=probe_child_failed" in balancer.log() or "event=probe_child" in balancer.log() and
                   "Resource temporarily unavailable" in balancer.log(), 15, "no child can be made")
        wait_until(lambda: set(balancer.verdicts().values()) == {"unknown"}, 40, "nothing is known")
        traffic.wait_seen(OXFORD)
        nobody_is_blamed(balancer)
        (group / "pids.max").write_text("max")
        balancer.wait_all_up()
        assert traffic.seen() == set(OXFORD)


# --- netlink, and the first start of a day ---

FLOOD = "".join(f"address {what} 10.9.{i >> 8}.{i & 255}/32 dev lo\n" for i in range(6000) for what in ("add", "del"))


def test_after_a_flood_that_drowned_the_kernels_news_it_knows_what_the_kernel_knows(lab, running, measured):
    """K4: ENOBUFS. mxlbd requests the lost state again."""
    other = "02:00:00:00:00:13"
    before = lab.mac("nuneaton")
    lab.undo.callback(lab.within, "nuneaton", "ip", "link", "set", "dev", "eth0", "address", before)
    running.process.send_signal(signal.SIGSTOP)
    lab.within("lb", "ip", "-batch", "-", input=FLOOD)
    lab.within("nuneaton", "ip", "link", "set", "dev", "eth0", "address", other)
    lab.within("lb", "ip", "neigh", "replace", "203.0.113.13", "lladdr", other, "dev", "eth0", "nud", "reachable")
    running.process.send_signal(signal.SIGCONT)
    since = time.monotonic()
    wait_until(lambda: running.backend("nuneaton")["neighbour"]["mac"] == other, 10, "the new address is known")
    took = time.monotonic() - since
    assert "event=netlink_events_lost" in running.log(), running.log()
    nobody_is_blamed(running)
    measured(f"known {took:.2f} s after it went on")


def test_after_a_reboot_the_vip_is_not_answered_until_a_server_is_up(lab, balancer, measured):
    """U9: all kernel state is gone. The VIP is announced and answered when the first server is up."""
    with lab.popen("exec", "switch", "tcpdump", "-Z", "root", "-i", "lb", "-nn", "-tt", "-l", f"arp and src host {VIP}",
                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as dump, Traffic(lab) as traffic:
        while "listening on" not in dump.stderr.readline():
            pass
        wait_until(lambda: traffic.attempts(), 10, "connections are tried")
        since = time.monotonic()
        balancer.start()
        first = float(dump.stdout.readline().split()[0])
        dump.terminate()
        traffic.wait_seen(OXFORD)
        greeted = min(a.at for a in traffic.attempts(since) if a.server)
    ups = verdict_times(balancer, "hybrid-mail", "up")
    assert first > min(ups.values()) - 0.01, (first, ups)
    measured(f"served {greeted - since:.2f} s after the start")


# --- disk, log ---

@contextmanager
def full_disk(lab):
    """A full file system that belongs to mxlbd."""
    place = lab.run / "full"
    place.mkdir()
    command("mount", "-t", "tmpfs", "-o", "size=64k,mode=0755", "tmpfs", str(place))
    try:
        shutil.chown(place, *lab.owner())
        with pytest.raises(OSError), (place / "filler").open("wb", 0) as filler:
            while True:
                filler.write(bytes(4096))
        yield place
    finally:
        wait_until(lambda: "busy" not in command("umount", str(place), status=None), 10, "it can be unmounted")
        place.rmdir()


def test_with_a_full_disk_under_its_socket_and_its_log_it_works(lab, balancer):
    """X6: mxlbd needs no room on the disk."""
    with full_disk(lab) as place:
        balancer.configure(replace={f"socket: {lab.run}/mxlb.sock": f"socket: {place}/mxlb.sock"})
        (lab.run / "mxlb.sock").symlink_to(place / "mxlb.sock")
        balancer.log_file = place / "mxlbd.log"
        balancer.start()
        balancer.wait_all_up()
        balancer.ask("reload")
        lab("send", "5")
        assert balancer.stop() == 0
        assert balancer.log() == "", "nothing could be written"


def test_a_log_without_a_reader_blocks_nothing_and_continues_when_it_is_read(lab, balancer):
    """K9: a full pipe. Log lines are dropped, and no probe is delayed."""
    read, write = os.pipe()
    with os.fdopen(read, "rb", 0) as log:
        os.set_blocking(write, False)
        with pytest.raises(BlockingIOError):
            while os.write(write, b"x" * 4096):
                pass
        os.set_blocking(write, True)
        balancer.process = subprocess.Popen(lab_words(lab, "mxlbd"), env=lab.env, stdin=subprocess.DEVNULL, stderr=write)
        os.close(write)
        wait_until(balancer.answers, 20, "it answers")
        balancer.wait_all_up()
        for _ in range(20):  # each is a line or two
            assert balancer.ask("reload").strip() == ""
        probes = balancer.info("Probes")
        wait_until(lambda: balancer.info("Probes") > probes + 12, 20, "probes go on")
        lab("send", "5")
        os.set_blocking(read, False)
        heard = b""
        while more := log.read(65536):
            heard += more
        assert b"event=" not in heard
        balancer.ask("reload")
        wait_until(lambda: b"event=" in (log.read(65536) or b""), 10, "lines come again")


# --- what is pinned ---

GARBAGE = {"services": b"\xff", "backends": b"\xa5", "fronts": b"\xff", "rings": b"\xff", "control": b"\x07",
           "flows4": b"\xff", "flows6": b"\xa5", "buckets": b"\xff", "syn_buckets": b"\xff",
           "role": (1).to_bytes(8, "little")}  # answer for no VIP
LOOKED_AT_S = {"flows4": 15, "flows6": 15}  # the flow table is gone through every ten seconds; the others every second
# Flows are found without these, or were where the ring leads anyway; the others say what is to be reset.
KEEPS_SESSIONS = {"rings", "flows4", "flows6", "buckets", "syn_buckets", "role"}


def kernel_warnings():
    return re.findall(r"BUG:|Oops|general protection|WARNING:", command("dmesg", status=None))


@pytest.mark.parametrize("name", GARBAGE)
def test_a_map_overwritten_by_another_process_is_restored_within_seconds(lab, running, name, measured):
    """K7: the BPF program stays within its bounds meanwhile."""
    path, = lab.pin.glob(f"v*/{name}*")
    before = kernel_warnings()
    with Sessions(lab, VIP) as sessions:
        sessions.open(20, 20)
        with Traffic(lab) as traffic:
            with Pinned(path) as map_:
                map_.fill(GARBAGE[name])
                since = time.monotonic()
                wait_until(lambda: "event=maps_changed" in running.log(), LOOKED_AT_S.get(name, 5), lambda: f"it is noticed\n{running.log()}")
            traffic.wait_seen(OXFORD)
            took = max([a.at for a in traffic.attempts(since) if a.server is None], default=since) - since
        if name in KEEPS_SESSIONS:
            assert_alive(sessions.noop())
        if name == "flows4":
            wait_until(lambda: sum(flows(running, "hybrid-mail").values()) > 0, 20, "and there is room for new entries")
    assert running.info("Maps_changed") > 0
    nobody_is_blamed(running)
    running.wait_all_up()
    assert kernel_warnings() == before
    measured(f"{name}: the last connection that failed began {took:.2f} s after")


REMOVALS = 30


def a_day_of_changes(lab, running, rounds):
    """An operator's changes in sequence: servers, weights, lists, limits and services are added and removed, or nothing
    changes."""
    text, seed = lab.config_file.read_text(), random.Random(13)
    tier = "        nuneaton:"
    other = text[text.index("  hybrid-mail:"):text.index("  hybrid-mail6:")].replace("  hybrid-mail:", "  submission:", 1)
    variants = [text, text, text.replace(tier, "        other:"),
                text.replace("    tiers:", "    allow: [198.51.100.0/24, 2001:db8::/32]\n    allow-mode: observe\n    tiers:"),
                text.replace("    tiers:", "    syn-limit: 1000\n    tiers:"),
                text.replace("  hybrid-mail6:", other.replace("    tiers:", "    port: 587\n    tiers:", 1) + "  hybrid-mail6:")]
    for n in range(rounds):
        lab.config_file.write_text(seed.choice(variants))
        assert not running.ask("reload").strip()
        server, state = seed.choice(SERVERS), seed.choice(("drain", "ready", "maint"))
        running.ask(f"set server hybrid-mail/{server} state {state};set weight hybrid-mail/{server} {1 + n % 5}")
    lab.config_file.write_text(text)
    assert not running.ask("reload").strip()
    for server in SERVERS:
        running.ask(f"set server hybrid-mail/{server} state ready;set weight hybrid-mail/{server} 100%")


@pytest.mark.parametrize("rounds", [288 if GAMES else 24])  # a day: one every five minutes
def test_a_day_of_changes_raises_no_alarm_and_each_foreign_write_does(lab, running, measured, rounds):
    """K7. Meanwhile the flow table is scanned and the allow-lists are checked. In `make games` it runs for more than a
    minute."""
    with Sessions(lab, VIP) as sessions, Sessions(lab, VIP6) as sessions6:
        sessions.open(10, 10)
        sessions6.open(10, 10)
        began = time.monotonic()
        a_day_of_changes(lab, running, rounds)
        while time.monotonic() - began < (75 if GAMES else 12):
            running.wait_all_up()  # each removal ends a probe in the middle, and Postfix waits for its rest: 100 are its limit
            a_day_of_changes(lab, running, 10)
            rounds += 10
        assert_alive(sessions.noop() + sessions6.noop())
    assert running.info("Maps_changed") == 0 and "event=maps_changed" not in running.log(), running.log()
    for n, (name, junk) in enumerate(GARBAGE.items()):
        if name in LOOKED_AT_S:
            continue
        for again in range(3):  # the log has each map once a minute; the counter has all
            known = running.info("Maps_changed")
            with Pinned(next(lab.pin.glob(f"v*/{name}*"))) as map_:
                map_.fill(junk)
            wait_until(lambda: running.info("Maps_changed") > known, 5, f"{name}, {again}: it is noticed")
    measured(f"{rounds} changes: 0 alarms; each of three writes to each of {len(GARBAGE) - len(LOOKED_AT_S)} maps was found")


def test_removals_and_additions_raise_no_alarm_and_a_foreign_write_does_each_time(lab, running, measured):
    """K7: mxlbd itself clears the next hop of a removed server, some time after the reload that removed it."""
    text = lab.config_file.read_text()
    with Pinned(next(lab.pin.glob("v*/backends"))) as backends:
        def in_use():
            return sum(any(backends.memory[at:at + 8]) for at in range(0, backends.size, backends.value_size))  # way.word
        for n in range(REMOVALS):
            lab.config_file.write_text(text.replace("        nuneaton:", f"        other-{n}:"))
            assert not running.ask("reload").strip()
        lab.config_file.write_text(text)
        assert not running.ask("reload").strip()
        wait_until(lambda: in_use() == 6, 20, "those that were removed are cleared")
        looks = running.info("Uptime_sec")
        wait_until(lambda: running.info("Uptime_sec") >= looks + 3, 10, "three more looks")
        assert in_use() == 6, "and stay cleared"
        assert "event=maps_changed" not in running.log(), running.log()
    for name, junk in GARBAGE.items():
        known = running.info("Maps_changed")
        with Pinned(next(lab.pin.glob(f"v*/{name}*"))) as map_:
            map_.fill(junk)
            wait_until(lambda: running.info("Maps_changed") > known, LOOKED_AT_S.get(name, 5), f"{name}: it is noticed")
    measured(f"{2 * REMOVALS} servers added and removed: 0 alarms")


def test_a_foreign_write_just_before_a_change_is_not_mistaken_for_the_current_state(lab, running):
    """K7: a change is compared with the contents of the maps before the watchdog's next check. Each lost ring number
    used to cost one of the copies in which rings are built, until none was left."""
    with Pinned(next(lab.pin.glob("v*/services"))) as services:
        for n in range(10):
            services.fill(GARBAGE["services"])
            assert not running.ask(f"set server hybrid-mail/nuneaton state {('drain', 'ready')[n % 2]}").strip()  # not in the ring
            with Traffic(lab) as traffic:
                traffic.wait_seen(OXFORD)
    assert 1 <= running.log().count("event=maps_changed what=services") < 10, "once a minute is enough"


def test_records_that_are_half_written_are_no_harm_to_the_next_start(lab, running):
    """U8: the state for the next mxlbd is in a map, not in a file; an impossible record is ignored."""
    for junk in (b"\xff", os.urandom(65536)):
        assert running.stop() == 0
        path, = lab.pin.glob("v*/records*")
        with Pinned(path) as records:
            records.fill(junk)
        running.start()
        running.wait_all_up()
        lab("send", "5")


def test_something_else_under_the_links_name_is_replaced(lab, balancer):
    """U5: if a pin can't be updated, a new link is made."""
    balancer.start()
    balancer.wait_all_up()
    link, = lab.pin.glob("v*/link_*")
    lab("ctl", "detach")
    assert balancer.process.wait(10) == 0
    link.parent.mkdir()
    command("bpftool", "prog", "pin", "pinned", f"{lab.pin}-pass", str(link))
    for each in (link.parent, link):
        shutil.chown(each, *lab.owner())
    balancer.start()
    balancer.wait_all_up()
    lab("send", "5")
    assert balancer.stop() == 0
    balancer.start()
    assert "event=adopted" in balancer.log()


# --- bpffs ---

def test_a_bpffs_that_can_only_be_read_is_refused_unless_all_pins_are_there(lab, balancer):
    """U7: mounted read-only. An mxlbd that takes over needs no new pin, so it works."""
    read_only = "run", "-o", "ReadWritePaths="
    refused_with(lab(*read_only, *binary(lab), status=2), "Read-only file system")
    assert not lab.xdp()
    balancer.start()
    balancer.wait_all_up()
    assert balancer.stop() == 0
    balancer.start(*read_only, *binary(lab))
    assert "event=adopted" in balancer.log()
    lab("send", "5")


def test_a_bpffs_mounted_over_the_pins_is_refused_and_the_kernel_goes_on(lab, running):
    """U7: mounted twice: the pins exist but are hidden."""
    assert running.stop() == 0
    command("mount", "-t", "bpf", "-o", "mode=0700", "bpf", str(lab.pin))
    try:
        shutil.chown(lab.pin, lab.run.stat().st_uid, lab.run.stat().st_gid)
        refused_with(lab("mxlbd", status=2), "another XDP program")
        assert lab.xdp()
        lab("send", "5")
    finally:
        command("umount", str(lab.pin))
    running.start()
    assert "event=adopted" in running.log()
    running.wait_all_up()


def test_no_bpffs_is_refused_with_the_way_to_mount_one(lab, balancer):
    """U7: not mounted, or lost with a mount namespace: pins would not survive there."""
    balancer.configure(replace={f"pin: {lab.pin}": f"pin: {lab.run}/no-bpffs"})
    refused_with(lab("mxlbd", status=2), "mount -t bpf")
    assert not lab.xdp()


# --- time ---

WRAP_S = (1 << 32) / 1000  # when milliseconds no longer fit into 32 bits: 49.7 days


def test_a_clock_of_milliseconds_that_wraps_at_49_days_matters_to_nothing(lab, balancer):
    """X8: in a time namespace, five seconds before the wrap. (Wall-clock times of 2038 have no namespace; all times
    have 64 bits.)"""
    offset = int(WRAP_S - time.clock_gettime(time.CLOCK_MONOTONIC)) - 5
    with balancer.log_file.open("w") as log:
        outer = subprocess.Popen(["unshare", "--time", "--monotonic", str(offset), "--fork", "--kill-child", "--",
                                  *lab_words(lab, "mxlbd")], env=lab.env, stdin=subprocess.DEVNULL, stderr=log)
    balancer.process = outer
    wait_until(balancer.answers, 20, "it answers")
    pid = balancer.status()["pid"]
    try:
        balancer.wait_all_up()
        assert os.readlink(f"/proc/{pid}/ns/time") != os.readlink("/proc/self/ns/time")
        with Traffic(lab) as traffic:
            wait_until(lambda: balancer.status()["uptime_s"] >= 8, 30, "it has wrapped")
            probes = balancer.info("Probes")
            wait_until(lambda: balancer.info("Probes") > probes + 18, 20, "probes go on")
            lab.stop("oxford-b")
            balancer.wait_for({"oxford-b": "down"})
            traffic.wait_seen({"oxford-a"})
        assert balancer.info("Uptime_sec") < 120 and balancer.verdicts()["nuneaton"] == "up"
    finally:
        os.kill(pid, signal.SIGTERM)
        outer.wait(10)
