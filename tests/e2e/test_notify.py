# SPDX-License-Identifier: BSD-2-Clause
"""`notify`: a program run for each event: as which user it runs, what it may do, and what happens if it hangs, fails
or is run too often; and the programs of scripts/notify, for real."""
import contextlib
import http.server
import json
import os
import re
import shlex
import subprocess
import threading

import pytest

from lab import ROOT, command, wait_until
from pinned import BPF

RECIPES = ROOT / "scripts/notify"
DOWN = {"run": 1, "seq": 7, "time": "2026-01-01T00:00:00.000Z", "event": "backend_verdict", "level": "error",
        "line": 'event=backend_verdict to=down cause="refused: \\"no\\\\nBcc: victim@example.net\\""', "dropped": 0}


def program(lab, text, name="tell"):
    """A program in the lab's directory, which everybody may read."""
    file = lab.run / name
    file.write_text("#!/bin/sh\n" + text)
    file.chmod(0o755)
    return file


def configure(balancer, command_line):
    balancer.configure()
    file = balancer.lab.config_file
    file.write_text(file.read_text() + f"\nnotify: {json.dumps(str(command_line))}\n")


def told(file):
    """The events that a program has appended to a file, without one that is being written."""
    lines = file.read_text().splitlines(keepends=True) if file.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def words_of(file):
    """What a program has written to a file, once its last line is whole: each run may begin it again."""
    text = file.read_text() if file.exists() else ""
    return text.split() if text.endswith("\n") else []


def test_each_event_is_passed_once_in_order_from_start_to_stop_and_a_reload_changes_the_program(lab, balancer):
    out, other = lab.run / "told", lab.run / "other"
    for file in (out, other):
        file.unlink(missing_ok=True)
    configure(balancer, f"{program(lab, 'cat >>$1; env >$1.env; echo $$ $(ps -o pgid= -p $$) >$1.group')}  {out}")
    balancer.start()
    balancer.wait_all_up()
    lab("ctl", "drain", "hybrid-mail/oxford-a")
    wait_until(lambda: any(e["event"] == "backend_admin" for e in told(out)), 10, "the drain is told")
    env = wait_until(lambda: words_of(lab.run / "told.env"), 10, "its environment is written")
    assert {word.split("=")[0] for word in env} <= {"PATH", "PWD", "SHLVL", "_"}
    pid, group = wait_until(lambda: len(words := words_of(lab.run / "told.group")) == 2 and words, 10,
                            "its process group is written")
    assert pid == group
    configure(balancer, f"{program(lab, 'cat >>$1', 'tell2')} {other}")
    lab("ctl", "reload")
    lab("ctl", "ready", "hybrid-mail/oxford-a")
    assert balancer.stop() == 0
    events = told(out) + told(other)
    assert [e["seq"] for e in events] == list(range(1, len(events) + 1))
    assert (events[-1]["event"], events[-1]["dropped"]) == ("stopped", 0)
    assert [e["user"] for e in told(other) if e["event"] == "backend_admin"] == ["root"]


def test_a_program_that_hangs_holds_up_nothing_and_one_that_fails_is_logged(lab, balancer, measured):
    started = lab.run / "started"
    for file in (started, lab.run / "late"):
        file.unlink(missing_ok=True)
    configure(balancer, program(lab, f"echo $$ >>{started}; sleep 612.5 & wait"))
    balancer.start()
    balancer.wait_all_up()
    for _ in range(60):  # more events than wait
        balancer.ask("set server hybrid-mail/oxford-a state drain;set server hybrid-mail/oxford-a state ready")
        balancer.ask("set server hybrid-mail/oxford-a state ready")
    lab.stop("oxford-b")
    balancer.wait_for({"oxford-b": "down"}, 5)
    wait_until(lambda: words_of(started), 10, "the program runs")
    assert len(words_of(started)) == 1, "one at a time"
    configure(balancer, program(lab, "echo no such thing >&2; exit 3"))
    lab("ctl", "reload")
    command("kill", "-9", started.read_text().split()[0])
    wait_until(lambda: 'event=notify_failed status="signal 9"' in balancer.log(), 10, "who was killed is logged")
    wait_until(lambda: r'event=notify_failed status="exit 3" output="no such thing\n"' in balancer.log(), 10,
               "the failure is logged, with its words")
    assert "sleep 612.5" not in command("ps", "-eo", "args", status=None).splitlines()
    configure(balancer, program(lab, f"cat >>{lab.run}/late"))
    lab("ctl", "reload")
    wait_until(lambda: any(e["dropped"] for e in told(lab.run / "late")), 60, "the next is told how many were not")
    measured(f"probes were late by at most {balancer.info('Probe_late_max_ms')} ms beside a program that hangs")


