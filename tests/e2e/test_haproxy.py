# SPDX-License-Identifier: BSD-2-Clause
"""Unmodified HAProxy tools at mxlbd's socket: hatop in a terminal, Prometheus's exporter, a reader of the CSV; they
show the real state, and their keys work."""
import csv
import json
import re
import socket
import subprocess
import urllib.request

import pytest

from lab import OXFORD, SERVERS, Traffic, wait_until
from screen import Terminal

EXPORTER = "/var/cache/mxlb-lab/exporter/usr/bin/prometheus-haproxy-exporter"
DOWN, F4, F7, F8, F9, F10 = "\x1b[B", "\x1b[[D", "\x1b[18~", "\x1b[19~", "\x1b[20~", "\x1b[21~"  # of TERM=linux


def rows(balancer, *words):
    """`show stat` by service and server, as a CSV reader parses it."""
    text = balancer.ask(" ".join(("show stat", *words)))
    assert text.startswith("# pxname,svname,") and text.endswith("\n\n")
    return {(row["# pxname"], row["svname"]): row for row in csv.DictReader(text.splitlines())}


def server(balancer, name="oxford-a", service="hybrid-mail"):
    return rows(balancer)[service, name]


@pytest.fixture
def hatop(lab, balancer):
    balancer.start()
    balancer.wait_all_up()
    with Terminal(["/usr/bin/python3", "/usr/bin/hatop", "-s", str(lab.run / "mxlb.sock")]) as terminal:
        terminal.wait(r"^ HATop version")
        terminal.press("1")
        yield terminal


def shows(hatop, name, pattern, seconds=10):
    """The first row of this name, which belongs to hybrid-mail."""
    hatop.wait(rf"^\S+ +{pattern}", seconds, first=name + " ")


def test_hatop_shows_the_states_of_all_servers_and_follows_a_fault(lab, balancer, hatop):
    hatop.wait(r"^ +HAProxy Version: \S+ .*PID: " + str(balancer.process.pid))
    hatop.wait(r"^>>> hybrid-mail *$")
    hatop.wait(r"^>>> hybrid-mail6")
    for name, act, bck in (("oxford-a", 1, 0), ("oxford-b", 1, 0), ("nuneaton", 0, 1)):
        shows(hatop, name, rf"1 UP +L7OK +{act} +{bck} ")
    shows(hatop, "FRONTEND", r"0 OPEN ")
    shows(hatop, "BACKEND", r"2 UP +2 +1 ")
    lab.stop("oxford-a")
    shows(hatop, "oxford-a", r"1 DOWN +L4CON +1 +0 ", 15)
    shows(hatop, "BACKEND", r"1 UP +1 +1 ")
    lab.stop("oxford-b")  # the next tier is no backup now
    shows(hatop, "nuneaton", r"1 UP +L7OK +1 +0 ", 15)
    shows(hatop, "BACKEND", r"1 UP +1 +0 ")
    lab.start("oxford-a")
    shows(hatop, "oxford-a", r"1 UP +L7OK +1 +0 ", 20)
    hatop.press("2")
    hatop.wait(r"^NAME +W STATUS +LBTOT")
    hatop.press("q")
    assert hatop.process.wait(10) == 0


def test_hatops_keys_take_a_server_out_and_bring_it_back_and_change_its_weight(balancer, hatop):
    shows(hatop, "oxford-a", r"1 UP")
    for place in ("1/#0", "1/#1"):  # the service's first row, its first server
        hatop.press(DOWN)
        hatop.wait(rf"\[#{place}\] *$")
    hatop.press(F10)
    shows(hatop, "oxford-a", r"1 MAINT ")
    assert balancer.backend("oxford-a")["admin"] == "maint" and balancer.backend("oxford-b")["admin"] == "ready"
    hatop.press(F9)
    shows(hatop, "oxford-a", r"1 UP ", 15)
    assert balancer.backend("oxford-a")["admin"] == "ready"
    hatop.press(F8)
    shows(hatop, "oxford-a", r"11 UP ")
    hatop.press(F7)
    shows(hatop, "oxford-a", r"12 UP ")
    shows(hatop, "BACKEND", r"13 UP ")
    assert balancer.backend("oxford-a")["weight"] == 12
    hatop.press(F4)
    shows(hatop, "oxford-a", r"1 UP ")
    assert balancer.backend("oxford-a")["weight"] == 1
    log = balancer.log()
    assert re.search(r"event=backend_admin service=hybrid-mail backend=oxford-a from=ready to=maint .*user=root", log)
    assert re.search(r"event=backend_weight service=hybrid-mail backend=oxford-a from=1 to=11 .*user=root", log)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.fixture
def exporter(lab, balancer):
    """exporter() returns what Prometheus's exporter for HAProxy serves now: {name{labels}: value}."""
    balancer.start()
    balancer.wait_all_up()
    port = free_port()
    with subprocess.Popen([EXPORTER, f"--haproxy.scrape-uri=unix:{lab.run}/mxlb.sock",
                           f"--web.listen-address=127.0.0.1:{port}"], stderr=subprocess.DEVNULL) as process:
        def scrape():
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as page:
                    lines = page.read().decode().splitlines()
            except OSError:
                return None
            return {name: float(value) for name, value in
                    (line.rsplit(" ", 1) for line in lines if line.startswith("haproxy_"))}
        wait_until(scrape, 10, "the exporter answers")
        yield scrape
        process.kill()


