# SPDX-License-Identifier: BSD-2-Clause
"""The rules of evidence (docs/verdicts.md), with mail flowing: a refusal of the probe alone moves no mail, whatever
its words; a refusal of everyone does. Timing as in the lab: interval 1s, fast-interval 250ms, fall 2, rise 2."""
import os
import re
import shutil
import signal
import subprocess
import time

import pytest

from evidence import Mail, Told, last_seq, moved, scheduled, seconds_until
from lab import OXFORD, SERVERS, VIP, command, wait_until

V4 = ("hybrid-mail",)

# Rows of known texts, by the reason that is shown; then ten of a kind that no list of phrases has.
KNOWN = {
    "A1 blank senders refused": ({"mail": "554 5.1.0 Sender Denied"}, "sender_refused"),
    "A2 sendmail's rate": ({"greeting": "421 4.3.2 Connection rate limit exceeded."}, "per_source_limit"),
    "A2 sendmail's connections": ({"greeting": "421 4.3.2 Too many open connections."}, "per_source_limit"),
    "A2 postscreen's": ({"greeting": "421 4.7.0 Error: too many connections"}, "per_source_limit"),
    "A3 no connector for this address": ({"greeting": "421 4.3.2 Service not available"}, "probe_refused"),
    "A3 at MAIL FROM": ({"mail": "421 4.3.2 Service not available"}, "probe_refused"),
    "B1 TLS wanted": ({"mail": "451 5.7.3 Must issue a STARTTLS command first"}, "tls_required"),
    "B1 Postfix's": ({"mail": "530 5.7.0 Must issue a STARTTLS command first"}, "tls_required"),
}
N_TEXTS = 10 if "MXLB_GAMES_S" in os.environ else 3
UNKNOWN_4XX = ["421 hm", "421 4.3.2 bitte langsamer", "421 trop de monde", "450 come back tomorrow", "421 4.5.0 mais devagar",
               "451 the stars are not right", "421 go away, little probe", "452 one moment", "421 4.0.0 zzz", "450 4.4.9 niet nu"]
UNKNOWN_5XX = ["554 nope", "521 5.3.9 not for you", "550 nein", "554 5.5.9 we do not like you", "550 5.0.0 non",
               "571 geen toegang", "554 5.9.9 x", "550 try your luck elsewhere", "556 no", "554 ..."]
WHERE = {"one": ("oxford-a",), "half": OXFORD, "all": SERVERS}


@pytest.fixture(scope="module")
def told(lab):
    with Told(lab) as servers:
        yield servers


def start(balancer, told, replace=None, orders=None):
    told.tell(SERVERS, orders or {})
    balancer.configure(replace={"tls: encryption-only": "tls: none", **(replace or {})})
    balancer.start()
    balancer.wait_all_up(V4)


def warned(balancer, hosts):
    return {h: (balancer.backend(h)["warning"] or {}).get("reason") for h in hosts}


def elsewhere(events, idle):
    return [e for e in events if e["server"] not in idle]


def refuse_the_probe(balancer, told, mail, hosts, orders, reason):
    """These servers refuse the probe. No mail moves, each that has mail gets a warning, and all are up again afterwards.
    The server of the idle tier may be taken out, because no client shows what it does (docs/verdicts.md, limits)."""
    told_hosts, hosts = hosts, [h for h in hosts if h in OXFORD or reason != "probe_refused"]
    idle = set(told_hosts) - set(hosts)
    seq, since = last_seq(balancer), time.monotonic()
    told.tell(told_hosts, {"probe": orders})
    wait_until(lambda: set(warned(balancer, hosts).values()) == {reason}, 12,
               lambda: f"{orders}: {warned(balancer, hosts)} {moved(balancer, seq)}\n{balancer.log()}")
    assert not elsewhere(moved(balancer, seq), idle), (orders, moved(balancer, seq))
    assert {balancer.verdicts()[h] for h in SERVERS if h not in idle} == {"up"}
    told.tell(told_hosts, {})
    wait_until(lambda: set(warned(balancer, hosts).values()) == {None}, 12, "the warning ends")
    balancer.wait_for({h: "up" for h in idle})
    assert not elsewhere(moved(balancer, seq), idle), (orders, moved(balancer, seq))
    assert not [d for d in mail.deliveries(since) if d.error or d.server not in OXFORD], orders


