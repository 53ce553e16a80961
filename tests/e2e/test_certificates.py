# SPDX-License-Identifier: BSD-2-Clause
"""Certificates judged by the whole probe: each has its reason, and the server's log shows nothing of it."""
import asyncio
import json
import socket
import subprocess
import threading

import pytest

from pki import Pki
from smtp_peer import EHLO, Peer, children, probe_once, smtp, wait_for  # noqa: F401

MAIL = "/C=US/ST=WA/L=Seattle/O=Contoso, Ltd/CN=mail.contoso.com"
MAIL_DN = 'CN=mail.contoso.com, O="Contoso, Ltd", L=Seattle, S=WA, C=US'
ISSUING_DN = "CN=Contoso Issuing R10, O=Contoso, C=US"
SAN = "subjectAltName=DNS:mail.contoso.com,DNS:autodiscover.contoso.com"


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    p = Pki(tmp_path_factory.mktemp("pki"))
    p.authority("root", "/O=Contoso/CN=Contoso Root", days=(-100, 3650))
    p.authority("issuing", "/C=US/O=Contoso/CN=Contoso Issuing R10", "root", days=(-100, 1000))
    p.authority("no-ca", "/O=Contoso/CN=No CA", "root")
    p.certificate("no-ca", "/O=Contoso/CN=No CA", "root", "basicConstraints=critical,CA:FALSE")
    p.authority("stranger", "/O=Fabrikam/CN=Fabrikam Root")
    p.certificate("good", MAIL, "issuing", SAN)
    p.certificate("wildcard", "/CN=x", "issuing", "subjectAltName=DNS:*.contoso.com")
    p.certificate("expired", MAIL, "issuing", SAN, days=(-50, -1))
    p.certificate("future", MAIL, "issuing", SAN, days=(2, 50))
    p.certificate("self", MAIL, None, SAN)
    p.certificate("strange", MAIL, "stranger", SAN)
    p.certificate("by-no-ca", MAIL, "no-ca", SAN)
    p.certificate("sha1", MAIL, "issuing", SAN, md="sha1")
    p.certificate("other", "/CN=other.contoso.com", "issuing", "subjectAltName=DNS:other.contoso.com")
    p.certificate("many", MAIL, "issuing", "subjectAltName=" + ",".join(f"DNS:h{i}.contoso.com" for i in range(10000)))
    return p


CHAIN = ["-t", "certificate-validation"]
DOMAIN = ["-t", "domain-validation", "-D", "mail.contoso.com"]
NAMED = f"<I>{ISSUING_DN}<S>{MAIL_DN}"
HEARD_OK = ["EHLO", "STARTTLS", "TLSv1.3", "EHLO", "MAIL", "RSET", "QUIT"]
HEARD_BAD = ["EHLO", "STARTTLS", "TLSv1.3", "QUIT"]

# what the server shows, options, reason, in the text
CASES = {
    "a good chain": (["good", "issuing"], CHAIN, "ok", ""),
    "a good chain and name": (["good", "issuing"], DOMAIN, "ok", ""),
    "a wildcard": (["wildcard", "issuing"], DOMAIN, "ok", ""),
    "a wildcard asked for": (["good", "issuing"], ["-t", "domain-validation", "-D", "*.contoso.com"], "ok", ""),
    "named": (["good", "issuing"], [*CHAIN, "-N", NAMED], "ok", ""),
    "named the other way round":
        (["good"], ["-N", "<i>c=us, o=contoso, cn=contoso issuing r10<s>C=US, ST=WA, L=Seattle, O=Contoso\\, Ltd, "
                          "CN=mail.contoso.com"], "ok", ""),
    "anything, if nothing is asked": (["expired"], [], "ok", ""),
    "expired": (["expired", "issuing"], CHAIN, "certificate_expired", "expired 20"),
    "not yet valid": (["future", "issuing"], CHAIN, "certificate_not_yet_valid", "valid from 20"),
    "self-signed": (["self"], CHAIN, "certificate_self_signed", "self-signed"),
    "an unknown authority": (["strange", "stranger"], CHAIN, "certificate_untrusted", "self-signed certificate in"),
    "an issuer that is none": (["by-no-ca", "no-ca"], CHAIN, "certificate_no_ca", "CN=No CA"),
    "a missing intermediate": (["good"], CHAIN, "certificate_incomplete_chain", f"{ISSUING_DN} is neither sent"),
    "SHA-1": (["sha1", "issuing"], CHAIN, "certificate_weak", ""),
    "another name": (["other", "issuing"], DOMAIN, "certificate_wrong_name", "for other.contoso.com, not for mail.contoso.com"),
    "another subject": (["other", "issuing"], ["-N", NAMED], "certificate_wrong_subject", "CN=other.contoso.com"),
    "another issuer": (["good", "issuing"], ["-N", NAMED.replace("R10", "R11")], "certificate_wrong_issuer", ISSUING_DN),
    "another key": (["good"], ["-t", "dane", "-L", "3 1 1 " + "00" * 32], "tlsa_mismatch", "none of 1 records"),
    "the key": (["good"], ["-t", "dane", "-L", "3 1 1 " + "00" * 32, "-L", "3 1 1 {spki}"], "ok", ""),
    "the key, expired": (["expired"], ["-t", "dane", "-L", "3 1 1 {spki}"], "certificate_expired", ""),
    "the issuer's key": (["good", "issuing"], ["-t", "dane", "-D", "mail.contoso.com", "-L", "2 1 1 {spki}"], "ok", ""),
}


