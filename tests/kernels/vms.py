# SPDX-License-Identifier: BSD-2-Clause
"""The group `kernels` of tests/run: tests/kernels/inside in a VM of each kernel, and kernels that must be refused.

    tests/run kernels FOLDER [boot|refusals|KERNEL[:short|:load]]...

FOLDER is what `make kernels-build` has made; KERNEL:load runs only tests/kernels/load.sh, for which `make` is enough. boot: tests/kernels/booted; refusals: REFUSALS. Without words: all of KERNELS, and
REFUSALS. MXLB_VMS: the number of VMs that run at the same time (default: 1).
"""
import os
import re
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from vmboot import Booted

ROOT = Path(__file__).resolve().parents[2]
VM = str(ROOT / "scripts/vm")
NO_SOURCE = 3  # exit status of scripts/vm: this machine has no registry
KERNELS = ("6.1", "6.1-cloud", "6.12", "sid")

# Kernels that mxlb must refuse, or whose command line hides what the tests look for.
# What is shown, kernel, its command line, what runs, and what its output must match.
REFUSALS = (
    ("mitigations=off, which hides a missing CAP_PERFMON, is noticed, and mxlbd wants CAP_PERFMON all the same", "6.12",
     "mitigations=off", "tests/kernels/load.sh {folder}",
     r"^not ok \S+: booted without mitigations=off(.|\n)*^ok \S+: is refused without CAP_PERFMON"),
    ("all that tests/kernels/refused.sh wants of a kernel that is too old", "5.10", "",
     "tests/kernels/refused.sh {folder} && echo done", r"^done$"),
    ("all that tests/kernels/refused.sh wants of a program that is broken on purpose", "6.1", "",
     "tests/kernels/refused.sh {folder} && echo done", r"^done$"),
)


ONE_AT_A_TIME = threading.Lock()  # for output and results


class Boot:
    """A command in a VM, its duration, and the CPU time that it took of this machine."""

    def __init__(self, *words):
        self.began = time.monotonic()
        self.vm = subprocess.Popen([VM, *words], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                   errors="replace")

    def lines(self):
        yield from self.vm.stdout
        _, status, usage = os.wait4(self.vm.pid, 0)
        self.status = self.vm.returncode = os.waitstatus_to_exitcode(status)
        self.seconds = time.monotonic() - self.began
        self.cpu_s = usage.ru_utime + usage.ru_stime


def is_there(tally, kernel):
    """Downloads it unless the newest version is there."""
    got = subprocess.run([VM, "--get", kernel], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    with ONE_AT_A_TIME:
        if got.returncode == NO_SOURCE:
            tally.skip(f"kernel {kernel}", got.stdout.strip())
        elif got.returncode:
            tally.fail(f"kernel {kernel}", f"cannot be downloaded: {got.stdout.strip()}")
    return got.returncode == 0


class Results:
    """Parses the output of tests/kernels/inside: results of load.sh ("ok 6.1.0: what") and of tests/run."""

    def __init__(self, tally, kernel):
        self.tally, self.kernel, self.finished, self.verified, self.n = tally, kernel, False, [], 0

    def read(self, line):
        if loaded := re.match(r"(not )?ok (\S+): (.*)", line):
            self.release = loaded[2]
            self.count("FAILED" if loaded[1] else "ok", loaded[3], "see its output")
        elif tested := re.match(r"  (ok|FAILED|skipped) +(.*?)(?:: (.*))?$", line):
            self.count(*tested.groups())
        else:
            print(f"  {self.kernel}: {line}", end="")
        if verified := re.match(r"    mxlb: (\d+) instructions verified, (\d+) bytes, (\d+) compiled", line):
            self.verified.append(verified.groups())
        self.finished = self.finished or bool(re.match(r"\d+ passed, \d+ failed, \d+ skipped$", line))

    def count(self, result, name, why):
        self.n += 1
        name, why = f"{self.kernel}: {name}", why or "no reason given"
        {"ok": self.tally.ok, "FAILED": lambda what: self.tally.fail(what, why),
         "skipped": lambda what: self.tally.skip(what, why)}[result](name)


LOADS = 3  # results of load.sh


def run_kernel(tally, folder, word):
    """Returns its row of the table of verified instructions, or None."""
    kernel, _, selection = word.partition(":")
    if not is_there(tally, kernel):
        return None
    results = Results(tally, kernel)
    if selection == "load":
        boot = Boot("--timeout", "900", kernel, f"tests/kernels/load.sh {folder}")
    else:
        boot = Boot("--timeout", "3600", kernel, "tests/kernels/inside", folder, selection or "all")
    for line in boot.lines():
        with ONE_AT_A_TIME:
            results.read(line)
    with ONE_AT_A_TIME:
        print(f"kernel {kernel}: {boot.seconds:.0f} s, {boot.cpu_s:.0f} s of CPU time")
        if selection == "load":
            results.finished = results.n == LOADS
        if not results.finished:
            tally.fail(f"{kernel}: all tests", f"they did not come to an end, exit status {boot.status}")
    if len(results.verified) != 2:
        return None
    (root, _, _), (unit, size, compiled) = results.verified
    return results.release, root, unit, size, compiled, f"{boot.seconds:.0f}"


def run_booted(tally, folder):
    results = Results(tally, "boot")
    try:
        with Booted(ROOT / folder) as booted:
            boot = Boot(*booted.words)
            for line in boot.lines():
                shown = booted.answer(line)
                with ONE_AT_A_TIME:
                    results.read(shown)
    except subprocess.SubprocessError as failure:
        return tally.fail("boot", str(failure))
    with ONE_AT_A_TIME:
        print(f"boot: {boot.seconds:.0f} s, {boot.cpu_s:.0f} s of CPU time")
        if boot.status:
            tally.fail("boot", f"did not come to an end, exit status {boot.status}")
    return None


def run_kernels(tally, folder, words):
    """Returns the rows of the table."""
    def run(word):
        return run_booted(tally, folder) if word == "boot" else run_kernel(tally, folder, word)
    with ThreadPoolExecutor(int(os.environ.get("MXLB_VMS", "1"))) as pool:
        return list(pool.map(run, words))


def run_refusal(tally, folder, what, kernel, append, command, expected):
    if not is_there(tally, kernel):
        return
    boot = Boot("--append", append, kernel, command.format(folder=folder))
    said = "".join(boot.lines())
    if re.search(expected, said, re.M):
        tally.ok(f"{kernel}: {what} ({boot.seconds:.0f} s)")
    else:
        print(said)
        tally.fail(f"{kernel}: {what}", "see above")


def kernels(tally, words):
    folder, *names = words
    names = names or [*KERNELS, "refusals"]
    rows = run_kernels(tally, folder, [word for word in names if word != "refusals"])
    for refusal in REFUSALS if "refusals" in names else ():
        run_refusal(tally, folder, *refusal)
    if not any(rows):
        return
    form = "{:26} {:>9} {:>9} {:>9} {:>9} {:>6}"
    print(form.format("kernel", "root", "unit", "bytes", "compiled", "s"), " (instructions verified, as root and with the unit's capabilities)")
    for row in filter(None, rows):
        print(form.format(*row))
