# SPDX-License-Identifier: BSD-2-Clause
"""/metrics as Prometheus reads it; page, CSV, JSON and metrics agree; the alert rules and the dashboard."""
import csv
import datetime
import io
import json
import os
import re
import signal
import time

import pytest

from lab import OXFORD, ROOT, SERVERS, Traffic, wait_until
from watching import OPEN, QUIET, URL, document, fetch, parse_open, promtool, samples

RULES = ROOT / "scripts/prometheus/mxlb.rules.yml"
DASHBOARD = ROOT / "scripts/grafana/mxlb.json"
STATES = ("not-ready", "up", "draining-only", "fail-open", "down", "blind", "panic")
VERDICTS = ("unknown", "up", "draining", "down")
NAME = re.compile(r"\bmxlb_[a-z_]+\b")
FIGURES = """return [...document.querySelectorAll('.service')].map(card => [card.querySelector('h2').textContent,
    card.querySelector('summary').textContent, [...card.querySelectorAll('.backend')].map(b => [
    b.querySelector('b').textContent, b.dataset.verdict, ...[...b.querySelectorAll('dd')].map(d => d.textContent)])])"""


@pytest.fixture
def busy(lab, balancer):
    """A balancer that has had connections, drops and a change of tier, and is idle now."""
    endpoints = lab.run / "endpoints.json"
    endpoints.write_text('[{"id": 10, "ips": ["198.51.100.0/24", "203.0.113.0/24", "2001:db8:100::/48"], "tcpPorts": "25"}]')
    balancer.configure(replace={**QUIET, "failback-hold: 0s": f"failback-hold: 0s\n    allow: [192.0.2.0/24, \"2001:db8:113::/64\"]\n    allow-file: {endpoints}"})
    lab.config_file.write_text(lab.config_file.read_text() + "\nnotify: /bin/true\n")
    balancer.start()
    balancer.wait_all_up()
    with Traffic(lab) as traffic:
        traffic.wait_seen(OXFORD)
    lab("ctl", "tier", "hybrid-mail", "force", "20")
    lab("ctl", "drain", "hybrid-mail6/oxford-b")
    lab.within("client", "curl", "-s", "--max-time", "2", "http://203.0.113.25:8025/", status=None)  # another port: dropped
    wait_until(lambda: document(lab, "/status.json")["drops"]["not_our_port"], 5, "the drop is counted")

    def rest():  # programs of `notify` may still wait for their turn
        status = document(lab, "/status.json")
        return status["notify"], status["probing"], fetch(lab, "/events.json")
    last = [rest(), time.monotonic()]

    def still():
        if (now := rest()) != last[0]:
            last[:] = now, time.monotonic()
        return time.monotonic() - last[1] > 1
    wait_until(still, 30, "nothing happens")
    return balancer


def seconds(time):
    return datetime.datetime.fromisoformat(time.replace("Z", "+00:00")).timestamp()


def of_box(status):
    """The metrics of the box, computed from the JSON document."""
    config, probing = status["config"], status["probing"]
    yield "build_info", {"version": status["version"], "build": status["build"]}, 1
    yield "uptime_seconds", {}, status["uptime_s"]
    yield "config_loaded_timestamp_seconds", {}, seconds(config["loaded_at"])
    yield "config_last_load_successful", {}, not config["last_error"]
    for result in ("ok", "failed"):
        yield "config_reloads_total", {"result": result}, config[f"reloads_{result}"]
    for metric, key in (("probes_begun", "begun"), ("probes_hinted", "hinted"), ("probe_child_restarts", "child_restarts")):
        yield f"{metric}_total", {}, probing[key]
    yield "maps_changed_total", {}, status["maps_changed"]
    for result in ("ok", "failed"):
        yield "notify_runs_total", {"result": result}, status["notify"][result]
    yield "notify_dropped_events_total", {}, status["notify"]["dropped"]
    for quantile, key in (("0.5", "p50"), ("0.99", "p99"), ("1.0", "max")):
        yield "probe_lateness_seconds", {"quantile": quantile}, probing[f"late_{key}_ms"] / 1000
    for interface in status["interfaces"]:
        for mode in ("native", "generic", "detached"):
            yield "interface_xdp_mode", {"interface": interface["name"], "mode": mode}, mode == interface["xdp"]
    for fate, key in (("dropped", "drops"), ("passed", "passes"), ("answered", "answers"), ("noted", "notes")):
        for reason, count in status[key].items():
            yield f"{fate}_packets_total", {"reason": reason}, count


