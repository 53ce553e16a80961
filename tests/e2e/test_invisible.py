# SPDX-License-Identifier: BSD-2-Clause
"""What docs/operations.md says of tcpdump and nftables on the load balancer: neither meets the clients' packets; the servers' do."""
import pytest

from games import Capture
from lab import CLIENT, OXFORD, VIP, Traffic

DROP = """
table inet blocks { chain prerouting { type filter hook prerouting priority -400; ip daddr %s drop; }; }
table netdev blocks { chain ingress { type filter hook ingress device eth0 priority -500; ip daddr %s drop; }; }
""" % (VIP, VIP)


@pytest.mark.parametrize("mode", ["native", "generic"])
def test_tcpdump_and_nftables_on_the_box_meet_no_packet_of_a_client(lab, balancer, tmp_path, mode):
    balancer.configure(mode)
    balancer.start()
    balancer.wait_all_up()
    lab.within("lb", "nft", "-f", "-", input=DROP)
    wanted = f"src host {CLIENT} and dst host {VIP} and tcp"  # the probes are this box's own
    try:
        with Capture(lab, "lb", "eth0", tmp_path, wanted, "inout", at_once=True) as here, \
                Capture(lab, "oxford-a", "eth0", tmp_path, wanted, at_once=True) as there:
            with Traffic(lab) as traffic:
                traffic.wait_seen(OXFORD)
        assert here.count == 0 and there.count > 0
        assert all(attempt.server in OXFORD for attempt in traffic.attempts())
    finally:
        lab.within("lb", "nft", "flush", "ruleset")
    lab.within("oxford-a", "nft", "-f", "-", input=DROP.splitlines()[1])
    try:
        with Traffic(lab) as traffic:
            traffic.wait_seen({"oxford-b"})
        assert "oxford-a" not in {attempt.server for attempt in traffic.attempts()}, "a server's firewall does"
    finally:
        lab.within("oxford-a", "nft", "flush", "ruleset")
