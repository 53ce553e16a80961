# SPDX-License-Identifier: BSD-2-Clause
"""mxlbctl at a terminal and in scripts: JSON, widths, colours and exit statuses of all commands, top, completion in bash."""
import contextlib
import fcntl
import json
import os
import pty
import re
import select
import signal
import socketserver
import struct
import subprocess
import termios
import threading
import time

import pytest

import sources
from lab import ROOT, Traffic, command, wait_until

# What each command is tried with; the others' --json is none: text is what they are for.
TRIED = {
    "status": [], "show": ["oxford-a"], "drain": ["hybrid-mail/oxford-a"], "maint": ["hybrid-mail/oxford-a"],
    "ready": ["hybrid-mail/oxford-a"], "tier": ["hybrid-mail", "auto"], "flows": ["hybrid-mail"],
    "explain": ["hybrid-mail", "198.51.100.10:4711"], "probe": ["hybrid-mail/oxford-a"], "check": ["hybrid-mail"],
    "doctor": ["--timeout", "1s"], "config": [], "events": [], "role": [], "rejected": [], "health": [], "top": ["-n", "1"], "plan": ["-c", "CONFIG"], "reload": [], "notify-test": [],
    "zone": [],
}
FOR_PEOPLE = {"help", "server-setup", "check", "detach", "endpoints"}  # detach ends it all: test_detach.py


@pytest.fixture(scope="module")
def running(lab):
    """One mxlbd for all tests of this file that change nothing permanently."""
    from lab import Balancer
    lab.set_forward("l2")
    balancer = Balancer(lab)
    balancer.configure()
    balancer.start()
    balancer.wait_all_up()
    lab("ctl", "--version")
    yield balancer
    balancer.end()
    lab.mend()


def ctl(lab, *words, status=0, **options):
    argv = [str(lab.run / "bin/mxlbctl"), "-s", str(lab.run / "mxlb.sock"), *words]
    return command(*[word.replace("CONFIG", str(lab.config_file)) for word in argv], status=status, **options)


def test_no_command_is_forgotten_here():
    assert set(sources.ctl_commands()) == set(TRIED) | FOR_PEOPLE


@pytest.mark.parametrize("name", [name for name in TRIED if name not in FOR_PEOPLE])
def test_json_is_json_and_nothing_else(running, name):
    said = ctl(running.lab, "--json", name, *TRIED[name], status=None)
    documents = said.splitlines() if name in ("events", "top") else [said]
    assert all(isinstance(json.loads(document), (dict, list)) for document in documents), said


@pytest.mark.parametrize("name", ["status", "top", "explain", "flows", "plan", "reload", "ready"])
def test_tables_fit_80_columns_and_have_no_colour_in_a_pipe(running, name):
    for line in ctl(running.lab, name, *TRIED[name]).splitlines():
        assert len(line) <= 80 and "\033" not in line, line


@pytest.mark.parametrize("name", TRIED)
def test_exit_statuses_are_3_without_a_daemon_and_2_for_what_cannot_be_meant(lab, tmp_path, name):
    lab("ctl", "--version")
    binary = lab.run / "bin/mxlbctl"
    words = [word.replace("CONFIG", str(lab.config_file)) for word in TRIED[name]]
    nobody = command(str(binary), "-s", str(tmp_path / "none"), name, *words, status=3)
    assert nobody.strip(), "with a message"
    if name in FOR_PEOPLE:  # to Nagios, 2 is another thing
        return
    for bad in (["--no-such-option"], ["a", "b", "c", "d"]):
        command(str(binary), "-s", str(tmp_path / "none"), name, *bad, status=2)


@pytest.mark.parametrize("words", [["show", "nobody"], ["drain", "nobody"], ["tier", "hybrid-mail", "force", "99"],
                                   ["flows", "nobody"], ["explain", "hybrid-mail", "nonsense"]])
def test_what_mxlbd_refuses_is_status_1(running, words):
    assert "refused" in ctl(running.lab, *words, status=1)


def test_a_reader_that_tries_a_change_learns_who_may_make_it(running):
    lab = running.lab
    said = lab.within("lb", "setpriv", "--reuid=65534", "--regid=61999", "--clear-groups", str(lab.run / "bin/mxlbctl"),
                      "-s", str(lab.run / "mxlb.sock"), "drain", "hybrid-mail/oxford-a", status=1)
    assert "refused: Permission denied" in said and "control.operators" in said
    assert running.backend("oxford-a")["admin"] == "ready"


@pytest.mark.parametrize("words", [["status", "-f"], ["top", "-n", "0"], ["top", "-n", "1x"], ["status", "-b"],
                                   ["--color=red", "status"], ["top", "-d", "0"], ["ready", "a", "--timeout", "1s"], []])