def test_it_runs_without_capabilities_and_with_limits(lab, balancer):
    out = lab.run / "limits"
    out.unlink(missing_ok=True)
    tell = program(lab, f"[ -s {out} ] || {{ grep -E '^Cap(Inh|Amb)' /proc/self/status; cat /proc/self/limits; ls /proc/self/fd; }} >{out}")
    configure(balancer, tell)
    balancer.start()
    wait_until(lambda: out.exists() and "Max open files" in out.read_text(), 10, "the program ran")
    text = out.read_text()
    assert re.search(r"^CapInh:\s+0+$", text, re.M) and re.search(r"^CapAmb:\s+0+$", text, re.M)
    for name, limit in (("Max cpu time", 30), ("Max file size", 1 << 20), ("Max open files", 256), ("Max core file size", 0)):
        assert re.search(rf"^{name}\s+{limit}\s", text, re.M), f"{name}:\n{text}"


OPEN_A_PIN = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
name = ctypes.create_string_buffer(sys.argv[2].encode())
fd = libc.syscall(int(sys.argv[3]), 7, (ctypes.c_uint64 * 2)(ctypes.addressof(name), 0), 16)  # BPF_OBJ_GET
with open(sys.argv[1], "w") as out:
    out.write(f"{os.getuid()} " + ("opened" if fd >= 0 else os.strerror(ctypes.get_errno())))
"""


def test_it_cannot_open_the_pinned_maps(lab, balancer):
    """The pins belong to mxlbd's user, and whoever may open a pin may write the map without a capability."""
    out, script = lab.run / "opened", program(lab, OPEN_A_PIN, "open-a-pin")
    out.unlink(missing_ok=True)
    balancer.start()
    path, = lab.pin.glob("v*/backends")
    assert balancer.stop() == 0
    configure(balancer, f"/usr/bin/python3 {script} {out} {path} {BPF}")
    balancer.start()
    said = wait_until(lambda: out.exists() and out.read_text(), 10, "the program ran")  # it is written again at each event
    uid, _ = lab.owner()
    assert uid and path.stat().st_uid == uid, "what it was refused is the call"
    assert said == f"{uid} Operation not permitted"


def test_a_missing_program_is_reported_and_mail_goes_on(lab, balancer):
    configure(balancer, "/no/such/program")
    balancer.start()
    balancer.wait_all_up()
    wait_until(lambda: "/no/such/program: No such file or directory" in balancer.log(), 10, "the failure is logged")
    balancer.configure()
    lab.config_file.write_text(lab.config_file.read_text() + "\nnotify: tell-me | mail\n")
    assert 'notify: has a |, but no shell reads it' in lab("ctl", "reload", status=1)


