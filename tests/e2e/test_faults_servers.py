# SPDX-License-Identifier: BSD-2-Clause
"""Faults between the balancer and its servers, in the lab: neighbours that change, are spoofed or are deleted, lost
frames, slow servers. Each with open sessions and new connections."""
import re
import time

import pytest

from games import forget_probes
from mishaps import PATIENCE_S, Mail, greet_late, lose
from lab import OXFORD, Traffic, wait_until
from netlink_net import ARP_ANNOUNCEMENT

LB, OXFORD_A = "203.0.113.5", "203.0.113.11"
NEW_MAC = "02:00:00:00:07:11"
LOST_PERCENT, LOSSY_PROBES = 5, 50  # of each server


def neighbour(lab):
    return lab.within("lb", "ip", "neigh", "show", OXFORD_A, "dev", "eth0")


def test_a_server_whose_mac_changes_silently_is_found_again_and_no_session_is_lost(lab, balancer, measured):
    """D8: the server announces nothing, and is found by its ARP requests for its router. (A silent one:
    test_netlink.py.)"""
    balancer.start()
    balancer.wait_all_up()
    before = lab.mac("oxford-a")
    lab.undo.callback(lab.within, "lb", "ip", "neigh", "flush", "dev", "eth0")
    lab.undo.callback(lab.within, "oxford-a", "ip", "link", "set", "dev", "eth0", "address", before)
    with Mail(lab) as mail:
        since = time.monotonic()
        lab.within("oxford-a", "ip", "link", "set", "dev", "eth0", "address", NEW_MAC)
        wait_until(lambda: NEW_MAC in neighbour(lab), PATIENCE_S, "its new address is known")
        balancer.wait_for({"oxford-a": "up"}, PATIENCE_S)
        mail.traffic.wait_seen(OXFORD, PATIENCE_S)
        failed = [a.at - since for a in mail.traffic.attempts(since) if not a.server]
        mail.end()
    assert balancer.backend("oxford-a")["neighbour"]["mac"] == NEW_MAC
    measured(f"the last connection that failed was begun {max(failed, default=0):.2f} s after the change, {len(failed)} in all")


def test_a_neighbour_entry_that_is_deleted_or_marked_failed_breaks_nothing(lab, balancer):
    """D9: the last MAC address stays in use while it is resolved again."""
    balancer.start()
    balancer.wait_all_up()
    with Mail(lab) as mail:
        since = time.monotonic()
        for n in range(20):
            how = ("del", OXFORD_A, "dev", "eth0") if n % 2 else ("change", OXFORD_A, "dev", "eth0", "nud", "failed")
            lab.within("lb", "ip", "neigh", *how, status=None)
            seen = len(mail.traffic.attempts())
            wait_until(lambda: len(mail.traffic.attempts()) > seen + 3, PATIENCE_S, "three more connections")
        mail.traffic.wait_seen(OXFORD, PATIENCE_S)
        failed = [a for a in mail.traffic.attempts(since) if not a.server]
        assert not failed, failed[:3]
        assert " to=down " not in balancer.log(), balancer.log()
        mail.end()


@pytest.mark.parametrize("pinned", [True, False], ids=["pinned", "not-pinned"])
def test_a_host_that_claims_a_servers_address_gets_no_mail_of_a_pinned_one_and_is_reported_otherwise(lab, balancer, pinned):
    """D10: nuneaton claims oxford-a's address by ARP. A permanent neighbour entry prevents this."""
    balancer.start()
    balancer.wait_all_up()
    true, false = lab.mac("oxford-a"), lab.mac("nuneaton")
    lab.undo.callback(lab.within, "lb", "ip", "neigh", "del", OXFORD_A, "dev", "eth0", status=None)
    if pinned:
        lab.within("lb", "ip", "neigh", "replace", OXFORD_A, "lladdr", true, "dev", "eth0", "nud", "permanent")

    def lie():
        lab.within("nuneaton", "/usr/bin/python3", "-c", ARP_ANNOUNCEMENT, false, OXFORD_A)
    with Traffic(lab) as traffic:
        traffic.wait_seen(OXFORD)
        since = time.monotonic()
        if pinned:
            for _ in range(10):
                lie()
            traffic.wait_seen(OXFORD)
            assert traffic.seen(since) == set(OXFORD) and true in neighbour(lab)
        else:
            told = re.compile(f'event=backend_nexthop service=hybrid-mail backend=oxford-a .*{false}')
            wait_until(lambda: lie() or told.search(balancer.log()), PATIENCE_S, "another address is reported")
            lab.within("lb", "ip", "neigh", "del", OXFORD_A, "dev", "eth0", status=None)
            wait_until(lambda: true in neighbour(lab), PATIENCE_S, "the true one is asked for again")
            balancer.wait_for({"oxford-a": "up"}, PATIENCE_S)
            traffic.wait_seen(OXFORD, PATIENCE_S)


