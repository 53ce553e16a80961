# SPDX-License-Identifier: BSD-2-Clause
"""Reloads and restarts that change active parts: servers added and removed, another hash key, another forwarding mode,
a removed service; and a kill in the middle of a change."""
import random
import time

import pytest

from mishaps import PATIENCE_S, Mail, greet_late
from games import RingChanges, Sessions, assert_alive, assert_ended_well
from lab import CLIENT, OXFORD, VIP, Traffic, wait_until

MORE = [f"203.0.113.{n}" for n in range(101, 111)]
KILLS = 4


@pytest.fixture
def running(balancer):
    balancer.start()
    balancer.wait_all_up()
    return balancer


def test_ten_servers_more_and_then_less_move_no_session_and_cost_no_connection(lab, running):
    """B16: the servers are other addresses of oxford-b. C39 tests the share of the ring that moves."""
    for word in ("add", "del"):
        batch = "".join(f"address {word} {address}/32 dev eth0\n" for address in MORE)
        if word == "del":
            lab.undo.callback(lab.within, "oxford-b", "ip", "-batch", "-", input=batch)
        else:
            lab.within("oxford-b", "ip", "-batch", "-", input=batch)
    oxford_b = '        oxford-b: {address: "203.0.113.12"}\n'
    names = {f"more-{n}": "up" for n in range(len(MORE))}
    with Mail(lab) as mail:
        since = time.monotonic()
        for _ in range(2):
            running.configure(replace={oxford_b: oxford_b + "".join(
                f'        more-{n}: {{address: "{address}"}}\n' for n, address in enumerate(MORE))})
            lab("ctl", "reload")
            running.wait_for(names, PATIENCE_S)
            running.configure()
            lab("ctl", "reload")
        mail.traffic.wait_seen(OXFORD)
        failed = [a for a in mail.traffic.attempts(since) if not a.server]
        assert not failed, failed[:3]
        mail.end()


def test_reloads_while_probes_run_and_while_a_tier_fails_over_change_no_verdict_and_leak_nothing(lab, balancer):
    """R4: oxford-b's probes take a second each, so that each reload meets a running one; then oxford-a dies during
    reloads."""
    greet_late(lab, "oxford-b", 1)
    balancer.start()
    balancer.wait_all_up()
    lab("ctl", "reload")
    before, events = balancer.descriptors(), balancer.log().count("event=backend_verdict")
    for _ in range(25):
        lab("ctl", "reload")
    probes = balancer.info("Probes")
    wait_until(lambda: balancer.info("Probes") >= probes + 6, PATIENCE_S, "probes go on")
    assert balancer.log().count("event=backend_verdict") == events, balancer.log()
    assert balancer.info("Probe_child_restarts") == 0
    with Traffic(lab) as traffic:
        traffic.wait_seen(OXFORD)
        lab.stop("oxford-a")
        def down():
            lab("ctl", "reload")
            return balancer.verdicts()["oxford-a"] == "down"
        wait_until(down, PATIENCE_S, "oxford-a is down, reloads or not")
        lab("ctl", "reload")
        assert balancer.backend("oxford-a")["reason"] == "refused", "and stays so over one more"
        traffic.wait_seen({"oxford-b"})
    wait_until(lambda: balancer.descriptors() <= before + 2, PATIENCE_S, "descriptors are as before")


def test_a_restart_with_another_hash_key_keeps_the_flows_where_they_are(lab, running):
    """R7: entries are found by the key with which they were made, so the key changes only at the next cold start."""
    with Sessions(lab, VIP) as sessions:
        sessions.open(30, 10)
        assert running.stop() == 0
        running.configure(replace={"datapath:\n": 'datapath:\n  hash-key: "another one"\n'})
        running.start()
        running.wait_all_up()
        assert running.log().count("event=hash_key_kept") == 1
        assert_alive(sessions.noop())
        sessions.assert_one_server_each()
        assert_ended_well(sessions.quit())
    running.configure()
    assert running.stop() == 0
    running.start()  # without one in the file the key is the pins'
    assert "event=hash_key_kept" not in running.log()


def test_a_reload_from_l2_to_tunnels_and_back_keeps_the_flows_where_they_are(lab, running):
    """R7: the far ends already run; only the way to the same servers changes."""
    with Mail(lab) as mail:
        since = time.monotonic()
        for forward in ("ipip", "l2"):
            lab.set_forward(forward) if forward == "ipip" else lab.env.update(MXLB_LAB_FORWARD="l2")
            running.configure()
            lab("ctl", "reload")
            wait_until(lambda: running.backend("oxford-a")["forward"] == forward, PATIENCE_S, forward)
            running.wait_all_up()
            assert_alive(mail.sessions.noop())
            mail.traffic.wait_seen(OXFORD)
        lab.env.update(MXLB_LAB_FORWARD="ipip")  # so that the far ends are stopped with the lab's next change
        failed = [a for a in mail.traffic.attempts(since) if not a.server]
        assert not failed, failed[:3]
        mail.end()


def test_a_service_that_is_taken_out_ends_and_the_other_one_does_not_notice(lab, running):
    """R8: a removed service is not drained (drain its servers first). Its packets are no longer handled by mxlb."""
    text = lab.config_file.read_text()
    with Sessions(lab, VIP) as sessions, Mail6(lab) as other:
        sessions.open(5, 0)
        lab.config_file.write_text(text[:text.index("  hybrid-mail:")] + text[text.index("  hybrid-mail6:"):])
        lab("ctl", "reload")
        assert "hybrid-mail" not in {s["name"] for s in running.status()["services"]}
        assert_alive(other.noop())
        lab.config_file.write_text(text)
        lab("ctl", "reload")
        running.wait_all_up()
        assert_alive(other.noop())
        report = sessions.noop()
        assert all(s.error in (None, "") for s in report), report[:3]
        sessions.assert_one_server_each()


class Mail6(Sessions):
    def __init__(self, lab):
        super().__init__(lab, "2001:db8:113::25", seed=2)

    def __enter__(self):
        super().__enter__()
        self.open(5, 0)
        return self


def test_an_end_in_the_middle_of_ring_changes_leaves_a_whole_ring_in_force(lab, running, measured):
    """D19: rings are written with plain stores, so no system call marks the moment: mxlbd is killed at random times,
    many times."""
    rng = random.Random(19)
    with Traffic(lab) as traffic:
        traffic.wait_seen(OXFORD)
        since = time.monotonic()
        for _ in range(KILLS):
            ring = RingChanges(running, "hybrid-mail", CLIENT)
            ring.__enter__()
            ring.wait(10)
            time.sleep(rng.uniform(0, 0.02))
            running.process.kill()
            running.process.wait()
            ring.stop.set()
            ring.thread.join()
            running.start()
        for host in OXFORD:
            lab("ctl", "ready", f"hybrid-mail/{host}")
        traffic.wait_seen(OXFORD)
        attempts = traffic.attempts(since)
        failed = [a for a in attempts if not a.server]
        assert not failed, failed[:3]
    measured(f"{KILLS} kills among changes every 10 ms: {len(attempts)} connections, 0 failed")
