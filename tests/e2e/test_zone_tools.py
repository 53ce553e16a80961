# SPDX-License-Identifier: BSD-2-Clause
"""What an operator sees of servers from DNS: status, doctor, check, plan, events, the page's data, and their agreement."""
import json
import re
import subprocess
from pathlib import Path

import pytest

from lab import CLIENT, OXFORD, ROOT, wait_until
from test_zone_dane import Key, install, restore
from watching import OPEN, URL, fetch, parse_open, promtool, samples
from zones import MX, RECORDS, by_zone, dns, exchanger, key, tiers, zone, zone_of  # noqa: F401


def events(balancer):
    return [json.loads(line) for line in balancer.ask("show events json").splitlines() if line]


def test_a_change_of_the_zone_is_told_once_and_ends_no_operators_weight(balancer, dns):
    """The file was not read again: neither a configuration event nor a reload, and the weight stays."""
    by_zone(balancer, dns)
    balancer.start()
    balancer.wait_all_up()
    balancer.ask("set server hybrid-mail/oxford-a weight 7")
    before = balancer.status()["config"]
    since = events(balancer)[-1]["seq"]
    dns.change([r.replace("MX 20", "MX 10") for r in RECORDS])
    wait_until(lambda: tiers(balancer) == {10: ["nuneaton", "oxford-a", "oxford-b"]}, 30, "the new preference")
    told = [e for e in events(balancer) if e["seq"] > since and e["service"] != "hybrid-mail6"]
    assert [(e["event"], e["cause"]) for e in told if e["event"] in ("config", "zone")] == [("zone", "nuneaton: tier 10, was 20")]
    assert balancer.status()["config"] == before
    assert balancer.backend("oxford-a")["weight"] == 7
    assert zone(balancer)["state"] == "current"


def finding(balancer, code, service="hybrid-mail"):
    return next((f for f in balancer.status()["diagnosis"] if f["code"] == code and f["service"] == service), None)


def assert_all_views_agree(lab, balancer, found):
    """Status, doctor, check and `zone` have what the diagnosis says; the log has its next step."""
    words = found["next"]
    assert found["text"] in " ".join(lab("ctl", "status").split())
    told = [f for f in json.loads(lab("ctl", "doctor", "--json", status=None))["findings"] if f["check"] == "zone"]
    assert (found["text"], words) in [(f["text"], f["advice"]) for f in told], told
    line = lab("ctl", "check", "hybrid-mail", status=1)
    assert line.startswith("MXLB WARNING") and found["text"] in line and words in line, line
    lab("ctl", "zone", "hybrid-mail", status=1)
    wait_until(lambda: any(words in entry for entry in balancer.log().splitlines() if "event=zone " in entry), 10, "the log has it")


def without_library(*argv):
    """In a mount namespace in which the library is an empty file."""
    library = next(Path("/usr/lib").glob("*/libunbound.so.8")).resolve()
    return ["unshare", "-m", "sh", "-c", 'mount --bind /dev/null "$1" && shift && exec "$@"', "sh", str(library), *map(str, argv)]


def start_without_library(balancer):
    with balancer.log_file.open("w") as log:
        balancer.process = subprocess.Popen(without_library(ROOT / "scripts/lab", "mxlbd"), env=balancer.lab.env,
                                            stdin=subprocess.DEVNULL, stderr=log)
    wait_until(balancer.answers, 20, "mxlbd answers")


def test_a_test_of_the_configuration_names_the_package_that_is_missing(lab, balancer, dns, build):
    by_zone(balancer, dns)
    test = [build / "mxlbd", "-t", "-c", lab.config_file]
    assert subprocess.run(test, capture_output=True, text=True, check=True).stderr == ""
    said = subprocess.run(without_library(*test), capture_output=True, text=True, check=True)
    assert "warning" in said.stderr and "install libunbound8" in said.stderr
    lab.config_file.write_text(lab.config_file.read_text().replace(f"trust-anchors: [{dns.anchor}]", "trust-anchors: [/no/such/file]"))
    said = subprocess.run(test, capture_output=True, text=True, check=False)
    assert said.returncode == 1 and "/no/such/file" in said.stderr


