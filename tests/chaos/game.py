# SPDX-License-Identifier: BSD-2-Clause
"""One game: a site of five servers in two tiers, real mail, and a schedule of faults. Runs and records everything;
checks.py judges it."""
import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from faults import DEEDS, FAULTS
from games import Sessions
from lab import VIP, VIP6, Lab, command, wait_until
from schedule import FIVE, plan
from watch import Syns, Vitals, Watched, packets

DIRECTORY = Path(__file__).resolve().parent
GIVE_UP_S = 120  # of a sender, from the game's end
SERVICES = "hybrid-mail", "hybrid-mail6"
ROUTES = VIP, VIP6, f"tls:{VIP}", "127.0.0.1", f"tls:{VIP6}"  # the fourth is the queueing Postfix
CONFIGURATION = {  # the times that the list of faults gives its limits for
    "fall: 2": "fall: 3", "timeout: 10s": "timeout: 2s",
    "tls: encryption-only": "tls: domain-validation\n    tls-domain: mail.contoso.com\n    ca-file: {run}/cert.pem"}


@dataclass
class Window:
    """The fault of one server: begin and end of the strike, and the end of the fault."""
    fault: str
    host: str
    struck: float = 0
    hit: float = 0
    heal: float = 0
    healed: float = 0


@dataclass
class Record:
    seed: str
    began: float
    windows: list
    deeds: list = field(default_factory=list)  # (name, begin, end)
    failures: list = field(default_factory=list)  # of the game itself
    attempts: list = field(default_factory=list)  # the ledger's
    idle: list = field(default_factory=list)  # sessions
    idle_opened: int = 0
    packets: tuple = ()  # (ran, fates) in the game


class Site:
    def __init__(self, name, build):
        self.lab = Lab(name, build)
        self.lab.env.update(MXLB_LAB_SERVERS=" ".join(FIVE), MXLB_LAB_SPOOL="64m")
        self.bpftool = shutil.which("bpftool", path="/usr/sbin:" + os.environ["PATH"])
        self.balancer = Watched(self.lab)
        self.sound = {}  # main.cf of servers that have another just now

    def __enter__(self):
        self.clear()  # what an interrupted game left
        self.lab("up")
        self.lab("sender")
        run = str(self.lab.run)
        command("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "9",
                "-subj", "/O=Contoso/CN=mail.contoso.com", "-addext", "subjectAltName=DNS:mail.contoso.com",
                "-keyout", f"{run}/other-key.pem", "-out", f"{run}/other.pem")
        self.balancer.configure(replace={old: new.format(run=run) for old, new in CONFIGURATION.items()})
        self.text = self.lab.config_file.read_text()
        return self

    def __exit__(self, *_):
        try:
            self.balancer.end()
        finally:
            self.clear()

    def clear(self):
        """Kills all Postfix processes and removes the lab: a stopped Postfix can't be shut down, and its mail has been
        counted."""
        for host in (*FIVE, "client"):
            for pid in command("ip", "netns", "pids", f"{self.lab.name}-{host}", status=None).split():
                with contextlib.suppress(ProcessLookupError, ValueError):
                    os.kill(int(pid), signal.SIGKILL)
        self.lab("down")

    def weighted(self, rng):
        """The configuration with random weights."""
        return re.sub(r"(?<=\")\}$", lambda _: f", weight: {rng.randint(1, 3)}}}", self.text, flags=re.M)

    def all_up(self):
        return all(set(self.balancer.verdicts(service).values()) == {"up"} for service in SERVICES)

    def queued(self, *hosts):
        """The messages that these servers still have to deliver. A file that was being written when Postfix was killed
        does not count: it lacks the execute bit, which marks a complete message."""
        queues = [self.lab.run / host / "queue" / name for host in hosts for name in ("incoming", "active", "deferred", "maildrop")]
        files = [Path(directory) / name for queue in queues for directory, _, names in os.walk(queue) for name in names]
        with contextlib.suppress(FileNotFoundError):  # one is on its way: ask again
            return [file for file in files if file.stat().st_mode & 0o100]
        return files

    def counted(self):
        """Counts packets while mxlbd and its child are stopped, so that no packet falls between the two sums."""
        def quiet():
            first, second = (packets(self.lab, self.bpftool) for _ in range(2))
            return first if first == second else None
        pids = self.balancer.process.pid, self.balancer.child()
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            return wait_until(quiet, 60, "no packet comes")
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)


class Idle(threading.Thread):
    """Idle sessions that send a NOOP now and then; broken ones are replaced. Half of them use IPv4, half IPv6."""

    def __init__(self, site, n, seed):
        super().__init__(daemon=True)
        self.holders = [Sessions(site.lab, vip, seed) for vip in (VIP, VIP6)]
        self.n, self.done, self.failure = n // 2, threading.Event(), None

    def top_up(self, holder):
        alive = sum(s.error is None for s in holder.noop())
        holder.ask(f"open {max(0, self.n - alive)} 0 0")

    def run(self):
        try:
            while not self.done.wait(3):
                for holder in self.holders:
                    self.top_up(holder)
        except (AssertionError, OSError, ValueError) as failed:
            self.failure = f"idle sessions: {failed}"

    def end(self):
        """Ends all sessions. Returns them and the errors of holding them."""
        self.done.set()
        self.join(180)
        sessions = []
        for holder in self.holders:
            try:
                sessions += holder.noop()
                holder.__exit__()
            except (AssertionError, OSError, ValueError) as failed:
                self.failure = self.failure or f"idle sessions: {failed}"
        return sessions, [self.failure] if self.failure else []


