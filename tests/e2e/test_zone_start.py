# SPDX-License-Identifier: BSD-2-Clause
"""Servers from DNS without DNS: dead for long, over a restart, at the first start. And the layouts of docs/zone.md that need a
configuration of their own."""
import json
import time
from pathlib import Path

import pytest

from lab import OXFORD, SERVERS, Balancer, children, wait_until
from zones import ARTICLE, RECORDS, Site, Zone

PUBLIC = ["hybrid MX 10 oxford-a.hybrid", "hybrid MX 10 oxford-b.hybrid", "hybrid MX 20 nuneaton.hybrid",
          *(f"{name}.hybrid {of}" for name in SERVERS for of in ("A 203.0.113.25", "AAAA 2001:db8:113::25"))]


@pytest.fixture(scope="module")
def dns(lab):
    one = Zone(lab)
    yield one
    one.stop()


@pytest.fixture
def site(lab, dns):
    """mxlbd is not started."""
    dns.trust()
    dns.resolver(True)
    dns.change(RECORDS)
    one = Site(lab, dns, Balancer(lab))
    one.balancer.configure()
    yield one
    one.balancer.end()
    lab.mend()


def test_with_dead_dns_the_last_good_set_stays_also_over_a_restart(site, measured):
    """By refresh-min 1 s instead of 30 s: 10 s stand for 5 min, in which the waits between attempts have long been the longest."""
    site.begin()
    with site.mail() as traffic:
        traffic.wait_seen(OXFORD)
        site.dns.resolver(False)
        site.wait_state("kept")
        since = time.monotonic()
        assert "kept" in site.lab("ctl", "zone", status=1), "the set in force differs from the zone"
        wait_until(lambda: time.monotonic() - since > 4, 30, "it is dead for a while")
        assert site.balancer.stop() == 0
        site.balancer.start()
        site.balancer.wait_all_up()
        assert site.tiers() == site.tiers("hybrid-mail6") == ARTICLE
        traffic.wait_seen(OXFORD)
        site.wait_state("kept")
        assert site.zone()["answered"] is None and site.zone()["in_force_at"]
        wait_until(lambda: time.monotonic() - since > 10, 30, "it is dead for a while")
        site.dns.resolver(True)
        site.wait_state("current")
    assert site.tiers() == ARTICLE
    measured(f"DNS was dead for {time.monotonic() - since:.0f} s (refresh-min 1 s) with a restart in between")


def test_without_dns_and_without_a_stored_set_mxlbd_runs_and_waits(site):
    site.dns.resolver(False)
    site.balancer.start()
    site.wait_state("kept")
    assert {site.balancer.service(name)["state"] for name in ("hybrid-mail", "hybrid-mail6")} == {"not-ready"}
    assert site.tiers() == {} and site.balancer.process.poll() is None
    site.dns.resolver(True)
    site.wait_tiers(ARTICLE)
    site.balancer.wait_all_up()
    with site.mail() as traffic:
        traffic.wait_seen(OXFORD)


def test_a_zone_whose_names_are_the_vip_gives_order_and_the_configuration_addresses(site):
    """The public MX: without `servers` nothing is mapped, and each exchanger says what to do. Orders come by a reload."""
    site.dns.change(PUBLIC)
    site.dns.forget()
    site.balancer.start()
    site.wait_state("current")
    assert site.tiers() == {} and site.balancer.service()["state"] == "not-ready"
    assert all("set its address below servers" in e["unmapped"] for e in site.exchangers().values())
    servers = "\n    servers: {" + ", ".join(f"{name}: {{address: 203.0.113.{11 + i}}}" for i, name in enumerate(SERVERS)) + "}"
    text = site.lab.config_file.read_text()
    site.lab.config_file.write_text(text.replace("    mx: hybrid.example.net", f"    mx: hybrid.example.net{servers}", 1))
    site.lab("ctl", "reload")
    site.wait_tiers(ARTICLE, ["hybrid-mail"])
    site.balancer.wait_for({name: "up" for name in SERVERS}, 30)
    with site.mail() as traffic:
        traffic.wait_seen(OXFORD)
        site.dns.change([r.replace("MX 10 oxford-a", "MX 30 oxford-a") for r in PUBLIC])
        site.wait_tiers({10: ["oxford-b"], 20: ["nuneaton"], 30: ["oxford-a"]}, ["hybrid-mail"])
        traffic.wait_seen(["oxford-b"])
    assert site.tiers("hybrid-mail6") == {}