def test_without_the_library_mxlbd_runs_and_names_the_package(lab, balancer, dns):
    by_zone(balancer, dns)
    start_without_library(balancer)
    kept = lambda: finding(balancer, "zone_kept") or {"text": ""}
    wait_until(lambda: "libunbound.so.8" in kept()["text"], 20, "the cause")
    assert "libunbound8" in kept()["next"] and kept()["next"].endswith("mxlbctl zone hybrid-mail read")
    ready = finding(balancer, "service_not_ready")
    assert ready["level"] == "critical" and ready["next"] == kept()["next"]
    assert zone(balancer)["exchange_online"] == "not known", "this box is at fault"
    assert "libunbound8" in balancer.log()
    assert lab("ctl", "check", status=2).startswith("MXLB CRITICAL")


def test_dead_dns_and_an_empty_zone_are_told_alike_everywhere(lab, balancer, dns):
    by_zone(balancer, dns)
    balancer.start()
    balancer.wait_all_up()
    wait_until(lambda: lab("ctl", "check", "hybrid-mail", status=None).startswith("MXLB OK"), 20, "all is well")
    assert lab("ctl", "zone", "hybrid-mail") and not finding(balancer, "zone_kept")
    dns.change([r for r in RECORDS if " MX " not in r])
    assert_all_views_agree(lab, balancer, wait_until(lambda: finding(balancer, "zone_refused"), 30, "the zone is refused"))
    dns.resolver(False)
    wait_until(lambda: finding(balancer, "zone_kept"), 60, "the zone is kept")
    assert_all_views_agree(lab, balancer, finding(balancer, "zone_kept"))


def test_zone_read_waits_for_the_answer_and_status_names_the_zone(lab, balancer, dns):
    balancer.configure(replace={"refresh-min: 1s": "refresh-min: 1h", "refresh-max: 60s": "refresh-max: 1h"})
    balancer.start()
    balancer.wait_all_up()
    assert f"mx {MX}: current, secure" in lab("ctl", "status")
    dns.change([*RECORDS, *exchanger("oxford-c", 10, 11)])
    dns.forget()
    said = lab("ctl", "zone", "hybrid-mail", "read")
    assert "oxford-c" in said and "same address as oxford-a" in said, said
    assert json.loads(lab("ctl", "zone", "hybrid-mail", "read", "--json"))["hybrid-mail"]["lookups"] == 3
    assert "no such service" in lab("ctl", "zone", "nobody", "read", status=1).lower()


def plan(lab, text, tmp_path):
    (tmp_path / "new.yaml").write_text(text)
    return lab("ctl", "plan", "--config", str(tmp_path / "new.yaml"))


def assert_line(text, *words):
    """Of text, one line has all of these words."""
    assert any(all(word in line for word in words) for line in text.splitlines()), text


@pytest.fixture
def tiered(balancer):
    """With the servers in the file, before there is a zone."""
    balancer.configure()
    balancer.start()
    balancer.wait_all_up()


def test_plan_says_what_is_not_known_and_what_is_held_back(lab, balancer, tiered, dns, tmp_path):
    by_zone(balancer, dns)
    text = lab.config_file.read_text()
    assert_line(plan(lab, text, tmp_path), f"hybrid-mail: mx {MX}: ", "not known", "never looked up", "keeps")
    lab("ctl", "reload")
    wait_until(lambda: zone(balancer)["state"] == "current", 30, "DNS has answered")
    assert "nothing would change" in plan(lab, text, tmp_path)
    assert_line(plan(lab, text.replace(f"mx: {MX}", f"mx: other.{MX}", 1), tmp_path), f"mx other.{MX}: ", "not known")
    dns.change(zone_of(("nuneaton", 20)))
    wait_until(lambda: zone(balancer)["state"] == "held", 30, "the change is held back")
    said = plan(lab, text, tmp_path)
    assert_line(said, f"hybrid-mail: mx {MX}: ", "held back", "1 of 3")
    assert_line(said, "accepted: ", "hybrid-mail/oxford-a (203.0.113.11): removed")
    assert "zone_held" in [f["code"] for f in balancer.status()["diagnosis"]]


def test_while_mxlbd_is_stopped_the_stored_servers_are_shown(lab, balancer, dns):
    by_zone(balancer, dns)
    balancer.start()
    balancer.wait_all_up()
    argv = [str(lab.run / "bin/mxlbctl"), "-c", str(lab.config_file), "--json", "status"]
    balancer.stop()
    for state, expected in ((lab.run / "state-lb", {"oxford-a": "up", "oxford-b": "up", "nuneaton": "up"}), (lab.run / "none", {})):
        said = lab.within("lb", "env", f"STATE_DIRECTORY={state}", *argv, status=3)
        status = json.loads(said[said.index("{"):])
        assert {b["name"]: b["verdict"] for t in status["services"][0]["tiers"] for b in t["servers"]} == expected
        assert [f["code"] for f in status["diagnosis"]] == ["mxlbd_stopped"], "nothing is said of what is not known"


