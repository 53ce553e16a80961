# SPDX-License-Identifier: BSD-2-Clause
"""Servers from DNS without DNS: dead for long, over a restart, at the first start. And the layouts of docs/zone.md that need a
configuration of their own."""
import json
import time
from pathlib import Path

import pytest

from lab import OXFORD, SERVERS, Balancer, Traffic, children, wait_until
from test_trouble import NONE_LEFT, descriptors_limited
from zones import ARTICLE, RECORDS, SERVICES, Site, Zone, zone_of

HOUR_S = 120
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
    dns.forget()
    one = Site(lab, dns, Balancer(lab))
    one.balancer.configure()
    yield one
    one.balancer.end()
    lab.mend()


def test_with_dead_dns_the_last_good_set_stays_also_over_a_restart(site, measured):
    """By refresh-min 1 s instead of 30 s: 120 s stand for an hour. All times of core/zone.c are multiples of refresh-min."""
    site.begin()
    with site.mail() as traffic:
        traffic.wait_seen(OXFORD)
        site.dns.resolver(False)
        site.wait_state("kept")
        since = time.monotonic()
        assert "kept" in site.lab("ctl", "zone", status=1), "the set in force differs from the zone"
        wait_until(lambda: time.monotonic() - since > HOUR_S / 2, HOUR_S, "it is dead for half an hour")
        assert site.balancer.stop() == 0
        site.balancer.start()
        site.balancer.wait_all_up()
        assert site.tiers() == site.tiers("hybrid-mail6") == ARTICLE
        traffic.wait_seen(OXFORD)
        site.wait_state("kept")
        assert site.zone()["answered"] is None and site.zone()["in_force_at"]
        wait_until(lambda: time.monotonic() - since > HOUR_S, HOUR_S, "it is dead for an hour")
        traffic.wait_seen(OXFORD)
        said = site.said("from=")
        assert all(set(site.tiers(s)) == set(ARTICLE) for s in SERVICES) and len(said) <= 2, said
        site.dns.resolver(True)
        site.wait_state("current")
    assert site.tiers() == ARTICLE
    lasted = time.monotonic() - since
    measured(f"DNS was dead for {lasted:.0f} s, {lasted / 2:.0f} min at refresh-min 30 s, with a restart in between: "
             f"{len(traffic.attempts())} connections, all greeted")


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
    assert all("servers:" in e["unmapped"] for e in site.exchangers().values())
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


def tiers_then_zone(site, prefix=""):
    """mxlbd runs with tiers, whose servers' names have this prefix; the file has `mx` for the next reload."""
    by_zone = site.lab.config_file.read_text()
    tiers = "\n".join(f"      {preference}:\n" + "\n".join(f"        {prefix}{name}: {{address: 203.0.113.{11 + SERVERS.index(name)}}}" for name in names)
                      for preference, names in ARTICLE.items())
    site.lab.config_file.write_text(by_zone.replace("    mx: hybrid.example.net", f"    tiers:\n{tiers}", 1))
    site.balancer.start()
    site.balancer.wait_for({prefix + name: "up" for name in SERVERS}, 30)
    site.lab.config_file.write_text(by_zone)


def test_a_change_from_tiers_to_a_zone_that_gives_no_server_is_held(site):
    """Every exchanger resolves to the VIP. Mail goes on by the servers that the tiers had."""
    site.dns.change(PUBLIC)
    site.dns.forget()
    tiers_then_zone(site)
    with site.mail() as traffic:
        traffic.wait_seen(OXFORD)
        site.lab("ctl", "reload")
        site.wait_state("held", ["hybrid-mail"])
        assert "no exchanger" in site.lab("ctl", "zone", "hybrid-mail", status=1)
        assert site.tiers() == ARTICLE
        traffic.wait_seen(OXFORD)
        restart_as_before(site)
        traffic.wait_seen(OXFORD)


def test_a_first_set_without_a_server_that_takes_mail_is_held_also_over_a_restart(site):
    """The zone has other servers than the tiers, and there is nothing at their addresses."""
    site.dns.change(zone_of(("oxford-a", 10, 16), ("oxford-b", 10, 17), ("nuneaton", 20, 18)))
    site.dns.forget()
    tiers_then_zone(site)
    with site.mail() as traffic:
        site.lab("ctl", "reload")
        site.wait_state("held", ["hybrid-mail"])
        assert "none of the 2" in site.zone()["why"]
        restart_as_before(site)
        traffic.wait_seen(OXFORD)
    site.lab("ctl", "zone", "hybrid-mail", "accept")
    site.wait("hybrid-mail", lambda: site.balancer.backend("oxford-a")["address"] == "203.0.113.16", "the zone's servers")


