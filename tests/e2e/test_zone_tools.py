# SPDX-License-Identifier: BSD-2-Clause
"""What an operator sees of servers from DNS: status, doctor, check, plan, events, the page's data, and their agreement."""
import json

from lab import wait_until
from test_zone import RECORDS, by_zone, dns, tiers, zone  # noqa: F401


def events(balancer):
    return [json.loads(line) for line in balancer.ask("show events json").splitlines() if line]


def test_a_change_of_the_zone_is_told_once_and_ends_no_operators_weight(balancer, dns):
    """The file was not read again: neither a configuration event nor a reload, and the weight stays."""
    by_zone(balancer, dns)
    balancer.start()
    balancer.wait_all_up()
    balancer.ask("set server hybrid-mail/oxford-a weight 7")
    before = balancer.status()["config"]
    since = events(balancer)[-1]["seq"]
    dns.change([r.replace("MX 20", "MX 10") for r in RECORDS])
    wait_until(lambda: tiers(balancer) == {10: ["nuneaton", "oxford-a", "oxford-b"]}, 30, "the new preference")
    told = [e for e in events(balancer) if e["seq"] > since and e["service"] != "hybrid-mail6"]
    assert [(e["event"], e["cause"]) for e in told if e["event"] in ("config", "zone")] == [("zone", "nuneaton: tier 10, was 20")]
    assert balancer.status()["config"] == before
    assert balancer.backend("oxford-a")["weight"] == 7
    assert zone(balancer)["state"] == "current"
