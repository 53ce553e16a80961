# SPDX-License-Identifier: BSD-2-Clause
"""Everything of mxlb that is in the balancer's kernel."""
import re

OURS = re.compile(r"6d78|\b27\d{3}\b")
TIMERS = [f"net.{family}.neigh.eth0.retrans_time_ms" for family in ("ipv4", "ipv6")]


def timers(lab):
    return [int(lab.within("lb", "sysctl", "-n", name)) for name in TIMERS]


def left(lab):
    """The objects of mxlb in the kernel, by kind."""
    commands = {
        "rules": [("ip", family, "rule", "show") for family in ("-4", "-6")],
        "routes": [("ip", family, "route", "show", "table", "all") for family in ("-4", "-6")],
        "neighbours": [("ip", "-6", "neigh", "show", "nud", "permanent")],
        "filters": [("tc", "filter", "show", "dev", "eth0", "egress")],
    }
    found = {kind for kind, all_of in commands.items()
             if any(OURS.search(lab.within("lb", *argv)) or "bpf" in lab.within("lb", *argv) for argv in all_of)}
    return found | ({"program"} if lab.xdp() else set()) | ({"pins"} if lab.pinned() else set())


EVERYTHING = {"rules", "routes", "neighbours", "program", "pins"}