def of_service(service):
    label, counts = {"service": service["name"]}, service["counts"]
    for state in STATES:
        yield "service_state", {**label, "state": state}, state == service["state"]
        yield "service_state_changes_total", {**label, "state": state}, counts["became"][state]
    yield "service_downtime_seconds_total", label, counts["down_s"]
    yield "service_tier_switches_total", label, counts["tier_switches"]
    allow = service["allow"] or {"prefixes": 0, "file": None}
    yield "service_allow_prefixes", label, allow["prefixes"]
    if allow["file"]:
        yield "service_allow_file_prefixes", label, allow["file_prefixes"]
        yield "service_allow_file_timestamp_seconds", label, seconds(allow["file_changed"])
    for reason, count in service["drops"].items():
        yield "service_dropped_packets_total", {**label, "reason": reason}, count
    for kind in ("denied", "limited", "malformed", "no_server"):
        yield "service_rejected_clients", {**label, "kind": kind}, service["rejected"]["clients"][kind]
    for tier in service["tiers"]:
        of_tier = {**label, "tier": str(tier["preference"])}
        yield "tier_active", of_tier, tier["active"]
        yield "tier_backends_up", of_tier, tier["up"]
        yield "tier_forced", of_tier, bool(service["forced"]) and service["forced"]["tier"] == tier["preference"]
        for backend in tier["servers"]:
            yield from of_backend(backend, {**of_tier, "backend": backend["name"]})


def of_backend(backend, label):
    counts, table = backend["counts"], backend["flow_table"]
    for metric, value in {
            "flows": backend["flows"], "new_connections_total": backend["new"], "packets_total": backend["packets"],
            "bytes_total": backend["bytes"], "weight": backend["weight"], "configured_weight": backend["configured_weight"],
            "in_ring": backend["in_ring"], "syn_retransmits_total": table["retransmits"],
            "flow_misses_total": table["misses"], "flows_promoted_total": table["promoted"],
            "flows_evicted_total": table["evicted"], "flows_unplaced_total": table["unplaced"],
            "verdict_changed_timestamp_seconds": seconds(backend["since"]),
            "last_probe_timestamp_seconds": seconds(backend["last_probe"]["at"]),
            "certificate_expiry_timestamp_seconds": seconds(backend["tls"]["not_after"]),
            "downtime_seconds_total": counts["down_s"]}.items():
        yield f"backend_{metric}", label, value
    for verdict in VERDICTS:
        yield "backend_verdict", {**label, "verdict": verdict}, verdict == backend["verdict"]
        yield "backend_probes_total", {**label, "result": verdict}, counts["probes"][verdict]
        yield "backend_verdict_changes_total", {**label, "verdict": verdict}, counts["became"][verdict]
    for state in ("ready", "drain", "maint"):
        yield "backend_admin_state", {**label, "state": state}, state == backend["admin"]
    yield "backend_reason", {**label, "reason": backend["reason"], "exo_code": backend["exo_code"]}, 1
    ended = sum(counts["probes"].values())
    yield "backend_probe_duration_seconds_count", {**label, "stage": "total"}, ended
    yield "backend_probe_duration_seconds_bucket", {**label, "stage": "total", "le": "+Inf"}, ended


def expected(status):
    rows = [*of_box(status), *(row for service in status["services"] for row in of_service(service))]
    return {(f"mxlb_{name}", frozenset(labels.items())): float(value) for name, labels, value in rows}


def of_stages(key):
    """Only the metrics have durations of stages."""
    return key[0].startswith("mxlb_backend_probe_duration_seconds")


