# SPDX-License-Identifier: BSD-2-Clause
"""Debian's Prometheus, unmodified, scrapes mxlbd: every query of the dashboard has an answer, and a fault becomes an
alert."""
import json
import re
import subprocess
from pathlib import Path

import pytest

from lab import OXFORD, ROOT, Traffic, wait_until
from watching import PROMTOOL

CONFIG = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [{rules}]
scrape_configs: [{{job_name: mxlb, static_configs: [{{targets: ['127.0.0.1:9125']}}]}}]
"""
VARIABLES = {"$instance": ".*", "$service": ".*", "$__rate_interval": "10s"}
RARE = ("flows_unplaced", "dropped_packets", 'verdict="d', "* 2 == 2", "* 3 == 3", "zone_state", "tlsa_state")  # on a healthy box there may be none


@pytest.fixture
def prometheus(lab, balancer, tmp_path):
    """A Prometheus server; a query returns the current samples."""
    balancer.start()
    balancer.wait_all_up()
    rules = tmp_path / "rules.yml"
    text = (ROOT / "scripts/prometheus/mxlb.rules.yml").read_text()
    rules.write_text(re.sub(r"for: \d+\w", "for: 2s", text))  # nobody waits for half an hour here
    (tmp_path / "prometheus.yml").write_text(CONFIG.format(rules=rules))
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [*lab.nsenter("lb"), str(Path(PROMTOOL).with_name("prometheus")), f"--config.file={tmp_path}/prometheus.yml",
             f"--storage.tsdb.path={tmp_path}/data", "--web.listen-address=127.0.0.1:9090"], stdout=log, stderr=log)

    def query(expression):
        said = lab.within("lb", "curl", "-sS", "--max-time", "10", "--data-urlencode", f"query={expression}",
                          "http://127.0.0.1:9090/api/v1/query", status=None)
        try:
            answer = json.loads(said)
        except json.JSONDecodeError:
            assert process.poll() is None, (tmp_path / "log").read_text()
            return []  # it does not listen yet
        assert answer["status"] == "success", said
        return answer["data"]["result"]
    yield query
    process.terminate()
    assert process.wait(30) == 0


def test_it_accepts_all_and_the_dashboard_has_data_and_a_fault_becomes_an_alert(lab, balancer, prometheus):
    with Traffic(lab) as traffic:
        traffic.wait_seen(OXFORD)
        wait_until(lambda: [r["value"][1] for r in prometheus('count_over_time(up{job="mxlb"}[1m]) > 3')], 60, "it scrapes")
        wait_until(lambda: {r["value"][1] for r in prometheus('up{job="mxlb"}')} == {"1"}, 20, "it is scraped")
        panels = json.loads((ROOT / "scripts/grafana/mxlb.json").read_text())["panels"]
        for expression in [target["expr"] for panel in panels for target in panel["targets"]]:
            for name, value in VARIABLES.items():
                expression = expression.replace(name, value)
            wait_until(lambda: any(word in expression for word in RARE) or prometheus(expression), 20, expression)
    assert prometheus('ALERTS{alertstate="firing",alertname!="MxlbUnreachable"}') == []  # a busy machine may miss a scrape
    lab.stop("oxford-a")
    fired = wait_until(lambda: prometheus('ALERTS{alertname="MxlbBackendDown",alertstate="firing"}'), 30, "the alert fires")
    assert {(a["metric"]["service"], a["metric"]["backend"]) for a in fired} <= {
        ("hybrid-mail", "oxford-a"), ("hybrid-mail6", "oxford-a")}
