# SPDX-License-Identifier: BSD-2-Clause
"""While mxlbd is stopped or was killed, the kernel goes on: status, show, flows, rejected and explain read what is pinned and say as
of when. They change nothing, exit with 3, and guess nothing where the configuration is not that of the socket."""
import json
import re
import time
from datetime import datetime, timezone

import pytest

from games import Sessions
from lab import CLIENT, SERVERS, VIP, command, wait_until

STOPPED = "mxlbctl: mxlbd is not running: this is read from the kernel"


def ctl(lab, *words, status=3, **options):
    argv = [str(lab.run / "bin/mxlbctl"), *words]
    return lab.within("lb", *argv, "-c", str(lab.config_file), status=status, **options)


def document(lab, *words):
    said = ctl(lab, "--json", *words)
    return json.loads(said[said.index("{"):])  # what stands before is stderr


def servers(status):
    return {b["name"]: b for tier in status["services"][0]["tiers"] for b in tier["servers"]}


def pinned(lab):
    """What may not change: every map that mxlbd writes."""
    return {path.name: command("bpftool", "map", "dump", "pinned", str(path)) for path in lab.pin.glob("v*/*")
            if path.name.split("_")[0] in ("records", "services", "control", "backends", "fronts")}


@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_what_is_pinned_is_shown_as_of_when(lab, balancer, how):
    balancer.start()
    balancer.wait_all_up()
    lab.stop("oxford-b")
    balancer.wait_for({"oxford-b": "down"})
    lab("ctl", "drain", "hybrid-mail/nuneaton")
    with Sessions(lab, VIP) as sessions:
        sessions.open(3, 0)
        wait_until(lambda: balancer.backend("oxford-a")["flows"] == 3, 5, "three flows")
        running = balancer.status()
        assert running["running"] and running["as_of"] is None
        if how == "killed":
            balancer.process.kill()
            balancer.process.wait()
        else:
            balancer.stop()
        ended, before = time.time(), pinned(lab)

        status = document(lab, "status")
        assert not status["running"] and 0 <= age(status["as_of"]) < time.time() - ended + 3
        now, was = servers(status), servers(running)
        for name in SERVERS:
            for key in ("verdict", "reason", "admin", "in_ring", "weight", "flows"):
                assert now[name][key] == was[name][key], (name, key)
            assert now[name]["since"] is None and now[name]["last_probe"] is None and now[name]["tls"] is None
        assert now["nuneaton"]["admin_order"]["who"] == "root" and now["oxford-a"]["flows"] == 3
        assert [s["state"] for s in status["services"]] == [s["state"] for s in running["services"]]
        first = status["diagnosis"][0]
        assert (first["code"], first["level"]) == ("mxlbd_stopped", "critical") and "systemctl start" in first["next"]
        assert {f["code"] for f in status["diagnosis"]} == {"mxlbd_stopped"} | {f["code"] for f in running["diagnosis"]}

        page = ctl(lab, "status")
        assert page.startswith(STOPPED) and re.search(r"^mxlbd is not running; verdicts as of 20\S+Z, \d+s ago$", page, re.M), page
        assert max(map(len, page.splitlines())) <= 80
        assert len(re.findall(rf"^{re.escape(CLIENT)}:\d+ oxford-a \d+$", ctl(lab, "flows", "hybrid-mail"), re.M)) == 3
        flow = document(lab, "flows", "hybrid-mail/oxford-a")["flows"][0]
        why = document(lab, "explain", "hybrid-mail", f"{CLIENT}:{flow['port']}")
        assert (why["goes_to"], why["why"], why["new_connection"]["server"]) == ("oxford-a", "entry", "oxford-a")
        assert "verdict     down" in ctl(lab, "show", "hybrid-mail/oxford-b")
        assert document(lab, "rejected")["shown"] >= 0

        sessions.open(1, 0)  # that the kernel takes in alone
        assert document(lab, "flows", "hybrid-mail")["shown"] == 4
        assert pinned(lab) == before, "it only reads"
    balancer.start()
    assert ctl(lab, "status", status=0).startswith("mxlbd ")


def test_without_evidence_nothing_is_reported(lab, balancer, tmp_path):
    balancer.start()
    balancer.wait_all_up()
    balancer.stop()
    lab("ctl", "status", status=3)
    binary = str(lab.run / "bin/mxlbctl")
    assert STOPPED not in command(binary, "-s", str(tmp_path / "none"), "status", status=3), "another mxlbd's socket"
    nobody = command("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", binary, "-c", str(lab.config_file), "status", status=3)
    assert "run as root, this shows how the kernel" in nobody
    daemon = str(lab.run / "bin/mxlbd")
    for words in ("reload", "show config", "detach", "set server hybrid-mail/oxford-a state maint", "show statuses"):
        assert "only a running mxlbd answers" in command(daemon, "-c", str(lab.config_file), "--pinned", words, status=1)
    assert "No such service" in ctl(lab, "flows", "nobody", status=1)
    lab("ctl", "detach", "-c", str(lab.config_file))
    assert "nothing of this version is pinned" in ctl(lab, "status")
    lab.config_file.write_text("services: {")
    assert "no valid configuration" in ctl(lab, "status", status=1)


def age(text):
    return (datetime.now(timezone.utc) - datetime.fromisoformat(text.replace("Z", "+00:00"))).total_seconds()
