# SPDX-License-Identifier: BSD-2-Clause
"""One diagnosis: of each of many defects, made at a time, status, doctor, check, the page, explain and the log name the same cause
and the same next step. Of a healthy site none says anything."""
import contextlib
import json
import os
import re
import signal
import subprocess
import threading
import time

import pytest

from another_program import another_program
from lab import CLIENT, HERE, OXFORD, SLOW, VIP, Traffic, children, wait_until
from pki import Pki
from watching import URL

MAIL = "/O=Contoso/CN=mail.contoso.com"
SAN = "subjectAltName=DNS:mail.contoso.com"
CHAIN = {"tls": "certificate-validation", "ca-file": "ROOT"}
DOMAIN = {**CHAIN, "tls": "domain-validation", "tls-domain": "mail.contoso.com"}
NAMED = {**CHAIN, "tls-certificate-name": "<I>CN=Contoso Issuing, O=Contoso<S>CN=exchange.contoso.com, O=Contoso"}
NO_TLS, TLS = {"tls": "none"}, {"tls": "encryption-only"}
GOOD, BAD = "203.0.113.11", "203.0.113.12"
SHOWN = "return [...document.querySelectorAll('header, main, #config-error')].map((e) => e.textContent).join(' ')"
FIRST_PORT, PORTS_OF_A_VIP = 2600, 8

# The reason, what the probe asks for, the certificates that the server shows, and words of the next step.
SERVERS = [
    ("greeting_421", TLS, None, "end the maintenance"),
    ("greeting_4xx", TLS, None, "back pressure"),
    ("greeting_5xx", TLS, None, "end the maintenance"),
    ("greeting_silent", TLS, None, "look for overload"),
    ("closed_early", TLS, None, "look for a limit or filter"),
    ("malformed", TLS, None, "something other than an SMTP server"),
    ("reply_too_long", TLS, None, "see the dialogue"),
    ("ehlo_421", TLS, None, "end the maintenance"),
    ("ehlo_4xx", TLS, None, "end the maintenance"),
    ("ehlo_refused", TLS, None, "see the dialogue"),
    ("no_starttls", TLS, None, "event 12014"),
    ("starttls_refused", TLS, None, "see the dialogue"),
    ("starttls_injection", TLS, None, "see the dialogue"),
    ("tls_handshake", TLS, None, "Schannel"),
    ("timeout", TLS, "good", "lost on the way"),
    ("mail_421", NO_TLS, None, "maintenance"),
    ("mail_4xx", NO_TLS, None, "back pressure"),
    ("mail_refused", NO_TLS, None, "see the dialogue"),
    ("sender_refused", NO_TLS, None, "set `sender`"),
    ("source_refused", NO_TLS, None, "RemoteIPRanges"),
    ("tls_required", NO_TLS, None, "set `tls`"),
    ("greylisted", NO_TLS, None, "greylisting"),
    ("per_source_limit", NO_TLS, None, "connection limits"),
    ("proxy_expected", NO_TLS, None, "PROXY protocol off"),
    ("refused", NO_TLS, None, "start the mail server"),
    ("tls_version", TLS, "good", "Schannel"),
    ("certificate_expired", CHAIN, "expired issuing", "renew it"),
    ("certificate_not_yet_valid", CHAIN, "future issuing", "clock"),
    ("certificate_self_signed", CHAIN, "self", "certificate of an authority"),
    ("certificate_untrusted", CHAIN, "strange stranger", "whole chain"),
    ("certificate_incomplete_chain", CHAIN, "good", "intermediate"),
    ("certificate_weak", CHAIN, "sha1 issuing", "compare its certificate"),
    ("certificate_no_ca", CHAIN, "by-no-ca no-ca", "compare its certificate"),
    ("certificate_wrong_purpose", CHAIN, "client issuing", "Server Authentication"),
    ("certificate_wrong_name", DOMAIN, "other issuing", "compare its certificate"),
    ("certificate_wrong_subject", NAMED, "good issuing", "compare its certificate"),
    ("tlsa_mismatch", {"tls": "dane", "tlsa": ["3 1 1 " + "00" * 32]}, "good", "TLSA record"),
]
WARNINGS = {"sender_refused", "source_refused", "tls_required", "greylisted", "per_source_limit"}
NOT_SCRIPTED = {"refused"}
SCRIPT_OF = {"tls_version": "good", "tls_handshake": "garbage"}
OPERATED = ("drained", "in-maintenance", "weightless", "forced")  # services whose servers are fine


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    p = Pki(tmp_path_factory.mktemp("pki"))
    p.authority("root", "/O=Contoso/CN=Contoso Root", days=(-100, 3650))
    p.authority("issuing", "/O=Contoso/CN=Contoso Issuing", "root", days=(-100, 1000))
    p.certificate("no-ca", "/O=Contoso/CN=No CA", "root", "basicConstraints=critical,CA:FALSE")
    p.authority("stranger", "/O=Fabrikam/CN=Fabrikam Root")
    p.certificate("good", MAIL, "issuing", SAN)
    p.certificate("expired", MAIL, "issuing", SAN, days=(-50, -1))
    p.certificate("future", MAIL, "issuing", SAN, days=(2, 50))
    p.certificate("self", MAIL, None, SAN)
    p.certificate("strange", MAIL, "stranger", SAN)
    p.certificate("by-no-ca", MAIL, "no-ca", SAN)
    p.certificate("sha1", MAIL, "issuing", SAN, md="sha1")
    p.certificate("client", MAIL, "issuing", f"{SAN}\nextendedKeyUsage=clientAuth")
    p.certificate("other", "/CN=other.contoso.com", "issuing", "subjectAltName=DNS:other.contoso.com")
    for path in p.directory.iterdir():
        path.chmod(0o644)
    p.directory.chmod(0o755)
    return p