@pytest.mark.parametrize("where", WHERE)
def test_an_answer_to_the_probe_alone_moves_no_mail(balancer, told, lab, where):
    start(balancer, told)
    with Mail(lab) as mail:
        mail.wait_taken_by(OXFORD)
        for orders, reason in KNOWN.values():
            refuse_the_probe(balancer, told, mail, WHERE[where], orders, reason)


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("stage", ["greeting", "mail"])
@pytest.mark.parametrize("texts", [UNKNOWN_4XX, UNKNOWN_5XX], ids=["4xx", "5xx"])
def test_an_unknown_answer_to_the_probe_alone_moves_no_mail(balancer, told, lab, where, stage, texts):
    start(balancer, told)
    with Mail(lab) as mail:
        mail.wait_taken_by(OXFORD)
        for text in texts[:N_TEXTS]:
            refuse_the_probe(balancer, told, mail, WHERE[where], {stage: text}, "probe_refused")


def test_a_start_at_which_all_refuse_the_probe_ends_up_by_what_clients_meet(balancer, told, lab):
    """A3: receive connectors that accept only the senders' addresses, and an mxlbd without earlier verdicts."""
    told.tell(SERVERS, {"probe": {"greeting": "421 4.3.2 Service not available"}})
    balancer.configure(replace={"tls: encryption-only": "tls: none"})
    balancer.start()
    wait_until(lambda: balancer.service()["state"] == "draining-only", 20, "draining-only")
    with Mail(lab) as mail:
        balancer.wait_for({host: "up" for host in OXFORD}, 15)
        wait_until(lambda: balancer.service()["state"] == "up", 5, "the service is up")
        wait_until(lambda: set(warned(balancer, OXFORD).values()) == {"probe_refused"}, 5, "the warnings")
        told.tell(["oxford-a"], {"all": {"greeting": "421 4.3.2 Service not available"}})
        balancer.wait_for({"oxford-a": "draining", "oxford-b": "up"})
        told.tell(SERVERS, {})
        balancer.wait_all_up(V4)
    assert not [d for d in mail.deliveries() if d.server == "nuneaton"]


ILL = [("greeting", "421 4.3.2 Service not active"), ("greeting", "421 hm"), ("greeting", "554 nope"),
       ("mail", "421 4.3.2 Service not available"), ("mail", "452 4.3.1 Insufficient system resources"), ("mail", "550 nein"),
       ("greeting", "421 4.3.2 Too many open connections."), ("mail", "554 5.1.0 Sender Denied")]


DEFAULTS = {"interval: 1s": "interval: 10s", "fast-interval: 250ms": "fast-interval: 2s",
            "connect-timeout: 1s": "connect-timeout: 3s", "fall: 2": "fall: 3"}


