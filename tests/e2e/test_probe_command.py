# SPDX-License-Identifier: BSD-2-Clause
"""`mxlbctl probe`: from this machine against scripted peers on loopback, and by mxlbd in the lab."""
import asyncio
import json
import os
import re
import socket
import subprocess

import pytest

from lab import VIP, VIP6, command, patience, wait_until
from smtp_peer import NO_TLS, Peer, flood, smtp, silent, then_close, tls_context  # noqa: F401 (a fixture)


@pytest.fixture(scope="module")
def mxlbctl(build):
    return str(build / "mxlbctl")


def probe(mxlbctl, script, *options, context=None, prefix=(), host="127.0.0.1"):
    """Returns exit status, stdout and stderr."""
    async def main():
        async with Peer(script, context) as peer:
            process = await asyncio.create_subprocess_exec(
                *prefix, mxlbctl, "probe", f"{host}:{peer.port}", *options, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            out, err = await asyncio.wait_for(process.communicate(), 30 * patience())
            return process.returncode, out.decode("ascii"), err.decode("ascii")

    return asyncio.run(main())


def said(report):
    return [(line["who"], line["text"]) for line in report["dialogue"] if line["who"] != "note"]


def test_the_whole_dialogue_is_shown_in_its_order_with_times(mxlbctl, tls_context):
    status, out, _ = probe(mxlbctl, smtp(), "--json", "--helo", "probe.contoso.com", context=tls_context)
    report = json.loads(out)
    assert status == 0
    ehlo = [("server", f"250-{word}") for word in ("mx.contoso.com Hello", "SIZE 37748736", "PIPELINING", "STARTTLS")]
    hello = [("probe", "EHLO probe.contoso.com"), *ehlo, ("server", "250 8BITMIME")]
    assert said(report) == [
        ("server", "220 mx.contoso.com ESMTP"), *hello, ("probe", "STARTTLS"), ("server", "220 2.0.0 go"), *hello,
        ("probe", "MAIL FROM:<>"), ("server", "250 2.1.0 ok"), ("probe", "RSET"), ("server", "250 2.0.0 ok"),
        ("probe", "QUIT"), ("server", "221 2.0.0 bye")]
    times = [line["ms"] for line in report["dialogue"]]
    assert times == sorted(times)
    assert times[1] >= 90 > times[0]  # the peer waits 100 ms with its greeting
    assert report["healthy"] and (report["verdict"], report["reason"], report["exo_code"]) == ("up", "ok", "")
    assert {p["policy"]: p["ok"] for p in report["policies"]}["encryption-only"]


def test_text_shows_what_the_report_holds(mxlbctl, tls_context):
    status, out, _ = probe(mxlbctl, smtp(), context=tls_context)
    fingerprint = command("openssl", "x509", "-in", str(tls_context.cert_file), "-noout", "-fingerprint", "-sha1")
    spki = command("sh", "-c", f"openssl x509 -in {tls_context.cert_file} -noout -pubkey | openssl pkey -pubin -outform der"
                               " | openssl dgst -sha256 -r").split()[0]
    assert status == 0
    assert re.search(r"^ +\d+ ms > MAIL FROM:<>\n +\d+ ms < 250 2.1.0 ok$", out, re.M)
    assert re.search(r"^ +\d+ ms \* TLSv1.3 TLS_", out, re.M)
    assert 'subject    E=pki@contoso.com, CN=mail.contoso.com, O="Contoso, Ltd", L=Seattle, S=WA, C=US\n' in out
    assert f"thumbprint {fingerprint.strip().partition('=')[2].replace(':', '')}\n" in out
    assert f"tlsa       3 1 1 {spki}\n" in out
    assert "certificate 1 of 1\n" in out and "encryption-only        ok\n" in out
    assert "healthy: every stage passed\n" in out and "Exchange Online would deliver\n" in out


BAD = {
    "no STARTTLS": (smtp(ehlo=NO_TLS), (), "no_starttls", "4.4.317"),
    "no STARTTLS under DANE": (smtp(ehlo=NO_TLS), ("--tls", "dane", "--tlsa", "3 1 1 " + "00" * 32), "no_starttls", "5.7.321"),
    "a greeting 421": (smtp(greeting=b"421 4.3.2 no\r\n"), (), "greeting_421", "4.4.317"),
    "back pressure": (smtp(ehlo=NO_TLS, mail=b"452 4.3.1 full\r\n"), ("--tls", "none"), "mail_4xx", "4.4.317"),
    "closed at once": (then_close(b""), (), "closed_early", "4.4.318"),
    "silence": (silent, ("--timeout", "1s"), "greeting_silent", "4.4.315"),
}


@pytest.mark.parametrize("case", BAD.values(), ids=BAD.keys())
def test_what_is_wrong_is_the_exit_status_and_exchanges_code(mxlbctl, case):
    script, options, reason, code = case
    status, out, _ = probe(mxlbctl, script, "--json", *options)
    report = json.loads(out)
    assert (status, report["reason"], report["exo_code"], report["healthy"]) == (1, reason, code, False)
    status, out, _ = probe(mxlbctl, script, *options)
    assert status == 1 and f"not healthy: {reason} at stage" in out and f"450 {code}\n" in out


def test_a_depth_is_kept_to(mxlbctl):
    status, out, _ = probe(mxlbctl, smtp(), "--json", "--depth", "banner")
    assert status == 0
    assert said(json.loads(out)) == [("server", "220 mx.contoso.com ESMTP"), ("probe", "QUIT"), ("server", "221 2.0.0 bye")]


def test_nothing_from_a_server_reaches_the_terminal_unescaped(mxlbctl):
    evil = b"220-\x1b]0;owned\x07\xff\r\n220-" + b"x" * 3000 + b"\r\n220 \x1b[2J\x9b\r\n"
    for options in ((), ("--json",)):
        status, out, err = probe(mxlbctl, smtp(greeting=evil, ehlo=NO_TLS), *options)
        assert status == 1 and err == ""
        assert all(c.isprintable() or c == "\n" for c in out)
        assert "x" * 400 in out and "x" * 600 not in out


def test_a_flood_of_lines_is_truncated_with_a_note(mxlbctl):
    status, out, _ = probe(mxlbctl, smtp(ehlo=flood(b"250-x\r\n" * 1000, 1 << 20)), "--json")
    report = json.loads(out)
    assert (status, report["reason"]) == (1, "reply_too_long")
    assert len(report["dialogue"]) <= 160


def test_names_and_ipv6_addresses_are_taken(mxlbctl):
    status, out, _ = probe(mxlbctl, smtp(ehlo=NO_TLS), "--tls", "none", host="localhost")
    assert status == 0 and "probing 127.0.0.1, port " in out
    listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    port = listener.getsockname()[1]
    listener.close()
    out = command(mxlbctl, "probe", f"[::1]:{port}", status=1)
    assert f"probing ::1, port {port}\n" in out and "refused" in out


def test_any_user_may_probe_from_here(mxlbctl, tls_context, tmp_path):
    if os.geteuid():
        pytest.skip("needs root")
    status, out, err = probe("/proc/self/fd/0", smtp(), context=tls_context, prefix=(
        "sh", "-c", f'exec 0<{mxlbctl}; exec setpriv --reuid 65534 --regid 65534 --clear-groups --bounding-set=-all "$@"', "sh"))
    assert (status, err) == (0, ""), out


def test_every_policy_that_can_be_judged_is(mxlbctl, tls_context):
    def judged(*options, status=0):
        got, out, _ = probe(mxlbctl, smtp(), "--json", *options, context=tls_context)
        assert got == status, out
        return {p["policy"]: (p["reason"], p["exo_code"]) for p in json.loads(out)["policies"]}, json.loads(out)["reason"]

    ok, untrusted = ("ok", ""), ("certificate_self_signed", "4.7.320")
    mine = ("--ca-file", str(tls_context.cert_file))
    assert judged() == ({"none": ok, "encryption-only": ok, "certificate-validation": untrusted}, "ok")
    assert judged("--tls", "certificate-validation", status=1)[1] == "certificate_self_signed"
    assert judged(*mine, "--tls", "certificate-validation")[0]["certificate-validation"] == ok
    policies, reason = judged(*mine, "--tls-domain", "mail.fabrikam.com", "--tlsa", "3 1 1 " + "00" * 32)
    assert (policies["domain-validation"], reason) == (("certificate_wrong_name", "4.7.320"), "ok")
    assert policies["dane"] == ("tlsa_mismatch", "5.7.323")
    assert judged(*mine, "--tls-domain", "*.contoso.com")[0]["domain-validation"] == ok
    assert judged("--tls-certificate-name", "<S>CN=x", status=1)[1] == "certificate_wrong_subject"


def test_a_ca_file_that_is_none_is_refused(mxlbctl, tmp_path):
    (tmp_path / "empty.pem").write_text("")
    for file in ("empty.pem", "missing.pem"):
        assert file in command(mxlbctl, "probe", "127.0.0.1:1", "--ca-file", str(tmp_path / file), status=2)


USAGE = [
    ["2001:db8::1"], ["[::1"], ["[::1]x"], ["host:"], ["host:0"], ["host:65536"], ["host:25x"], [":25"], [""], ["a:1:2"],
    ["host", "--depth", "rcpt"], ["host", "--tls", "maybe"], ["host", "--helo", "two words"], ["host", "--helo", "x" * 300],
    ["host", "--timeout", "0"],
    ["host", "--tls", "dane"], ["host", "--tls", "domain-validation"], ["host", "--tls-domain", "a.*.b"], ["host", "--tlsa", "3 1 1 00"],
    ["host", "--tls-certificate-name", "<I>CN=x"], ["mail/a", "--ca-file", "/etc/ssl/certs/ca-certificates.crt"], ["host", "--wait"], ["host", "port"], [], ["mail/a", "--depth", "banner"],
    ["mail/a", "--timeout", "5s"], ["mail/a b"], ["mail/a;reload"],
]


@pytest.mark.parametrize("words", USAGE, ids=[" ".join(w)[:40] or "nothing" for w in USAGE])
def test_what_cannot_be_meant_is_usage(mxlbctl, words):
    assert command(mxlbctl, "-s", "/nonexistent/mxlb.sock", "probe", *words, status=2)


def test_a_wrong_target_is_named_as_it_was_typed(mxlbctl):
    assert "not 'host:65536'" in command(mxlbctl, "probe", "host:65536", status=2)


def test_options_of_a_probe_go_with_no_other_command(mxlbctl):
    assert "usage" in command(mxlbctl, "--helo", "x", "status", status=2)


def test_a_name_that_does_not_resolve_is_reported(mxlbctl):
    assert "no-such-host.invalid: " in command(mxlbctl, "probe", "no-such-host.invalid", status=1)


def test_without_a_daemon_a_backend_cannot_be_probed(mxlbctl):
    assert "mxlbd is not running" in command(mxlbctl, "-s", "/nonexistent/mxlb.sock", "probe", "mail/a", status=3)


# In the lab: by mxlbd's probe child, over the mail's own way.

def test_a_backend_is_probed_by_mxlbd_and_its_verdict_is_left_alone(lab, balancer):
    balancer.configure(replace={"interval: 1s": "interval: 1h"})
    balancer.start()
    balancer.wait_all_up()
    report = json.loads(lab("ctl", "--json", "probe", "hybrid-mail/oxford-b"))
    assert report["healthy"] and (report["address"], report["port"]) == ("203.0.113.25", 25)
    assert ("server", "220 oxford-b.contoso.com ESMTP Postfix") in said(report)
    assert "CN=mail.contoso.com" in lab("ctl", "probe", "hybrid-mail6/nuneaton")
    before = balancer.backend("oxford-a")
    lab.stop("oxford-a")
    out = lab("ctl", "probe", "hybrid-mail/oxford-a", status=1)
    assert "not healthy: refused at stage connect" in out and "450 4.4.316\n" in out
    after = balancer.backend("oxford-a")
    assert (after["verdict"], after["since"], after["last_probe"]) == (before["verdict"], before["since"], before["last_probe"])
    assert "refused: No such server." in lab("ctl", "probe", "hybrid-mail/x", status=1)


def test_a_slow_probe_delays_no_other_client_and_too_many_are_refused(lab, balancer):
    balancer.configure(replace={"interval: 1s": "interval: 1h", " timeout: 10s": " timeout: 20s"})
    balancer.start()
    balancer.wait_all_up()
    lab.stop("oxford-a")
    mute = subprocess.Popen([*lab.nsenter("oxford-a"), "/usr/bin/python3", "-c",
                             "import socket, time; s = socket.create_server(('', 25), backlog=64); time.sleep(300)"])
    lab.undo.callback(mute.wait)
    lab.undo.callback(mute.kill)
    wait_until(lambda: ":25 " in lab.within("oxford-a", "ss", "-Htln"), 5, "something listens")
    # The first eight must not be over before the ninth begins.
    waiting = [lab.popen("ctl", "probe", "hybrid-mail/oxford-a", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
               for _ in range(9)]
    try:
        wait_until(lambda: any(process.poll() is not None for process in waiting), 15, "the ninth is refused")
        refused, = [process for process in waiting if process.poll() is not None]
        assert "Too many probes" in refused.communicate()[1]
        balancer.status()
        waiting.remove(refused)
        outs = [process.communicate(timeout=40 * patience())[0] for process in waiting]
    finally:
        for process in waiting:
            process.kill()
            process.wait()
    assert all("not healthy: greeting_silent" in out for out in outs)
    assert "healthy" in lab("ctl", "probe", "hybrid-mail/oxford-b")


@pytest.mark.parametrize("vip", [VIP, VIP6])
def test_a_vip_that_this_box_forwards_is_not_reported_as_a_dead_server(lab, balancer, vip):
    balancer.start()
    balancer.wait_all_up()
    report = json.loads(lab("ctl", "--json", "probe", f"[{vip}]:25" if vip == VIP6 else vip, status=None))
    assert (report["stage"], report["verdict"], report["reason"], report["exo_code"]) == ("connect", "unknown", "local_error", "")
    assert "mxlbctl probe SERVICE/SERVER" in report["meaning"]