def name_of(reason):
    return reason.replace("_", "-")


def ports():
    """{service: port}"""
    return {name: FIRST_PORT + i for i, name in enumerate([*(name_of(row[0]) for row in SERVERS), *OPERATED])}


def orders(pki):
    """What listens at the bad server, by port; at the good one all are."""
    of = ports()
    bad, good = {}, {}
    for reason, _, chain, _ in SERVERS:
        if reason in NOT_SCRIPTED:
            continue
        order = {"script": SCRIPT_OF.get(reason) or ("good" if chain and reason != "timeout" else reason)}
        if chain:
            order |= {"chain": str(pki.chain(*chain.split())), "key": str(pki.directory / "key.pem")}
        if reason == "tls_version":
            order["tls"] = "1.1"
        bad[of[name_of(reason)]] = order
    for name in OPERATED:
        bad[of[name]] = good[of[name]] = {"script": "good without TLS"}
    return {"oxford-a": good, "oxford-b": bad}


def configuration(lab, pki):
    """JSON is YAML. Each broken server has a service of its own; VIPs have a few ports each."""
    base = {"interval": "1s", "fast-interval": "250ms", "timeout": "2s", "connect-timeout": "1s", "fall": 2, "rise": 2,
            "target": "real", "helo": "probe.example.net"}
    root = lab.run / "root.pem"  # the test's own directory is out of mxlbd's sight
    root.write_text((pki.directory / "root.pem").read_text())

    def probe(options):
        return {**base, **{key: str(root) if value == "ROOT" else value for key, value in options.items()}}

    of = ports()
    vips = {name: f"203.0.113.{101 + i // PORTS_OF_A_VIP}" for i, name in enumerate(of)}
    services = {name: {"address": vips[name], "port": port, "interface": "eth0", "probe": name if name not in OPERATED else "plain",
                       "failback-hold": "0s", "panic": "off",
                       "tiers": {"10": {"good": {"address": GOOD}, "bad": {"address": BAD}} if name == "forced" else
                                 {"bad": {"address": BAD}}}} for name, port in of.items()}
    services["forced"]["tiers"] = {"10": {"good": {"address": GOOD}}, "20": {"bad": {"address": BAD}}}
    document = {
        "interfaces": {"eth0": {"mode": "auto"}}, "datapath": {"pin": str(lab.pin)},
        "control": {"socket": str(lab.run / "mxlb.sock"), "group": "mxlb", "http": "127.0.0.1:9125"},
        "probes": {"plain": probe(NO_TLS), **{name_of(reason): probe(options) for reason, options, *_ in SERVERS}},
        "services": services,
    }
    return json.dumps(document, indent=1)