def test_options_that_mean_nothing_are_usage(lab, words):
    lab("ctl", "--version")
    command(str(lab.run / "bin/mxlbctl"), *words, status=2)


# What is typed wrongly, and what the message must name: the cause and what is right.
MISTAKES = {
    "statsu": ["no such command: 'statsu'", "did you mean status?"],
    "help nonsense": ["no such command: 'nonsense'", "mxlbctl help"],
    "status extra": ["status: unexpected argument 'extra'", "usage: mxlbctl status"],
    "show": ["show: an argument is missing", "usage: mxlbctl show SERVER"],
    "drain": ["drain: an argument is missing", "usage: mxlbctl drain SERVER"],
    "drain a b": ["drain: unexpected argument 'b'", "usage: mxlbctl drain"],
    "drain a --for": ["'--for' requires an argument", "mxlbctl --help"],
    "drain a --for 5": ["--for expects a time with its unit: 90s, 15m, 1h or 2d"],
    "drain a --for 5x": ["--for expects", "unit"],
    "drain a --timeout 5s": ["drain: --timeout requires --wait"],
    "ready a --force": ["ready does not have the option --force", "usage: mxlbctl ready"],
    "tier": ["tier: an argument is missing", "SERVICE force N"],
    "tier hybrid-mail": ["tier: an argument is missing", "SERVICE auto"],
    "tier hybrid-mail force": ["usage: mxlbctl tier SERVICE force N"],
    "tier hybrid-mail up 20": ["usage: mxlbctl tier "],
    "tier hybrid-mail force 20 --wait": ["tier does not have the option --wait"],
    "tier hybrid-mail force 20 30": ["tier: unexpected argument '30'"],
    "explain hybrid-mail": ["explain: an argument is missing", "SERVICE CLIENT[:PORT]"],
    "flows": ["flows: an argument is missing", "usage: mxlbctl flows SERVICE"],
    "probe": ["probe: an argument is missing", "HOST[:PORT]"],
    "probe host:99999": ["expects HOST, HOST:PORT, [IPV6] or [IPV6]:PORT, not 'host:99999'"],
    "probe 192.0.2.1 --tls maybe": ["--tls expects none, encryption-only", "dane, not 'maybe'"],
    "probe 192.0.2.1 --depth deep": ["--depth expects connect, banner, ehlo, starttls or mail-from, not 'deep'"],
    "probe 192.0.2.1 --tls domain-validation": ["--tls-domain is missing"],
    "probe 192.0.2.1 --tls dane": ["--tlsa is missing"],
    "probe 192.0.2.1 --tlsa x --tls dane": ["not a TLSA record"],
    "probe 192.0.2.1 --ca-file /no/such": ["/no/such: can't be read: No such file"],
    "status -w 10": ["status does not have the option --warning"],
    "server-setup": ["server-setup: an argument is missing", "windows|linux"],
    "server-setup macos hybrid-mail": ["server-setup supports windows and linux"],
    "top -n x": ["--count expects a number"],
    "top -d 0": ["--delay expects a time"],
    "--color=blue status": ["--color expects auto, always or never"],
    "plan": ["-c FILE is missing"],
    "reload now": ["reload: unexpected argument 'now'"],
    "role master": ["usage: mxlbctl role [active | standby | auto]"],
    "events -n 5": ["events does not have the option --count"],
    "notify-test now": ["notify-test: unexpected argument 'now'"],
    "endpoints": ["endpoints: an argument is missing"],
    "--nonsense status": ["unrecognized option '--nonsense'", "mxlbctl --help"],
}


@pytest.mark.parametrize("words", MISTAKES)
def test_a_mistake_at_the_command_line_is_named_with_what_is_right(build, words):
    said = command(str(build / "mxlbctl"), "-s", "/no/such", *words.split(), status=2)
    assert all(part in said for part in MISTAKES[words]), said


@pytest.mark.parametrize("words, said", [
    ("--nonsense", "unrecognized option '--nonsense'"), ("-c", "option requires an argument"), ("extra", "unexpected argument 'extra'"),
    ("-t -c /no/such", "/no/such:1:1: can't be read: No such file"), ("-t -c /etc", "/etc:1:1: a directory, not a regular file")])
def test_a_mistake_in_the_command_line_of_mxlbd_is_named(build, words, said):
    assert said in command(str(build / "mxlbd"), *words.split(), status=1)


# At a terminal.

