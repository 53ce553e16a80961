# SPDX-License-Identifier: BSD-2-Clause
"""Scripted servers in the lab and mail through the balancer: shared by the tests of the rules of evidence."""
import json
import signal
import subprocess
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from lab import HERE, SERVERS, VIP, patience, wait_until


class Told:
    """Scripted servers in place of the Postfix of the lab."""

    def __init__(self, lab, hosts=SERVERS):
        self.lab, self.hosts, self.running = lab, hosts, {}

    def __enter__(self):
        for host in self.hosts:
            self.lab("server", "stop", host)
            self.tell([host], {})
            self.start(host)
        return self

    def __exit__(self, *_):
        for host in self.hosts:
            self.stop(host)
            self.lab("server", "start", host)

    def file(self, host):
        return self.lab.run / f"told-{host}.json"

    def start(self, host):
        process = subprocess.Popen([*self.lab.nsenter(host), "/usr/bin/python3", "-B", str(HERE / "told_server.py"), host,
                                    str(self.file(host))], stdout=subprocess.PIPE, text=True)
        assert process.stdout.readline() == "ready\n"
        self.running[host] = process

    def stop(self, host):
        process = self.running.pop(host, None)
        if process:
            process.kill()
            process.wait()

    def signal(self, host, number):
        self.running[host].send_signal(number)

    def tell(self, hosts, orders):
        for host in hosts:
            new = self.file(host).with_suffix(".new")
            new.write_text(json.dumps(orders))
            new.rename(self.file(host))


@dataclass
class Delivery:
    at: float
    server: str
    error: str
    end: float


class Mail:
    """Sends messages from the client to the VIP at this interval."""

    def __init__(self, lab, every_s=0.04, address=VIP):
        self.lab, self.every_s, self.address = lab, every_s, address
        self.file = lab.run / "mail.jsonl"

    def __enter__(self):
        with self.file.open("w") as out:
            self.process = subprocess.Popen([*self.lab.nsenter("client"), "/usr/bin/python3", "-B", str(HERE / "mailer.py"),
                                             self.address, str(self.every_s)], stdout=out)
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(40 * patience())

    def deliveries(self, since=0.0):
        with self.file.open() as lines:
            done = [Delivery(**json.loads(line)) for line in lines if line.endswith("\n")]
        return [d for d in done if d.at >= since]

    def wait_taken_by(self, servers, seconds=15):
        since = time.monotonic()

        def met():
            done = self.deliveries(since)
            return len(done) > 12 and {d.server for d in done if not d.error} == set(servers)
        wait_until(met, seconds, f"mail for {servers}")


def moved(balancer, since_seq, service="hybrid-mail"):
    """The events since then that changed a verdict of the service, its state or its tier. (The IPv6 service has no mail
    as evidence.)"""
    entries = [json.loads(line) for line in balancer.ask("show events json").splitlines() if line]
    return [e for e in entries if e["seq"] > since_seq and e["service"] == service and
            (e["event"] in ("service_state", "service_tier") or (e["event"] == "backend_verdict" and e["from"] != e["to"]))]


def seconds_until(balancer, since_seq, since, **fields):
    """From this time of the wall clock to the first of those events with these fields, by mxlbd's own clock: the test may see it
    late."""
    event = next(e for e in moved(balancer, since_seq) if fields.items() <= e.items())
    return datetime.fromisoformat(event["time"].replace("Z", "+00:00")).timestamp() - since


def scheduled(pid):
    """How long a process has run, and has waited for a CPU (the kernel's sched-stats.rst): nanoseconds."""
    return [int(field) for field in Path(f"/proc/{pid}/schedstat").read_text().split()[:2]]


def last_seq(balancer):
    return max(json.loads(line)["seq"] for line in balancer.ask("show events json").splitlines() if line)
