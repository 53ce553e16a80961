# SPDX-License-Identifier: BSD-2-Clause
"""The probe against scripted peers: every behaviour of a server leads to its reason, in time, and without noise in the
server's log.

Drives tests/tools/probe-once, the probe with its child and sandbox but without a daemon. Loopback only.
"""
import asyncio
import json
import os
import resource
import socket
import ssl
import subprocess
import warnings

import pytest

from lab import patience
from smtp_peer import (EHLO, GRACE_S, NO_TLS, PER_SOURCE, drip, flood, garbage, probe, probe_once, reply, reset,
                       run_probe, silent, smtp, then_close, tls_context)  # noqa: F401 (fixtures)

FULL = ["EHLO", "STARTTLS", "TLSv1.3", "EHLO", "MAIL", "RSET", "QUIT"]
ANONYMOUS = reply(250, [b"STARTTLS Hello", b"X-ANONYMOUSTLS", b"AUTH=STARTTLS", b"STARTTLSX"])

# what the server does: script, options, reason, stage, code, what it heard
CASES = {
    "a good server": (smtp(), "", "ok", "done", 250, FULL),
    "a good server without TLS, none asked for":
        (smtp(ehlo=NO_TLS), "-t none", "ok", "done", 250, ["EHLO", "MAIL", "RSET", "QUIT"]),
    "a good server, asked for a banner": (smtp(), "-d banner", "ok", "done", 220, ["QUIT"]),
    "a good server, asked for EHLO": (smtp(), "-d ehlo", "ok", "done", 250, ["EHLO", "QUIT"]),
    "a good server, asked for STARTTLS":
        (smtp(), "-d starttls", "ok", "done", 0, ["EHLO", "STARTTLS", "TLSv1.3", "QUIT"]),
    "a good server, asked for a connection only": (silent, "-d connect", "ok", "done", 0, []),
    "a greeting of many lines":
        (smtp(greeting=b"220-mx.contoso.com\r\n220-no spam\r\n220 please\r\n"), "", "ok", "done", 250, FULL),
    "lines that end in LF": (smtp(greeting=b"220 mx\n", ehlo=b"250-mx\n250 starttls\n"), "", "ok", "done", 250, FULL),
    "a greeting 421":
        (smtp(greeting=b"421 4.3.2 Service not active\r\n"), "", "greeting_421", "greeting", 421, ["QUIT"]),
    "a greeting 421, then closed":
        (then_close(b"421 4.3.2 Service not active\r\n"), "", "greeting_421", "greeting", 421, None),
    "a greeting 450": (smtp(greeting=b"450 4.7.1 later\r\n"), "", "greeting_4xx", "greeting", 450, ["QUIT"]),
    "a greeting 554": (smtp(greeting=b"554 5.3.2 no mail here\r\n"), "", "greeting_5xx", "greeting", 554, ["QUIT"]),
    "a greeting 554 about this client": (smtp(greeting=b"554 5.7.1 no\r\n"), "", "source_refused", "greeting", 554, ["QUIT"]),
    "a limit for each source": (then_close(PER_SOURCE), "", "per_source_limit", "greeting", 421, None),
    "Postfix's limit for each client":
        (smtp(greeting=b"421 4.7.0 mx Error: too many connections from 10.0.0.5\r\n"), "", "per_source_limit",
         "greeting", 421, ["QUIT"]),
    "silence": (silent, "-T 1000", "greeting_silent", "greeting", 0, None),
    "one byte a second": (drip, "-T 2000", "greeting_silent", "greeting", 0, None),
    "a line of 10 MB": (flood(b"220 " + b"x" * 65532, 10 << 20), "", "reply_too_long", "greeting", 0, None),
    "an endless 250-":
        (smtp(ehlo=flood(b"250-AND ON\r\n" * 1000, 10 << 20)), "", "reply_too_long", "ehlo", 0, None),
    "NULs": (smtp(greeting=b"220 m\0x\r\n"), "", "malformed", "greeting", 0, None),
    "a code of four digits": (smtp(greeting=b"2200 mx\r\n"), "", "malformed", "greeting", 0, ["QUIT"]),
    "a code of two digits": (smtp(greeting=b"22\r\n"), "", "malformed", "greeting", 0, ["QUIT"]),
    "a code that changes": (smtp(ehlo=b"250-mx\r\n251 STARTTLS\r\n"), "", "malformed", "ehlo", 0, None),
    "HTTP": (smtp(greeting=b"HTTP/1.0 400 Bad Request\r\n"), "", "malformed", "greeting", 0, ["QUIT"]),
    "a greeting with more behind it":
        (smtp(greeting=b"220 mx\r\n250 too early\r\n"), "", "malformed", "greeting", 0, ["QUIT"]),
    "closed without a word": (then_close(b""), "", "closed_early", "greeting", 0, None),
    "closed after the banner": (then_close(b"220 mx\r\n"), "", "closed_early", "ehlo", 0, None),
    "reset after the banner": (smtp(ehlo=reset), "", "closed_early", "ehlo", 0, ["EHLO"]),
    "EHLO 502": (smtp(ehlo=b"502 5.5.1 what?\r\n"), "", "ehlo_refused", "ehlo", 502, ["EHLO", "QUIT"]),
    "EHLO 421": (smtp(ehlo=b"421 4.3.2 no\r\n"), "", "ehlo_421", "ehlo", 421, ["EHLO", "QUIT"]),
    "EHLO 450": (smtp(ehlo=b"450 4.3.2 no\r\n"), "", "ehlo_4xx", "ehlo", 450, ["EHLO", "QUIT"]),
    "no answer to EHLO": (smtp(ehlo=silent), "-T 4000", "timeout", "ehlo", 0, ["EHLO"]),
    "no STARTTLS": (smtp(ehlo=NO_TLS), "", "no_starttls", "ehlo", 250, ["EHLO", "QUIT"]),
    "words that only look like STARTTLS": (smtp(ehlo=ANONYMOUS), "", "no_starttls", "ehlo", 250, ["EHLO", "QUIT"]),
    "STARTTLS 454":
        (smtp(starttls=b"454 4.7.0 TLS not available\r\n"), "", "starttls_refused", "starttls", 454,
         ["EHLO", "STARTTLS", "QUIT"]),
    "an injection behind the 220":
        (smtp(starttls=b"220 go\r\n250-evil\r\n", handshake=silent), "", "starttls_injection", "starttls", 0,
         ["EHLO", "STARTTLS"]),
    "garbage in place of TLS":
        (smtp(handshake=garbage(b"\x00" * 2000)), "", "tls_handshake", "tls", 0, ["EHLO", "STARTTLS"]),
    "a handshake that stalls":
        (smtp(handshake=silent), "-T 4000", "timeout", "tls", 0, ["EHLO", "STARTTLS"]),
    "a handshake that is reset":
        (smtp(handshake=reset), "", "tls_handshake", "tls", 0, ["EHLO", "STARTTLS"]),
    "EHLO 502 in TLS": (smtp(ehlo_tls=b"502 no\r\n"), "", "ehlo_refused", "ehlo-tls", 502,
                        ["EHLO", "STARTTLS", "TLSv1.3", "EHLO", "QUIT"]),
    "silence after the handshake":
        (smtp(ehlo_tls=silent), "-T 4000", "timeout", "ehlo-tls", 0, None),
    "reset after the handshake":
        (smtp(ehlo_tls=reset), "", "closed_early", "ehlo-tls", 0, ["EHLO", "STARTTLS", "TLSv1.3", "EHLO"]),
    "MAIL FROM 421 (maintenance)": (smtp(mail=b"421 4.3.2 Service not available\r\n"), "", "mail_421", "mail-from", 421,
                                    ["EHLO", "STARTTLS", "TLSv1.3", "EHLO", "MAIL", "QUIT"]),
    "MAIL FROM 452 (back pressure)":
        (smtp(mail=b"452 4.3.1 Insufficient system resources\r\n"), "", "mail_4xx", "mail-from", 452,
         ["EHLO", "STARTTLS", "TLSv1.3", "EHLO", "MAIL", "QUIT"]),
    "MAIL FROM 550": (smtp(mail=b"550 5.3.0 no mail here\r\n"), "", "mail_refused", "mail-from", 550,
                      ["EHLO", "STARTTLS", "TLSv1.3", "EHLO", "MAIL", "QUIT"]),
    "MAIL FROM 550 about this client": (smtp(mail=b"550 5.7.1 no\r\n"), "", "source_refused", "mail-from", 550,
                                        ["EHLO", "STARTTLS", "TLSv1.3", "EHLO", "MAIL", "QUIT"]),
    "RSET refused": (smtp(rset=b"502 what?\r\n"), "", "ok", "done", 250, FULL),
    "no answer to QUIT": (smtp(quit_=silent), "", "ok", "done", 250, FULL),
    "closed in place of 221": (smtp(quit_=reset), "", "ok", "done", 250, FULL),
    "a negative code": (smtp(greeting=b"-220 mx\r\n"), "", "malformed", "greeting", 0, ["QUIT"]),
    "an empty line": (smtp(greeting=b"\r\n"), "", "malformed", "greeting", 0, ["QUIT"]),
    "a code that nothing follows": (smtp(greeting=b"220\r\n"), "", "ok", "done", 250, FULL),
    "a greeting 354": (smtp(greeting=b"354 go ahead\r\n"), "", "malformed", "greeting", 354, ["QUIT"]),
    "a greeting 521": (smtp(greeting=b"521 mx does not accept mail\r\n"), "", "greeting_5xx", "greeting", 521, ["QUIT"]),
    "STARTTLS 501": (smtp(starttls=b"501 5.5.4 no\r\n"), "", "starttls_refused", "starttls", 501, ["EHLO", "STARTTLS", "QUIT"]),
    "STARTTLS 250": (smtp(starttls=b"250 2.0.0 sure\r\n"), "", "starttls_refused", "starttls", 250,
                     ["EHLO", "STARTTLS", "QUIT"]),
    "EHLO 421 in TLS": (smtp(ehlo_tls=b"421 4.3.2 no\r\n"), "", "ehlo_421", "ehlo-tls", 421,
                        ["EHLO", "STARTTLS", "TLSv1.3", "EHLO", "QUIT"]),
    "no answer to MAIL FROM (a tarpit beyond the timeout)":
        (smtp(mail=silent), "-T 4000", "timeout", "mail-from", 0, ["EHLO", "STARTTLS", "TLSv1.3", "EHLO", "MAIL"]),
    "reset in place of an answer to MAIL FROM":
        (smtp(mail=reset), "", "closed_early", "mail-from", 0, ["EHLO", "STARTTLS", "TLSv1.3", "EHLO", "MAIL"]),
    "no answer to RSET": (smtp(rset=silent), "", "ok", "done", 250, FULL[:-1]),
    "a flood of junk in TLS":
        (smtp(ehlo_tls=flood(b"250-" + b"x" * 4000 + b"\r\n", 1 << 20)), "", "reply_too_long", "ehlo-tls", 0, None),
}


