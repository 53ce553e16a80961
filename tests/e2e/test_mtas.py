# SPDX-License-Identifier: BSD-2-Clause
"""The probe against real Postfix and real Exim: their behaviour when healthy, overloaded or slow, and their logs."""
import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from exim import BINARY, Exim
from games import forget_probes
from lab import OXFORD, SERVERS, command, wait_until
from test_certificates import CASES as CERTIFICATES, pki  # noqa: F401 (a fixture)
from smtp_peer import BUILD, ROOT

SECONDS = float(os.environ.get("MXLB_GAMES_S", "5"))
INTERVAL = "250ms"
ADDRESS = {"Postfix": "203.0.113.11", "Exim": "203.0.113.13"}

# what is wrong: options of the probe, reason, SMTP code
CASES = {
    "good": ("", "ok", 250),
    "self-signed, with encryption-only": ("-t encryption-only", "ok", 250),
    "no STARTTLS": ("", "no_starttls", 250),
    "421": ("", "greeting_421", 421),
    "452 at MAIL FROM": ("", "mail_4xx", 452),
    "null sender refused": ("", "sender_refused", 554),
    "TLS required": ("-t none", "tls_required", 530),
    "a tarpit of 10 s within the timeout": ("-T 20000", "ok", 250),
    "a tarpit of 10 s beyond the timeout": ("-T 5000", "timeout", 0),
}
# of the scripted peers' certificates
SHOWN = ["a good chain and name", "named", "named the other way round", "expired", "not yet valid", "self-signed", "another name",
         "a missing intermediate", "another subject", "another issuer", "the key"]
PORT = {name: 2500 + i for i, name in enumerate([*CASES, *SHOWN])}
PORT["a tarpit of 10 s beyond the timeout"] = TARPIT = PORT["a tarpit of 10 s within the timeout"]

POSTFIX = {  # of smtpd in master.cf
    "no STARTTLS": "-o smtpd_tls_security_level=none",
    "421": "-o smtpd_delay_reject=no -o { smtpd_client_restrictions = check_client_access static:{421 4.3.2 Service not available} }",
    "452 at MAIL FROM": "-o queue_minfree=1000000000000000",
    "null sender refused": "-o smtpd_delay_reject=no "
                           "-o { smtpd_sender_restrictions = check_sender_access inline:{ { <> = 554 5.1.0 Sender Denied } } }",
    "TLS required": "-o smtpd_tls_security_level=encrypt",
    "a tarpit of 10 s within the timeout": "-o smtpd_delay_reject=no -o { smtpd_sender_restrictions = sleep 10 }",
}


@pytest.fixture(scope="module")
def probe_once():
    path = BUILD / "probe-once"
    command("make", "-s", f"B={BUILD.name}", str(path.relative_to(ROOT)), cwd=ROOT, timeout=600)
    return str(path)


@pytest.fixture(scope="module")
def tls(lab, pki):  # noqa: F811
    """A directory with a file of key and chain for each port."""
    directory = lab.run / "tls"
    directory.mkdir()
    for name, port in PORT.items():
        shown = CERTIFICATES[name][0] if name in SHOWN else ["self"]
        (directory / f"{port}.pem").write_text((pki.directory / "key.pem").read_text() + pki.chain(*shown).read_text())
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def postfix(lab, tls):
    """Postfix on oxford-a with a port for each case, and its log since the start."""
    services = lab.run / "oxford-a" / "etc" / "master.cf"
    before = services.read_text()
    services.write_text(before + "".join(f"{port} inet n - n - - smtpd -o smtpd_tls_cert_file= -o smtpd_tls_key_file= "
                                         f"-o smtpd_tls_chain_files={tls}/{port}.pem {POSTFIX.get(name, '')}\n"
                                         for name, port in PORT.items() if "beyond" not in name))
    lab("server", "stop", "oxford-a")
    lab("server", "start", "oxford-a")
    yield lambda: lab.log("oxford-a")
    services.write_text(before)
    lab("server", "stop", "oxford-a")
    lab("server", "start", "oxford-a")


