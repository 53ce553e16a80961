# SPDX-License-Identifier: BSD-2-Clause
"""Shared by the tests of /metrics and the page: HTTP requests from within the balancer, and metrics as a dictionary."""
import json
import subprocess

from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

URL = "http://127.0.0.1:9125"
PROMTOOL = "/var/cache/mxlb-lab/prometheus/usr/bin/promtool"
OPEN = ("-H", "Accept: application/openmetrics-text")
QUIET = {"interval: 1s": "interval: 1h"}  # after the first probes nothing changes by itself


def fetch(lab, path, *options):
    return lab.within("lb", "curl", "-sS", "--fail-with-body", "--max-time", "10", *options, URL + path)


def document(lab, path):
    return json.loads(fetch(lab, path))


def samples(text, form=parse_text):
    """{(name, labels): value}; labels are a frozenset of pairs."""
    return {(sample.name, frozenset(sample.labels.items())): sample.value
            for family in form(text) for sample in family.samples}


def promtool(*words, text=None):
    """Returns exit status and output."""
    done = subprocess.run([PROMTOOL, *map(str, words)], input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=120, check=False)
    return done.returncode, done.stdout


def parse_open(text):
    return openmetrics.text_string_to_metric_families(text)