def test_the_exporter_for_haproxy_has_the_states_before_and_after_a_fault(lab, balancer, exporter):
    def up(name):
        return exporter()[f'haproxy_server_up{{backend="hybrid-mail",server="{name}"}}']

    before = exporter()
    assert before["haproxy_up"] == 1 and before["haproxy_exporter_csv_parse_failures_total"] == 0
    assert {name: up(name) for name in SERVERS} == dict.fromkeys(SERVERS, 1)
    assert before['haproxy_backend_up{backend="hybrid-mail6"}'] == 1
    assert before['haproxy_frontend_limit_sessions{frontend="hybrid-mail"}'] == 262144
    assert before['haproxy_server_weight{backend="hybrid-mail",server="oxford-a"}'] == 1
    lab.stop("oxford-a")
    wait_until(lambda: up("oxford-a") == 0, 15, "the exporter sees the fault")
    assert (up("oxford-b"), up("nuneaton")) == (1, 1)
    balancer.ask("set server hybrid-mail/oxford-b state maint")
    assert (up("oxford-b"), exporter()['haproxy_backend_up{backend="hybrid-mail"}']) == (0, 1)
    with Traffic(lab) as traffic:
        traffic.wait_seen({"nuneaton"})
    after = exporter()
    assert after['haproxy_server_sessions_total{backend="hybrid-mail",server="nuneaton"}'] > 0
    assert after['haproxy_server_bytes_in_total{backend="hybrid-mail",server="nuneaton"}'] > 0
    assert after["haproxy_exporter_csv_parse_failures_total"] == 0


def agree(balancer):
    """The differences between the CSV and the status document, for numbers that do not change."""
    csv_rows, status = rows(balancer), balancer.status()
    wrong = []
    for service in status["services"]:
        for tier in service["tiers"]:
            for b in tier["servers"]:
                row, counts = csv_rows[service["name"], b["name"]], b["counts"]
                want = {"scur": b["flows"], "stot": b["new"], "bin": b["bytes"], "weight": b["weight"],
                        "wretr": b["flow_table"]["retransmits"], "chkfail": counts["failed_up"],
                        "chkdown": counts["falls"], "last_chk": b["text"]}
                wrong += [(b["name"], key, row[key], value) for key, value in want.items() if row[key] != str(value)]
                wrong += [(b["name"], key) for key, value in (("downtime", counts["down_s"]), ("lastchg", counts["changed_s"]))
                          if not 0 <= value - int(row[key]) <= 1]
    return wrong


def test_csv_typed_json_and_the_status_document_say_the_same(lab, balancer):
    balancer.start()
    balancer.wait_all_up()
    with Traffic(lab) as traffic:
        traffic.wait_seen(OXFORD)
    lab.stop("oxford-a")
    balancer.wait_for({"oxford-a": "down"})
    lab.start("oxford-a")
    balancer.wait_for({"oxford-a": "up"}, 20)
    wait_until(lambda: not agree(balancer), 10, "the CSV and the status document agree")
    assert int(server(balancer)["chkdown"]) >= 1 and int(server(balancer)["downtime"]) >= 0
    listed = rows(balancer)
    typed = {tuple(re.match(r"(.)\.(\d+)\.(\d+)\.\d+\.(\w+)\.1:...:\w+:(.*)", line).groups())
             for line in balancer.ask("show stat typed").splitlines() if line}
    objects = {(o["objType"][0], str(o["proxyId"]), str(o["id"]), o["field"]["name"], str(o["value"]["value"]))
               for row in json.loads(balancer.ask("show stat json")) for o in row}
    flat = {("FBS"[int(row["type"])], row["iid"], row["sid"], key.removeprefix("# "), value)
            for row in listed.values() for key, value in row.items() if value and key}
    moving = {"lastchg", "downtime", "check_duration", "last_chk", "bin", "stot", "scur", "lbtot", "wretr"}
    still = [{entry for entry in form if entry[3] not in moving} for form in (flat, typed, objects)]
    assert still[0] == still[1] == still[2] and len(still[0]) > 100


def test_servers_get_a_share_by_their_weight_until_a_reload(lab, balancer):
    balancer.start()
    balancer.wait_all_up()
    balancer.ask("set weight hybrid-mail/oxford-a 0")
    with Traffic(lab) as traffic:
        traffic.wait_seen({"oxford-b"})
        assert "oxford-a" not in traffic.seen()
        balancer.ask("set weight hybrid-mail/oxford-a 100%; set weight hybrid-mail/oxford-b 0%")
        traffic.wait_seen({"oxford-a"})
    assert balancer.ask("get weight hybrid-mail/oxford-b") == "0 (initial 1)\n\n"
    assert lab("ctl", "reload") is not None
    assert balancer.ask("get weight hybrid-mail/oxford-b") == "1 (initial 1)\n\n"
    assert re.search(r"event=backend_weight .*backend=oxford-b from=0 to=1 .*cause=\"reload\"", balancer.log())
