# SPDX-License-Identifier: BSD-2-Clause
"""Servers from DNS (docs/zone.md): the article's zone (10, 10, 20), signed by knot and asked through unbound, under mail."""
import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from lab import OXFORD, Traffic, children, command, wait_until

ZONE = "hybrid.example.net"
ROUTER = "203.0.113.1"  # where unbound answers
RECORDS = ("@ MX 10 oxford-a", "@ MX 10 oxford-b", "@ MX 20 nuneaton",
           *(f"{name} A 203.0.113.{number}\n{name} AAAA 2001:db8:113::{number}"
             for name, number in (("oxford-a", 11), ("oxford-b", 12), ("nuneaton", 13))))
HEAD = "$TTL 2\n@ SOA ns hostmaster {serial} 60 60 3600 2\n@ NS ns\nns A 203.0.113.1\n"
KNOT = """server:
  rundir: {at}
  listen: 127.0.0.1@5353
control:
  listen: {at}/knot.sock
database:
  storage: {at}
log:
  - target: stderr
    any: warning
template:
  - id: default
    storage: {at}
    file: "%s.zone"
    zonefile-sync: -1
    zonefile-load: difference-no-serial
    journal-content: all
    dnssec-signing: on
zone:
  - domain: hybrid.example.net
"""
UNBOUND = """server:
  directory: "{at}"
  chroot: ""
  username: ""
  pidfile: ""
  use-syslog: no
  interface: 203.0.113.1
  access-control: 203.0.113.0/24 allow
  do-not-query-localhost: no
  trust-anchor-file: {at}/anchor
  cache-max-ttl: 1
  cache-max-negative-ttl: 1
stub-zone:
  name: hybrid.example.net
  stub-addr: 127.0.0.1@5353
"""


class Dns:
    """knot and unbound on the router."""

    def __init__(self, lab):
        self.lab, self.at, self.serial, self.processes = lab, lab.run / "dns", 1, []
        shutil.rmtree(self.at, ignore_errors=True)
        self.at.mkdir()
        (self.at / "knot.conf").write_text(KNOT.format(at=self.at))
        (self.at / "unbound.conf").write_text(UNBOUND.format(at=self.at))
        self.write(RECORDS)
        self.start()

    def write(self, records):
        (self.at / f"{ZONE}.zone").write_text(HEAD.format(serial=self.serial) + "\n".join(records) + "\n")
        self.serial += 1

    @staticmethod
    def program(name, package):
        """Installed, or as install-deps unpacked it."""
        return next((str(p) for p in (Path("/usr/sbin") / name, Path("/var/cache/mxlb-lab") / package / "usr/sbin" / name)
                     if p.exists()), None)

    def run(self, *argv):
        with (self.at / "log").open("a") as log:
            self.processes.append(subprocess.Popen([*self.lab.nsenter("router"), *argv], stdout=log, stderr=log))

    def knotc(self, *words, status=0):
        return self.lab.within("router", self.program("knotc", "knot"), "-s", str(self.at / "knot.sock"), *words, status=status)

    def start(self):
        self.run(self.program("knotd", "knot"), "-c", str(self.at / "knot.conf"))
        wait_until(lambda: ZONE in self.knotc("zone-status", ZONE, status=None), 20, "knot answers")
        keys = lambda: command(self.program("keymgr", "knot"), "-c", str(self.at / "knot.conf"), ZONE, "ds", status=None)
        anchor = wait_until(lambda: "DS" in keys() and keys(), 20, "knot has made its keys")
        (self.at / "anchor").write_text(anchor)
        (self.at / "anchor").chmod(0o644)
        self.run(self.program("unbound", "unbound"), "-d", "-c", str(self.at / "unbound.conf"))
        wait_until(lambda: f"{ROUTER}:53" in self.lab.within("router", "ss", "-Hlun"), 20, "unbound answers")

    def change(self, records):
        self.write(records)
        self.knotc("-b", "zone-reload", ZONE)

    def stop(self):
        for process in self.processes:
            process.terminate()
            process.wait(10)
        self.processes = []


@pytest.fixture
def dns(lab):
    for program, package in (("knotd", "knot"), ("unbound", "unbound")):
        if not Dns.program(program, package):
            pytest.skip(f"{program} is missing: scripts/install-deps test")
    one = Dns(lab)
    yield one
    one.stop()


def by_zone(balancer, dns, **more):
    """The lab's configuration with `mx` in place of tiers."""
    text = balancer.lab("config", "auto")
    kept, inside = [], False
    for line in text.splitlines():
        if line == "    tiers:":
            inside = True
            kept.append(f"    mx: {ZONE}")
        elif not (inside and line.startswith("      ")):
            inside = False
            kept.append(line)
    settings = {"resolvers": f"[{ROUTER}]", "trust-anchors": f"[{dns.at}/anchor]", "refresh-min": "1s", "refresh-max": "2s", **more}
    kept += ["dns:", *(f"  {key}: {value}" for key, value in settings.items())]
    balancer.lab.config_file.write_text("\n".join(kept) + "\n")


