# SPDX-License-Identifier: BSD-2-Clause
"""A resolver that lies (dns_peer.py): whatever it sends, the set in force stays, mxlbd lives, and the mail goes on."""
import subprocess

import pytest

from lab import HERE, OXFORD, wait_until
from zones import ARTICLE, RECORDS, ROUTER, SERVICES, running, zone_of

PORT = 5301
SWAPPED = zone_of(("nuneaton", 10), ("oxford-a", 20), ("oxford-b", 20))


class Peer:
    def __init__(self, lab):
        self.file = lab.run / "lies"
        self.lie("honest")
        self.process = subprocess.Popen([*lab.nsenter("router"), "/usr/bin/python3", "-B", str(HERE / "dns_peer.py"), ROUTER, str(PORT),
                                         ROUTER, str(self.file)], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n"

    def lie(self, how):
        new = self.file.with_suffix(".new")
        new.write_text(how)
        new.rename(self.file)

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture(scope="module")
def peer(lab):
    one = Peer(lab)
    yield one
    one.end()


@pytest.fixture(scope="module")
def site(lab, peer):
    with running(lab, {f"resolvers: [{ROUTER}]": f"resolvers: ['{ROUTER}:{PORT}']"}) as one:
        yield one


def assert_sound(site):
    assert site.tiers() == site.tiers("hybrid-mail6") == ARTICLE
    assert set(site.balancer.verdicts().values()) == {"up"}
    assert site.balancer.process.poll() is None
    assert "resolver_child_ended" not in site.balancer.log()


@pytest.mark.parametrize("lie", [
    "garbage behind the question", "cut off", "header only", "wrong signature", "not signed", "empty", "no such name", "refused",
    "endless aliases", "aliases in a circle", "pointers in a circle", "pointers to nowhere", "64 KiB", "garbage", "wrong id",
    "wrong question", "late", "silent"])
def test_a_lie_changes_nothing(site, peer, lie):
    peer.lie(lie)
    with site.mail() as traffic:
        try:
            site.dns.change(SWAPPED)
            site.read()
            site.wait_state("kept")
            assert_sound(site)
            traffic.wait_seen(OXFORD)
        finally:
            site.dns.change(RECORDS)
            site.dns.forget()
            peer.lie("honest")
        site.read()
        site.wait_state("current")
    assert_sound(site)


def test_no_more_than_16_questions_are_open_at_once(site, peer):
    """Both services ask for the addresses of 23 exchangers; a question without an answer is open for 5 s."""
    log = peer.file.with_suffix(".unanswered")
    arrived = lambda: [float(line) for line in log.read_text().split("\n")[:-1]] if log.exists() else []
    site.dns.change([*RECORDS, *(f"hybrid MX 30 x{n}.hybrid" for n in range(20))])
    for service in SERVICES:
        site.wait(service, lambda: len(site.exchangers(service)) == 23, "all are known")
    log.unlink(missing_ok=True)
    peer.lie("silent about addresses")
    try:
        wait_until(lambda: len(arrived()) == 2 * 23, 90, "each was asked for")
    finally:
        peer.lie("honest")
    times = arrived()
    at_once = [sum(t <= other < t + 3 for other in times) for t in times]
    assert max(at_once) == 16, [round(t - times[0], 2) for t in times]
    assert_sound(site)
    site.shrink_to_article(23)
    site.wait_state("current")


def test_a_resolver_that_answers_by_tcp_alone_is_enough(site, peer):
    peer.lie("TCP only")
    with site.mail() as traffic:
        site.dns.change(SWAPPED)
        site.wait_tiers({10: ["nuneaton"], 20: list(OXFORD)})
        traffic.wait_seen(["nuneaton"])
        site.dns.change(RECORDS)
        site.wait_tiers(ARTICLE)
        wait_until(lambda: not site.zone()["differs"], 30, "all is as before")
    peer.lie("honest")
    assert_sound(site)
