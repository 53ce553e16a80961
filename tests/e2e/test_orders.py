# SPDX-License-Identifier: BSD-2-Clause
"""Operators' overrides: forced tiers, manual failback, temporary overrides; all of them survive reload, restart and
kill -9."""
import json
import time

from lab import OXFORD, Traffic, wait_until

MANUAL = {"failback-hold: 0s": "failback-hold: 0s\n    failback: manual"}


def restart(balancer, kill):
    if kill:
        balancer.process.kill()
        balancer.process.wait()
        (balancer.lab.run / "mxlb.sock").unlink(missing_ok=True)
    else:
        assert balancer.stop() == 0
    balancer.start()


def test_a_forced_tier_gets_the_mail_until_auto_also_over_a_restart(lab, balancer):
    balancer.start()
    balancer.wait_all_up()
    with Traffic(lab) as traffic:
        traffic.wait_seen(OXFORD)
        assert "tier 20, forced by root" in lab("ctl", "tier", "hybrid-mail", "force", "20")
        traffic.wait_seen({"nuneaton"})
        for kill in (False, True):
            since = time.monotonic()
            restart(balancer, kill)
            wait_until(lambda: len(traffic.attempts(since)) > 12, 10, "a dozen connections")
            assert traffic.seen(since) == {"nuneaton"}
            forced = balancer.service()["forced"]
            assert (forced["tier"], forced["who"], forced["until"]) == (20, "root", None)
        lab("ctl", "reload")
        traffic.wait_seen({"nuneaton"})
        assert "forced by root" in lab("ctl", "status")
        lab("ctl", "tier", "hybrid-mail", "auto")
        traffic.wait_seen(OXFORD)
    assert balancer.service()["forced"] is None
    assert balancer.service("hybrid-mail6")["active_tier"] == 10


def test_a_forced_tier_without_a_server_up_falls_back_and_reports_it(lab, balancer):
    balancer.start()
    balancer.wait_all_up()
    lab("ctl", "tier", "hybrid-mail", "force", "20")
    with Traffic(lab) as traffic:
        traffic.wait_seen({"nuneaton"})
        lab.stop("nuneaton")
        wait_until(lambda: balancer.service()["active_tier"] == 10, 10, "tier 10 is active")
        traffic.wait_seen(OXFORD)
        forced = [f for f in balancer.status()["diagnosis"] if f["code"] == "tier_forced"]
        assert [(f["service"], "tier 20" in f["text"], "root" in f["text"]) for f in forced] == [("hybrid-mail", True, True)]
        assert "tier 20, forced by root, has no server up" in balancer.log()
        lab.start("nuneaton")
        wait_until(lambda: balancer.service()["active_tier"] == 20, 10, "tier 20 is active")
        traffic.wait_seen({"nuneaton"})


def test_a_force_and_a_drain_for_a_time_end_by_themselves_over_a_restart(lab, balancer):
    balancer.start()
    balancer.wait_all_up()
    with Traffic(lab) as traffic:
        lab("ctl", "tier", "hybrid-mail", "force", "20", "--for", "20s")
        lab("ctl", "drain", "hybrid-mail/oxford-a", "--for", "40s")
        ordered = time.monotonic()
        traffic.wait_seen({"nuneaton"}, 10)
        restart(balancer, kill=True)
        assert balancer.service()["forced"]["until"]
        order = json.loads(lab("ctl", "--json", "show", "hybrid-mail/oxford-a"))[0]["admin_order"]
        assert order["who"] == "root" and order["until"] > order["since"]
        wait_until(lambda: not balancer.service()["forced"], 25, "the force ends")
        wait_until(lambda: "oxford-b" in traffic.seen(ordered), 5, "tier 10 serves")
        assert "oxford-a" not in traffic.seen(ordered)
        wait_until(lambda: balancer.backend("oxford-a")["admin"] == "ready", 45, "the drain ends")
        traffic.wait_seen(OXFORD)
    assert "expired" in lab("ctl", "events")


def test_with_a_manual_failback_a_better_tier_waits_for_the_operator_over_a_restart(lab, balancer):
    balancer.configure(replace=MANUAL)
    balancer.start()
    balancer.wait_all_up()
    with Traffic(lab) as traffic:
        for host in OXFORD:
            lab.stop(host)
        wait_until(lambda: balancer.service()["active_tier"] == 20, 10, "tier 20 is active")
        traffic.wait_seen({"nuneaton"})
        for host in OXFORD:
            lab.start(host)
        balancer.wait_all_up(["hybrid-mail"])
        traffic.wait_seen({"nuneaton"})
        assert "failback is manual" in lab("ctl", "status")
        restart(balancer, kill=True)
        balancer.wait_all_up(["hybrid-mail"])
        traffic.wait_seen({"nuneaton"})
        lab("ctl", "tier", "hybrid-mail", "auto")
        traffic.wait_seen(OXFORD)


def test_drain_and_maint_and_their_author_outlive_restart_and_reload(lab, balancer):
    balancer.start()
    balancer.wait_all_up()
    lab("ctl", "drain", "hybrid-mail/oxford-a")
    lab("ctl", "maint", "hybrid-mail6/oxford-b")
    since = balancer.backend("oxford-a")["admin_order"]["since"]
    for again in (lambda: restart(balancer, False), lambda: restart(balancer, True), lambda: lab("ctl", "reload")):
        again()
        drained, maint = balancer.backend("oxford-a"), balancer.backend("oxford-b", "hybrid-mail6")
        assert (drained["admin"], maint["admin"]) == ("drain", "maint")
        assert drained["admin_order"]["who"] == maint["admin_order"]["who"] == "root"
        assert abs(int(drained["admin_order"]["since"][17:19]) - int(since[17:19])) in (0, 1, 59)
    with Traffic(lab) as traffic:
        traffic.wait_seen({"oxford-b"})


def test_orders_outlive_a_detach_and_a_reboot(lab, balancer):
    """The kernel has no state any more. The state file has the orders, with their authors and expiry times."""
    balancer.start()
    balancer.wait_all_up()
    lab("ctl", "drain", "hybrid-mail/oxford-a")
    lab("ctl", "maint", "hybrid-mail6/oxford-b", "--for", "1h")
    lab("ctl", "tier", "hybrid-mail", "force", "20")
    before = balancer.backend("oxford-a")["admin_order"], balancer.service()["forced"]
    lab("ctl", "detach")
    assert balancer.process.wait(10) == 0
    balancer.start()
    assert balancer.backend("oxford-a")["admin"] == "drain"
    assert (balancer.backend("oxford-a")["admin_order"], balancer.service()["forced"]) == before
    again = balancer.backend("oxford-b", "hybrid-mail6")
    assert again["admin"] == "maint" and again["admin_order"]["until"]
    lab("ctl", "ready", "hybrid-mail/oxford-a")
    lab("ctl", "tier", "hybrid-mail", "auto")
    lab("ctl", "detach")
    assert balancer.process.wait(10) == 0
    balancer.start()
    assert balancer.backend("oxford-a")["admin"] == "ready" and balancer.service()["forced"] is None
    assert balancer.backend("oxford-b", "hybrid-mail6")["admin"] == "maint"