class Game:
    def __init__(self, site, rules, seed):
        self.site, self.rules, self.seed = site, rules, seed
        self.strikes = plan(rules, FAULTS, seed)
        self.rng = random.Random(f"deeds {seed}")
        self.locks = {host: threading.Lock() for host in FIVE}
        self.record = None

    def sleep_until(self, at):
        time.sleep(max(0, self.record.began + at - time.time()))

    def guarded(self, act, *words):
        try:
            act(*words)
        except (AssertionError, OSError, ValueError, subprocess.SubprocessError) as failed:
            self.record.failures.append(f"{act.__name__} {words}: {type(failed).__name__} {failed}"[:600])

    def suffer(self, strike, window):
        """Runs the fault of one server from its time to its end."""
        self.sleep_until(strike.at)
        fault = FAULTS[strike.name]
        with self.locks[window.host]:
            window.struck = time.time()
            fault.strike(self.site, window.host)
            window.hit = time.time()
            self.sleep_until(strike.at + strike.lasts)
            window.heal = time.time()
            fault.heal(self.site, window.host)
            window.healed = time.time()

    def do_deeds(self):
        """Runs the faults of mxlbd one after another."""
        for strike in self.strikes:
            if not strike.hosts:
                self.sleep_until(strike.at)
                begin = time.time()
                DEEDS[strike.name](self.site, self.rng)
                self.record.deeds.append((strike.name, begin, time.time()))

    def faults(self):
        """Starts a thread for the faults of each server and one for those of mxlbd."""
        jobs = [(self.do_deeds,)]
        for strike in self.strikes:
            for host in strike.hosts:
                self.record.windows.append(Window(strike.name, host))
                jobs.append((self.suffer, strike, self.record.windows[-1]))
        return [threading.Thread(target=self.guarded, args=job, daemon=True) for job in jobs]

    def ledger(self, out):
        lab, rules = self.site.lab, self.rules
        return subprocess.Popen(
            [*lab.nsenter("client"), "/usr/bin/python3", "-B", str(DIRECTORY / "ledger.py"), self.seed, str(rules.messages),
             str(rules.seconds), str(GIVE_UP_S), str(lab.run / "cert.pem"), *ROUTES], stdout=out)

    def play(self):
        """Plays the game and returns its record. Afterwards all servers are up and all queues are empty, or the record's
        failures say what is not."""
        site, rules = self.site, self.rules
        site.balancer.start()
        wait_until(site.all_up, 30, "all five servers are up")
        before = site.counted()
        file = site.lab.run / "ledger.jsonl"
        self.vitals = Vitals(site.balancer)
        with Syns(site.lab) as self.syns, file.open("w") as out:
            self.record = Record(self.seed, time.time(), [])
            idle = Idle(site, rules.idle, self.seed)
            ledger, threads = self.ledger(out), self.faults()
            for thread in (self.vitals, idle, *threads):
                thread.start()
            for thread in threads:
                thread.join(rules.seconds + 120)
            assert not any(thread.is_alive() for thread in threads), "a fault hangs"
            assert site.balancer.process.poll() is None, f"mxlbd does not run: {self.record.failures}\n{site.balancer.log()}"
            assert ledger.wait(rules.seconds + GIVE_UP_S + 60) == 0, "the ledger failed"
            self.record.idle, failures = idle.end()  # first: each holds a process of its Postfix
            self.record.failures += failures + self.settle()
        self.vitals.end()
        self.record.attempts = [json.loads(line) for line in file.read_text().splitlines()]
        after = site.counted()
        self.record.packets = tuple(a - b for a, b in zip(after, before))
        return self.record

    def settle(self):
        """Returns what did not come to rest, with what is known of servers that do not greet by themselves either."""
        site = self.site
        try:
            wait_until(lambda: not site.queued("client", *FIVE), 120, "all queues are empty")
            wait_until(site.all_up, 120, "all five servers are up again")
        except AssertionError as late:
            alone = {host: site.lab("server", "start", host, status=None) or "greets" for host in FIVE}
            return [f"{late}: queued {site.queued('client', *FIVE)}, verdicts {site.balancer.verdicts()}, by themselves {alone}",
                    *(self.state_of(host) for host in FIVE if alone[host] != "greets")]
        return []

    def state_of(self, host):
        """The processes, connections and last words of a server."""
        pids = command("ip", "netns", "pids", f"{self.site.lab.name}-{host}")
        processes = command("ps", "-o", "pid,stat,wchan:20,etimes,args", "-p", ",".join(pids.split()) or "1", status=None)
        sockets = self.site.lab.within(host, "ss", "-Hatn", "sport", "=", ":25")
        return f"{host}:\n{processes}\n{sockets}\n" + "\n".join(self.site.lab.log(host).splitlines()[-40:])

    def diary(self):
        """All that happened, ordered by time."""
        record, shown = self.record, []
        for w in record.windows:
            shown += [(w.struck, f"fault    {w.host} {w.fault} strikes"), (w.healed, f"fault    {w.host} {w.fault} healed")]
        for name, begin, end in record.deeds:
            shown += [(begin, f"deed     {name}"), (end, f"deed     {name} done")]
        shown += [(at, line) for at, line in self.site.balancer.lines if "event=" in line]
        return [f"{at - record.began:8.2f} {line}" for at, line in sorted(shown)]
