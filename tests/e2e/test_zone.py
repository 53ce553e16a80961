# SPDX-License-Identifier: BSD-2-Clause
"""Servers from DNS (docs/zone.md): what each answer does to the article's zone (10, 10, 20) under mail. mxlbd runs on from
test to test."""
import time

import pytest

from games import Sessions
from lab import OXFORD, SERVERS, VIP6, wait_until
from zones import ARTICLE, MX, RECORDS, exchanger, running, zone_of

ANOTHER = "203.0.113.14"  # a second address of nuneaton, where a test needs another server


@pytest.fixture(scope="module")
def running_site(lab):
    with running(lab) as one:
        yield one


@pytest.fixture
def site(running_site):
    yield running_site
    running_site.lab.mend()
    running_site.settle()


def give_another(lab):
    """Makes a server of that address; it has no IPv6 address, and is down there."""
    lab.undo.callback(lab.within, "nuneaton", "ip", "address", "del", f"{ANOTHER}/24", "dev", "eth0", status=None)
    lab.within("nuneaton", "ip", "address", "add", f"{ANOTHER}/24", "dev", "eth0")


def without(records, word):
    return [record for record in records if word not in record]


def test_the_articles_zone_is_the_configuration_and_its_preferences_move_mail(site, measured):
    """10, 10 and 20 from a signed zone, for both VIPs; a new preference moves mail at once, and nothing is refused."""
    assert site.tiers("hybrid-mail6") == site.tiers() == ARTICLE
    assert site.zone()["secure"] is True and site.zone("hybrid-mail6")["secure"] is True
    swapped = {10: ["nuneaton"], 20: list(OXFORD)}
    with site.mail() as traffic, Sessions(site.lab, VIP6) as sessions:
        sessions.open(2, 2, 5)
        traffic.wait_seen(OXFORD)
        since = time.monotonic()
        site.dns.change(zone_of(("nuneaton", 10), ("oxford-a", 20), ("oxford-b", 20)))
        site.wait_tiers(swapped)
        took = time.monotonic() - since
        traffic.wait_seen(["nuneaton"])
        assert [s.error for s in sessions.quit()] == [""] * 4, "connections stay with their servers"
    with site.mail(VIP6) as traffic:
        traffic.wait_seen(["nuneaton"])
    assert site.said("nuneaton: tier 10, was 20")
    measured(f"new preferences were in force {took:.1f} s after they were in the zone")


def test_an_exchanger_more_gets_mail_once_its_probes_pass_and_leaves_when_it_is_gone_for_good(site, measured):
    with site.mail() as traffic:
        site.dns.change(RECORDS + exchanger("oxford-c", 10, 14))
        site.wait_tiers({10: [*OXFORD, "oxford-c"], 20: ["nuneaton"]})
        since = time.monotonic()
        site.balancer.wait_for({"oxford-c": "down"}, 30)
        assert traffic.seen(since) <= set(OXFORD), "there is nothing at its address yet"
        give_another(site.lab)
        traffic.wait_seen([*OXFORD, "nuneaton"], 30)
        with Sessions(site.lab, "203.0.113.25") as sessions:
            held = sessions.open(24, 0)
            assert {s.server for s in held} == {*OXFORD, "nuneaton"}
            since = time.monotonic()
            site.dns.change(RECORDS)
            wait_until(lambda: site.exchangers()["oxford-c"]["zone_preference"] is None, 30, "it is missing")
            assert "oxford-c" in site.tiers()[10], "missing once is not gone"
            assert site.zone()["differs"]
            site.wait_tiers(ARTICLE)
            took = time.monotonic() - since
            traffic.wait_seen(OXFORD)
            assert {s.error for s in sessions.quit()} == {""}, "its connections stay"
    assert took > 3.5, "4 times refresh-min"
    assert site.said("added oxford-c") and site.said("removed oxford-c")
    measured(f"an exchanger was removed {took:.1f} s after it had left the zone (refresh-min 1 s)")