def test_promtool_and_the_parser_of_openmetrics_have_nothing_to_say(lab, busy):
    text = fetch(lab, "/metrics")
    assert promtool("check", "metrics", text=text) == (0, "")
    families = {family.name: family for family in parse_open(fetch(lab, "/metrics", *OPEN))}
    assert len(families) > 40 and all(family.documentation for family in families.values())
    assert {f.unit for f in families.values()} == {"", "seconds", "bytes"}
    of_text = {key for key in samples(text) if not key[0].endswith("_created")}
    assert of_text == set(samples(fetch(lab, "/metrics", *OPEN), parse_open)) and len(of_text) > 500


def test_metrics_and_json_have_the_same_numbers_and_none_is_left_out(lab, busy):
    """Apart from times, which advance."""
    status, found = document(lab, "/status.json"), samples(fetch(lab, "/metrics"))
    wanted = expected(status)
    uptime = ("mxlb_uptime_seconds", frozenset())
    assert 0 <= found.pop(uptime) - wanted.pop(uptime) < 20
    assert {key: (value, found.get(key)) for key, value in wanted.items() if found.get(key) != pytest.approx(value, abs=.0005)} == {}
    assert [key for key in found if key not in wanted and not of_stages(key)] == []
    values = {name: value for (name, _), value in found.items() if value}
    assert values["mxlb_dropped_packets_total"] and values["mxlb_backend_new_connections_total"]
    assert {key: value for key, value in status.items() if key not in ("time", "uptime_s", "services")} == {
        key: value for key, value in busy.status().items() if key not in ("time", "uptime_s", "services")}


def csv_rows(text):
    rows = list(csv.DictReader(io.StringIO(text.strip().removeprefix("# "))))
    return {(row["pxname"], row["svname"]): row for row in rows}


def test_the_csv_has_the_same_numbers(lab, busy):
    status, rows = document(lab, "/status.json"), csv_rows(busy.ask("show stat"))
    for service in status["services"]:
        for backend in (b for tier in service["tiers"] for b in tier["servers"]):
            row, counts = rows[service["name"], backend["name"]], backend["counts"]
            assert [int(row[key]) for key in ("scur", "stot", "bin", "weight", "chkfail", "chkdown", "wretr", "downtime")] == [
                backend["flows"], backend["new"], backend["bytes"], backend["weight"], counts["failed_up"], counts["falls"],
                backend["flow_table"]["retransmits"], counts["down_s"]]
            assert int(row["check_duration"]) == backend["last_probe"]["total_ms"]
        backends = [b for tier in service["tiers"] for b in tier["servers"]]
        front = rows[service["name"], "FRONTEND"]
        assert [int(front[key]) for key in ("scur", "stot", "bin")] == [
            sum(b[key] for b in backends) for key in ("flows", "new", "bytes")]
        drops = service["drops"]
        assert int(front["dreq"]) == drops["denied"] + drops["syn_limit"]


def in_bytes(n):
    for unit in ("B", "kB", "MB", "GB"):
        if n < 1000:
            return f"{n:.1f} {unit}" if unit != "B" and n < 10 else f"{n:.0f} {unit}"
        n /= 1000


def test_the_page_has_the_same_numbers(lab, busy, browser):
    browser.open(URL + "/")
    browser.wait("return document.querySelectorAll('.backend').length == 6", 20, "the servers are shown")
    status, figures = document(lab, "/status.json"), browser.run(FIGURES)
    assert [name for name, *_ in figures] == [s["name"] for s in status["services"]]
    for service, (_, line, shown) in zip(status["services"], figures):
        backends = [b for tier in service["tiers"] for b in tier["servers"]]
        new, size, dropped = (sum(values) for values in (
            [b["new"] for b in backends], [b["bytes"] for b in backends], service["drops"].values()))
        assert line == (f"{new:,} connection{'s' if new != 1 else ''}, {in_bytes(size)} so far; "
                        f"{dropped:,} packet{'s' if dropped != 1 else ''} dropped")
        assert shown == [[b["name"], b["verdict"], f"{b['tls']['days_left']:,} d", f"{b['flows']:,}", "0",
                          f"{b['last_probe']['total_ms']:,} ms"] for b in backends]


