# SPDX-License-Identifier: BSD-2-Clause
"""TLSA records from DNS (tls: dane, tlsa-name) with the certificates of real Postfix servers, under mail: rollovers in every
order, and what each answer does to verdicts. The column Exchange Online of `mxlbctl zone` is what it does by the same answer."""
import re
import subprocess

import pytest

from lab import OXFORD, SERVERS, wait_until
from pki import Pki
from zones import MX, RECORDS, key, running_site, tlsa  # noqa: F401

CODES = {"5.7.321", "5.7.322", "5.7.323"}  # no STARTTLS, expired, no record matches


class Key:
    """A key with its certificate, and its TLSA record."""

    def __init__(self, folder, days=(-1, 90)):
        folder.mkdir()
        pki = Pki(folder)
        self.certificate, self.key = pki.certificate("mail", "/CN=mail.contoso.com", days=days), folder / "key.pem"
        self.record = f"_25._tcp.mail TLSA 3 1 1 {pki.spki_sha256()}"


@pytest.fixture(scope="module")
def old(key):
    return key


@pytest.fixture(scope="module")
def new(tmp_path_factory):
    return Key(tmp_path_factory.mktemp("new") / "pki")


@pytest.fixture
def site(running_site, old):
    yield running_site
    for reload in [restore(running_site.lab, host) for host in list(MAIN_CF)]:
        assert reload.wait(60) == 0
    running_site.settle([*RECORDS, old.record])
    wait_tlsa(running_site, "current", 1)


MAIN_CF = {}  # as it was before the test


def set_mail(lab, host, **settings):
    """Of Postfix's main.cf; undone after the test."""
    file = lab.run / host / "etc/main.cf"
    text = before = file.read_text()
    MAIN_CF.setdefault(host, before)
    for key, value in settings.items():
        text = re.sub(rf"^{key} = .*$", f"{key} = {value}", text, flags=re.M)
    assert text != before
    put(file, text)
    lab("server", "reload", host)


def put(file, text):
    """At once: a process of Postfix that starts meanwhile would read a part of it."""
    new = file.with_suffix(".new")
    new.write_text(text)
    new.rename(file)


def restore(lab, host):
    put(lab.run / host / "etc/main.cf", MAIN_CF.pop(host))
    return lab.popen("server", "reload", host)


def install(lab, host, key):
    set_mail(lab, host, smtpd_tls_cert_file=key.certificate, smtpd_tls_key_file=key.key)


def wait_tlsa(site, state, records):
    wait_until(lambda: (tlsa(site)["state"], tlsa(site)["records"]) == (state, records), 30, f"{records} records, {state}")


def wait_probed(site, hosts=SERVERS):
    """Each of these servers was probed twice from now on."""
    for _ in range(2):
        before = {host: site.balancer.backend(host)["last_probe"]["at"] for host in hosts}
        wait_until(lambda: all(site.balancer.backend(host)["last_probe"]["at"] != before[host] for host in hosts), 30, "probes")


def fault(site, host):
    server = site.balancer.backend(host)
    return server["reason"], server["exo_code"]


def verdict_lines(site):
    return [line for line in site.balancer.log().splitlines() if "event=backend_verdict" in line]


def test_a_rollover_with_old_and_new_side_by_side_changes_no_verdict(site, old, new):
    """Records first, then each server's certificate, then only the new record."""
    assert tlsa(site)["name"] == "mail.example.net" and set(re.findall(r"5\.7\.\d+", tlsa(site)["exchange_online"])) == CODES
    before = verdict_lines(site)
    with site.mail() as traffic:
        site.dns.change([*RECORDS, old.record, new.record])
        wait_tlsa(site, "current", 2)
        for host in SERVERS:
            install(site.lab, host, new)
            wait_probed(site, [host])
        site.dns.change([*RECORDS, new.record])
        wait_tlsa(site, "current", 1)
        wait_probed(site)
        assert verdict_lines(site) == before and not tlsa(site)["unmatched"]
        traffic.wait_seen(OXFORD)
    assert verdict_lines(site) == before


def test_a_certificate_before_its_record_takes_only_this_server_out(site, old, new):
    """The wrong order: the server is down by 5.7.323 until both records are there."""
    with site.mail() as traffic:
        install(site.lab, "oxford-a", new)
        site.balancer.wait_for({"oxford-a": "down", "oxford-b": "up"}, 30)
        wait_until(lambda: fault(site, "oxford-a") == ("tlsa_mismatch", "5.7.323"), 30, "its fault")  # a reload delays greetings
        traffic.wait_seen(["oxford-b"])
        assert not tlsa(site)["unmatched"], "oxford-b has the key"
        site.dns.change([*RECORDS, old.record, new.record])
        site.balancer.wait_for({"oxford-a": "up"}, 30)
        traffic.wait_seen(OXFORD)


def test_a_record_that_replaces_the_old_one_before_the_certificates_is_told_before_a_probe_fails(site, new):
    """The other wrong order. Mail still goes to these servers, because there are no others."""
    since = len(site.balancer.log())
    with site.mail():
        site.dns.change([*RECORDS, new.record])
        site.balancer.wait_for({host: "down" for host in SERVERS}, 30)
        log = site.balancer.log()[since:]
        assert 0 <= log.index("best tier") < log.index("tlsa_mismatch"), log
        assert tlsa(site)["unmatched"]
        assert [e["level"] for e in site.events("tlsa") if e["reason"] == "unmatched"][-1:] == ["warning"]
        for host in SERVERS:
            install(site.lab, host, new)
        site.balancer.wait_for({host: "up" for host in SERVERS}, 30)
        wait_until(lambda: not tlsa(site)["unmatched"], 30, "the keys match")