@contextlib.contextmanager
def terminal(argv, rows=24, columns=80, **env):
    """A process on a terminal of this size: (process, its output so far, a function that types)."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    process = subprocess.Popen(argv, stdin=its, stdout=its, stderr=its, start_new_session=True,
                               env={**environment, "TERM": "xterm", **env})
    os.close(its)
    shown = bytearray()

    def read():
        with contextlib.suppress(OSError):
            while select.select([ours], [], [], 0)[0] and (more := os.read(ours, 65536)):
                shown.extend(more)
        return shown.decode(errors="replace")

    try:
        yield process, read, ours
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        os.close(ours)


def frames(text):
    """The screens that top has drawn, without escape sequences."""
    return [re.sub(r"\033\[[?\d;]*[A-Za-z]", "", frame).split("\r\n") for frame in text.split("\033[H")[1:]]


def test_top_shows_rates_on_a_screen_moves_resizes_and_leaves_the_terminal_as_it_was(lab, running):
    argv = [str(lab.run / "bin/mxlbctl"), "-s", str(lab.run / "mxlb.sock"), "top", "-d", "1s"]
    with Traffic(lab), terminal(argv) as (process, read, keyboard):
        before = termios.tcgetattr(keyboard)[3] if process.poll() is None else None
        def rates():
            lines = [line.split() for line in (frames(read()) or [[]])[-1]]
            return [float(line[-4]) for line in lines if line[1:2] == ["oxford-a"] and line[-4] != "-"]
        wait_until(lambda: any(rate > 1 for rate in rates()), 15, "new connections a second at oxford-a")
        last = frames(read())[-1]
        assert len(last) <= 24 and all(len(line) <= 80 for line in last), last
        assert "\033[32mup" in read(), "colours on a terminal"
        drawn = re.sub(r"\033\[\d*m", "", read())
        assert re.search(r"[^\r\n\033]{80}\r\n", drawn), "lines fill the screen"
        assert not re.search(r"[^\r\n\033]{80}\033\[[JK]", drawn), "the cursor is still on their last character: it would be erased"
        fcntl.ioctl(keyboard, termios.TIOCSWINSZ, struct.pack("HHHH", 6, 40, 0, 0))
        os.killpg(process.pid, signal.SIGWINCH)

        def small():
            """The last whole frame of the small screen: the last one may be half written."""
            return next((frame for frame in reversed(frames(read())) if len(frame) == 6), None)
        top = wait_until(small, 5, "the small screen is drawn at once")
        os.write(keyboard, b"j")
        wait_until(lambda: (now := small())[2:] != top[2:] and now[1] == top[1], 5, "the lines move, not the head")
        os.write(keyboard, b"q")
        assert process.wait(5) == 0
        assert read().rstrip().endswith("\033[?1049l")
        assert before is None or termios.tcgetattr(keyboard)[3] & (termios.ICANON | termios.ECHO)


def test_top_waits_for_an_mxlbd_that_goes_and_a_signal_ends_it_cleanly(lab, running):
    argv = [str(lab.run / "bin/mxlbctl"), "-s", str(lab.run / "mxlb.sock"), "top", "-d", "1s"]
    with terminal(argv) as (process, read, _):
        wait_until(lambda: "oxford-a" in read(), 5, "the servers")
        assert running.stop() == 0
        wait_until(lambda: "mxlbd is not running" in read(), 5, "that it has gone")
        running.start()
        wait_until(lambda: "oxford-a" in read().rpartition("mxlbd is not running")[2], 10, "the servers again")
        process.terminate()
        assert process.wait(5) == -signal.SIGTERM
        assert read().rstrip().endswith("\033[?1049l")


def test_top_in_a_pipe_gives_batches_and_rates_that_are_those_of_the_traffic(lab, running):
    with Traffic(lab) as traffic:
        traffic.wait_seen({"oxford-a", "oxford-b"})
        began = time.monotonic()
        looks = [json.loads(line) for line in ctl(lab, "--json", "top", "-n", "3", "-d", "1s").splitlines()]
        took = time.monotonic() - began
        made = len(traffic.attempts(began))
    assert len(looks) == 3 and {b["new_per_s"] for b in looks[0]["servers"]} == {None}
    rates = [sum(b["new_per_s"] for b in look["servers"] if b["service"] == "hybrid-mail") for look in looks[1:]]
    assert sum(rates) / 2 == pytest.approx(made / took, rel=0.5), "as many as the client made"
    batches = ctl(lab, "top", "-b", "-n", "2", "-d", "1s")
    assert batches.count("mxlb at ") == 2 and "\033" not in batches


@pytest.mark.parametrize("env, words, coloured", [({}, [], True), ({"NO_COLOR": "1"}, [], False), ({"TERM": "dumb"}, [], False),
                                                  ({"NO_COLOR": "1"}, ["--color=always"], True), ({}, ["--color=never"], False)])
def test_colour_on_a_terminal_is_as_no_color_org_and_the_option_say(lab, running, env, words, coloured):
    with terminal([str(lab.run / "bin/mxlbctl"), "-s", str(lab.run / "mxlb.sock"), *words, "status"], **env) as (process, read, _):
        wait_until(lambda: "takes new connections" in read(), 10, "the status")
        assert process.wait(5) == 0
        assert ("\033[32mup" in read()) == coloured


# Completion.

def completed(lab, *words):
    """bash's completions for the last of these words."""
    array = " ".join(f"'{word}'" for word in (str(lab.run / "bin/mxlbctl"), *words))
    script = (f"source {ROOT}/scripts/mxlbctl.bash; COMP_WORDS=({array}); COMP_CWORD={len(words)}; "
              '_mxlbctl; printf "%s\\n" "${COMPREPLY[@]}"')
    return set(command("bash", "-c", script).split())


