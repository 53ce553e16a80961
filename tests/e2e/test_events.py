# SPDX-License-Identifier: BSD-2-Clause
"""Events: each is one log line and one entry of `events`, and a follower sees all of them, even across a kill -9."""
import contextlib
import json
import re
import subprocess

import pytest

from lab import children, command, wait_until

KINDS = {"backend_verdict", "backend_admin", "backend_nexthop", "service_state", "service_tier", "service_forced", "config",
         "reload_failed", "started", "stopped", "detach", "interface", "link", "probe_child", "certificate_expires",
         "certificate_differs", "probe_cost", "backend_warning"}
KEYS = {"run", "seq", "time", "event", "level", "service", "server", "backend", "interface", "from", "to", "reason", "user", "cause",
        "line", "dropped"}


def entries(balancer):
    return [json.loads(line) for line in balancer.ask("show events json").splitlines() if line]


def logged(balancer):
    """The log lines of transitions, without the log's prefix."""
    lines = re.findall(r"event=.*", balancer.log())
    return [line for line in lines if re.match(r"event=(\w+)", line)[1] in KINDS]


def find(events, kind, **fields):
    """The first event of this kind with these fields. (There may be several: servers may come back one by one.)"""
    found = [e for e in events if e["event"] == kind and fields.items() <= e.items()]
    assert found, f"no event {kind} with {fields} in:\n" + "\n".join(e["line"] for e in events)
    return found[0]


@contextlib.contextmanager
def follower(lab, *options):
    """mxlbctl events -f, which writes to a file."""
    file = lab.run / "followed"
    lab("ctl", "--version")
    with file.open("w") as out:
        process = subprocess.Popen([lab.run / "bin/mxlbctl", "-s", lab.run / "mxlb.sock", "events", "-f", *options],
                                   stdout=out, stderr=subprocess.PIPE, text=True)
    try:
        yield lambda: file.read_text().splitlines()
    finally:
        process.terminate()
        process.wait(10)
        process.stderr.close()


@pytest.fixture
def busy(lab, balancer):
    """mxlbd after every kind of transition that the lab can cause."""
    balancer.start()
    balancer.wait_all_up()
    lab.stop("oxford-a")
    balancer.wait_for({"oxford-a": "down"})
    lab("ctl", "drain", "hybrid-mail/oxford-b", "--for", "15m")
    lab("ctl", "tier", "hybrid-mail6", "force", "20")
    lab("ctl", "reload")
    good = lab.config_file.read_text()
    lab.config_file.write_text(good.replace("rise: 2", "rise: none"))
    lab("ctl", "reload", status=1)
    lab.config_file.write_text(good)
    child, = children(balancer.process.pid)
    command("kill", "-9", str(child))
    wait_until(lambda: children(balancer.process.pid) not in ([], [child]), 10, "another probe child")
    lab.cut("lb")
    wait_until(lambda: any(e["to"] == "no-carrier" for e in entries(balancer)), 10, "the loss of the carrier is an event")
    lab.join("lb")
    wait_until(lambda: [e["to"] for e in entries(balancer) if e["event"] == "link"][-1] == "up", 10, "the carrier is back")
    return balancer


def test_each_transition_is_one_line_of_the_log_and_one_entry_with_cause_reason_and_user(busy):
    balancer, events = busy, entries(busy)
    assert {tuple(sorted(e)) for e in events} == {tuple(sorted(KEYS))}
    assert [e["seq"] for e in events] == list(range(1, len(events) + 1))
    assert len({e["run"] for e in events}) == 1
    wait_until(lambda: logged(balancer) == [e["line"] for e in entries(balancer)], 5, "the log has the same lines, in order")
    down = find(events, "backend_verdict", service="hybrid-mail", backend="oxford-a", to="down")
    assert down["reason"] == "refused" and down["cause"].startswith("refused: ") and down["from"] == "up"
    admin = find(events, "backend_admin")
    assert (admin["to"], admin["user"], admin["cause"]) == ("drain", "root", "for 900 s")
    assert find(events, "service_forced")["user"] == "root"
    assert find(events, "service_tier", service="hybrid-mail", to="20")["cause"].startswith("oxford-b set to drain by root")
    assert [e["user"] for e in events if e["event"] == "config"] == [None, "root"]
    failed = find(events, "reload_failed")
    assert failed["user"] == "root" and "rise" in failed["cause"] and failed["level"] == "error"
    assert "signal 9" in find(events, "probe_child")["cause"]
    assert find(events, "interface")["to"] in ("native", "generic")
    assert [e["to"] for e in events if e["event"] == "link"] == ["up", "no-carrier", "up"]
    assert "mxlb.yaml" in find(events, "started")["cause"]
    assert balancer.stop() == 0
    assert "SIGTERM; the datapath continues to forward" in logged(balancer)[-1]


def test_a_follower_sees_each_event_once_over_a_kill_and_a_restart(lab, balancer):
    balancer.start()
    balancer.wait_all_up()
    with follower(lab, "--json") as lines:
        wait_until(lambda: len(lines()) == len(entries(balancer)), 10, "all that has been")
        lab("ctl", "drain", "hybrid-mail/oxford-a")
        wait_until(lambda: len(lines()) == len(entries(balancer)), 10, "what has come since")
        first = entries(balancer)
        balancer.process.kill()
        balancer.process.wait()
        (lab.run / "mxlb.sock").unlink(missing_ok=True)
        balancer.start()
        lab("ctl", "ready", "hybrid-mail/oxford-a")
        second = entries(balancer)
        wait_until(lambda: len(lines()) >= len(first) + len(second), 10, "the next run's")
        seen = [json.loads(line) for line in lines()]
        assert [(e["run"], e["seq"]) for e in seen[:len(first) + len(second)]] == [(e["run"], e["seq"]) for e in first + second]
        assert first[0]["run"] != second[0]["run"]


def test_events_without_json_are_the_lines_of_the_log_and_their_colour_is_asked_for(lab, balancer):
    balancer.start()
    balancer.wait_all_up()
    lab.stop("oxford-a")
    balancer.wait_for({"oxford-a": "down"})
    plain = lab("ctl", "events")
    assert "\033" not in plain
    lines = [line.split(" ", 2)[2] for line in plain.splitlines()]
    wait_until(lambda: lines == logged(balancer)[:len(lines)], 5, "the log has the same")
    assert "\033[31mdown" in lab("ctl", "--color=always", "status")
    assert "\033" not in lab("ctl", "--color=never", "status")
