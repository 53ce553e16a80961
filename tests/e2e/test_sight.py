# SPDX-License-Identifier: BSD-2-Clause
"""mxlbd knows whether its program sees arriving packets: a tag that the device would strip is kept, and the setting is
restored; and if the program sees nothing although the kernel does, nothing shows "up" any more."""
import json

import pytest

from another_program import another_program
from lab import wait_until

PATIENCE_S = 15


def strips_tags(lab):
    return "rx-vlan-offload: on" in lab.within("lb", "ethtool", "-k", "eth0")


def set_stripping(lab, word):
    lab.within("lb", "ethtool", "-K", "eth0", "rxvlan", word)


@pytest.fixture
def tagged(lab, balancer):
    lab.undo.callback(set_stripping, lab, "on")
    balancer.configure(replace={"eth0: {mode: auto}": "eth0: {mode: auto, vlan: 7}"})
    return balancer


def test_a_device_does_not_strip_the_tags_of_mail_until_detach(lab, tagged):
    set_stripping(lab, "on")
    tagged.start()
    assert not strips_tags(lab)
    assert "event=offload interface=eth0 rxvlan=off" in tagged.log()
    set_stripping(lab, "on")
    wait_until(lambda: not strips_tags(lab), PATIENCE_S, "what somebody switched on is off again")
    assert tagged.stop() == 0 and not strips_tags(lab), "a stop leaves the kernel forwarding"
    tagged.start()
    assert "event=offload" not in tagged.log(), "an earlier mxlbd did it"
    lab("ctl", "detach")
    assert tagged.process.wait(10) == 0
    assert strips_tags(lab) and "rxvlan=on" in tagged.log()


def test_a_tag_that_is_no_longer_configured_is_stripped_again(lab, tagged):
    set_stripping(lab, "on")
    tagged.start()
    assert tagged.stop() == 0 and not strips_tags(lab)
    tagged.configure()
    tagged.start()
    assert strips_tags(lab)


def test_a_device_that_never_stripped_tags_does_not_begin_to(lab, tagged):
    set_stripping(lab, "off")
    tagged.start()
    assert "event=offload" not in tagged.log()
    lab("ctl", "detach")
    assert tagged.process.wait(10) == 0
    assert not strips_tags(lab)


def test_if_the_program_sees_no_packets_nothing_is_shown_as_up(lab, balancer):
    balancer.start()
    balancer.wait_all_up()

    def ask():
        """Another host asks for the balancer's own address by ARP, as hosts of any network do from time to time."""
        for host in ("router", "oxford-a"):
            lab.within(host, "ip", "neigh", "flush", "dev", "eth0", status=None)
            lab.within(host, "ping", "-c1", "-W1", "203.0.113.5", status=None)

    expected = [{"name": "eth0", "xdp": "native", "sight": "sees"}]
    wait_until(lambda: ask() or balancer.status()["interfaces"] == expected, 3 * PATIENCE_S, "it sees")
    with another_program(lab):
        wait_until(lambda: ask() or balancer.status()["interfaces"][0]["sight"] == "blind", 3 * PATIENCE_S, "it is blind")
        assert {s["state"] for s in balancer.status()["services"]} == {"blind"}
        assert "event=interface_blind interface=eth0 from=" in balancer.log() or \
            "event=interface_blind interface=eth0 to=blind" in balancer.log(), balancer.log()
        assert "event=service_state service=hybrid-mail from=up to=blind" in balancer.log()
        assert "blind" in lab("ctl", "status") and lab("ctl", "check", status=2)
        assert {f["code"] for f in balancer.status()["diagnosis"] if f["level"] == "critical"} == {"service_blind"}
        found = json.loads(lab("ctl", "--json", "doctor", status=1))["findings"]
        assert "error" in {f["level"] for f in found if f["check"] == "sight"}, found
        assert "STOP" in balancer.ask("show stat")
    wait_until(lambda: ask() or {s["state"] for s in balancer.status()["services"]} == {"up"}, 3 * PATIENCE_S,
               "it sees again")
    assert "event=interface_blind interface=eth0 from=blind to=sees" in balancer.log()
    lab("send", "5")