@pytest.mark.parametrize("timing, stage, text", [*[({}, *ill) for ill in ILL], *[(DEFAULTS, *ill) for ill in ILL[::3]]])
def test_a_server_that_refuses_everybody_is_out_in_time(balancer, told, lab, measured, timing, stage, text):
    """At the defaults too, where a probe comes every 10 s: its clients leave early, which is a hint."""
    start(balancer, told, timing)
    with Mail(lab) as mail:
        mail.wait_taken_by(OXFORD)
        begun, messages = time.monotonic() + (8 if timing else 3), 150 if timing else 60
        wait_until(lambda: time.monotonic() > begun and len(mail.deliveries()) > messages, 30,
                   "what is usual is known, and a hint at the beginning is over")
        seq, since, at = last_seq(balancer), time.monotonic(), time.time()
        told.tell(["oxford-a"], {"all": {stage: text}})
        try:
            verdict = wait_until(lambda: not (b := balancer.backend("oxford-a"))["in_ring"] and b["verdict"], 10,
                                 "oxford-a is out")
            out = seconds_until(balancer, seq, at, event="backend_verdict", server="oxford-a", to=verdict)
        finally:
            told.tell(["oxford-a"], {})
        # a session that was already open is evidence for the server until it ends
        old = [d.end for d in mail.deliveries() if d.at < since and d.server == "oxford-a"]
        assert since + out < max([since, *old]) + 3.5, out
        balancer.wait_for({"oxford-a": "up"}, 30)
        mail.wait_taken_by(OXFORD)
        late = [d for d in mail.deliveries(since + out + 1) if d.error]
        assert not late, late[:3]
    measured(f"{stage} {text}{' at the defaults' if timing else ''}: out after {out:.2f} s, {len([d for d in mail.deliveries(since) if d.error])} refused")


@pytest.mark.parametrize("how", ["stopped", "accepts and is silent"])
@pytest.mark.parametrize("timing, limit", [({}, 2), (DEFAULTS, 3)], ids=["interval 1s", "defaults"])
def test_a_server_that_accepts_and_does_not_greet_is_out_in_time(balancer, told, lab, measured, timing, limit, how):
    start(balancer, told, timing)
    with Mail(lab) as mail:
        mail.wait_taken_by(OXFORD)
        seq, since, at = last_seq(balancer), time.monotonic(), time.time()
        if how == "stopped":
            told.signal("oxford-a", signal.SIGSTOP)
        else:
            told.tell(["oxford-a"], {"all": {"greeting": ""}})
        try:
            wait_until(lambda: (b := balancer.backend("oxford-a"))["reason"] == "greeting_silent" and not b["in_ring"], 15,
                       "oxford-a is out, for its silence")
            out = seconds_until(balancer, seq, at, event="backend_verdict", server="oxford-a", to="down")
        finally:
            told.signal("oxford-a", signal.SIGCONT)
            told.tell(["oxford-a"], {})
        late = [d for d in mail.deliveries(since + limit) if d.server not in OXFORD]
        balancer.wait_for({"oxford-a": "up"}, 30)
    taken = sorted(d.end for d in mail.deliveries(since - 1) if not d.error)
    gap = max(b - a for a, b in zip(taken, taken[1:]))
    figures = f"out after {out:.2f} s, longest time without an accepted message {gap:.2f} s"
    measured(f"{how}: {figures}")
    assert out <= limit and not late and gap <= 2, (figures, late[:3])


def test_a_server_that_gets_no_cpu_for_a_moment_stays_up(balancer, told, lab, measured):
    """Mail waits for the server, and nothing indicates that it is dead. A stop that took longer than intended proves
    nothing."""
    held = []
    start(balancer, told)
    with Mail(lab) as mail:
        mail.wait_taken_by(OXFORD)
        for host in OXFORD * 4:
            seq, since = last_seq(balancer), time.monotonic()
            told.signal(host, signal.SIGSTOP)
            time.sleep(0.8)
            server = told.running[host].pid
            ran, _ = scheduled(server)
            told.signal(host, signal.SIGCONT)
            wait_until(lambda: scheduled(server)[0] > ran, 10, "it has a CPU again")
            seconds = time.monotonic() - since
            mail.wait_taken_by(OXFORD)
            assert seconds > 0.95 or not moved(balancer, seq), (seconds, moved(balancer, seq))
            held.append(seconds)
            balancer.wait_all_up(V4)
    measured(f"stopped for {', '.join(f'{s:.2f}' for s in held)} s")
    assert min(held) <= 0.95