# what a reason leads to: the verdict, and what Exchange Online reports (docs/protocol-notes.md 3.1)
MEANING = {
    "ok": ("up", ""), "per_source_limit": ("unknown", ""), "source_refused": ("unknown", ""),
    "greeting_421": ("draining", "4.4.317"), "greeting_4xx": ("draining", "4.4.317"), "greeting_5xx": ("down", "4.4.317"),
    "greeting_silent": ("down", "4.4.315"), "timeout": ("down", "4.4.315"), "closed_early": ("down", "4.4.318"),
    "malformed": ("down", "4.4.317"), "reply_too_long": ("down", "4.4.317"),
    "ehlo_421": ("draining", "4.4.317"), "ehlo_4xx": ("draining", "4.4.317"), "ehlo_refused": ("down", "4.4.317"),
    "no_starttls": ("down", "4.4.317"), "starttls_refused": ("down", "4.4.317"), "starttls_injection": ("down", "4.4.317"),
    "tls_handshake": ("down", "4.4.317"),
    "mail_421": ("draining", "4.4.317"), "mail_4xx": ("draining", "4.4.317"), "mail_refused": ("down", "4.4.317"),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_each_behaviour_of_a_server_has_its_reason(probe_once, tls_context, case):
    script, options, reason, stage, code, heard = case
    result, connection, seconds = probe(probe_once, script, options if "-T" in options else f"{options} -T 10000", tls_context)
    assert (result["reason"], result["stage"], result["smtp_code"]) == (reason, stage, code), result
    assert (result["verdict"], result["exo_code"]) == MEANING[reason]
    assert connection.early == b"", "spoke before the greeting"
    if heard is not None:
        assert [line.split()[0] for line in connection.heard] == heard
    timeout = int(options.split("-T ")[1]) / 1000 if "-T" in options else 3
    assert seconds < timeout + GRACE_S
    assert result["restarts"] == 0
    assert result["text"].isprintable() and len(result["text"]) < 256


def test_a_successful_probe_ends_without_a_reset_and_identifies_itself(probe_once, tls_context):
    result, connection, _ = probe(probe_once, smtp(), "-s mail.contoso.com", tls_context)
    assert result["reason"] == "ok"
    assert connection.ended == "closed"
    assert connection.heard[0] == "EHLO probe.example.net"
    assert connection.heard[4] == "MAIL FROM:<>"
    assert all(result[f"{stage}_ms"] >= 1 for stage in ("connect", "greeting", "tls", "total"))
    assert result["greeting_ms"] >= 90  # the peer waits 100 ms with it


def test_the_certificate_is_described_as_windows_prints_it(probe_once, tls_context):
    result, _, _ = probe(probe_once, smtp(), "", tls_context)
    shown = {key: subprocess.run(["openssl", "x509", "-in", tls_context.cert_file, "-noout", *how], check=True,
                                 capture_output=True, text=True).stdout.strip().partition("=")[2]
             for key, how in {"sha1": ["-fingerprint", "-sha1"], "not_after": ["-enddate"], "not_before": ["-startdate"]}.items()}
    spki = subprocess.run(f"openssl x509 -in {tls_context.cert_file} -noout -pubkey | openssl pkey -pubin -outform der"
                          " | openssl dgst -sha256 -r", shell=True, check=True, capture_output=True, text=True).stdout
    tls = result["tls"]
    name = 'E=pki@contoso.com, CN=mail.contoso.com, O="Contoso, Ltd", L=Seattle, S=WA, C=US'
    assert tls["subject"] == tls["issuer"] == name
    assert tls["names"] == ["mail.contoso.com", "autodiscover.contoso.com"]
    assert tls["version"] == "TLSv1.3" and tls["cipher"].startswith("TLS_")
    assert tls["sha1"] == shown["sha1"].replace(":", "").lower()
    assert tls["spki_sha256"] == spki.split()[0]
    assert tls["not_after"] == ssl.cert_time_to_seconds(shown["not_after"])
    assert tls["not_before"] == ssl.cert_time_to_seconds(shown["not_before"])


def test_an_old_tls_version_is_named_as_such_and_left_politely(probe_once, tls_context):
    with warnings.catch_warnings(action="ignore"):
        tls_context.maximum_version = ssl.TLSVersion.TLSv1
    try:
        result, connection, _ = probe(probe_once, smtp(), "", tls_context)
    finally:
        tls_context.maximum_version = ssl.TLSVersion.MAXIMUM_SUPPORTED
    assert (result["reason"], result["text"], result["tls"]["version"]) == ("tls_version", "TLSv1", "TLSv1")
    assert connection.heard[-1] == "QUIT" and connection.ended == "closed"


def test_the_server_name_is_sent_when_asked_for(probe_once, tls_context):
    names = []
    tls_context.sni_callback = lambda _, name, __: names.append(name)
    try:
        probe(probe_once, smtp(), "-s mail.contoso.com", tls_context)
        probe(probe_once, smtp(), "", tls_context)
    finally:
        tls_context.sni_callback = None
    assert names == ["mail.contoso.com", None]


def test_a_closed_port_is_refused(probe_once):
    with socket.socket() as s:  # bound, not listening
        s.bind(("127.0.0.1", 0))
        result, = asyncio.run(run_probe(probe_once, s.getsockname()[1], ""))
    assert (result["reason"], result["stage"]) == ("refused", "connect")


def black_hole(address, port=0):
    """A listener with a full queue, which answers no SYN. Keeps its sockets open."""
    listener = socket.socket()
    listener.bind((address, port))
    listener.listen(0)
    fillers = []
    for _ in range(2):
        s = socket.socket()
        s.setblocking(False)
        s.connect_ex(listener.getsockname())
        fillers.append(s)
    return listener, fillers


def test_a_host_that_does_not_answer_is_a_connect_timeout_with_a_hint_before(probe_once):
    listener, fillers = black_hole("127.0.0.1")
    result, = asyncio.run(run_probe(probe_once, listener.getsockname()[1], "-C 700"))
    assert (result["reason"], result["stage"], result["slow"]) == ("connect_timeout", "connect", 1)
    assert 690 <= result["connect_ms"] < 1500
    del fillers


@pytest.mark.parametrize("stage", ["greeting", "ehlo", "tls", "ehlo-tls", "mail-from"])
def test_silence_at_any_stage_is_reported_while_the_probe_goes_on(probe_once, tls_context, stage):
    """A host may die during a probe: its next hop is then resolved at once, not when the probe times out."""
    script = {"greeting": silent, "ehlo": smtp(ehlo=silent), "tls": smtp(handshake=silent),
              "ehlo-tls": smtp(ehlo_tls=silent), "mail-from": smtp(mail=silent)}[stage]
    result, _, _ = probe(probe_once, script, "-T 2000", tls_context)
    assert result["stage"] == stage
    assert 1 <= result["slow"] <= 8


def test_a_silent_vip_on_a_host_that_answers_is_missing(probe_once):
    listener, fillers = black_hole("127.0.0.1")
    result, = asyncio.run(run_probe(probe_once, listener.getsockname()[1], "-C 700 -f 127.0.0.2"))
    assert (result["reason"], result["text"]) == ("vip_missing", "127.0.0.2 answers, but not for the VIP")
    assert result["connect_ms"] < 1500
    del fillers


def test_a_connect_timeout_too_short_for_the_hint_still_asks_the_host(probe_once):
    listener, fillers = black_hole("127.0.0.1")
    result, = asyncio.run(run_probe(probe_once, listener.getsockname()[1], "-C 200 -f 127.0.0.2"))
    assert (result["reason"], result["slow"]) == ("vip_missing", 0)
    del fillers


def test_a_silent_vip_on_a_silent_host_is_a_connect_timeout(probe_once):
    listener, fillers = black_hole("127.0.0.1")
    other, more = black_hole("127.0.0.2", listener.getsockname()[1])
    result, = asyncio.run(run_probe(probe_once, listener.getsockname()[1], "-C 700 -f 127.0.0.2"))
    assert result["reason"] == "connect_timeout"
    del fillers, other, more


@pytest.mark.parametrize("fallback, port, reason", [("-f 127.0.0.2", "silent", "unreachable"),
                                                    ("-f 127.0.0.2", "answers", "vip_missing"),
                                                    ("", "", "unreachable"),
                                                    ("-f 255.255.255.255", "", "connect_timeout")])  # EACCES: ours
def test_where_nothing_answers_behind_a_router_the_host_is_unreachable(probe_once, fallback, port, reason):
    listener, fillers = black_hole("127.0.0.1")
    other = black_hole("127.0.0.2", listener.getsockname()[1]) if port == "silent" else None
    result, = asyncio.run(run_probe(probe_once, listener.getsockname()[1], f"-R -C 700 {fallback}"))
    assert (result["reason"], result["stage"]) == (reason, "connect"), result
    del fillers, other


@pytest.mark.parametrize("network", ["192.0.2", "2001:db8:2:"])
@pytest.mark.parametrize("route", ["unreachable", "prohibit", None])
def test_a_routers_error_is_about_the_host(probe_once, network, route):
    if os.geteuid():
        pytest.skip("needs root")
    v6 = ":" in network
    near, far = (f"mxpo{os.getpid()}-{end}" for end in ("near", "far"))
    link, length = ("fd00::", 64) if v6 else ("10.0.0.", 24)
    dot = ":" if v6 else "."
    lines = [f"netns add {near}", f"netns add {far}", f"link add e0 netns {near} type veth peer name e0 netns {far}"]
    for ns, last in ((near, 1), (far, 2)):
        lines += [f"-n {ns} link set lo up", f"-n {ns} addr add {link}{last}/{length} dev e0 {'nodad' if v6 else ''}",
                  f"-n {ns} link set e0 up"]
    lines += [f"-n {near} route add {network}{dot}{'' if v6 else 0}/{length} via {link}2"]
    lines += [f"-n {far} route add {route} {network}{dot}{'' if v6 else 0}/{length}"] if route else []
    try:
        for line in lines:
            subprocess.run(["ip", *line.split()], check=True)
        for forward in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
            subprocess.run(["nsenter", f"--net=/run/netns/{far}", "sysctl", "-qw", f"{forward}=1"], check=True)
        out = subprocess.run(["nsenter", f"--net=/run/netns/{near}", probe_once, "-C", "5000", "-T", "5000",
                              f"{network}{dot}1", "25"], check=True, capture_output=True, text=True,
                             timeout=30 * patience()).stdout
    finally:
        for ns in (near, far):
            subprocess.run(["ip", "netns", "del", ns])
    result = json.loads(out)
    assert (result["reason"], result["stage"]) == ("unreachable", "connect"), result


ROUTES = {"unreachable": "unreachable", "prohibit": "local_error", "blackhole": "local_error", None: "local_error"}


@pytest.mark.parametrize("route,reason", ROUTES.items(), ids=[f"route {r}" for r in ROUTES])
def test_a_routing_error_is_about_the_host_or_this_box(probe_once, route, reason):
    if os.geteuid():
        pytest.skip("needs root")
    add = f"ip route add {route} 192.0.2.0/24 && " if route else ""
    out = subprocess.run(["unshare", "--net", "sh", "-c", f"ip link set lo up && {add}exec {probe_once} 192.0.2.1 25"],
                         check=True, capture_output=True, text=True, timeout=30 * patience()).stdout
    result = json.loads(out)
    assert (result["reason"], result["stage"]) == (reason, "connect"), result


def test_sockets_that_run_out_here_are_our_trouble(probe_once):
    with subprocess.Popen([probe_once, "-w", "-r", "4", "127.0.0.1", "1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as process:
        assert json.loads(process.stdout.readline())["reason"] == "refused"
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (4, 4))  # stdio and the loop: none is left for a probe
        out, _ = process.communicate("\n\n\n", timeout=30 * patience())
    results = [json.loads(line) for line in out.splitlines()]
    assert [(r["reason"], r["text"], r["restarts"]) for r in results] == [("local_error", "Too many open files", 0)] * 3


def test_sockets_that_run_out_in_the_child_are_our_trouble_and_end_no_other_probe(probe_once):
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listener:
        out = subprocess.run(["sh", "-c", f"ulimit -n 24; exec {probe_once} -n 40 -T 1000 127.0.0.1 "
                              f"{listener.getsockname()[1]}"], check=True, capture_output=True, text=True,
                             timeout=30 * patience()).stdout
    results = [json.loads(line) for line in out.splitlines()]
    assert {r["restarts"] for r in results} == {0}
    silent_, local = (sum(r["reason"] == reason for r in results) for reason in ("greeting_silent", "local_error"))
    assert silent_ >= 10 and local >= 10 and silent_ + local == 40, results
    assert {r["text"] for r in results if r["reason"] == "local_error"} == {"Too many open files"}