def zone(balancer, service="hybrid-mail"):
    return json.loads(balancer.ask(f"show zone {service}"))[service]


def tiers(balancer):
    service = balancer.service("hybrid-mail")
    return {tier["preference"]: sorted(b["name"] for b in tier["backends"]) for tier in service["tiers"]}


def test_the_articles_zone_is_the_configuration_and_its_preferences_move_mail(lab, balancer, dns, measured):
    """10, 10 and 20 from a signed zone; a new preference moves mail at once, and nothing is refused."""
    by_zone(balancer, dns)
    balancer.start()
    balancer.wait_all_up()
    assert tiers(balancer) == {10: ["oxford-a", "oxford-b"], 20: ["nuneaton"]}
    assert zone(balancer)["secure"] is True
    with Traffic(lab) as traffic:
        traffic.wait_seen(OXFORD)
        since = time.monotonic()
        dns.change(("@ MX 10 nuneaton", *(r.replace("MX 10", "MX 20") for r in RECORDS if "MX 20" not in r)))
        wait_until(lambda: tiers(balancer) == {10: ["nuneaton"], 20: ["oxford-a", "oxford-b"]}, 30, "the new preferences")
        took = time.monotonic() - since
        traffic.wait_seen(["nuneaton"])
    assert [a for a in traffic.attempts() if not a.server] == []
    measured(f"a new preference was in force {took:.1f} s after it was in the zone; 0 of {len(traffic.attempts())} connections refused")


def test_without_dns_the_last_good_set_stays_also_over_a_restart(lab, balancer, dns):
    by_zone(balancer, dns)
    balancer.start()
    balancer.wait_all_up()
    dns.stop()
    with Traffic(lab) as traffic:
        traffic.wait_seen(OXFORD)
        wait_until(lambda: zone(balancer)["state"] == "kept", 60, "the zone is kept")
        assert "kept" in lab("ctl", "zone", status=1), "the set in force differs from the zone"
        balancer.process.terminate()
        assert balancer.process.wait(10) == 0
        balancer.start()
        balancer.wait_all_up()
        traffic.wait_seen(OXFORD)
    assert [a for a in traffic.attempts() if not a.server] == []
    assert tiers(balancer) == {10: ["oxford-a", "oxford-b"], 20: ["nuneaton"]}


def test_an_empty_zone_empties_no_service(lab, balancer, dns):
    by_zone(balancer, dns)
    balancer.start()
    balancer.wait_all_up()
    with Traffic(lab) as traffic:
        dns.change([r for r in RECORDS if " MX " not in r])
        wait_until(lambda: zone(balancer)["state"] == "refused", 30, "the zone is refused")
        traffic.wait_seen(OXFORD)
    assert [a for a in traffic.attempts() if not a.server] == []
    assert "event=zone" in balancer.log()


def resolver_child(balancer):
    with contextlib.suppress(FileNotFoundError):
        return next((pid for pid in children(balancer.process.pid)
                     if b"--resolver-child" in Path(f"/proc/{pid}/cmdline").read_bytes()), None)


def test_the_child_of_a_slow_resolver_has_no_rights_and_its_death_moves_nothing(balancer, dns):
    """It lives for one round of lookups: a resolver that stands still holds it."""
    by_zone(balancer, dns)
    balancer.start()
    balancer.wait_all_up()
    os.kill(dns.processes[1].pid, signal.SIGSTOP)
    try:
        child = wait_until(lambda: resolver_child(balancer), 30, "a lookup is under way")
        walls = ("NoNewPrivs:\t1", "Seccomp:\t2", *(f"{kept}:\t{0:016x}" for kept in ("CapInh", "CapPrm", "CapEff", "CapAmb")))
        status = Path(f"/proc/{child}/status")
        wait_until(lambda: all(wall in status.read_text() for wall in walls), 5, "the child is in its sandbox")
        os.kill(child, signal.SIGKILL)
        wait_until(lambda: zone(balancer)["state"] == "kept", 30, "the answer that never came is kept's cause")
    finally:
        os.kill(dns.processes[1].pid, signal.SIGCONT)
    wait_until(lambda: zone(balancer)["state"] == "current", 60, "it answers again")
    assert set(balancer.verdicts().values()) == {"up"}
    assert tiers(balancer) == {10: ["oxford-a", "oxford-b"], 20: ["nuneaton"]}


def test_without_mx_and_dane_there_is_no_child_and_no_library(balancer):
    balancer.start()
    balancer.wait_all_up()
    assert len(children(balancer.process.pid)) == 1, "the probe child alone"
    assert "libunbound" not in Path(f"/proc/{balancer.process.pid}/maps").read_text()
    assert json.loads(balancer.ask("show zone")) == {} or set(json.loads(balancer.ask("show zone")).values()) == {None}