def test_the_alert_rules_are_sound_and_their_own_tests_pass():
    assert promtool("check", "rules", RULES)[0] == 0
    status, said = promtool("test", "rules", RULES.with_name("mxlb.rules.test.yml"))
    assert status == 0, said
    alerts = re.findall(r"- alert: (\w+)", RULES.read_text())
    tested = RULES.with_name("mxlb.rules.test.yml").read_text()
    assert len(alerts) > 15 and [name for name in alerts if name not in tested] == []


def test_rules_and_dashboard_ask_only_for_metrics_and_labels_that_are_there(lab, busy):
    """Each metric exists, and so does each label of a selector, with the values that the selector names."""
    text = fetch(lab, "/metrics")
    labels = {name: {} for name in re.findall(r"^# TYPE (\w+) ", text, re.M)}  # one of what is wrong has no sample while nothing is
    for name, pairs in samples(text):
        for label, value in pairs:
            labels.setdefault(name, {}).setdefault(label, set()).add(value)
        labels.setdefault(name, {})
    own = "".join(path.read_text() for path in (ROOT / "userspace/daemon").glob("*.c"))
    labels["mxlb_problem"] = {"name": set(re.findall(r'own_problem\(\s*d, "(\w+)"', own)), "service": set()}
    for kind, source in (("zone", "zone.c"), ("tlsa", "tlsaset.c")):  # there are none without `mx` and `tlsa-name`
        states = re.findall(r'^\t\[\w+\] = "(\w+)"', (ROOT / "userspace/core" / source).read_text(), re.M)
        labels[f"mxlb_{kind}_state"] = {"service" if kind == "zone" else "probe": set(), "state": set(states)}
    labels["mxlb_tlsa_unmatched"] = {"probe": set()}
    dashboard = json.loads(DASHBOARD.read_text())
    queries = [t["expr"] for panel in dashboard["panels"] for t in panel["targets"]]
    queries += [v["query"]["query"] for v in dashboard["templating"]["list"] if v["type"] == "query"]
    rules = re.findall(r"^ *expr: (.*)$", RULES.read_text(), re.M)
    assert len(queries) > 20 and len({p["id"] for p in dashboard["panels"]}) == len(dashboard["panels"])
    for query in queries + rules:
        assert (names := NAME.findall(query)) or "up{" in query
        assert [name for name in names if name not in labels] == [], query
        for name, selector in re.findall(r"(mxlb_\w+)\{([^}]*)\}", query):
            for label, operator, value in re.findall(r'(\w+)(=~|!~|!=|=)"([^"]*)"', selector):
                if label == "instance":
                    continue
                assert label in labels[name], query
                if not value.startswith("$"):
                    assert set(value.split("|")) <= labels[name][label], query


def test_what_is_wrong_is_in_the_metrics_too(lab, balancer):
    balancer.start()
    balancer.wait_all_up()
    lab.stop("oxford-a")
    label = {"service": "hybrid-mail", "tier": "10", "backend": "oxford-a"}
    down = ("mxlb_backend_verdict", frozenset({**label, "verdict": "down"}.items()))
    found = wait_until(lambda: (s := samples(fetch(lab, "/metrics")))[down] and s, 10, "the server is down in the metrics")
    assert found["mxlb_backend_reason", frozenset({**label, "reason": "refused", "exo_code": "4.4.316"}.items())] == 1
    lab.config_file.write_text("nonsense: 1\n")
    os.kill(int(balancer.info("Pid")), signal.SIGHUP)
    wait_until(lambda: samples(fetch(lab, "/metrics"))["mxlb_config_last_load_successful", frozenset()] == 0, 5,
               "a failed reload is in the metrics")
    assert set(SERVERS) == {dict(labels)["backend"] for (name, labels) in found if name == "mxlb_backend_weight"}