class Session:
    """probe-once with a peer in this process, and the outcome of each of its connections on the server's side."""

    def __init__(self, binary, script, context, options):
        self.binary, self.script, self.context, self.options, self.trouble = binary, script, context, options, []

    async def run(self):
        asyncio.get_running_loop().set_exception_handler(lambda _, what: self.trouble.append(what))
        async with Peer(self.script, self.context) as peer:
            process = await asyncio.create_subprocess_exec(self.binary, *self.options, "127.0.0.1", str(peer.port),
                                                           stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            out, err = await asyncio.wait_for(process.communicate(), 60)
            await peer.all_ended()
            self.log = err.decode()
            assert process.returncode == 0, self.log
            return json.loads(out), peer.connections[0]


def judged(binary, pki, shown, options, script=None):
    options = [o.format(spki=pki.spki_sha256()) if "{spki}" in o else o for o in options]
    session = Session(binary, script or smtp(), pki.context(*shown), ["-A", pki.directory / "root.pem", *options])
    result, connection = asyncio.run(session.run())
    assert not session.log
    return result, connection, session.trouble


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_each_certificate_has_its_reason_and_the_server_hears_nothing_of_it(probe_once, pki, case):
    shown, options, reason, text = case
    result, connection, trouble = judged(probe_once, pki, shown, options)
    assert result["reason"] == reason, result
    assert text in result["text"].replace('\\"', '"')
    assert [line.split()[0] for line in connection.heard] == (HEARD_OK if reason == "ok" else HEARD_BAD)
    assert connection.ended == "closed" and not trouble
    assert result["stage"] == ("done" if reason == "ok" else "tls")
    assert result["tls"]["version"] == "TLSv1.3" and result["tls"]["subject"]
    assert result["restarts"] == 0


def test_what_is_printed_can_be_pasted(probe_once, pki):
    tls = judged(probe_once, pki, ["good"], [])[0]["tls"]
    assert (tls["subject"], tls["issuer"]) == (MAIL_DN, ISSUING_DN)
    assert judged(probe_once, pki, ["good"], ["-N", f"<I>{tls['issuer']}<S>{tls['subject']}"])[0]["reason"] == "ok"


def test_a_ca_file_that_can_not_be_read_is_our_trouble(probe_once, pki):
    session = Session(probe_once, smtp(), pki.context("good"), [*CHAIN, "-A", "/nonexistent/ca.pem"])
    result, connection = asyncio.run(session.run())
    assert (result["reason"], result["text"]) == ("local_error", "the CA bundle could not be loaded")
    assert [line.split()[0] for line in connection.heard] == HEARD_BAD and connection.ended == "closed"
    assert "event=ca_file_unreadable file=/nonexistent/ca.pem" in session.log


def test_ten_thousand_names_end_the_handshake_as_with_exchange_online(probe_once, pki):
    """More than the Windows client accepts in a message; mxlb accepts twice as much."""
    result, _, _ = judged(probe_once, pki, ["many", "issuing"], CHAIN)
    assert (result["reason"], result["text"]) == ("tls_handshake", "excessive message size")
    assert result["restarts"] == 0


def test_a_chain_of_a_megabyte_ends_the_handshake(probe_once, pki):
    shown = ["many", *["many"] * 5]
    result, _, _ = judged(probe_once, pki, shown, CHAIN)
    assert result["reason"] in ("tls_handshake", "reply_too_long") and result["restarts"] == 0


class Rounds:
    """probe-once -w: one round for each go(), and its log as it is written."""

    def __init__(self, binary, port, *options):
        self.process = subprocess.Popen([binary, "-w", "-r", "9", *map(str, options), "127.0.0.1", str(port)], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.log = []
        self.reader = threading.Thread(target=lambda: self.log.extend(self.process.stderr), daemon=True)
        self.reader.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def go(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def result(self):
        return json.loads(self.process.stdout.readline())

    def logged(self, what):
        wait_for(lambda: any(what in line for line in list(self.log)), 20, f"not logged: {what}")


class Server(threading.Thread):
    """A Peer in a thread of its own, for tests that block."""

    def __init__(self, script, context):
        super().__init__(daemon=True)
        self.script, self.context, self.ready, self.loop = script, context, threading.Event(), asyncio.new_event_loop()

    def run(self):
        async def main():
            self.done = asyncio.Event()
            async with Peer(self.script, self.context) as peer:
                self.port = peer.port
                self.ready.set()
                await self.done.wait()
        self.loop.run_until_complete(main())

    def __enter__(self):
        self.start()
        assert self.ready.wait(10)
        return self

    def __exit__(self, *_):
        self.loop.call_soon_threadsafe(self.done.set)
        self.join(10)


def test_a_certificate_renewed_meanwhile_is_seen_by_the_next_probe(probe_once, pki):
    context = pki.context("expired", "issuing")
    with Server(smtp(), context) as server, Rounds(probe_once, server.port, *CHAIN, "-A", pki.directory / "root.pem") as rounds:
        assert rounds.result()["reason"] == "certificate_expired"
        pki.context("good", "issuing")
        context.load_cert_chain(pki.directory / "good-issuing.chain", pki.directory / "key.pem")
        rounds.go()
        assert rounds.result()["reason"] == "ok"


def replace(path, text):
    path.with_suffix(".new").write_text(text)
    path.with_suffix(".new").rename(path)


def test_a_changed_ca_file_is_taken_over_and_a_broken_one_is_not(probe_once, pki, tmp_path):
    ca_file = tmp_path / "ca.pem"
    ca_file.write_text((pki.directory / "stranger.pem").read_text())
    with Server(smtp(), pki.context("good", "issuing")) as server, \
            Rounds(probe_once, server.port, *CHAIN, "-A", ca_file) as rounds:
        assert rounds.result()["reason"] == "certificate_untrusted"
        replace(ca_file, (pki.directory / "root.pem").read_text())
        rounds.logged("event=ca_file_changed")
        rounds.go()
        result = rounds.result()
        assert (result["reason"], result["restarts"]) == ("ok", 0)
        rounds.logged("event=probe_child_ended")
        assert len(children(rounds.process.pid)) == 1
        replace(ca_file, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        rounds.logged("event=ca_file_refused")
        rounds.go()
        assert rounds.result()["reason"] == "ok"
        assert "restart_in_ms" not in "".join(rounds.log)


def test_a_probe_under_way_while_the_ca_file_changes_ends_as_it_began(probe_once, pki, tmp_path):
    ca_file = tmp_path / "ca.pem"
    ca_file.write_text((pki.directory / "stranger.pem").read_text())
    with socket.create_server(("127.0.0.1", 0)) as listener, \
            Rounds(probe_once, listener.getsockname()[1], *CHAIN, "-A", ca_file, "-T", 12000) as rounds:
        connection, _ = listener.accept()
        replace(ca_file, (pki.directory / "root.pem").read_text())
        rounds.logged("event=ca_file_changed")
        wait_for(lambda: len(children(rounds.process.pid)) == 2, 5, "no second child")
        connection.sendall(b"554 no\r\n")
        result = rounds.result()
        assert (result["reason"], result["restarts"]) == ("greeting_5xx", 0)
        connection.close()
        rounds.logged("event=probe_child_ended")
