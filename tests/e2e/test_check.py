# SPDX-License-Identifier: BSD-2-Clause
"""mxlbctl check as a Nagios plugin: one line, performance data after a bar, and the exit status."""
import json
import re
import signal
import subprocess

import pytest

from lab import OXFORD, SERVERS, wait_until

STATES = ("OK", "WARNING", "CRITICAL", "UNKNOWN")
FIGURE = r"'[^'=|]+'=-?\d+(?:c|s|%|[KMG]?B)?(?:;[\d:.~@]*){0,4}"  # the Monitoring Plugins' guidelines


def check(lab, *words):
    """Returns state, text and figures, and asserts that the line follows the Monitoring Plugins guidelines."""
    done = subprocess.run([*lab.nsenter("lb"), str(lab.run / "bin/mxlbctl"), "-s", str(lab.run / "mxlb.sock"), "check", *words],
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=30, check=False)
    line, = done.stdout.splitlines()
    parts = re.fullmatch(rf"MXLB (\w+) - ([^|]*)(?:\|({FIGURE}(?: {FIGURE})*)?)?", line)
    assert parts and STATES[done.returncode] == parts[1], (done.returncode, line)
    return parts[1], parts[2], dict(re.findall(r"'([^']+)'=(-?\d+)", parts[3] or ""))


def becomes(lab, state, text, *words, seconds=15):
    seen = []

    def met():
        seen[:] = check(lab, *words)
        return seen[0] == state and text in seen[1]
    try:
        wait_until(met, seconds, f"{state} {text}")
    except AssertionError as late:
        raise AssertionError(f"{late}: {seen}") from None


def orders(lab, word, *hosts):
    for service in ("hybrid-mail", "hybrid-mail6"):
        for host in hosts:
            lab("ctl", word, f"{service}/{host}")


@pytest.fixture
def site(lab, balancer):
    balancer.start()
    balancer.wait_all_up()
    return lab


def test_a_healthy_site_is_ok_with_figures(site):
    state, text, figures = check(site)
    assert state == "OK" and "hybrid-mail: tier 10, 3 of 3 up" in text and "hybrid-mail6" in text
    assert {"hybrid-mail_up", "hybrid-mail_flows", "hybrid-mail_new", "hybrid-mail_certificate_days"} <= set(figures)
    assert figures["hybrid-mail_up"] == "3"
    assert "hybrid-mail6" not in check(site, "hybrid-mail")[1]
    said = json.loads(site.within("lb", str(site.run / "bin/mxlbctl"), "-s", str(site.run / "mxlb.sock"), "--json", "check"))
    assert (said["state"], said["problems"], said["figures"]["hybrid-mail_up"]) == ("OK", [], 3)


def test_what_is_a_warning(site, balancer):
    site.stop("nuneaton")
    becomes(site, "WARNING", "hybrid-mail/nuneaton is down")
    orders(site, "maint", "nuneaton")
    becomes(site, "OK", "")  # by an operator
    orders(site, "ready", "nuneaton")
    site.start("nuneaton")
    becomes(site, "OK", "")
    site("ctl", "tier", "hybrid-mail", "force", "10")
    becomes(site, "WARNING", "forced")
    site("ctl", "tier", "hybrid-mail", "auto")
    orders(site, "maint", *OXFORD)
    becomes(site, "WARNING", "tier 20, not the best")
    orders(site, "ready", *OXFORD)
    becomes(site, "OK", "")
    balancer.configure(replace={"probe: exo": "probe: eox"})
    site("ctl", "reload", status=1)
    becomes(site, "WARNING", "the last reload failed")


def test_no_server_up_is_critical_and_worse_than_a_warning(site):
    for host in SERVERS:
        site.stop(host)
    becomes(site, "CRITICAL", "hybrid-mail: no server is available: senders are refused")
    site.mend()
    becomes(site, "OK", "")


def test_days_of_certificates_as_the_options_say(site):
    days = int(check(site)[2]["hybrid-mail_certificate_days"])
    assert check(site, "-w", str(days + 1))[0] == "WARNING"
    state, text, _ = check(site, "hybrid-mail", "-w", str(days + 2), "-c", str(days + 1))
    assert state == "CRITICAL" and f"expires in {days} days" in text
    assert check(site, "-w", str(days), "--critical", "1")[0] == "OK"
    assert check(site, "-w", "soon")[0] == "UNKNOWN"


def test_no_answer_and_no_such_service_are_unknown(site, balancer):
    assert check(site, "nothing") == ("UNKNOWN", "no such service", {})
    pid = balancer.process.pid
    balancer.process.send_signal(signal.SIGSTOP)
    try:
        assert check(site, "--timeout", "1s")[0] == "UNKNOWN"
    finally:
        balancer.process.send_signal(signal.SIGCONT)
    wait_until(balancer.answers, 10, f"mxlbd {pid} answers again")
    balancer.stop()
    assert check(site)[:2] == ("UNKNOWN", "mxlbd does not answer")