@contextlib.contextmanager
def broken_servers(lab, pki):
    with contextlib.ExitStack() as running:
        for host, of_port in orders(pki).items():
            file = lab.run / f"broken-{host}.json"
            file.write_text(json.dumps(of_port))
            process = running.enter_context(subprocess.Popen(
                [*lab.nsenter(host), "/usr/bin/python3", "-B", str(HERE / "broken_servers.py"), str(file)], stdout=subprocess.PIPE, text=True))
            running.callback(process.kill)
            assert process.stdout.readline() == "ready\n"
        yield


def plain(text):
    """Without line breaks and what wrapping adds."""
    return " ".join(text.split())


class Tools:
    """What each of them says at about one time; .steady: nothing changed meanwhile."""

    def __init__(self, lab, balancer, browser):
        self.findings = balancer.status()["diagnosis"]
        self.services = balancer.status()["services"]
        self.status = plain(lab("ctl", "status"))
        ctl = [str(lab.run / "bin/mxlbctl"), "-s", str(lab.run / "mxlb.sock"), "--json"]
        self.doctor = json.loads(lab.within("lb", *ctl, "--timeout", "1s", "doctor", status=None))["findings"]
        self.check = json.loads(lab.within("lb", *ctl, "check", status=None))
        self.page = self.status
        if browser:
            browser.open(URL + "/")
            browser.wait("return document.querySelectorAll('.service').length", 20, "the page has services")
            self.page = plain(browser.run(SHOWN))
        self.steady = balancer.status()["diagnosis"] == self.findings

    def of(self, service, server=""):
        return [f for f in self.findings if (f["service"], f["server"]) == (service, server)]

    def backend(self, service, name):
        found, = [b for s in self.services if s["name"] == service for t in s["tiers"] for b in t["servers"] if b["name"] == name]
        return found

    def missing_from(self, f):
        """Where the finding's cause or its next step is not to be found."""
        cause, step = f["text"].split(": ", 1)[-1] if f["service"] else f["text"], f["next"]
        if f["server"]:
            b = self.backend(f["service"], f["server"])
            cause = b["warning"]["text"] if f["code"] == "probe_refused" else b["text"]
            if f["level"] == "note":
                cause = b["admin"]  # the table has the override
        missing = set()
        for name, text in (("status", self.status), ("page", self.page)):
            if plain(cause).lower() not in text.lower() or plain(step) not in text:
                missing.add(name)
        if not any(d["text"] == f["text"] and d.get("advice") == step for d in self.doctor) and f["level"] != "note":
            missing.add("doctor")
        if f["level"] != "note" and f"{f['text']} -> {step}" not in {p["text"] for p in self.check["problems"]}:
            missing.add("check")
        return missing


def test_a_healthy_site_has_nothing_to_say(lab, balancer, browser):
    balancer.start()
    balancer.wait_all_up()
    tools = Tools(lab, balancer, browser)
    assert tools.findings == [] and (tools.check["state"], tools.check["problems"]) == ("OK", [])
    assert "->" not in tools.status and "Accepting mail; all 6 servers are up." in tools.page
    assert browser.run("return [...document.querySelectorAll('.next, .note')].map((e) => e.textContent).join('')") == ""
    assert [f for f in tools.doctor if f["check"] in ("services", "servers", "problems", "rejected", "config-file") and f["level"] != "ok"] == []


def seen(balancer):
    """{service: what is wrong with its broken server, or that its probe is refused}"""
    found = {}
    for service in balancer.status()["services"]:
        bad = next(b for tier in service["tiers"] for b in tier["servers"] if b["name"] == "bad")
        found[service["name"]] = (bad["warning"] or bad)["reason"]
    return found


def not_yet(balancer):
    found = seen(balancer)
    return {reason: found[name_of(reason)] for reason, *_ in SERVERS if found[name_of(reason)] != reason}


def operate(lab, balancer):
    lab("ctl", "drain", "drained/bad", "--force")
    lab("ctl", "maint", "in-maintenance/bad", "--force")
    assert balancer.ask("set weight weightless/bad 0") == "\n"
    lab("ctl", "tier", "forced", "force", "20")
    lab.config_file.write_text(lab.config_file.read_text().replace('"failback-hold"', '"failback-holt"', 1))
    lab("ctl", "reload", status=1)
    lab.undo.callback(lab.within, "lb", *"ip address del 203.0.113.101/32 dev lo".split())
    lab.within("lb", *"ip address add 203.0.113.101/32 dev lo".split())