def test_a_stored_server_is_no_vip_and_not_this_box(site):
    """The servers of the tiers are stored until the zone is answered; addresses may be others by the next start."""
    tiers_then_zone(site)
    site.dns.resolver(False)
    site.lab("ctl", "reload")
    assert site.balancer.stop() == 0
    file = site.lab.run / "state-lb/zone/hybrid-mail.json"
    text = file.read_text()
    assert '"servers"' in text
    file.write_text(text.replace('"203.0.113.12"', '"203.0.113.25"').replace('"203.0.113.13"', '"203.0.113.5"'))
    site.balancer.start()
    assert site.tiers() == {10: ["oxford-a"]}
    left_out = [line for line in site.balancer.log().splitlines() if "event=zone_server_left_out" in line]
    assert ["server=oxford-b" in line and "a VIP" in line or "server=nuneaton" in line and "this box" in line for line in left_out] == [True] * 2
    site.dns.resolver(True)
    site.wait_tiers(ARTICLE, ["hybrid-mail"])


def test_servers_with_other_names_in_the_zone_are_held_until_that_is_accepted(site, measured):
    """The same addresses, but a server with another name is another one, and has to be probed first."""
    tiers_then_zone(site, "the-")
    with site.mail() as traffic:
        site.lab("ctl", "reload")
        site.wait_state("held", ["hybrid-mail"])
        assert "(oxford-a for the-oxford-a)" in site.zone()["why"]
        traffic.wait_seen(OXFORD)
    with Traffic(site.lab) as traffic:
        traffic.wait_seen(OXFORD)
        since = time.monotonic()
        site.lab("ctl", "zone", "hybrid-mail", "accept")
        site.wait_tiers(ARTICLE, ["hybrid-mail"])
        site.balancer.wait_for({name: "up" for name in SERVERS}, 30)
        traffic.wait_seen(OXFORD, 30)
        late = [a.at - since for a in traffic.attempts(since) if not a.server]
    measured(f"after accept {len(late)} connections were not greeted, the last one began {max(late, default=0):.1f} s after it")


def test_servers_of_tiers_that_are_long_gone_do_not_come_back_with_a_service(site):
    """The first set is held, the service leaves the configuration, and comes back."""
    site.dns.change(zone_of(("oxford-a", 10, 16), ("oxford-b", 10, 17), ("nuneaton", 20, 18)))
    site.dns.forget()
    tiers_then_zone(site)
    site.lab("ctl", "reload")
    site.wait_state("held", ["hybrid-mail"])
    text = site.lab.config_file.read_text()
    service = text[text.index("  hybrid-mail:"):text.index("  hybrid-mail6:")]
    site.lab.config_file.write_text(text.replace(service, ""))
    site.lab("ctl", "reload")
    assert not (site.lab.run / "state-lb/zone/hybrid-mail.json").exists()
    site.dns.resolver(False)
    site.lab.config_file.write_text(text)
    site.lab("ctl", "reload")
    assert site.tiers() == {}


def test_a_server_in_maintenance_does_not_hold_a_first_set_back_for_ever(site):
    """A boot of the machine while none of the tiers' servers takes mail. Nothing is lost with the zone's."""
    site.dns.change(zone_of(("oxford-c", 10, 11), ("oxford-d", 10, 12), ("birmingham", 20, 13)))
    site.dns.forget()
    tiers_then_zone(site)
    site.dns.resolver(False)
    site.lab("ctl", "reload")
    for name in SERVERS:
        site.lab("ctl", "maint", f"hybrid-mail/{name}", "--force")
    site.lab("ctl", "detach")
    assert site.balancer.process.wait(10) == 0
    site.balancer.start()
    assert site.tiers() == ARTICLE
    site.dns.resolver(True)
    site.wait_tiers({10: ["oxford-c", "oxford-d"], 20: ["birmingham"]}, ["hybrid-mail"])


def restart_as_before(site):
    """The first set is still held back, and mail still goes to the servers of the tiers."""
    assert site.balancer.stop() == 0
    site.balancer.start()
    assert site.tiers() == ARTICLE
    site.wait_state("held", ["hybrid-mail"])
    lookups = site.zone()["lookups"]
    wait_until(lambda: site.zone()["lookups"] > lookups + 2, 30, "more answers")
    assert site.state() == "held" and site.tiers() == ARTICLE


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


