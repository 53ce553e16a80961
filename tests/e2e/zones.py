# SPDX-License-Identifier: BSD-2-Clause
"""The lab's zone (scripts/lab-zone: Knot DNS signs it, Unbound is the resolver) and mxlbd with its servers from there. Times are
compressed by refresh-min: 1s; with it the longest wait before a retry is 2 s, as is the least time between two changes, and
what is missing stays for 4 s."""
import json
import os
import re
import shutil
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab import OXFORD, ROOT, SERVERS, VIP, Balancer, Traffic, command, failures_of, wait_until

MX = "hybrid.example.net"
SERVICES = ("hybrid-mail", "hybrid-mail6")
NUMBERS = {"oxford-a": 11, "oxford-b": 12, "nuneaton": 13}
ARTICLE = {10: list(OXFORD), 20: ["nuneaton"]}
SETTLE_S = 30
ROUTER = "203.0.113.1"  # where the resolver is


def exchanger(name, preference, number=None):
    """The records of an exchanger below hybrid.example.net, in both families."""
    number = number or NUMBERS[name]
    return [f"hybrid MX {preference} {name}.hybrid", f"{name}.hybrid A 203.0.113.{number}",
            f"{name}.hybrid AAAA 2001:db8:113::{number}"]


def zone_of(*exchangers):
    """(name, preference[, number])... as records."""
    return [record for one in exchangers for record in exchanger(*one)]


RECORDS = zone_of(("oxford-a", 10), ("oxford-b", 10), ("nuneaton", 20))


class Zone:
    """As scripts/lab serves it."""

    def __init__(self, lab):
        self.lab = lab
        for program, package in (("knotd", "knot"), ("unbound", "unbound")):
            if not shutil.which(program, path=f"/usr/sbin:/var/cache/mxlb-lab/{package}/usr/sbin"):
                pytest.skip(f"{program} is missing: scripts/install-deps test")
        self.anchor = lab.run / "zone/anchor"
        self.start()

    def start(self, signed="on"):
        command(str(ROOT / "scripts/lab"), "zone", "start", env={**self.lab.env, "MXLB_LAB_SIGNED": signed})
        self.own_anchor = self.anchor.read_text()
        self.has_resolver = True

    def change(self, records):
        self.lab("zone", "write", input="\n".join(records) + "\n")

    def resolver(self, on):
        """Nobody answers when it is off: what is sent there is refused by ICMP."""
        if on != self.has_resolver:
            self.lab("zone", "resolver", "start" if on else "stop")
        self.has_resolver = on

    def resolver_pid(self):
        """One that has ended may still wait to be reaped."""
        return next(int(file.name) for file in (self.lab.run / "pids").iterdir()
                    if (comm := Path(f"/proc/{file.name}/comm")).exists() and comm.read_text() == "unbound\n"
                    and os.path.exists(f"/proc/{file.name}/exe"))

    def trust(self, how="own"):
        """The trust anchor, which mxlbd reads before each lookup: with the one of another key every answer is bogus, with none
        every answer counts as not signed, and a file without a record is an error."""
        self.anchor.write_text({"own": self.own_anchor, "empty": "; nothing\n", "none": f"elsewhere.example. DS 1 13 2 {1:064}\n",
                                "other": re.sub(r"[0-9a-fA-F]{64}", "00" * 32, self.own_anchor)}[how])

    def forget(self):
        """Empties the resolver's cache."""
        self.resolver(False)
        self.resolver(True)

    def stop(self):
        self.lab("zone", "stop")


def zone(balancer, service="hybrid-mail"):
    return json.loads(balancer.ask(f"show zone {service}"))[service]


def tiers(balancer, service="hybrid-mail"):
    return {tier["preference"]: sorted(b["name"] for b in tier["backends"]) for tier in balancer.service(service)["tiers"]}


@pytest.fixture
def dns(lab):
    """For one test."""
    one = Zone(lab)
    yield one
    one.stop()


def by_zone(balancer, dns):
    """The lab's configuration, once there is a zone."""
    assert dns.anchor.exists()
    balancer.configure()


class Mail(Traffic):
    def wait_seen(self, servers, seconds=SETTLE_S):
        """Waits until these servers and no others greet a dozen connections in a row."""
        since = time.monotonic()

        def met():
            nonlocal since
            attempts = self.attempts(since)
            seen = {a.server for a in attempts}
            if seen - set(servers):
                since = time.monotonic()
            return len(attempts) > 12 and seen == set(servers)
        wait_until(met, seconds, f"greetings from {servers} and no others")