@pytest.fixture(scope="module")
def exim(lab, tls):
    """The same with Exim on nuneaton. ACLs give its answers, because a real lack of disk space would affect all
    ports."""
    if not BINARY.exists():
        pytest.skip("no Exim: run scripts/install-deps test")
    on_connect = f"  defer condition = ${{if eq{{$received_port}}{{{PORT['421']}}}}}\n    message = 421 4.3.2 Service not available"
    on_mail = (f"  accept condition = ${{if eq{{$received_port}}{{{TARPIT}}}}}\n    delay = 10s\n"
               f"  defer condition = ${{if eq{{$received_port}}{{{PORT['452 at MAIL FROM']}}}}}\n"
               "    message = 452 4.3.1 Insufficient system storage\n"
               f"  deny senders = :\n    condition = ${{if eq{{$received_port}}{{{PORT['null sender refused']}}}}}\n"
               "    message = 554 5.1.0 Sender Denied\n"
               f"  deny !encrypted = *\n    condition = ${{if eq{{$received_port}}{{{PORT['TLS required']}}}}}\n"
               "    message = 530 5.7.0 Must issue a STARTTLS command first")
    options = f"tls_advertise_hosts = ${{if eq{{$received_port}}{{{PORT['no STARTTLS']}}}{{}}{{*}}}}"
    with Exim(lab, "nuneaton", sorted(set(PORT.values())), options, on_connect, on_mail, f"{tls}/$received_port.pem") as running:
        yield running.log


def probe(lab, probe_once, server, name, options):
    out = lab.within("lb", probe_once, "-T", "8000", *options, ADDRESS[server], str(PORT[name]))
    return json.loads(out)


@pytest.mark.parametrize("server", ADDRESS)
@pytest.mark.parametrize("name", CASES)
def test_a_real_server_is_judged_as_a_scripted_one(lab, probe_once, request, server, name):
    request.getfixturevalue(server.lower())
    options, reason, code = CASES[name]
    result = probe(lab, probe_once, server, name, options.split())
    assert (result["reason"], result["smtp_code"]) == (reason, code), result
    if "tarpit" in name and reason == "ok":
        assert result["total_ms"] >= 10000


def test_exim_without_space_is_under_back_pressure(lab, probe_once):
    if not BINARY.exists():
        pytest.skip("no Exim: run scripts/install-deps test")
    with Exim(lab, "nuneaton", [2525], options="check_spool_space = 900000000000K"):
        out = lab.within("lb", probe_once, ADDRESS["Exim"], "2525")
    result = json.loads(out)
    assert (result["reason"], result["smtp_code"]) == ("mail_4xx", 452), result


HOLD = """
import socket, sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 10)
print(s.recv(100), flush=True)
input()
"""