def test_an_exchanger_with_another_name_is_another_server_at_the_same_address(site):
    with site.mail() as traffic:
        site.dns.change(zone_of(("oxford-a", 10), ("oxford-d", 10, 12), ("nuneaton", 20)))
        site.wait_tiers({10: ["oxford-a", "oxford-d"], 20: ["nuneaton"]})
        site.balancer.wait_for({"oxford-d": "up"}, 30)
        traffic.wait_seen(OXFORD)
    assert site.said("added oxford-d", "removed oxford-b")


def test_what_would_leave_less_than_half_is_held_back_until_it_is_accepted(site):
    with site.mail() as traffic:
        site.dns.change(zone_of(("nuneaton", 20)))
        site.wait_state("held")
        traffic.wait_seen(OXFORD)
        assert site.tiers() == ARTICLE
        shown = site.lab("ctl", "zone", "hybrid-mail", status=1)
        assert "1 of 3" in shown and "held back: " in shown
        accepted = site.lab("ctl", "zone", "hybrid-mail", "accept")
        assert all(f"removed {name}" in accepted for name in OXFORD), accepted
        site.wait_tiers({20: ["nuneaton"]}, ["hybrid-mail"])
        traffic.wait_seen(["nuneaton"])
        assert site.tiers("hybrid-mail6") == ARTICLE, "each service has its own set"
        site.dns.change(RECORDS)
        site.wait_tiers(ARTICLE)
        site.balancer.wait_all_up()
        traffic.wait_seen(OXFORD)
    assert site.said("user=root", "removed oxford-a", "removed oxford-b")
    assert "held back" in site.lab("ctl", "zone", "hybrid-mail", "accept", status=1)


def test_what_would_remove_every_server_that_takes_mail_is_held_back(site):
    with site.mail() as traffic:
        site.dns.change(zone_of(("oxford-a", 10, 16), ("oxford-b", 10, 17), ("nuneaton", 20)))
        site.wait_state("held", ["hybrid-mail"])
        traffic.wait_seen(OXFORD)
    assert "none of the 2" in site.zone()["why"]


def test_an_alias_is_followed_with_a_warning(site):
    with site.mail() as traffic:
        site.dns.change(without(RECORDS, "oxford-a.hybrid A") +
                       ["oxford-a.hybrid CNAME real", "real A 203.0.113.11", "real AAAA 2001:db8:113::11"])
        wait_until(lambda: site.exchangers()["oxford-a"]["alias"], 30, "the alias is known")
        assert site.tiers() == ARTICLE
        traffic.wait_seen(OXFORD)
    assert "an alias" in site.lab("ctl", "zone", "hybrid-mail")
    assert site.said("oxford-a.hybrid.example.net", "alias")


@pytest.mark.parametrize("records, why", [
    (without(RECORDS, " MX "), "no MX"),
    ([*without(RECORDS, " MX "), "hybrid MX 0 ."], "null MX"),
    (["mail A 203.0.113.25"], "does not exist"),
], ids=("no MX", "null MX", "no such name"))
def test_an_empty_zone_empties_no_service(site, records, why):
    with site.mail() as traffic:
        site.dns.change(records)
        site.wait_state("refused")
        traffic.wait_seen(OXFORD)
    assert why in site.zone()["why"] and site.tiers() == ARTICLE
    assert site.lab("ctl", "zone", status=1)


@pytest.mark.parametrize("anchor, why", [("other", "bogus"), ("none", "not signed")])
def test_bogus_answers_and_unsigned_ones_change_nothing(site, anchor, why):
    """dnssec: require. The zone has other preferences meanwhile."""
    site.dns.trust(anchor)
    with site.mail() as traffic:
        site.wait_state("kept")
        site.dns.change(zone_of(("nuneaton", 10), ("oxford-a", 20), ("oxford-b", 20)))
        before = {name: site.balancer.backend(name)["since"] for name in SERVERS}
        traffic.wait_seen(OXFORD)
        assert why in site.zone()["why"] and site.tiers() == ARTICLE
        site.dns.change(RECORDS)
    assert {name: site.balancer.backend(name)["since"] for name in SERVERS} == before, "none was removed and came back"