def test_the_page_and_the_metrics_show_the_state_too(lab, balancer, dns, browser):
    by_zone(balancer, dns)
    balancer.start()
    balancer.wait_all_up()
    state = lambda name: ("mxlb_zone_state", frozenset({"service": "hybrid-mail", "state": name}.items()))
    now = lambda: samples(fetch(lab, "/metrics"))
    assert now()[state("current")] == 1 and now()[state("refused")] == 0
    browser.open(URL + "/")
    browser.wait("return document.querySelectorAll('.backend[data-verdict=up]').length == 6", 20, "all are up on the page")
    dns.change([r for r in RECORDS if " MX " not in r])
    wait_until(lambda: now()[state("refused")] == 1, 30, "the metrics have it")
    found = finding(balancer, "zone_refused")
    shown = lambda: browser.run("return document.body.innerText")
    wait_until(lambda: found["text"].removeprefix("hybrid-mail: ")[1:] in shown() and found["next"] in shown(), 20, "the page has it")
    assert promtool("check", "metrics", text=fetch(lab, "/metrics")) == (0, "")
    assert {f.name for f in parse_open(fetch(lab, "/metrics", *OPEN))} >= {"mxlb_zone_lookups", "mxlb_zone_dnssec"}
    assert now()["mxlb_zone_lookups_total", frozenset({"service": "hybrid-mail", "result": "nodata"}.items())] >= 1


@pytest.fixture
def tiers_text(lab):
    """The configuration before there is a zone."""
    return lab("config", "auto")


def test_keys_from_dns_of_a_service_with_tiers_are_shown_and_their_faults_told(lab, balancer, tiers_text, dns, key, tmp_path):
    record = key.record
    dns.change([*RECORDS, record])
    dns.forget()
    text = tiers_text.replace("tls: encryption-only", "tls: dane\n    tlsa-name: mail.example.net")
    assert text != tiers_text
    section = re.search(r"^dns:\n(?:  .*\n)+", lab("config", "auto"), re.M)[0].replace("refresh-min: 1s", "refresh-min: 1h").replace("60s", "1h")
    lab.config_file.write_text(text + section)
    balancer.start()
    balancer.wait_all_up()
    known = lambda: wait_until(lambda: (t := zone(balancer)["tlsa"])["state"] == "current" and t, 20, "the records are known")
    assert known()["records"] == 1 and zone(balancer)["mx"] is None
    said = lab("ctl", "zone", "hybrid-mail")
    assert "the file" in said and "1 records in force" in said, said
    lookups, other = zone(balancer)["lookups"], Key(tmp_path / "pki")
    try:
        for host in OXFORD:
            install(lab, host, other)
        wait_until(lambda: finding(balancer, "tlsa_unmatched"), 30, "the probes see other certificates")
    finally:
        for reload in [restore(lab, host) for host in OXFORD]:
            assert reload.wait(60) == 0
    wait_until(lambda: not finding(balancer, "tlsa_unmatched"), 30, "the probes see the old ones")
    assert zone(balancer)["lookups"] == lookups, "no answer was needed"
    dns.change([*RECORDS, record.replace(key.digest, "00" * 32)])
    dns.forget()
    assert "best tier" in lab("ctl", "zone", "hybrid-mail", "read")
    found = finding(balancer, "tlsa_unmatched")
    assert found["next"].startswith("publish ") and "new key" in found["next"]
    assert found["text"] in lab("ctl", "check", "hybrid-mail", status=None)
    assert found["next"] in next(line for line in balancer.log().splitlines() if "event=tlsa" in line and "best tier" in line)
    assert samples(fetch(lab, "/metrics"))["mxlb_tlsa_unmatched", frozenset({("probe", "exo")})] == 1


def test_doctor_checks_servers_from_dns_as_those_of_the_file(lab, balancer, dns):
    balancer.configure(replace={f"mx: {MX}": f"mx: {MX}\n    servers: {{oxford-b: {{address: {CLIENT}}}}}"})
    balancer.start()
    balancer.wait_for({"oxford-a": "up", "oxford-b": "down"}, 30)
    told = json.loads(lab("ctl", "doctor", "--json", status=1))["findings"]
    assert [f["level"] for f in told if f["check"] == "on-link" and f"hybrid-mail/oxford-b ({CLIENT})" in f["text"]] == ["error"], told
    assert f"configuration: {CLIENT}" in lab("ctl", "zone", "hybrid-mail")
