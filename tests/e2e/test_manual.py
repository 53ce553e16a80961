# SPDX-License-Identifier: BSD-2-Clause
"""The manual is complete and correct: it has every key, command, option, reason and counter of the sources, and no
others."""
import re
import subprocess

import pytest

import sources
from lab import ROOT, command

MAN = ROOT / "userspace/man"
PAGES = sorted(MAN.iterdir())
SECTIONS = {"top": "SECTIONS", "interface": "INTERFACES", "datapath": "DATAPATH", "control": "CONTROL", "probe": "PROBES",
            "service": "SERVICES", "server": "TIERS", "decap": "DECAP", "ha": "HA", "route": "ROUTE",
            "dns": "DNS", "zone_server": "SERVERS"}


def section(page, name):
    """The text of a .Sh or .Ss."""
    text = (MAN / page).read_text()
    found = re.search(rf"^\.S[hs] {re.escape(name)}\n(.*?)(?=^\.Sh|^\.Ss|\Z)", text, re.S | re.M)
    assert found, f"{page} has no section {name}"
    return found[1]


def items(text, macro):
    """The items of all lists whose first word is this macro: {head: text}."""
    parts = re.split(rf"^\.It {macro} (.*)\n", text, flags=re.M)
    heads = [head.split(" Ar ")[0].strip() for head in parts[1::2]]
    return dict(zip(heads, parts[2::2]))