@pytest.mark.parametrize("stage", ["greeting", "mail"])
def test_a_server_that_refuses_the_probe_alone_and_gets_no_cpu_for_a_moment_stays_up(balancer, told, lab, stage):
    """Its clients send nothing for that moment: they wait, and are not refused."""
    start(balancer, told)
    with Mail(lab) as mail:
        mail.wait_taken_by(OXFORD)
        wait_until(lambda: len(mail.deliveries()) > 100, 30, "what is usual is known")
        seq = last_seq(balancer)
        for host in OXFORD * 2:
            told.tell([host], {"probe": {stage: "421 hm"}, "stall": 0.6})
            wait_until(lambda: warned(balancer, [host]) == {host: "probe_refused"}, 12, lambda: f"{moved(balancer, seq)}\n{balancer.log()}")
            told.tell([host], {})
            wait_until(lambda: warned(balancer, [host]) == {host: None}, 12, "the warning ends")
            mail.wait_taken_by(OXFORD)
        assert not moved(balancer, seq)


def test_a_flood_of_silent_clients_moves_nothing(balancer, told, lab):
    start(balancer, told)
    with Mail(lab) as mail:
        mail.wait_taken_by(OXFORD)
        seq, since = last_seq(balancer), time.monotonic()
        command(*lab.nsenter("client"), "/usr/bin/python3", "-c", SILENT_CLIENTS, VIP, timeout=60)
        assert not moved(balancer, seq)
        assert not [d for d in mail.deliveries(since) if d.error or d.server not in OXFORD]


# 40 connections at a time that say nothing for two seconds, for eight seconds.
SILENT_CLIENTS = """
import socket, sys, time
end = time.monotonic() + 8
while time.monotonic() < end:
    held = [socket.create_connection((sys.argv[1], 25), 5) for _ in range(40)]
    time.sleep(2)
    for s in held: s.close()
"""


def test_a_refusal_after_unanswered_connects_is_not_probed_without_pause(balancer, told, lab, measured):
    """The refusal waits two seconds for evidence from clients, and the series of failures before it is open."""
    if not shutil.which("nft"):
        pytest.skip("no nft: run scripts/install-deps test")
    start(balancer, told, {"fall: 2": "fall: 10"})  # removing the table of nftables takes its time
    lab.undo.callback(lab.within, "oxford-a", "nft", "delete", "table", "inet", "slip", status=None)
    with Mail(lab) as mail:
        mail.wait_taken_by(OXFORD)
        lab.within("oxford-a", "nft", "-f", "-", input="table inet slip { chain input { type filter hook input priority 0; "
                                                       "ip saddr 203.0.113.5 tcp dport 25 drop; }; }\n")
        told.tell(["oxford-a"], {"probe": {"greeting": "421 hm"}})
        wait_until(lambda: balancer.backend("oxford-a")["last_probe"]["stage"] == "connect", 10, "a connect that is not answered")
        lab.within("oxford-a", "nft", "delete", "table", "inet", "slip")
        probes, since = balancer.info("Probes"), time.monotonic()
        wait_until(lambda: warned(balancer, ["oxford-a"]) == {"oxford-a": "probe_refused"}, 12, lambda: f"a warning\n{balancer.log()}")
        each_s = (balancer.info("Probes") - probes) / (time.monotonic() - since)
        measured(f"{each_s:.0f} probes a second of six servers")
        assert each_s < 60
    told.tell(SERVERS, {})


# Twenty connections that hear the greeting and leave.
SCANNER = """
import socket, sys
for _ in range(20):
    with socket.create_connection((sys.argv[1], 25), 5) as s: s.recv(99)
"""