def probe_beside_another(lab, probe_once, address, port):
    """Probes while another connection from the balancer's address is open."""
    held = *lab.nsenter("lb"), "/usr/bin/python3", "-c", HOLD, address, str(port)
    with subprocess.Popen(held, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert "220" in other.stdout.readline()
        result = json.loads(lab.within("lb", probe_once, "-T", "8000", address, str(port)))
        other.communicate("\n", timeout=10)
    return result


def test_exims_limit_for_each_host_is_about_the_probe(lab, probe_once):
    if not BINARY.exists():
        pytest.skip("no Exim: run scripts/install-deps test")
    with Exim(lab, "nuneaton", [2525], options="smtp_accept_max_per_host = 1"):
        result = probe_beside_another(lab, probe_once, ADDRESS["Exim"], 2525)
    assert (result["reason"], result["smtp_code"]) == ("per_source_limit", 421), result


LIMITED = """
2526 inet n - n - - smtpd -o smtpd_client_connection_count_limit=1 -o smtpd_client_event_limit_exceptions=
2527 inet n - n - 1 postscreen -o postscreen_client_connection_count_limit=1 -o postscreen_access_list= -o postscreen_greet_wait=1s
2528 inet n - n - - smtpd -o smtpd_upstream_proxy_protocol=haproxy
2529 inet n - n - - smtpd -o { smtpd_recipient_restrictions = check_policy_service inet:127.0.0.1:10023 }
2530 inet n - n - - smtpd -o smtpd_delay_reject=no -o { smtpd_sender_restrictions = check_policy_service inet:127.0.0.1:10023 }
smtpd pass - - n - - smtpd
dnsblog unix - - n - 0 dnsblog
tlsproxy unix - - n - 0 tlsproxy
"""


@pytest.fixture(scope="module")
def limited_postfix(lab):
    services = lab.run / "oxford-b" / "etc" / "master.cf"
    before = services.read_text()
    services.write_text(before + LIMITED)
    lab("server", "stop", "oxford-b")
    lab("server", "start", "oxford-b")
    yield "203.0.113.12"
    services.write_text(before)
    lab("server", "stop", "oxford-b")
    lab("server", "start", "oxford-b")


@pytest.mark.parametrize("port", [2526, 2527], ids=["anvil", "postscreen"])
def test_postfixs_limit_for_each_client_is_about_the_probe(lab, probe_once, limited_postfix, port):
    result = probe_beside_another(lab, probe_once, limited_postfix, port)
    assert (result["reason"], result["smtp_code"]) == ("per_source_limit", 421), result


def test_a_postfix_that_waits_for_a_proxy_header_refuses_everybody_after_five_seconds(lab, probe_once, limited_postfix):
    """Postfix gives no cause, so mxlbd's advice depends on the delay."""
    result = json.loads(lab.within("lb", probe_once, "-T", "9000", limited_postfix, "2528"))
    assert result["reason"] == "greeting_421" and 4500 < result["greeting_ms"] < 8000, result


POSTGREY = Path("/var/cache/mxlb-lab/postgrey/usr/sbin/postgrey")
RECIPIENT = """
import socket, sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 10).makefile("rw", newline="\\r\\n")
s.readline()
for line in "HELO sender.example.net", "MAIL FROM:<sender@example.net>", "RCPT TO:<user@contoso.com>":
    print(line, file=s, flush=True)
    answer = s.readline()
print(answer.strip())
"""


@pytest.fixture(params=[()], ids=[""])
def postgrey(lab, request):
    if not POSTGREY.exists():
        pytest.skip("no postgrey: run scripts/install-deps test")
    directory = lab.run / "postgrey"
    directory.mkdir(exist_ok=True)
    shutil.chown(directory, "nobody")
    none = [f"--whitelist-{of}=/dev/null" for of in ("clients", "recipients")]
    running = subprocess.Popen([*lab.nsenter("oxford-b"), str(POSTGREY), "--inet=127.0.0.1:10023", f"--dbdir={directory}", "--delay=2",
                                "--user=nobody", "--group=nogroup", *none, *request.param], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: ":10023" in lab.within("oxford-b", "ss", "-Hltn"), 10, "postgrey listens")
        yield
    finally:
        running.terminate()
        running.wait(10)
        shutil.rmtree(directory)


def recipient_answer(lab, address, port):
    return lab.within("client", "/usr/bin/python3", "-c", RECIPIENT, address, str(port)).strip()


def test_a_postfix_with_postgrey_defers_new_senders_and_not_the_probe(lab, probe_once, limited_postfix, postgrey):
    """If it is configured as recommended, it answers to RCPT TO, which no probe sends."""
    assert recipient_answer(lab, limited_postfix, 2529).startswith("450 4.2.0 <user@contoso.com>: Recipient address rejected: Greylisted")
    result = json.loads(lab.within("lb", probe_once, "-T", "8000", limited_postfix, "2529"))
    assert result["reason"] == "ok", result
    wait_until(lambda: recipient_answer(lab, limited_postfix, 2529).startswith("250"), 15, "the sender comes again")


@pytest.mark.parametrize("postgrey", [("--greylist-action=DEFER",)], ids=["defer"], indirect=True)
def test_postgrey_at_mail_from_is_about_the_probe(lab, probe_once, limited_postfix, postgrey):
    result = json.loads(lab.within("lb", probe_once, "-T", "8000", limited_postfix, "2530"))
    assert (result["reason"], result["smtp_code"]) == ("greylisted", 450), result


LOUD = re.compile("lost connection|SSL_accept|TLS library|TLS error|pipelining|improper|timeout|warning|error|unknown|"
                  "synchronization|reset|incomplete|dropped|panic", re.I)


WHOLE = "ehlo=2 starttls=1 mail=1 rset=1 quit=1 commands=6"
BROKEN_OFF = "ehlo=1 starttls=1 quit=1 commands=3"
ENDED = re.compile(r"smtpd\[\d+\]: disconnect from|closed by QUIT")


def lines_of_the_probe(text):
    return [line for line in text.splitlines() if "203.0.113.5]" in line or "2001:db8:113::5]" in line or LOUD.search(line)]


def unsound(server, lines, commands=""):
    """The log lines about anything but a connection and its end."""
    sound = {
        "Postfix": rf"smtpd\[\d+\]: (connect from \S+\[\S+\]$|disconnect from \S+\[\S+\] {commands}$|"
                   r"(Anonymous|Untrusted|Trusted) TLS connection established from )",
        "Exim": r"SMTP connection from \S*\s*(\(\S+\) )?\S*\[\S+\]:?\d*.*( closed by QUIT| \(TCP/IP connection count = \d+\))$"}
    return [line for line in lines if not re.search(sound[server], line)]


def all_ended(lab, texts):
    """No server has an open connection of a probe, and each log has at least as many ends as beginnings."""
    mine = "sport = :25 and ( dst 203.0.113.5 or dst [2001:db8:113::5] )"
    return not any(lab.within(host, "ss", "-Htn", mine) for host in SERVERS) and all(
        len(re.findall(r"smtpd\[\d+\]: connect from|connection count = ", text)) <=
        len(re.findall(r"smtpd\[\d+\]: disconnect from|closed by QUIT", text)) for text in texts)


@pytest.mark.parametrize("server", ADDRESS)
@pytest.mark.parametrize("name", SHOWN)
def test_a_real_server_is_judged_by_its_certificate_and_hears_nothing_of_it(lab, probe_once, request, pki, server, name):  # noqa: F811
    log = request.getfixturevalue(server.lower())
    since, (_, options, reason, text) = len(log()), CERTIFICATES[name]
    options = [option.format(spki=pki.spki_sha256()) if "{spki}" in option else option for option in options]
    result = probe(lab, probe_once, server, name, ["-A", str(pki.directory / "root.pem"), *options])
    assert result["reason"] == reason and text in result["text"].replace('\\"', '"'), result
    wait_until(lambda: ENDED.search(log()[since:]), 10, "the server has heard the end")
    assert unsound(server, lines_of_the_probe(log()[since:]), WHOLE if reason == "ok" else BROKEN_OFF) == []


def test_probes_leave_nothing_in_the_logs_but_connect_and_disconnect(lab, balancer, measured):
    """Postfix on two servers and Exim on the third, probed four times a second over IPv4 and IPv6."""
    if not BINARY.exists():
        pytest.skip("no Exim: run scripts/install-deps test")
    forget_probes(lab)
    lab.stop("nuneaton")
    balancer.configure(replace={"interval: 1s": f"interval: {INTERVAL}"})
    with Exim(lab, "nuneaton", [25]) as exim_here:
        balancer.start()
        balancer.wait_all_up()
        since = lab.log_sizes()
        began, exim_since = time.monotonic(), len(exim_here.log())
        time.sleep(SECONDS)  # not a wait for anything: it is what is observed
        seconds = time.monotonic() - began
        for service in ("hybrid-mail", "hybrid-mail6"):  # one that is stopped in a probe is heard to hang up
            for host in SERVERS:
                balancer.ask(f"set server {service}/{host} state maint")
        wait_until(lambda: all_ended(lab, (exim_here.log()[exim_since:], *(lab.log(host)[since[host]:] for host in OXFORD))),
                   10, "the last QUIT")
        assert balancer.stop() == 0
        exims = lines_of_the_probe(exim_here.log()[exim_since:])
    postfixes = [line for host in OXFORD for line in lines_of_the_probe(lab.log(host)[since[host]:])]
    assert unsound("Postfix", postfixes, WHOLE) == unsound("Exim", exims) == []
    probes = sum("disconnect from" in line for line in postfixes), sum("closed by QUIT" in line for line in exims)
    measured(f"{probes[0]} probes of Postfix, {probes[1]} of Exim in {seconds:.0f} s, no other line")
    assert probes[0] >= 4 * SECONDS * 2 and probes[1] >= 4 * SECONDS  # half of what is due, for a slow machine
