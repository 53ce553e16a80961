# SPDX-License-Identifier: BSD-2-Clause
"""mxlbd as a process: it leaks nothing, reports to its supervisor, and obeys its operator."""
import json
import os
import socket
import time

import pytest

from lab import OXFORD, ROOT, SERVERS, Traffic, command, wait_until

PROBING_S = 60


@pytest.fixture(scope="session")
def build_asan(build):
    """The same binaries under AddressSanitizer (with its leak check) and UBSan."""
    directory = build.name + "-asan"
    command("make", "-s", f"B={directory}", "all", cwd=ROOT, timeout=600,
            env={**os.environ, "CFLAGS": "-O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined "
                                         "-fno-sanitize-recover=all"})
    return ROOT / directory


def test_a_minute_of_probing_with_a_dead_server_leaks_neither_memory_nor_descriptors(
        lab, balancer, build_asan, measured):
    lab.stop("oxford-b")
    balancer.start("mxlbd", MXLB_BUILD=str(build_asan), ASAN_OPTIONS="detect_leaks=1", MXLB_LAB_UNIT="SystemCallFilter=")
    balancer.wait_for({"oxford-a": "up", "oxford-b": "down", "nuneaton": "up"}, 30)
    end = time.monotonic() + PROBING_S
    before = balancer.fewest_files(5)
    while time.monotonic() < end - 5:
        balancer.status()  # answers are allocated too
        time.sleep(0.1)
    after = balancer.fewest_files(5, enough=len(before))
    assert len(after) <= len(before), f"{len(before)} descriptors became {len(after)}: {after}"
    assert balancer.stop(30) == 0, balancer.log()
    for finding in ("LeakSanitizer", "AddressSanitizer", "runtime error"):
        assert finding not in balancer.log(), balancer.log()
    measured(f"{len(before)} descriptors at the start of the minute, {len(after)} at its end")


def test_the_supervisor_is_notified_when_mxlbd_is_ready_and_when_it_stops(lab, balancer):
    address = lab.run / "notify.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(address))
        address.chmod(0o666)
        notify.settimeout(10)
        balancer.start(NOTIFY_SOCKET=str(address))
        assert "READY=1" in notify.recv(4096).decode()
        assert balancer.stop() == 0
        notify.setblocking(False)
        told = ""
        while "STOPPING=1" not in told:
            told += notify.recv(4096).decode() + "\n"
    address.unlink()


def test_status_is_a_document_that_names_every_server_and_a_table_for_people(lab, balancer):
    balancer.start()
    balancer.wait_all_up()
    status = json.loads(lab("ctl", "--json", "status"))
    assert status["pid"] == balancer.process.pid
    assert {s["name"]: s["active_tier"] for s in status["services"]} == {"hybrid-mail": 10, "hybrid-mail6": 10}
    for host in SERVERS:
        backend = balancer.backend(host)
        assert (backend["verdict"], backend["reason"]) == ("up", "ok")
        assert backend["tls"]["subject"] and backend["neighbour"]["mac"]
    table = lab("ctl", "status")
    for word in (*SERVERS, "hybrid-mail", "203.0.113.25", "up"):
        assert word in table


def test_mxlbctl_reports_that_mxlbd_is_not_running(lab, balancer):
    lab("ctl", "status", status=3)


def test_a_reload_brings_a_changed_configuration_into_force(lab, balancer):
    balancer.start()
    balancer.wait_all_up()
    balancer.configure(replace={'oxford-b: {address: "203.0.113.12"}': 'oxford-b: {address: "203.0.113.12", weight: 0}'})
    lab("ctl", "reload")
    assert balancer.backend("oxford-b")["weight"] == 0
    with Traffic(lab) as traffic:
        traffic.wait_seen({"oxford-a"})


def test_an_interface_that_this_machine_lacks_is_a_warning_before_the_start_refuses_it(lab, balancer):
    balancer.configure(replace={"eth0": "eth7"})
    told = lab("mxlbd", "-t")
    assert "warning: interface eth7 does not exist" in told and "is valid" in told
    assert "interface eth7" in lab("mxlbd", status=2)
    balancer.configure()
    assert "warning" not in lab("mxlbd", "-t")


def test_a_reload_of_an_invalid_file_changes_nothing_and_gives_the_reason(lab, balancer):
    balancer.start()
    balancer.wait_all_up()
    balancer.configure(replace={"probe: exo": "probe: eox"})
    assert "eox" in lab("ctl", "reload", status=1)
    status = balancer.status()
    assert "eox" in status["config"]["last_error"]
    with Traffic(lab) as traffic:
        traffic.wait_seen(OXFORD)
    wait_until(lambda: set(balancer.verdicts().values()) == {"up"}, 5, "all still up")