def test_a_scanner_takes_out_no_server_that_refuses_the_probe_alone(balancer, told, lab):
    """Once clients have delivered some messages since the refusals began, and their usual distance is known."""
    start(balancer, told)
    with Mail(lab) as mail:
        mail.wait_taken_by(OXFORD)
        wait_until(lambda: len(mail.deliveries()) > 200, 30, "what is usual is known")
    seq = last_seq(balancer)
    with Mail(lab, every_s=0.4) as mail:
        told.tell(OXFORD, {"probe": {"greeting": "554 5.7.1 your address is not welcome"}})
        wait_until(lambda: set(warned(balancer, OXFORD).values()) == {"source_refused"}, 12, "warnings")
        since = time.monotonic()
        for done in range(8, 24, 4):
            wait_until(lambda: all(sum(d.server == name for d in mail.deliveries(since)) > done for name in OXFORD), 60, "mail")
            command(*lab.nsenter("client"), "/usr/bin/python3", "-c", SCANNER, VIP, timeout=60)
            assert not moved(balancer, seq)
    told.tell(SERVERS, {})
    assert not moved(balancer, seq)


def test_a_server_that_always_greets_after_six_seconds_stays_up(balancer, told, lab):
    """This is the default of postscreen_greet_wait, and clients wait for it."""
    start(balancer, told, {"timeout: 10s": "timeout: 20s"}, {"wait": 6})
    with Mail(lab, every_s=0.2) as mail:
        seq = last_seq(balancer)
        wait_until(lambda: len([d for d in mail.deliveries() if not d.error]) > 60, 40, "mail")
        assert not moved(balancer, seq)
        assert not [d for d in mail.deliveries() if d.error]
    told.tell(SERVERS, {})


def kept_through(balancer, mail, act, seconds=12):
    """act() makes all probes fail, so that the service fails open. Returns the connections that failed since then."""
    since = time.monotonic()
    act()
    wait_until(lambda: balancer.service()["state"] == "panic", 40, lambda: f"panic\n{balancer.log()}")
    wait_until(lambda: len(mail.deliveries(since)) > seconds * 5, 60, "connections")
    assert balancer.service()["state"] == "panic"
    return [d for d in mail.deliveries(since) if d.error]


@pytest.mark.parametrize("rule", ["drop", "reject", "reject with tcp reset"])
def test_the_boxs_own_firewall_refuses_no_mail(balancer, told, lab, measured, rule):
    if not shutil.which("nft"):
        pytest.skip("no nft: run scripts/install-deps test")
    start(balancer, told)
    lab.undo.callback(lab.within, "lb", "nft", "delete", "table", "inet", "slip", status=None)
    with Mail(lab, every_s=0.1) as mail:
        mail.wait_taken_by(OXFORD)
        failed = kept_through(balancer, mail, lambda: lab.within(
            "lb", "nft", "-f", "-", input="table inet slip { chain output { type filter hook output priority 0; "
                                          f"tcp dport 25 {rule}; }}; }}\n"))
        measured(f"{rule}: {len(failed)} of {len(mail.deliveries())} failed")
        assert not failed, failed[:3]
        assert re.search(r"<3>event=service_state service=hybrid-mail .*to=panic|event=service_state .*to=panic", balancer.log())
        text = lab("ctl", "check", status=2)
        assert "CRITICAL" in text and "panic mode" in text
        lab.within("lb", "nft", "delete", "table", "inet", "slip")
        wait_until(lambda: balancer.service()["state"] == "up", 20, "all is well again")


def test_a_restart_in_panic_mode_refuses_no_mail(balancer, told, lab, measured):
    if not shutil.which("nft"):
        pytest.skip("no nft: run scripts/install-deps test")
    start(balancer, told)
    lab.undo.callback(lab.within, "lb", "nft", "delete", "table", "inet", "slip", status=None)
    with Mail(lab, every_s=0.1) as mail:
        mail.wait_taken_by(OXFORD)
        kept_through(balancer, mail, lambda: lab.within(
            "lb", "nft", "-f", "-", input="table inet slip { chain output { type filter hook output priority 0; "
                                          "tcp dport 25 reject with tcp reset; }; }\n"), 3)
        since = time.monotonic()
        balancer.stop()
        balancer.start()
        wait_until(lambda: len(mail.deliveries(since)) > 50, 60, "connections")
        assert balancer.service()["state"] == "panic"
        failed = [d for d in mail.deliveries(since) if d.error]
        measured(f"{len(failed)} of {len(mail.deliveries(since))} failed")
        assert not failed, failed[:3]
        lab.within("lb", "nft", "delete", "table", "inet", "slip")
        wait_until(lambda: balancer.service()["state"] == "up", 20, "all is well again")