@contextlib.contextmanager
def somebody(where, text):
    """The path of a socket on which another program listens and gives this answer."""
    class Answer(socketserver.StreamRequestHandler):
        def handle(self):
            self.rfile.readline()
            self.wfile.write(text.encode() + b"\n\n")

    with socketserver.UnixStreamServer(str(where / "sock"), Answer) as daemon:
        thread = threading.Thread(target=daemon.serve_forever)
        thread.start()
        try:
            yield daemon.server_address
        finally:
            daemon.shutdown()
            thread.join()


def test_completion_offers_commands_options_and_what_mxlbd_knows(lab, running):
    here = ["-s", str(lab.run / "mxlb.sock")]
    assert completed(lab, "") == set(sources.ctl_commands())
    assert completed(lab, "dr") == {"drain"}
    assert completed(lab, *here, "drain", "ox") == {"oxford-a", "oxford-b"}
    assert completed(lab, *here, "drain", "hybrid-mail/n") == {"hybrid-mail/nuneaton"}
    assert completed(lab, *here, "tier", "") == {"hybrid-mail", "hybrid-mail6"}
    assert completed(lab, *here, "tier", "hybrid-mail", "") == {"force", "auto"}
    assert completed(lab, *here, "tier", "hybrid-mail", "force", "") == {"10", "20"}
    assert completed(lab, *here, "tier", "hybrid-mail", "force", "10", "") == set()
    assert completed(lab, *here, "zone", "") == {"hybrid-mail", "hybrid-mail6"}
    assert completed(lab, *here, "zone", "hybrid-mail", "") == {"read", "accept"}
    assert completed(lab, *here, "drain", "--w") == {"--wait"}
    assert completed(lab, "events", "--f") == {"--follow"}
    assert completed(lab, "--color", "=", "al") == {"always"}
    assert completed(lab, "-c", str(lab.run / "mxlb.y")) == {str(lab.run / "mxlb.yaml")}
    assert completed(lab, "-s", "/no/such/socket", "drain", "") == set(), "silent without mxlbd"


def test_completion_executes_nothing_from_the_daemons_output(lab, tmp_path):
    """bash expands the words that it completes from, so names with characters that are special to a shell are left
    out."""
    ran = tmp_path / "ran"
    evil = [f"$(touch${{IFS}}{ran})", f"`touch\t{ran}`", "a b", "x;y", "-c", "", "é"]
    backends = [{"name": name} for name in [*evil, "sound"]]
    status = {"services": [{"name": name, "tiers": [{"preference": 10, "backends": backends}]} for name in [*evil, "mail"]]}
    lab("ctl", "--version")
    with somebody(tmp_path, json.dumps(status)) as where:
        assert completed(lab, "-s", where, "tier", "") == {"mail"}
        assert completed(lab, "-s", where, "drain", "") == {"sound", "mail/sound"}
    assert not ran.exists()


def test_json_is_ascii_for_any_output_of_the_daemon(lab, tmp_path):
    """Some terminals treat U+009B like ESC [."""
    status = {"services": [{"name": "\u009b2J\u001b[2J\u202e"}]}
    lab("ctl", "--version")
    with somebody(tmp_path, json.dumps(status, ensure_ascii=False)) as where:
        said = command(str(lab.run / "bin/mxlbctl"), "-s", where, "--json", "status")
    assert said.isascii() and json.loads(said) == status


def test_the_tab_key_in_bash_completes_a_server(lab, running):
    with terminal(["bash", "--norc", "--noprofile", "-i"], PATH=f"{lab.run}/bin:{os.environ['PATH']}", PS1="ready> ") as (_, read, keyboard):
        os.write(keyboard, f"source {ROOT}/scripts/mxlbctl.bash && echo sour''ced\n".encode())
        wait_until(lambda: "sourced" in read(), 10, "bash has the completion")
        os.write(keyboard, f"mxlbctl -s {lab.run}/mxlb.sock show nun\t".encode())
        wait_until(lambda: "show nuneaton" in read(), 10, "the name is completed")