def test_an_exchanger_whose_address_lookup_fails_keeps_its_address_and_the_others_change(site):
    """nuneaton is delegated to nobody."""
    with site.mail() as traffic:
        site.dns.change([*zone_of(("oxford-a", 10), ("oxford-b", 20)), "hybrid MX 20 nuneaton.hybrid",
                        "nuneaton.hybrid NS ns.nuneaton.hybrid", "ns.nuneaton.hybrid A 127.0.0.1"])
        site.wait_tiers({10: ["oxford-a"], 20: ["nuneaton", "oxford-b"]})
        failed = ("servfail", "timeout")
        wait_until(lambda: site.exchangers()["nuneaton"]["lookup"] in failed, 20, "the address is in the resolver's cache no more")
        since = time.monotonic()
        wait_until(lambda: time.monotonic() - since > 5, 10, "longer than an address that is missing would stay")
        traffic.wait_seen(["oxford-a"])
        assert site.exchangers()["nuneaton"]["lookup"] in failed
        assert site.exchangers()["nuneaton"]["addresses"] == ["203.0.113.13"]
        assert site.state() == "current" and site.balancer.verdicts()["nuneaton"] == "up"


def test_a_second_address_is_another_server_and_operators_orders_stay(site):
    lab = site.lab
    give_another(lab)
    with site.mail() as traffic:
        lab("ctl", "drain", "hybrid-mail/oxford-a")
        lab.undo.callback(lab, "ctl", "ready", "hybrid-mail/oxford-a")
        traffic.wait_seen(["oxford-b"])
        site.dns.change([*RECORDS, f"oxford-a.hybrid A {ANOTHER}"])
        both = ["oxford-a", f"oxford-a.{ANOTHER.replace('.', '-')}", "oxford-b"]
        site.wait_tiers({10: both, 20: ["nuneaton"]}, ["hybrid-mail"])
        assert site.balancer.backend("oxford-a")["address"] == "203.0.113.11"
        site.balancer.wait_for({both[1]: "up"}, 30)
        traffic.wait_seen(["oxford-b", "nuneaton"])  # its new address is nuneaton's
        assert site.balancer.backend("oxford-a")["admin"] != "ready"
        site.dns.change(RECORDS)
        site.wait_tiers(ARTICLE)
        traffic.wait_seen(["oxford-b"])


def test_a_zone_of_64_exchangers_is_read_and_one_more_is_refused(site):
    """Their signed answers are large: they come by TCP, and the child needs memory for them."""
    more = [record for n in range(62) for record in (f"hybrid MX {100 + n} x{n}.hybrid", f"x{n}.hybrid A 203.0.113.25",
                                                     f"x{n}.hybrid AAAA 2001:db8:113::25")]
    with site.mail() as traffic:
        site.dns.change(RECORDS + more)
        site.wait_state("kept")
        assert "more than 64 exchangers" in site.zone()["why"] and site.tiers() == ARTICLE
        site.dns.change(RECORDS + more[:-3])
        wait_until(lambda: len(site.exchangers()) == 64, 30, "64 exchangers")
        site.wait_state("current")
        traffic.wait_seen(OXFORD)
        site.shrink_to_article(64)
    assert "resolver_child_ended" not in site.balancer.log() and site.tiers() == ARTICLE


def test_addresses_that_are_no_servers_get_no_mail_and_a_reason(site):
    wrong = {"own": ("203.0.113.5", "this box"), "vip": ("203.0.113.25", "VIP"), "far": ("198.51.100.77", "within"),
             "loop": ("127.0.0.9", "no host"), "group": ("224.0.0.9", "no host"), "twin": ("203.0.113.11", "oxford-a")}
    with site.mail() as traffic:
        site.dns.change(RECORDS + [record for name, (address, _) in wrong.items()
                                  for record in (f"hybrid MX 10 {name}.hybrid", f"{name}.hybrid A {address}")])
        wait_until(lambda: set(site.exchangers()) >= set(wrong), 30, "they are in the answer")
        for name, (_, why) in wrong.items():
            wait_until(lambda: why in site.exchangers()[name]["unmapped"], 30, lambda: f"{why}: {site.exchangers()[name]}")
        assert site.tiers() == ARTICLE
        traffic.wait_seen(OXFORD)
    assert f"vip.{MX}" in site.lab("ctl", "zone", "hybrid-mail", status=None)
    assert site.said(f"far.{MX}", "198.51.100.77")
    site.shrink_to_article(3 + len(wrong))