def long_options(text):
    return {name for line in re.findall(r"^\.It (Fl .*)$", text, re.M)
            for name in re.findall(r"-([a-z][a-z-]+)", line)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_mandoc_has_nothing_to_say(page):
    assert command("mandoc", "-T", "lint", "-W", "warning", str(page)) == ""


@pytest.mark.parametrize("table", SECTIONS)
def test_each_key_is_described_and_no_other(table):
    described = items(section("mxlb.yaml.5", SECTIONS[table]), "Ic")
    assert set(described) == set(sources.config_keys()[table])


def test_no_table_of_keys_is_forgotten():
    assert set(sources.config_keys()) == set(SECTIONS)


@pytest.mark.parametrize("table", SECTIONS)
def test_each_key_has_its_default_and_its_words(table):
    described = items(section("mxlb.yaml.5", SECTIONS[table]), "Ic")
    for name, key in sources.config_keys()[table].items():
        text = described[name]
        for word in key.words:
            assert re.search(rf"^\.Cm .*(?<![\w-]){re.escape(word)}(?![\w-])", text, re.M), f"{name}: {word} is missing"
        if key.default:
            assert re.search(rf"^Default:\n\.Cm {re.escape(key.default)}(?: [.,]|$)", text, re.M), f"{name}: {key.default}"
        assert ("Required." in text) == key.required or name == "services", name


def test_each_command_of_mxlbctl_is_described_and_no_other():
    text = section("mxlbctl.8", "Querying") + section("mxlbctl.8", "Operating") + section("mxlbctl.8", "Probing")
    described = {re.match(r"[a-z-]+", line)[0] for line in re.findall(r"^\.It Cm (.*)$", text, re.M)}
    assert described == set(sources.ctl_commands())


def test_each_option_of_mxlbctl_is_described_and_no_other():
    assert long_options((MAN / "mxlbctl.8").read_text()) == set(sources.ctl_options())


def test_each_option_of_mxlbd_is_described_and_no_other():
    assert long_options((MAN / "mxlbd.8").read_text()) == set(sources.daemon_options())


def test_each_command_of_the_socket_is_described_and_no_other():
    lines = re.findall(r"^\.It Cm (.*)$", section("mxlbd.8", "CONTROL SOCKET"), re.M)
    commands = sources.socket_commands()
    assert {max((c for c in commands if re.match(rf"{c}\b", line)), key=len, default=line) for line in lines} == set(commands)


@pytest.mark.parametrize("name, file, macros", [
    ("Reasons", "userspace/core/verdict.h", ["MXLB_REASONS"]),
    ("Counters", "include/mxlb/counters.h", ["MXLB_DROPS", "MXLB_PASSES", "MXLB_ANSWERS", "MXLB_NOTES"])])
def test_each_name_that_status_shows_is_described_and_no_other(name, file, macros):
    names = {n for macro in macros for n in sources.macro_names(file, macro)}
    assert len(names) > 20
    assert set(items(section("mxlbd.8", name), "Cm")) == names


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.md", *sorted((ROOT / "docs").glob("*"))], ids=lambda page: page.name)
def test_only_commands_that_exist_are_named(page):
    """Checks `mxlbctl NAME ...` in running text and in examples."""
    text = page.read_text()
    named = set(re.findall(r"(?:^\.Ql|^\.Dl .|^[#$]|`|^ {4}|sudo) ?mxlbctl ((?!-|PROG)[a-z-]+)", text, re.M))
    assert named <= set(sources.ctl_commands())


@pytest.mark.parametrize("file, enum, page", [("userspace/daemon/daemon.h", "exit_code", "mxlbd.8"),
                                              ("userspace/ctl/socket.h", "ctl_exit", "mxlbctl.8")])
def test_the_exit_statuses_are_described_and_no_others(file, enum, page):
    n = len(re.findall(r"\b[A-Z]+_[A-Z_]+\b", re.search(rf"enum {enum} \{{(.*?)\}}", (ROOT / file).read_text(), re.S)[1]))
    assert n >= 3 and re.findall(r"^\.It (\d)$", section(page, "EXIT STATUS"), re.M) == [str(code) for code in range(n)]


def yaml_examples():
    for page in PAGES:
        for number, text in enumerate(re.findall(r"^\.Bd -literal.*?\n(.*?)^\.Ed", page.read_text(), re.S | re.M)):
            if text.startswith("interfaces:"):
                yield pytest.param(text, id=f"{page.name}-{number}")


@pytest.mark.parametrize("text", yaml_examples())
def test_the_configurations_in_the_manual_are_right(build, tmp_path, text):
    file, endpoints = tmp_path / "mxlb.yaml", tmp_path / "endpoints.json"
    endpoints.write_text('[{"id": 1, "serviceArea": "Exchange", "ips": ["192.0.2.0/24"], "tcpPorts": "25"}]')
    file.write_text(text.replace("/etc/mxlb/endpoints.json", str(endpoints)))
    done = subprocess.run([build / "mxlbd", "-t", "-c", file], capture_output=True, text=True, check=False)
    told = [line for line in done.stderr.splitlines() if "does not exist on this machine" not in line]
    assert done.returncode == 0 and not told, told


@pytest.mark.parametrize("code, column", [("blame.c", "rule"), ("panic.c", "panic rule")])
def test_the_rules_of_verdicts_have_the_numbers_of_the_code(code, column):
    """docs/verdicts.md has the rules of core/blame.c and core/panic.c, each once ("14b" continues "14a")."""
    source = (ROOT / "userspace/core" / code).read_text()
    rules = re.findall(r"^ \* +(\d+)\. ", source, re.M)
    tables = re.findall(rf"^\| {column} \|.*\n\|---.*\n((?:\|.*\n)+)", (ROOT / "docs/verdicts.md").read_text(), re.M)
    rows = re.findall(r"^\| (\d+)a? \|", "".join(tables), re.M)
    assert rules == [str(n) for n in range(1, len(rules) + 1)] and sorted(rows, key=int) == rules
    assert {n for cited in re.findall(r"/\* [Rr]ules? ([\d, and]+)", source) for n in re.findall(r"\d+", cited)} <= set(rules)


def test_the_numbers_of_the_flow_rules_are_the_codes():
    """Each rule in docs/datapath.md has the numbers of include/mxlb/flowrules.h that it uses, and no others."""
    defined = {name: int(n) for name, n in re.findall(r"^#define (\w+)\s+(\d+)\b", (ROOT / "include/mxlb/flowrules.h").read_text(), re.M)}
    parts = re.split(r"^#+ ", (ROOT / "docs/datapath.md").read_text(), flags=re.M)
    layout, rules = (next(part for part in parts if part.startswith(title)) for title in ("Layout", "Rules"))
    unit = defined["FLOW_UNIT_BITS"]

    def reach(name):
        n = defined[name] << unit
        return f"{n >> 20} MiB" if n >= 1 << 20 else f"{n >> 10} KiB" if n >= 1 << 12 else f"{n} bytes"
    move, near, close, resume = (reach(f"FLOW_{name}") for name in ("MOVE", "SAME", "CLOSE", "RESUME"))
    noted, old = f"{defined['NOTE_REACH'] >> 10} KiB", f"{defined['EPOCHS_OLD'] // 60} minutes"
    expected = {"0": {move, close, resume, f"{defined['EPOCHS_RESTING']} seconds", old}, "2": {near}, "3": {near, noted, move},
                "5": {f"{defined['EPOCHS_CLOSED']} seconds", old}, "7": {f"{defined['EPOCHS_COUNTED'] // 60} minutes"}}
    texts = re.split(r"^(\d)\. ", rules, flags=re.M)[1:]
    found = {rule: set(re.findall(r"\d+ (?:MiB|KiB|bytes|seconds|minutes)", " ".join(text.split())))
             for rule, text in zip(texts[::2], texts[1::2])}
    assert {rule: numbers for rule, numbers in found.items() if numbers} == expected
    rules = " ".join(rules.split())
    assert defined["EPOCHS_EMPTY"] == 60 and "one minute" in rules
    assert defined["FLOW_SETTLED"] == 2 and "first two entries that have DATA" in rules
    assert f"upper {32 - unit} bits" in layout and f"units of {1 << unit} bytes" in layout