class Site:
    """A lab with a zone, and mxlbd by it."""

    def __init__(self, lab, served, balancer):
        self.lab, self.dns, self.balancer = lab, served, balancer

    def begin(self):
        self.balancer.start()
        self.wait_tiers(ARTICLE)
        self.balancer.wait_all_up()

    def zone(self, service="hybrid-mail"):
        return zone(self.balancer, service)

    def state(self, service="hybrid-mail"):
        return self.zone(service)["state"]

    def exchangers(self, service="hybrid-mail"):
        return {e["name"].removesuffix(f".{MX}"): e for e in self.zone(service)["exchangers"]}

    def tiers(self, service="hybrid-mail"):
        return tiers(self.balancer, service)

    def wait_tiers(self, expected, services=SERVICES):
        for service in services:
            self.wait(service, lambda: self.tiers(service) == expected, f"{service} has {expected}")

    def wait_state(self, expected, services=SERVICES):
        for service in services:
            self.wait(service, lambda: self.state(service) == expected, f"{service} is {expected}")

    def wait(self, service, condition, what):
        try:
            wait_until(condition, SETTLE_S, what)
        except AssertionError as late:
            raise AssertionError(f"{late}: {self.tiers(service)}, {self.zone(service)}\n{self.balancer.log()}") from None

    def shrink_to_article(self, n):
        """From n exchangers, which are so many more that the way back has to be accepted."""
        self.dns.change(RECORDS)
        for service in SERVICES:
            self.wait(service, lambda: f"only 3 of {n} " in self.zone(service)["why"], "the way back is held")
            assert self.balancer.ask(f"zone {service} accept").startswith("Accepted: ")

    def is_settled(self, service):
        return set(self.exchangers(service)) == set(SERVERS) and self.state(service) == "current" and not self.zone(service)["differs"]

    def read(self):
        """Both zones are looked up at once; `mxlbctl zone S read` would wait for the answer."""
        for service in SERVICES:
            assert not self.balancer.ask(f"zone {service} read").strip()

    def settle(self, records=RECORDS):
        """The article's zone, in force and up."""
        self.dns.trust()
        self.dns.resolver(True)
        self.dns.change(records)
        for service in SERVICES:
            self.wait(service, lambda: self.is_settled(service), "all is as in the article")
        self.wait_tiers(ARTICLE)
        self.balancer.wait_all_up()

    def events(self, kind):
        told = [json.loads(line) for line in self.balancer.ask("show events json").splitlines() if line]
        return [e for e in told if e["event"] == kind]

    def said(self, *words):
        """Of the event `zone`, in mxlbd's log: the lines with all of these words."""
        return [line for line in self.balancer.log().splitlines() if "event=zone " in line and all(w in line for w in words)]

    @contextmanager
    def mail(self, address=VIP):
        """Connections to the VIP; each has to be greeted."""
        with Mail(self.lab, address) as traffic:
            yield traffic
        failed = failures_of(traffic.attempts())
        assert not failed, failed


@contextmanager
def running(lab, replace=None, records=RECORDS):
    """mxlbd by the article's zone; all of it ends with the context."""
    served = Zone(lab)
    balancer = Balancer(lab)
    try:
        served.change(records)
        served.forget()
        balancer.configure(replace=replace)
        site = Site(lab, served, balancer)
        site.begin()
        yield site
    finally:
        balancer.end()
        lab.mend()
        served.stop()


DANE = {"tls: encryption-only": "tls: dane\n    tlsa-name: mail.example.net", "dnssec: require": "dnssec: prefer"}


class LabKey:
    """The one that all servers of the lab begin with, and its TLSA record."""

    def __init__(self, lab):
        self.certificate, self.key = lab.run / "cert.pem", lab.run / "key.pem"
        self.digest = command("sh", "-c", f"openssl pkey -in {self.key} -pubout -outform der | openssl dgst -sha256 -r").split()[0]
        self.record = f"_25._tcp.mail TLSA 3 1 1 {self.digest}"


@pytest.fixture(scope="module")
def key(lab):
    return LabKey(lab)


@pytest.fixture(scope="module")
def running_site(lab, key):
    """mxlbd by the article's zone and its keys."""
    with running(lab, DANE, [*RECORDS, key.record]) as one:
        yield one


def tlsa(site):
    return site.zone()["tlsa"]