def test_a_change_from_tiers_to_a_zone_that_gives_no_server_is_held(site):
    """Every exchanger resolves to the VIP. Mail goes on by the servers that the tiers had."""
    site.dns.change(PUBLIC)
    site.dns.forget()
    by_zone = site.lab.config_file.read_text()
    tiers = "\n".join(f"      {preference}:\n" + "\n".join(f"        {name}: {{address: 203.0.113.{11 + SERVERS.index(name)}}}" for name in names)
                      for preference, names in ARTICLE.items())
    site.lab.config_file.write_text(by_zone.replace("    mx: hybrid.example.net", f"    tiers:\n{tiers}", 1))
    site.balancer.start()
    site.balancer.wait_for({name: "up" for name in SERVERS}, 30)
    with site.mail() as traffic:
        traffic.wait_seen(OXFORD)
        site.lab.config_file.write_text(by_zone)
        site.lab("ctl", "reload")
        site.wait_state("held", ["hybrid-mail"])
        assert "no exchanger has an address that can be used" in site.lab("ctl", "zone", "hybrid-mail", status=1)
        assert site.tiers() == ARTICLE
        traffic.wait_seen(OXFORD)


def test_a_start_before_the_interface_has_its_address_has_servers_once_it_has_one(site):
    """A boot: everything in the stored set is outside `within`, and DNS is dead."""
    site.begin()
    site.dns.resolver(False)
    assert site.balancer.stop() == 0
    site.lab.undo.callback(site.lab.within, "lb", "ip", "route", "replace", "default", "via", "203.0.113.1")
    site.lab.undo.callback(site.lab.within, "lb", "ip", "addr", "replace", "203.0.113.5/24", "dev", "eth0")
    site.lab.within("lb", "ip", "addr", "del", "203.0.113.5/24", "dev", "eth0")
    site.balancer.start()
    site.wait_state("kept")
    assert site.tiers() == {} and site.tiers("hybrid-mail6") == ARTICLE
    site.lab.within("lb", "ip", "addr", "add", "203.0.113.5/24", "dev", "eth0")
    site.lab.within("lb", "ip", "route", "replace", "default", "via", "203.0.113.1")
    site.wait_tiers(ARTICLE, ["hybrid-mail"])
    site.balancer.wait_all_up()
    assert site.state() == "kept"


def test_a_trust_anchor_without_a_record_is_an_error_that_names_the_file(site):
    site.begin()
    site.dns.trust("empty")
    site.wait_state("kept")
    assert f"trust anchor {site.dns.anchor}: it has no record" in site.zone()["why"]
    assert site.tiers() == ARTICLE and site.lab("ctl", "zone", status=1)
    site.dns.trust()
    site.wait_state("current")


@pytest.fixture
def farend(lab):
    lab.farend("nuneaton")
    yield
    lab.mend()


def test_the_mixed_zone_has_near_addresses_and_a_tunnel_to_the_far_one(site, farend):
    """nuneaton's name is outside `within`, and the configuration has its address and the tunnel."""
    site.dns.change([r for r in RECORDS if not r.startswith("nuneaton")] + ["nuneaton.hybrid A 198.51.100.99"])
    text = site.lab.config_file.read_text()
    own = "\n    within: [203.0.113.0/28]\n    servers: {nuneaton: {address: 203.0.113.13, forward: ipip}}"
    site.lab.config_file.write_text(text.replace("    mx: hybrid.example.net", f"    mx: hybrid.example.net{own}", 1))
    site.balancer.start()
    site.wait_tiers(ARTICLE, ["hybrid-mail"])
    site.balancer.wait_for({name: "up" for name in SERVERS}, 30)
    assert site.balancer.backend("nuneaton")["forward"] == "ipip"
    with site.mail() as traffic:
        traffic.wait_seen(OXFORD)
        site.dns.change([r.replace("MX 20 nuneaton", "MX 5 nuneaton") for r in RECORDS])
        wait_until(lambda: 5 in site.tiers(), 30, "nuneaton is the best")
        wait_until(lambda: site.balancer.service()["active_tier"] == 5, 30, "its tier is active")
        traffic.wait_seen(["nuneaton"])


def test_an_unsigned_zone_is_enough_with_prefer(site):
    site.dns.stop()
    try:
        site.dns.start("off")
        site.balancer.configure(replace={"dnssec: require": "dnssec: prefer"})
        site.balancer.start()
        site.wait_tiers(ARTICLE)
        assert site.zone()["secure"] is False and site.state() == "current"
        site.balancer.configure()
        site.lab("ctl", "reload")
        site.wait_state("kept")
        assert "not signed" in site.zone()["why"] and site.tiers() == ARTICLE
    finally:
        site.dns.stop()
        site.dns.start()


def test_without_mx_and_dane_there_is_no_child_and_no_library(lab, dns):
    dns.stop()
    balancer = Balancer(lab)
    try:
        balancer.configure()
        balancer.start()
        balancer.wait_all_up()
        assert len(children(balancer.process.pid)) == 1, "the probe child alone"
        assert "libunbound" not in Path(f"/proc/{balancer.process.pid}/maps").read_text()
        assert set(json.loads(balancer.ask("show zone")).values()) <= {None}
    finally:
        balancer.end()
        dns.start()