def test_notify_test_shows_how_the_program_ends_and_a_failure_is_a_problem_until_it_works(lab, balancer):
    out = lab.run / "tested"
    out.unlink(missing_ok=True)
    configure(balancer, program(lab, "echo 550 no such user >&2; exit 3"))
    balancer.start()
    balancer.wait_all_up()
    failed = lab("ctl", "notify-test", status=1)
    assert "the notify program failed" in failed and "exit 3: 550 no such user" in failed
    wait_until(lambda: "notify" in [p["name"] for p in balancer.status()["problems"]], 10, "the problem")
    status = lab("ctl", "status")
    for said in (status, lab("ctl", "doctor", status=None), lab("ctl", "check", status=1)):
        assert "550 no such user" in " ".join(said.split()) and "notify-test" in said, said
    notify = balancer.status()["notify"]
    assert notify["failed"] >= 2 and notify["ok"] == 0 and notify["last"]["failed"] is True
    configure(balancer, f"{program(lab, 'cat >>$1', 'tell2')} {out}")
    lab("ctl", "reload")
    assert lab("ctl", "notify-test").startswith("told: ")
    test = [e for e in told(out) if e["event"] == "notify_test"]
    assert [(e["level"], e["user"]) for e in test] == [("error", "root")]
    wait_until(lambda: not balancer.status()["problems"], 10, "the problem has gone")
    notify = balancer.status()["notify"]
    assert notify["ok"] >= 2 and notify["last"] == {**notify["last"], "failed": False, "result": "exit 0"}
    assert not [e for e in told(out) if e["to"] == "notify" or e["from"] == "notify"], "its own failure is told to nobody"


def test_notify_test_reports_a_missing_program_and_one_that_hangs(lab, balancer):
    balancer.configure()
    balancer.start()
    assert "No notify program is configured" in lab("ctl", "notify-test", status=1)
    assert balancer.status()["notify"] is None
    hung = lab.run / "hung"
    hung.unlink(missing_ok=True)
    configure(balancer, program(lab, f"echo $$ >{hung}; exec sleep 613.5"))
    lab("ctl", "reload")
    assert "has not ended in time" in lab("ctl", "notify-test", "--timeout", "1s", status=1)
    pid, = wait_until(lambda: words_of(hung), 10, "the program runs")
    balancer.configure()
    lab("ctl", "reload")
    command("kill", "-9", pid)


# The recipes.

def copied(lab, recipe):
    """Copies a file to where mxlbd's user can read it."""
    return program(lab, (RECIPES / recipe).read_text(), f"notify-{recipe}")


def mails(lab, host, since=frozenset()):
    """The texts of the mails about mxlb that a server has accepted."""
    return [text for file in (lab.run / host / "mail/new").glob("*") if file.name not in since
            and "Auto-Submitted: auto-generated" in (text := file.read_text())]


@pytest.mark.parametrize("how", ["sendmail", "smtp"])
def test_mail_by_postfix_arrives(lab, balancer, how):
    """Postfix's sendmail needs an mxlbd that runs as root without the unit's restrictions, because postdrop is setgid.
    SMTP works with them."""
    before = {file.name for file in (lab.run / "nuneaton/mail/new").glob("*")}
    prefix = os.environ.get("MXLB_POSTFIX", "" if os.path.exists("/usr/sbin/postfix") else "/var/cache/mxlb-lab/postfix")
    if how == "sendmail":
        sendmail = program(lab, f"LD_LIBRARY_PATH={prefix}/usr/lib/postfix exec {prefix}/usr/sbin/sendmail "
                                f'-C {lab.run}/nuneaton/etc "$@"\n', "sendmail")
        lab("ctl", "--version")
        start = ["exec", "lb", str(lab.run / "bin/mxlbd"), "-c", str(lab.config_file)]
        words = ["-m", sendmail]
    else:
        start, words = [], ["-s", "203.0.113.13"]
    configure(balancer, shlex.join(map(str, [copied(lab, "mail"), "-l", "error", "-f", "mxlb@contoso.com", *words, "user@contoso.com",
                                             "second@contoso.com"])))
    balancer.start(*start)
    balancer.wait_all_up()
    assert "exit 0" in lab("ctl", "notify-test")
    wait_until(lambda: any("event=notify_test user=root" in text for text in mails(lab, "nuneaton", before)), 20, "the test's mail")
    for service in ("hybrid-mail", "hybrid-mail6"):
        for host in ("oxford-a", "oxford-b", "nuneaton"):
            balancer.ask(f"set server {service}/{host} state maint")
    wait_until(lambda: len(mails(lab, "nuneaton", before)) >= 6, 20, lambda: f"a mail about each service to both\n{balancer.log()}")
    text = next(text for text in mails(lab, "nuneaton", before) if "service=hybrid-mail " in text)
    assert re.search(r"^Subject: mxlb on \S+: event=service_state service=hybrid-mail from=\S+ to=down ", text, re.M)
    assert "\nFrom: mxlb on " in text and '"user":null' in text
    assert "event=notify_failed" not in balancer.log()