SLIPS = {  # what happens to this box, what ends it, whether mail goes on meanwhile
    "rules flushed again and again": (("sh", "-c", "while sleep 0.05; do ip rule flush protocol 157; done"), None, True),
    "VIP local": (("ip", "addr", "add", f"{VIP}/32", "dev", "lo"), ("ip", "addr", "del", f"{VIP}/32", "dev", "lo"), True),
    "marks changed by nftables": (("nft", "add table inet slip; add chain inet slip output "
                                          "{ type route hook output priority mangle; }; "
                                          "add rule inet slip output tcp dport 25 meta mark set 1"),
                                  ("nft", "delete table inet slip"), True),
    "cable to the switch": (("cut", "lb"), ("join", "lb"), False),
    "a dead port of the switch": (("bridge", "link", "set", "dev", "lb", "state", "0"),
                                  ("bridge", "link", "set", "dev", "lb", "state", "3"), False),
}


@pytest.mark.parametrize("slip", SLIPS)
def test_what_happens_to_this_box_refuses_none_of_sixty_connections(balancer, told, lab, measured, slip):
    """None that a healthy balancer would have forwarded: with a dead cable none arrives, and with one behind the
    balancer none is refused."""
    begin, end, goes_on = SLIPS[slip]

    def act(words):
        if words[0] in ("cut", "join"):
            lab(*words)
        else:
            lab.within("switch" if words[0] == "bridge" else "lb", *words, status=None)

    start(balancer, told)
    with Mail(lab, every_s=0.1) as mail:
        mail.wait_taken_by(OXFORD)
        since = time.monotonic()
        if end:
            lab.undo.callback(act, end)
            act(begin)
        else:
            fight = subprocess.Popen([*lab.nsenter("lb"), *begin], stderr=subprocess.DEVNULL)
            lab.undo.callback(fight.kill)
        wait_until(lambda: len(mail.deliveries(since)) >= 60, 60, "sixty connections")
        act(end) if end else fight.kill()
        over = time.monotonic()
        wait_until(lambda: len([d for d in mail.deliveries(over) if not d.error]) >= 20, 30, lambda: f"mail again\n{balancer.log()}")
        balancer.wait_all_up(V4)
    failed = [d for d in mail.deliveries(since) if d.error]
    refused = [d for d in failed if "Refused" in d.error]
    taken = [d.end for d in mail.deliveries(over) if not d.error]
    measured(f"{slip}: {len(refused)} of {len(mail.deliveries(since))} refused, {len(failed)} failed, mail again after {min(taken) - over:.2f} s")
    assert not refused and (not goes_on or not failed), failed[:3]


def test_servers_that_are_all_dead_are_refused_as_before(balancer, told, lab, measured):
    start(balancer, told)
    with Mail(lab, every_s=0.1) as mail:
        mail.wait_taken_by(OXFORD)
        seq = last_seq(balancer)
        for host in SERVERS:
            lab.cut(host)
        since, at = time.monotonic(), time.time()
        wait_until(lambda: balancer.service()["state"] == "down", 30, lambda: f"down\n{balancer.log()}")
        out = seconds_until(balancer, seq, at, event="service_state", to="down")
        wait_until(lambda: len([d for d in mail.deliveries(since) if "Refused" in d.error]) > 10, 20, "refusals")
    measured(f"all cut: refused after {out:.2f} s")
    assert out < 8