def digest_of(certificate, selector, matching):
    data = f"openssl x509 -in {certificate} -outform der" if selector == 0 else (
        f"openssl x509 -in {certificate} -pubkey -noout | openssl pkey -pubin -outform der")
    said = subprocess.run(["sh", "-c", f"{data} | openssl dgst -sha{256 * matching} -r"], check=True, capture_output=True, text=True, timeout=60)
    return said.stdout.split()[0]


@pytest.mark.parametrize("selector, matching", [(0, 1), (0, 2), (1, 2)])
def test_each_record_of_usage_3_is_compared_with_the_certificates_before_a_probe_fails(site, old, selector, matching):
    digest = digest_of(old.certificate, selector, matching)
    right = f"_25._tcp.mail TLSA 3 {selector} {matching} {digest}"
    with site.mail():
        site.dns.change([*RECORDS, old.record, right])
        wait_tlsa(site, "current", 2)
        site.dns.change([*RECORDS, right])
        wait_tlsa(site, "current", 1)
        wait_probed(site)
        assert set(site.balancer.verdicts().values()) == {"up"} and not tlsa(site)["unmatched"]
        since = len(site.balancer.log())
        site.dns.change([*RECORDS, right.replace(digest, "22" * (len(digest) // 2))])
        site.balancer.wait_for({host: "down" for host in SERVERS}, 30)
        log = site.balancer.log()[since:]
        first = next(line for line in log.splitlines() if "event=tlsa " in line)
        assert "best tier" in first, "the answer is enough, before any probe"
        assert log.index(first) < log.index("tlsa_mismatch"), log


def test_records_of_usage_2_are_judged_by_the_probes(site):
    with site.mail():
        site.dns.change([*RECORDS, "_25._tcp.mail TLSA 2 1 1 " + "22" * 32])
        site.balancer.wait_for({host: "down" for host in SERVERS}, 30)
        wait_until(lambda: tlsa(site)["unmatched"], 30, "no chain matches")


@pytest.mark.parametrize("records, anchor, state, exchange_online", [
    ([], "own", "none", "opportunistic TLS"),
    (["_25._tcp.mail TLSA 3 1 1 " + "00" * 32], "none", "none", "opportunistic TLS"),
    (["_25._tcp.mail TLSA 0 0 1 " + "00" * 32, "_25._tcp.mail TLSA 1 1 1 " + "00" * 32], "own", "none", "TLS without authentication"),
], ids=("absent", "not signed", "usages 0 and 1"))
def test_without_a_usable_record_encryption_is_enough(site, records, anchor, state, exchange_online):
    """At first no server has the key."""
    with site.mail():
        site.dns.change([*RECORDS, "_25._tcp.mail TLSA 3 1 1 " + "11" * 32])
        site.balancer.wait_for({host: "down" for host in SERVERS}, 30)
        site.dns.trust(anchor)
        site.dns.change([*RECORDS, *records])
        wait_tlsa(site, state, 0)
        site.balancer.wait_for({host: "up" for host in SERVERS}, 30)
    assert tlsa(site)["exchange_online"] == exchange_online
    shown = site.lab("ctl", "zone", "hybrid-mail", status=None)
    assert f"Exchange Online: {exchange_online}" in shown, shown


def test_a_bogus_answer_keeps_the_records_and_changes_no_verdict(site, new):
    before = verdict_lines(site)
    with site.mail() as traffic:
        site.dns.trust("other")
        site.dns.change([*RECORDS, new.record])
        wait_tlsa(site, "kept", 1)
        wait_probed(site)
        traffic.wait_seen(OXFORD)
    assert verdict_lines(site) == before
    assert "5.7.324" in tlsa(site)["exchange_online"] and "bogus" in tlsa(site)["why"]
    assert site.state() == "kept" and "5.7.324" in site.zone()["exchange_online"]
    assert "5.7.324" in site.lab("ctl", "zone", "hybrid-mail", status=1)


def test_each_fault_has_the_code_of_exchange_online(site, old, new, tmp_path):
    expired = Key(tmp_path / "pki", days=(-50, -1))
    with site.mail():
        site.dns.change([*RECORDS, old.record, expired.record])
        wait_tlsa(site, "current", 2)
        set_mail(site.lab, "oxford-a", smtpd_tls_security_level="none")
        install(site.lab, "oxford-b", expired)
        install(site.lab, "nuneaton", new)
        for host, expected in {"oxford-a": ("no_starttls", "5.7.321"), "oxford-b": ("certificate_expired", "5.7.322"),
                               "nuneaton": ("tlsa_mismatch", "5.7.323")}.items():
            wait_until(lambda: fault(site, host) == expected, 30, f"{host}: {expected}")


def test_what_exchange_online_does_is_a_column_of_each_state_of_the_zone(site, old):
    def column():
        return site.zone()["exchange_online"]
    assert "by preference" in column()
    keys = [old.record]
    for records, state, says in (
            ([r for r in RECORDS if " MX " not in r], "refused", "own address"),
            ([*[r for r in RECORDS if " MX " not in r], "hybrid MX 0 ."], "refused", "accepts no mail"),
            (["hybrid MX 20 nuneaton.hybrid", "nuneaton.hybrid A 203.0.113.13"], "held", "held back"),
            (["other A 203.0.113.25"], "refused", "4.4.312")):
        site.dns.change([*records, *keys])
        wait_until(lambda: site.state() == state and says in column(), 30, f"{state}: {says}")
        assert says in site.lab("ctl", "zone", "hybrid-mail", status=1)
    site.dns.resolver(False)
    wait_until(lambda: site.state() == "kept" and "4.4.312" in column(), 30, "no answer")
    assert MX in site.lab("ctl", "zone", "hybrid-mail", status=1)