OTHERS = [  # service (None: any), code, words of the next step
    ("drained", "service_down", "mxlbctl ready drained/bad"), ("in-maintenance", "service_down", "mxlbctl ready in-maintenance/bad"),
    ("weightless", "service_down", "set weight weightless/bad 100%"), ("forced", "tier_forced", "mxlbctl tier forced auto"),
    ("", "reload_failed", "mxlbd -t"), (None, "vip_local", "ip addr del"),
]


def judged(tools):
    """What is not as it should be."""
    wrong = {}
    for reason, *_, words in SERVERS:
        found = tools.of(name_of(reason), "bad")
        codes = ["probe_refused"] if reason in WARNINGS else ["server_down", "server_not_up"]
        if len(found) != 1 or found[0]["code"] not in codes or reason not in found[0]["text"] or words not in found[0]["next"]:
            wrong[reason] = found
    for service, code, words in OTHERS:
        if not any(f["code"] == code and service in (None, f["service"]) and words in f["next"] for f in tools.findings):
            wrong[code] = [f for f in tools.findings if f["code"] == code]
    for f in tools.findings:
        if missing := tools.missing_from(f):
            wrong[f["service"], f["server"], f["code"]] = missing, f["text"], f["next"]
    return wrong


def test_all_tools_name_the_same_cause_and_the_same_next_step(lab, balancer, browser, pki, measured):
    began = time.monotonic()
    lab.config_file.write_text(configuration(lab, pki))
    with broken_servers(lab, pki):
        balancer.start()
        try:
            wait_until(lambda: not not_yet(balancer), 40, "each server has its reason")
        except AssertionError as late:
            raise AssertionError(f"{late}: {not_yet(balancer)}") from None
        operate(lab, balancer)
        wait_until(lambda: any(f["code"] == "vip_local" for f in balancer.status()["diagnosis"]), 10, "the VIP is local")
        tools = wait_until(lambda: (now := Tools(lab, balancer, browser)).steady and now, 60, "a quiet moment")
        explained = {reason: plain(lab("ctl", "explain", name_of(reason), CLIENT)) for reason, *_ in SERVERS}
    wrong = judged(tools)
    assert not wrong, "\n".join(f"{what}: {why}" for what, why in wrong.items())
    for reason, *_, words in SERVERS:
        if not tools.backend(name_of(reason), "bad")["in_ring"]:  # else it says that mail goes there
            assert reason in explained[reason] and words in explained[reason], explained[reason]
        if reason not in WARNINGS:
            assert re.search(rf'event=backend_verdict service={name_of(reason)} backend=bad .*cause="{reason}: ', balancer.log()), reason
    measured(f"{len(SERVERS) + len(OTHERS)} defects, {len(tools.findings)} findings, {time.monotonic() - began:.0f} s")


# Faults of this box, which must not be blamed on servers.

@contextlib.contextmanager
def a_firewall_of_its_own(lab, traffic):
    lab.undo.callback(lab.within, "lb", "nft", "delete", "table", "inet", "slip", status=None)
    traffic.wait_seen(OXFORD)
    lab.within("lb", "nft", "-f", "-", input="table inet slip { chain output { type filter hook output priority 0; tcp dport 25 reject; }; }\n")
    yield


@contextlib.contextmanager
def no_carrier(lab, _):
    lab.take_down("lb")
    yield


@contextlib.contextmanager
def its_own_vip(lab, _):
    lab.undo.callback(lab.within, "lb", "ip", "address", "del", f"{VIP}/32", "dev", "lo", status=None)
    lab.within("lb", "ip", "address", "add", f"{VIP}/32", "dev", "lo")
    yield


@contextlib.contextmanager
def a_program_that_is_passed_by(lab, _):
    with another_program(lab):
        yield


BOX_FAULTS = {  # what it is called, of the service or (with a reason) of a server, and words of the next step
    "panic": (a_firewall_of_its_own, "service_panic", None, "nft list ruleset"),
    "local_carrier": (no_carrier, "server_not_up", "local_carrier", "mxlbctl doctor"),
    "local_error": (its_own_vip, "server_not_up", "local_error", "mxlbctl doctor"),
    "blind": (a_program_that_is_passed_by, "service_blind", None, "mxlbctl doctor"),
}