@contextlib.contextmanager
def web_server(status=204):
    got = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            got.append((self.headers, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook", got
    finally:
        server.shutdown()
        server.server_close()


def recipe(name, *words, event=None, status=0):
    return command(RECIPES / name, *words, input=json.dumps(event or DOWN, separators=(",", ":")) + "\n", status=status)


def test_webhook_posts_the_event_or_its_line(tmp_path):
    token = tmp_path / "token"
    token.write_text("Authorization: Bearer secret\n")
    with web_server() as (url, got):
        recipe("webhook", "-H", f"@{token}", url)
        recipe("webhook", "-t", url)
        recipe("webhook", "-l", "error", url, event={**DOWN, "level": "warning"})
    assert len(got) == 2, "one of too little weight is not posted"
    assert json.loads(got[0][1]) == DOWN and got[0][0]["Authorization"] == "Bearer secret"
    assert got[0][0]["Content-Type"] == "application/json"
    assert json.loads(got[1][1])["text"].endswith(DOWN["line"].replace("@", "@\u200b"))
    with web_server(500) as (url, got):
        assert "500" in recipe("webhook", url, status=None)


def test_a_servers_reply_text_adds_no_header_to_a_mail(tmp_path):
    sendmail = tmp_path / "sendmail"
    sendmail.write_text("#!/bin/sh\ncat\n")
    sendmail.chmod(0o755)
    head, _, body = recipe("mail", "-m", sendmail, "a@example.net").partition("\n\n")
    assert [line.split(":")[0] for line in head.splitlines()] == [
        "From", "To", "Subject", "Date", "Auto-Submitted", "MIME-Version", "Content-Type", "Content-Transfer-Encoding"]
    assert DOWN["line"] in body


SERVER = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        print(self.rfile.read(int(self.headers["Content-Length"])).decode().strip(), flush=True)
        self.send_response(204)
        self.end_headers()
server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"""


def test_a_servers_banner_is_no_markup_in_a_chat():
    hostile = 'banner="<!channel> <https://evil.example|log in> [log in](https://evil.example) @all *now* `x` R&D"'
    with web_server() as (url, got):
        recipe("webhook", "-t", url, event={**DOWN, "line": hostile})
        recipe("webhook", url, event={**DOWN, "line": hostile})
    text = json.loads(got[0][1])["text"]
    assert not any(mark in text for mark in ("<", ">", "](", "://", "@all", " *", " `")), text
    assert "&lt;!channel&gt;" in text and "R&amp;D" in text
    assert json.loads(got[1][1])["line"] == hostile, "a program gets what there was"


def test_webhook_posts_from_behind_the_walls_of_the_unit(lab, balancer):
    with lab.popen("exec", "lb", "/usr/bin/python3", "-c", SERVER, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            url = f"http://127.0.0.1:{int(server.stdout.readline())}/hook"
            configure(balancer, f"{copied(lab, 'webhook')} {url}")
            balancer.start()
            assert json.loads(server.stdout.readline())["event"] == "config"
            assert "event=notify_failed" not in balancer.log()  # later events find no server
        finally:
            server.terminate()
