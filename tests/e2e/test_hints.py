# SPDX-License-Identifier: BSD-2-Clause
"""How soon a dead server is detected with the default timing (10s, 2s, connect-timeout 3s, fall 3), by hints of the
datapath and the next hop. The limits are counted from the fault to the verdict's event."""
import json
import time

import pytest

from games import Forgery, swallow_forged_sources, verdict_times
from lab import CLIENT, OXFORD, ROOT, VIP, Traffic, command, wait_until

LB = "203.0.113.5"
INTERVAL_S = 10
DEFAULTS = {"interval: 1s": "interval: 10s", "fast-interval: 250ms": "fast-interval: 2s",
            "connect-timeout: 1s": "connect-timeout: 3s", "fall: 2": "fall: 3"}
ALONE = {'        oxford-b: {address: "203.0.113.12"}\n': ""}  # all of the tier's mail goes to oxford-a


@pytest.fixture
def default_timing(balancer):
    balancer.configure(replace={**DEFAULTS, **ALONE})
    balancer.start()
    balancer.wait_for({"oxford-a": "up", "nuneaton": "up"}, 15)
    return balancer


def out_after(balancer, act, limit, reason):
    """Seconds from act() to oxford-a's verdict `down`; fails after the limit."""
    since = time.time()
    act()
    wait_until(lambda: balancer.verdicts()["oxford-a"] == "down", limit + 10, "oxford-a is down")
    seconds = verdict_times(balancer, "hybrid-mail")["oxford-a"] - since
    assert balancer.backend("oxford-a")["reason"] == reason
    assert seconds <= limit, f"down after {seconds:.2f} s\n{balancer.log()}"
    return seconds


def fall_silent(lab, host):
    """The host answers ARP but no SYN, neither to the VIP nor to its own address."""
    for prefix in (f"{LB}/32", f"{CLIENT}/32"):
        lab.undo.callback(lab.within, host, "ip", "route", "del", "blackhole", prefix)
        lab.within(host, "ip", "route", "add", "blackhole", prefix)


def test_a_cut_server_is_out_within_three_seconds_under_a_connection_a_second(lab, default_timing, measured):
    with Traffic(lab, pace=(1, 8)) as traffic:
        traffic.wait_seen({"oxford-a"}, 20)
        out = out_after(default_timing, lambda: lab.cut("oxford-a"), 3, "unreachable")
        since = time.monotonic()
        wait_until(lambda: traffic.attempts(since + 1), 20, "connections afterwards")
        assert traffic.seen(since) == {"nuneaton"}
    measured(f"out after {out:.2f} s")


def test_a_cut_server_is_out_within_the_interval_and_four_seconds_without_traffic(lab, default_timing, measured):
    out = out_after(default_timing, lambda: lab.cut("oxford-a"), INTERVAL_S + 4, "unreachable")
    measured(f"out after {out:.2f} s")


def test_a_silent_host_is_out_soon_under_a_connection_a_second(lab, default_timing, measured):
    with Traffic(lab, pace=(1, 8)) as traffic:
        traffic.wait_seen({"oxford-a"}, 20)
        out = out_after(default_timing, lambda: fall_silent(lab, "oxford-a"), INTERVAL_S / 2, "connect_timeout")
    measured(f"out after {out:.2f} s")


def test_a_silent_host_is_out_within_the_interval_and_four_seconds_without_traffic(lab, default_timing, measured):
    out = out_after(default_timing, lambda: fall_silent(lab, "oxford-a"), INTERVAL_S + 4, "connect_timeout")
    measured(f"out after {out:.2f} s")


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8:2::1"])
def test_a_routers_no_route_error_makes_the_host_unreachable(lab, build, address):
    command("make", "-s", f"B={build.name}", f"{build.name}/probe-once", cwd=ROOT)
    result = json.loads(lab.within("client", str(build / "probe-once"), "-T", "9000", "-C", "9000", address, "25"))
    assert (result["reason"], result["text"]) == ("unreachable", "Network is unreachable")
    assert result["connect_ms"] < 9000


def test_forged_retransmissions_buy_a_probe_a_second_and_server_and_no_more(lab, balancer, build, measured):
    command("make", "-s", f"B={build.name}", f"{build.name}/forge-packets", cwd=ROOT)
    balancer.configure(replace=DEFAULTS)
    balancer.start()
    balancer.wait_all_up()
    swallow_forged_sources(lab)
    sizes, hinted, began = lab.log_sizes(), balancer.info("Probes_hinted"), time.monotonic()
    with Forgery(lab, build, VIP, rate=2000, syn="syn-again") as forgery:
        wait_until(lambda: balancer.info("Probes_hinted") - hinted >= 8, 20, "eight hinted probes")
    hinted = balancer.info("Probes_hinted") - hinted
    seconds = time.monotonic() - began
    assert hinted <= 2 * (seconds + 1), f"{hinted} hinted probes of two servers in {seconds:.1f} s"
    seen = lab.connections(sizes, LB)
    for host in OXFORD:
        assert seen[host] <= seconds + 2 + seconds / INTERVAL_S, f"{seen} in {seconds:.1f} s"
    assert set(balancer.verdicts().values()) == {"up"}
    measured(f"{forgery.text()}, {hinted} hinted probes in {seconds:.1f} s")


def test_a_dead_server_that_answers_arp_again_is_probed_at_once(lab, balancer, measured):
    balancer.configure(replace={"interval: 1s": "interval: 1h", "fast-interval: 250ms": "fast-interval: 1h",
                                "fall: 2": "fall: 1", "rise: 2": "rise: 1"})
    balancer.start()
    balancer.wait_all_up()
    lab.cut("oxford-a")
    with Traffic(lab, pace=(0.2, 8)):  # an hour's interval: only the hint of a retransmission finds it
        balancer.wait_for({"oxford-a": "down"}, 20)
    lab.join("oxford-a")
    since = time.monotonic()
    balancer.wait_for({"oxford-a": "up"}, 60)
    measured(f"back after {time.monotonic() - since:.2f} s at an interval of an hour")