def all_tools_name(lab, balancer, browser, code, reason, words):
    """Waits until it is found, and returns the findings. All tools have the same."""
    def found():
        lab.within("router", "ip", "neigh", "flush", "dev", "lan", status=None)  # asks by ARP again: what a blind box would see
        lab.within("router", "ping", "-c1", "-W1", "203.0.113.5", status=None)
        return [f for f in balancer.status()["diagnosis"] if f["code"] == code and f["service"] == "hybrid-mail" and
                (reason or "") in f["text"] and words in f["next"]]

    wait_until(found, 60, f"{reason or code} is found")
    tools = wait_until(lambda: (now := Tools(lab, balancer, browser)).steady and now, 60, "a quiet moment")
    wrong = {(f["service"], f["server"], f["code"]): missing for f in tools.findings if (missing := tools.missing_from(f))}
    assert not wrong, wrong
    return tools.findings


@pytest.mark.parametrize("fault", BOX_FAULTS)
def test_all_tools_name_a_fault_of_this_box_alike(lab, balancer, browser, fault):
    happen, *finding = BOX_FAULTS[fault]
    balancer.configure(replace={"tls: encryption-only": "tls: none"})
    balancer.start()
    balancer.wait_all_up()
    with Traffic(lab) as traffic, happen(lab, traffic):
        findings = all_tools_name(lab, balancer, browser, *finding)
    assert not [f for f in findings if f["code"] == "server_down"] or fault == "panic", "no server is blamed"


@contextlib.contextmanager
def a_mute_server(lab, host):
    lab.stop(host)
    with subprocess.Popen([*lab.nsenter(host), "/usr/bin/python3", "-B", str(HERE / "mute_server.py"), "25"], stdout=subprocess.PIPE, text=True) as mute:
        try:
            assert mute.stdout.readline() == "ready\n"
            yield
        finally:
            mute.kill()


@contextlib.contextmanager
def stalls(balancer):
    """The process that probes stalls for 1.6 s, again and again."""
    over = threading.Event()

    def send(number):
        for child in children(balancer.process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, number)

    def stall():
        while not over.is_set():
            send(signal.SIGSTOP)
            over.wait(1.6)
            send(signal.SIGCONT)
            over.wait(0.2)

    thread = threading.Thread(target=stall)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_a_server_is_blamed_for_its_silence_only_when_this_box_does_not_stall(lab, balancer, browser):
    balancer.configure(replace={f" timeout: {10 * int(SLOW)}s": " timeout: 3s"})
    balancer.start()
    balancer.wait_all_up()
    with stalls(balancer), a_mute_server(lab, "oxford-b"):
        findings = all_tools_name(lab, balancer, browser, "server_not_up", "local_stall", "mxlbctl doctor")
        assert not [f for f in findings if f["code"] == "server_down"], "no server is blamed"
    with a_mute_server(lab, "oxford-b"):
        balancer.wait_for({"oxford-b": "down"}, 30)


YEARS_S = 11 * 366 * 86400  # longer than the certificate of the lab's servers is valid


@contextlib.contextmanager
def a_jump_of_the_clock():
    began, now = time.monotonic(), time.time()
    time.clock_settime(time.CLOCK_REALTIME, now + YEARS_S)
    try:
        yield
    finally:
        time.clock_settime(time.CLOCK_REALTIME, now + time.monotonic() - began)


@pytest.mark.kernels
def test_all_tools_name_a_clock_that_jumped(lab, balancer):
    """Every certificate seems to have expired."""
    if not os.environ.get("MXLB_OWN_CLOCK"):
        pytest.skip("sets the clock: only in a VM, where make check-kernels runs it")
    balancer.configure(replace={"tls: encryption-only": f"tls: certificate-validation\n    ca-file: {lab.run}/cert.pem"})
    balancer.start()
    balancer.wait_all_up()
    with Traffic(lab) as traffic, a_jump_of_the_clock():
        findings = all_tools_name(lab, balancer, None, "server_not_up", "local_clock", "mxlbctl doctor")
        assert not [f for f in findings if f["code"] in ("server_down", "service_down")], "no server is blamed"
        traffic.wait_seen(OXFORD)
    assert all(attempt.server for attempt in traffic.attempts()), "no connection was refused"