def test_of_links_that_lose_packets_no_server_is_down(lab, balancer, measured):
    """D12: with the default timeouts and fall: 3. A probe fails if a SYN is lost twice."""
    balancer.configure(replace={"interval: 1s": "interval: 100ms", "fast-interval: 250ms": "fast-interval: 100ms",
                                "connect-timeout: 1s": "connect-timeout: 3s", "fall: 2": "fall: 3"})
    balancer.start()
    balancer.wait_all_up()
    with Mail(lab) as mail:
        since, probes = time.monotonic(), balancer.info("Probes")
        for host in OXFORD:
            lose(lab, host, LOST_PERCENT)
        wait_until(lambda: balancer.info("Probes") >= probes + 4 * LOSSY_PROBES, 120, "so many probes")
        late = sum(a.error == "TimeoutError" for a in mail.traffic.attempts(since))
        assert late, "something was lost"
        assert " to=down " not in balancer.log(), balancer.log()
        made = balancer.info("Probes") - probes
        lab.mend()
        mail.end()
    measured(f"{made} probes at {LOST_PERCENT} % of loss: no server down; {late} connections needed a second SYN")


def test_a_server_that_greets_too_late_is_down_and_its_probes_do_not_pile_up(lab, balancer):
    """B6: a server that greets within the limit is up: test_trouble.py."""
    greet_late(lab, "oxford-a", 2)
    forget_probes(lab)
    balancer.configure(replace={"timeout: 10s": "timeout: 1500ms", "interval: 1s": "interval: 250ms"})
    balancer.start()
    open_at_once = []

    def probes_open():
        listed = lab.within("oxford-a", "ss", "-Htn", "state", "established", "sport", "=", ":25", "and", "dst", LB)
        open_at_once.append(len(listed.splitlines()))
        return balancer.info("Probes") > 40
    balancer.wait_for({"oxford-a": "down", "oxford-b": "up", "nuneaton": "up"}, 20)
    assert balancer.backend("oxford-a")["reason"] == "greeting_silent"
    wait_until(probes_open, 30, "forty probes")
    assert max(open_at_once) <= 1, open_at_once  # of the IPv4 service


def test_a_server_that_answers_arp_for_the_vip_is_reported_until_it_stops(lab, balancer, measured):
    """B8: a server that answers ARP for the VIP, which mxlbd finds by asking, since such a server only replies."""
    balancer.start()
    balancer.wait_all_up()
    lab.undo.callback(lab.within, "oxford-b", "sysctl", "-qw", "net.ipv4.conf.all.arp_ignore=1")
    since = time.monotonic()
    lab.within("oxford-b", "sysctl", "-qw", "net.ipv4.conf.all.arp_ignore=0")
    wait_until(lambda: "event=vip_conflict from=none to=claimed" in balancer.log(), 2 * PATIENCE_S, "the conflict is reported")
    measured(f"reported after {time.monotonic() - since:.2f} s")
    lab.mend()
    wait_until(lambda: "event=vip_conflict from=claimed to=none" in balancer.log(), 4 * PATIENCE_S, "and its end")
    assert balancer.log().count("event=vip_conflict") == 2
