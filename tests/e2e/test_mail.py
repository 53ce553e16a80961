# SPDX-License-Identifier: BSD-2-Clause
"""Mail through the VIP: which server gets it, which client address the servers see, which path the replies take."""
import pytest

from lab import CLIENT, CLIENT6, OXFORD, SERVERS, SLOW, VIP, VIP6, Capture, wait_until

MESSAGES = round(1000 / SLOW)


def send_and_count(lab, messages, vip, client):
    since = lab.log_sizes()
    with Capture(lab, vip, client) as capture:
        lab("send", str(messages), vip)
        wait_until(lambda: sum(lab.accepted(since).values()) >= messages, 30,
                   f"{messages} messages in the servers' logs: {lab.accepted(since)}")
        capture.wait_ends(client, messages)
    return lab.connections(since, client), lab.accepted(since), capture


def assert_even_split(connections, messages):
    assert sum(connections.values()) == messages, "each message's connection is logged with the client's address"
    for host in OXFORD:
        assert 0.35 <= connections[host] / messages <= 0.65, connections
    assert connections["nuneaton"] == 0


def every_way():
    """Two families, each at layer 2 and through tunnels; a mark: in the short selection for kernels."""
    for name, vip, client in ("IPv4", VIP, CLIENT), ("IPv6", VIP6, CLIENT6):
        for mode, forward in ("native", "l2"), ("generic", "l2"), ("native", "ipip"), ("generic", "ipip6"):
            marks = [pytest.mark.kernels] * ((mode, forward) in (("native", "l2"), ("generic", "ipip6")))
            if (name, forward) == ("IPv6", "ipip6"):
                marks.append(pytest.mark.long)
            yield pytest.param(vip, client, mode, forward, marks=marks, id=f"{name}-{mode}-{forward}")


@pytest.mark.parametrize("vip, client, mode, forward", every_way(), indirect=["forward"])
def test_C01_C02_1000_messages_are_split_over_oxford_with_the_clients_address_and_answered_directly(
        lab, balancer, measured, mode, vip, client):
    balancer.configure(mode)
    balancer.start()
    balancer.wait_all_up()
    connections, accepted, capture = send_and_count(lab, MESSAGES, vip, client)
    assert sum(accepted.values()) == MESSAGES
    assert_even_split(connections, MESSAGES)
    assert capture.count(client) > 5 * MESSAGES, "the capture does see the client's packets on their way in and out"
    assert capture.count(vip) == 0, "no reply crosses the balancer"
    measured(f"{connections}, {capture.count(client)} packets from the client, {capture.count(vip)} replies")


def test_messages_are_on_the_servers_disk_after_they_were_accepted(lab, balancer):
    balancer.start()
    balancer.wait_all_up()
    def stored():
        return sum(len(list((lab.run / host / "mail/new").glob("*"))) for host in SERVERS)
    before = stored()
    lab("send", "50")
    wait_until(lambda: stored() == before + 50, 30, "50 more messages in the mailboxes")


@pytest.mark.kernels
@pytest.mark.long
def test_a_stopped_or_killed_mxlbd_leaves_mail_flowing_and_the_next_one_takes_over(lab, balancer):
    balancer.start()
    balancer.wait_all_up()
    assert balancer.stop() == 0
    lab("send", "50")
    balancer.start()
    balancer.wait_all_up()
    balancer.process.kill()
    balancer.process.wait()
    lab("send", "50")
    balancer.start()
    balancer.wait_all_up()
    lab("send", "50")
