# SPDX-License-Identifier: BSD-2-Clause
"""Clients that are turned away, by the allow-list, by syn-limit, as malformed, or because no server is up: status, doctor, explain,
the page's document, the metrics and the log report them, and `mxlbctl rejected` lists their addresses. A healthy site has no such
report."""
import json
import re

from lab import CLIENT, CLIENT6, SERVERS, VIP, VIP6, Traffic, wait_until
from watching import document, fetch

ALLOW = "failback-hold: 0s\n    allow: {}\n    allow-mode: {}\n    syn-limit: {}"
ROUTER = "203.0.113.1"
ONE_HEADER_TOO_LONG = """
import socket, struct, sys
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
source, vip = map(socket.inet_aton, sys.argv[1:])
tcp = struct.pack("!HHIIBBHHH", 40000, 25, 1, 0, 0xf0, 2, 1000, 0, 0)  # says 60 bytes, and has 20
s.sendto(struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40, 1, 0, 64, 6, 0, source, vip) + tcp, (sys.argv[2], 0))
"""


def configure(balancer, allow, mode="enforce", limit=0):
    balancer.configure(replace={"failback-hold: 0s": ALLOW.format(json.dumps(allow), mode, limit)})


def listed(lab, *words):
    """{(client, service or None, reason): packets} and each one's why."""
    found = json.loads(lab("ctl", "--json", "rejected", *words))["rejected"]
    assert all(row["why"] and row["last"] for row in found)
    return {(row["client"], row["service"], row["reason"]): row["packets"] for row in found}


def note(balancer, service):
    return next((f["text"] for f in balancer.status()["diagnosis"] if f["code"].startswith("senders_") and f["service"] == service), "")


def doctor(lab):
    return json.loads(lab.within("lb", str(lab.run / "bin/mxlbctl"), "-s", str(lab.run / "mxlb.sock"), "--json", "--timeout", "1s", "doctor",
                                 status=None))["findings"]


def test_a_source_outside_the_allow_list_is_shown_everywhere(lab, balancer):
    """While others are served: so no tool may call it a fault."""
    configure(balancer, [f"{ROUTER}/32", "2001:db8:113::1/128"])
    balancer.start()
    balancer.wait_all_up()
    assert not listed(lab) and not note(balancer, "hybrid-mail")
    assert "turned away" not in lab("ctl", "status")
    assert {f["level"] for f in doctor(lab) if f["check"] == "rejected"} == {"ok"}

    with Traffic(lab, VIP), Traffic(lab, VIP6):
        wait_until(lambda: {(CLIENT, "hybrid-mail", "denied"), (CLIENT6, "hybrid-mail6", "denied")} <= listed(lab).keys(), 10, "both")
    assert {key[1] for key in listed(lab, "hybrid-mail6")} == {"hybrid-mail6"}
    assert len(listed(lab, "-n", "1")) == 1
    wait_until(lambda: CLIENT in note(balancer, "hybrid-mail"), 5, lambda: note(balancer, "hybrid-mail"))
    finding, = (f for f in balancer.status()["diagnosis"] if f["code"] == "senders_rejected" and f["service"] == "hybrid-mail")
    text, advice = finding["text"], finding["next"]
    assert CLIENT in text and advice.startswith("mxlbctl rejected hybrid-mail ")
    unwrapped = re.sub(r"\n {2,5}(?=\S)", " ", lab("ctl", "status"))
    assert f"note: {text}" in unwrapped and advice in unwrapped, unwrapped
    assert (text, advice) in {(f["text"], f["advice"]) for f in doctor(lab) if f["check"] == "rejected" and "advice" in f}
    explained = lab("ctl", "explain", "hybrid-mail", CLIENT)
    assert "dropped (denied)" in explained and re.search(r"^turned away: \d+ packets, the last \d+ s ago", explained, re.M), explained
    assert lab("ctl", "check").startswith("MXLB OK"), "others are served"
    assert f"{CLIENT} hybrid-mail denied " in lab("ctl", "rejected")
    service = next(s for s in document(lab, "/status.json")["services"] if s["name"] == "hybrid-mail")
    assert service["rejected"]["denied"] >= 1 and service["rejected"]["clients"]["denied"] == 1
    assert service["rejected"]["last"]["client"] == CLIENT and service["rejected"]["last"]["reason"] == "denied"
    metrics = fetch(lab, "/metrics")
    assert 'mxlb_service_rejected_clients{service="hybrid-mail",kind="denied"} 1' in metrics
    lines = wait_until(lambda: re.findall(r"event=rejected service=hybrid-mail .*", balancer.log()), 15, "a line of the log")
    assert re.fullmatch(rf'event=rejected service=hybrid-mail reason=denied packets=\d+ clients=1 last={CLIENT} '
                        r'advice="mxlbctl rejected .*"', lines[0]), lines

    balancer.stop()  # the pinned table outlives it
    with Traffic(lab, VIP):
        balancer.start()
        assert (CLIENT, "hybrid-mail", "denied") in listed(lab)
    wait_until(lambda: note(balancer, "hybrid-mail"), 5, "still")


def test_limits_malformed_packets_and_an_outage_have_their_own_reasons(lab, balancer):
    configure(balancer, ["192.0.2.0/24", "2001:db8:2::/64"], "observe", 1)
    balancer.start()
    balancer.wait_all_up()
    with Traffic(lab, VIP):
        wait_until(lambda: {(CLIENT, "hybrid-mail", "syn_limit"), (CLIENT, "hybrid-mail", "would_deny")} <= listed(lab).keys(), 10, "limited")

    def malformed():  # clients are counted, so it may be sent again
        lab.within("client", "/usr/bin/python3", "-c", ONE_HEADER_TOO_LONG, CLIENT, VIP)
        return (CLIENT, None, "malformed") in listed(lab)
    wait_until(malformed, 5, "malformed")
    wait_until(lambda: all(text in note(balancer, "hybrid-mail") for text in ("1 over syn-limit", "1 would be denied")), 5,
               lambda: note(balancer, "hybrid-mail"))
    wait_until(lambda: all(text in note(balancer, "") for text in ("1 with malformed packets", CLIENT)), 5, lambda: note(balancer, ""))

    configure(balancer, [f"{CLIENT}/32", f"{CLIENT6}/128"])
    lab("ctl", "reload")
    for host in SERVERS:
        lab.stop(host)
    with Traffic(lab, VIP):
        wait_until(lambda: (CLIENT, "hybrid-mail", "no_backend") in listed(lab), 15, "nobody is up")
    wait_until(lambda: "1 while no server was available" in note(balancer, "hybrid-mail"), 5, lambda: note(balancer, "hybrid-mail"))
    wait_until(lambda: len(set(re.findall(r"event=rejected (?:service=hybrid-mail )?reason=(\w+)", balancer.log()))) == 3, 15,
               "limited, malformed and no_server are in the log")