def test_a_start_with_some_of_the_addresses_has_all_servers_once_it_has_all(site):
    """A boot: at first only 203.0.113.12 to .15 are within. A lost address takes no server away."""
    site.begin()
    site.dns.resolver(False)
    assert site.balancer.stop() == 0
    change = lambda how, address: site.lab.within("lb", "ip", "addr", how, address, "dev", "eth0", status=None)
    site.lab.undo.callback(site.lab.within, "lb", "ip", "route", "replace", "default", "via", "203.0.113.1")
    site.lab.undo.callback(change, "replace", "203.0.113.5/24")
    site.lab.undo.callback(change, "del", "203.0.113.14/30")
    change("add", "203.0.113.14/30")
    change("del", "203.0.113.5/24")
    site.balancer.start()
    site.wait_state("kept")
    assert site.tiers() == {10: ["oxford-b"], 20: ["nuneaton"]}
    change("add", "203.0.113.5/24")
    site.lab.within("lb", "ip", "route", "replace", "default", "via", "203.0.113.1")
    site.wait_tiers(ARTICLE, ["hybrid-mail"])
    site.balancer.wait_all_up()
    change("del", "203.0.113.5/24")
    since = time.monotonic()
    wait_until(lambda: time.monotonic() - since > 3, 30, "mxlbd looks at its addresses at once, and each second")
    assert site.state() == "kept" and site.tiers() == ARTICLE


def test_an_address_that_the_box_has_lost_takes_no_server_away_whatever_the_zone_does(site):
    """The other service gains a server, and then its own zone changes. Only 203.0.113.12 to .15 are on the interface's network."""
    route = ("ip", "route", "replace", "203.0.113.0/24", "dev", "eth0")
    site.begin()
    change = lambda how, address: site.lab.within("lb", "ip", "addr", how, address, "dev", "eth0", status=None)
    site.lab.undo.callback(site.lab.within, "lb", "ip", "route", "replace", "default", "via", "203.0.113.1")
    site.lab.undo.callback(change, "replace", "203.0.113.5/24")
    site.lab.undo.callback(site.lab.within, "lb", "ip", "route", "del", "203.0.113.0/24", "dev", "eth0", status=None)
    site.lab.undo.callback(change, "del", "203.0.113.14/30")
    change("add", "203.0.113.14/30")
    change("del", "203.0.113.5/24")
    site.lab.within("lb", *route)  # the resolver and the servers can still be reached
    with site.mail() as traffic:
        site.dns.change([*RECORDS, "hybrid MX 10 oxford-c.hybrid", "oxford-c.hybrid AAAA 2001:db8:113::14"])
        site.wait_tiers({10: [*OXFORD, "oxford-c"], 20: ["nuneaton"]}, ["hybrid-mail6"])
        assert site.tiers() == ARTICLE
        site.dns.change([record.replace("MX 20", "MX 30") for record in RECORDS])
        site.wait_tiers({10: [*OXFORD], 30: ["nuneaton"]}, ["hybrid-mail"])
        traffic.wait_seen(OXFORD)


def test_addresses_that_cannot_be_looked_at_are_looked_at_again(site):
    """The interface gets its address when mxlbd has no descriptor to ask which one."""
    site.begin()
    site.dns.resolver(False)
    assert site.balancer.stop() == 0
    site.lab.undo.callback(site.lab.within, "lb", "ip", "route", "replace", "default", "via", "203.0.113.1")
    site.lab.undo.callback(site.lab.within, "lb", "ip", "addr", "replace", "203.0.113.5/24", "dev", "eth0")
    site.lab.within("lb", "ip", "addr", "del", "203.0.113.5/24", "dev", "eth0")
    site.balancer.start()
    site.wait_state("kept")
    with descriptors_limited(site.balancer, NONE_LEFT):
        site.lab.within("lb", "ip", "addr", "add", "203.0.113.5/24", "dev", "eth0")
        wait_until(lambda: "event=zone_not_applied" in site.balancer.log(), 30, "it is logged")
    site.lab.within("lb", "ip", "route", "replace", "default", "via", "203.0.113.1")
    site.wait_tiers(ARTICLE, ["hybrid-mail"])


@pytest.mark.parametrize("damage", [lambda good: good[:len(good) // 2], lambda good: "{" * 5000, lambda good: good * 20000,
                                    lambda good: good.replace('"preference": 10', '"preference": -1')],
                         ids=("cut off", "garbage", "too large", "not as it was written"))
def test_a_stored_file_that_is_damaged_is_ignored_and_replaced(site, damage):
    site.begin()
    site.dns.resolver(False)
    assert site.balancer.stop() == 0
    file = site.lab.run / "state-lb/zone/hybrid-mail.json"
    good = file.read_text()
    file.write_text(damage(good))
    site.balancer.start()
    site.wait_state("kept")
    assert site.tiers() == {} and site.tiers("hybrid-mail6") == ARTICLE
    assert f"event=zone_file_unreadable file={file}" in site.balancer.log()
    site.dns.resolver(True)
    site.wait_tiers(ARTICLE)
    wait_until(lambda: json.loads(file.read_text())["exchangers"], 30, "it is replaced")


def test_a_trust_anchor_without_a_record_is_an_error_that_names_the_file(site):
    site.begin()
    site.dns.trust("empty")
    site.wait_state("kept")
    assert all(words in site.zone()["why"] for words in (str(site.dns.anchor), "no record"))
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
