# SPDX-License-Identifier: BSD-2-Clause
"""Servers and keys from DNS while something else goes wrong: no descriptors, a reload in the middle of a lookup, a plan."""
import json
import os
import time

import pytest

from lab import OXFORD, wait_until
from test_trouble import NONE_LEFT, descriptors_limited
from test_zone_child import resolver_child, slow_resolver
from zones import ARTICLE, MX, RECORDS, key, running_site, tlsa, zone_of  # noqa: F401

OTHER_KEY = "_25._tcp.mail TLSA 3 1 1 " + "11" * 32


@pytest.fixture
def site(running_site, key):
    before = running_site.lab.config_file.read_text()
    yield running_site
    running_site.lab.config_file.write_text(before)
    running_site.lab("ctl", "reload")
    running_site.settle([*RECORDS, key.record])


def pause(seconds):
    """For a time in which something must not happen."""
    until = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() > until, seconds + 10, "the time is over")


def asked(site):
    """A child holds all lookups, because the resolver stands still."""
    wait_until(lambda: resolver_child(site.balancer), 30, "a lookup is under way")
    site.read()


def asked_anew(site):
    """A lookup has just begun: it may take 5 s (RESOLVER_TIMEOUT_MS), and one that is under way may have little of them left."""
    before = resolver_child(site.balancer)
    site.read()
    wait_until(lambda: resolver_child(site.balancer) not in (None, before), 30, "a lookup begins")


def test_a_change_that_cannot_be_applied_is_logged_once_and_tried_again(site, key):
    """The answer comes; what it changes needs this box's addresses, and there is no descriptor to ask for them."""
    log = site.balancer.log
    with site.mail() as traffic:
        with slow_resolver(site):
            site.dns.change([*RECORDS, key.record, OTHER_KEY])
            pause(1.5)  # the resolver's copies have a TTL of one second
            asked_anew(site)
            limited = descriptors_limited(site.balancer, NONE_LEFT)
            limited.__enter__()
        try:
            wait_until(lambda: "event=zone_not_applied" in log(), 30, "it is logged")
            pause(5)  # it is tried again each second
            assert log().count("event=zone_not_applied") == 1
            line = next(line for line in log().splitlines() if "event=zone_not_applied" in line)
            assert "Too many open files" in line and "LimitNOFILE=" in line, line
        finally:
            limited.__exit__(None, None, None)
        wait_until(lambda: "event=zone_applied" in log(), 30, "it is applied")
        wait_until(lambda: tlsa(site)["records"] == 2 and not site.zone()["differs"], 30, "DNS is asked again")
        traffic.wait_seen(OXFORD)
    assert log().count("event=zone_not_applied") == 1


def cpu_s(pid):
    """User and system time."""
    fields = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_box_that_cannot_be_looked_at_is_no_busy_loop(site, key, measured):
    """A server that left the zone is due to go, and there is no descriptor to ask for this box's addresses."""
    pid = site.balancer.process.pid
    with site.mail():
        site.dns.change([*zone_of(("oxford-a", 10), ("nuneaton", 20)), key.record])
        site.wait("hybrid-mail", lambda: site.exchangers()["oxford-b"]["zone_preference"] is None, "it is missing")
        with descriptors_limited(site.balancer, NONE_LEFT):
            pause(5)  # what is missing stays for 4 s
            wait_until(lambda: site.said("to=kept", "Too many open files", "LimitNOFILE="), 30, lambda: site.said("from="))
            before, since = cpu_s(pid), time.monotonic()
            pause(4)
            share = (cpu_s(pid) - before) / (time.monotonic() - since)
        site.wait_tiers({10: ["oxford-a"], 20: ["nuneaton"]})
    measured(f"mxlbd without descriptors used {share:.0%} of a CPU")
    assert share < 0.1


def test_a_lookup_that_a_reload_overtakes_does_not_count(site, key):
    """It was begun with dnssec: prefer; from the reload on the answer would have to be signed."""
    text = site.lab.config_file.read_text()
    site.dns.trust("none")
    site.dns.change([*RECORDS, key.record])
    wait_until(lambda: site.zone()["secure"] is False and site.state() == "current", 30, "unsigned answers are enough")
    with site.mail() as traffic:
        with slow_resolver(site):
            asked(site)
            before = site.zone()["answered"]
            site.lab.config_file.write_text(text.replace("dnssec: prefer", "dnssec: require"))
            site.lab("ctl", "reload")
            pause(1.5)  # times are shown in seconds
            assert site.zone()["answered"] == before
        site.wait_state("kept")
        assert site.zone()["answered"] == before and "not signed" in site.zone()["why"]
        assert site.tiers() == ARTICLE
        traffic.wait_seen(OXFORD)


def test_a_reload_to_another_name_forgets_the_lookup_under_way(site, key):
    other = [record.replace("hybrid", "other") for record in zone_of(("oxford-b", 10), ("nuneaton", 20))]
    site.dns.change([*RECORDS, *other, key.record])
    with site.mail() as traffic:
        with slow_resolver(site):
            asked(site)
            text = site.lab.config_file.read_text()
            site.lab.config_file.write_text(text.replace(f"mx: {MX}", "mx: other.example.net"))
            site.lab("ctl", "reload")
            assert site.tiers() == ARTICLE, "its servers stay until the other name is answered"
        site.wait_tiers({10: ["oxford-b"], 20: ["nuneaton"]})
        traffic.wait_seen(["oxford-b"])


def test_a_plan_changes_nothing_of_the_set_in_force(site, key, tmp_path):
    """The plan uses an address that is not in use, and would give its server a name."""
    site.dns.change([*RECORDS, "oxford-a.hybrid A 198.51.100.7", key.record])
    both = ["198.51.100.7", "203.0.113.11"]
    wait_until(lambda: site.exchangers()["oxford-a"]["addresses"] == both[::-1], 30, "both addresses are known")
    before = site.exchangers()
    text = site.lab.config_file.read_text()
    (tmp_path / "new.yaml").write_text(text.replace(f"mx: {MX}", f"mx: {MX}\n    within: [198.51.100.0/24]", 1))
    assert "198.51.100.7" in site.lab("ctl", "plan", "--config", str(tmp_path / "new.yaml"))
    assert site.exchangers() == before
    lookups = site.zone()["lookups"]
    wait_until(lambda: site.zone()["lookups"] > lookups + 1, 30, "another answer")
    assert site.exchangers() == before and site.tiers() == ARTICLE
    stored = json.loads((site.lab.run / "state-lb/zone/hybrid-mail.json").read_text())
    addresses = {e["name"]: e["addresses"] for e in stored["exchangers"]}
    assert addresses[f"oxford-a.{MX}"] == {"203.0.113.11": "bare", "198.51.100.7": "unused"}, stored
