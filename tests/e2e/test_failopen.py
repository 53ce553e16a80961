# SPDX-License-Identifier: BSD-2-Clause
"""Certificates and the daemon with real Postfix servers whose certificate is self-signed: which mail they get, and
what they log."""
import re

from lab import OXFORD, SERVERS, Traffic, wait_until
from pki import Pki

COMPLAINTS = re.compile(r".*(?:SSL_accept error|lost connection|TLS library|alert|pipelining).*")


def with_tls(*lines):
    return {"    tls: encryption-only\n": "".join(f"    {line}\n" for line in lines)}


def reasons(balancer):
    return {b["reason"] for tier in balancer.service()["tiers"] for b in tier["servers"]}


def test_when_every_certificate_is_bad_mail_flows_loudly_and_postfix_hears_nothing(lab, balancer):
    sizes = lab.log_sizes()
    balancer.configure(replace=with_tls("tls: certificate-validation"))
    balancer.start()
    balancer.wait_for({host: "down" for host in SERVERS}, 15)
    wait_until(lambda: balancer.service()["state"] == "fail-open", 15, "fail-open, after the cold start")
    assert reasons(balancer) == {"certificate_self_signed"}
    assert {balancer.backend(host)["exo_code"] for host in SERVERS} == {"4.7.320"}
    assert balancer.service()["active_tier"] == 10
    with Traffic(lab) as traffic:
        traffic.wait_seen(OXFORD)
    assert re.search(r"event=service_state service=hybrid-mail from=\S+ to=fail-open", balancer.log())
    heard = {host: lab.log(host)[sizes[host]:] for host in SERVERS}
    for host in SERVERS:
        assert len(re.findall(r"disconnect from .* ehlo=1 starttls=1 quit=1", heard[host])) >= 2, heard[host][-2000:]
        assert not COMPLAINTS.findall(heard[host])


def test_a_certificate_that_another_ca_file_vouches_for_is_good_after_a_reload(lab, balancer):
    balancer.configure(replace=with_tls("tls: certificate-validation"))
    balancer.start()
    balancer.wait_for({host: "down" for host in SERVERS}, 15)
    balancer.configure(replace=with_tls("tls: certificate-validation", f"ca-file: {lab.config_file}"))
    assert "has no certificate (PEM)" in lab("ctl", "reload", status=1)
    assert set(balancer.verdicts().values()) == {"down"}
    balancer.configure(replace=with_tls("tls: certificate-validation", f"ca-file: {lab.run}/cert.pem"))
    lab("ctl", "reload")
    balancer.wait_all_up()
    assert balancer.service()["state"] == "up"
    assert not re.search(r'event=probe_child(?!_ended why="another took over" status="exit 0")', balancer.log()), balancer.log()


def test_a_server_with_another_identity_than_its_service_is_reported(lab, balancer):
    (lab.run / "pki").mkdir()
    pki = Pki(lab.run / "pki")
    pki.certificate("other", "/C=US/ST=WA/O=Contoso, Ltd/CN=other.contoso.com")
    main = lab.run / "oxford-b" / "etc" / "main.cf"
    text = main.read_text()

    def show(config):
        lab.stop("oxford-b")
        main.write_text(config)
        lab.start("oxford-b")

    balancer.configure()
    balancer.start()
    balancer.wait_all_up()
    assert "event=certificate_differs" not in balancer.log()
    lab.undo.callback(show, text)
    show(f"{text}smtpd_tls_cert_file =\nsmtpd_tls_key_file =\nsmtpd_tls_chain_files = {lab.run}/pki/key.pem, {lab.run}/pki/other.pem\n")
    line = (r'event=certificate_differs service=hybrid-mail backend=oxford-b cause="differs from \S+: '
            r'CN=other.contoso.com, O=\\"Contoso, Ltd\\", S=WA, C=US, issued by ')
    wait_until(lambda: re.search(line, balancer.log()), 15, "the event")
    balancer.wait_all_up()  # no verdict came of it


def test_a_certificate_about_to_expire_is_reported_and_serves(lab, balancer):
    balancer.configure(replace=with_tls("tls: encryption-only", "expiry-warn: 3650d"))
    balancer.start()
    balancer.wait_all_up()
    left = balancer.backend("oxford-a")["tls"]["days_left"]
    line = rf"event=certificate_expires service=hybrid-mail backend=oxford-a to={left}d cause="
    wait_until(lambda: re.search(line, balancer.log()), 5, "the event")
    assert 3640 < left < 3650
