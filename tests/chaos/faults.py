# SPDX-License-Identifier: BSD-2-Clause
"""The faults: how each begins and ends, and which effects are allowed. Their comments name rows of tests/faults.md."""
import contextlib
import os
import re
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from lab import VIP, VIP6, command, wait_until
from schedule import FIVE, OXFORD

HERE = Path(__file__).resolve().parent
SLOW_S = 4  # a greeting's delay: longer than a probe waits
DEAF = "connect_timeout", "greeting_silent", "timeout", "closed_early"
GONE = "refused", "tls_handshake", "starttls_refused", *DEAF  # in the middle of a handshake, and just started, too
EARLY = "smtpd_delay_reject = no\nsmtpd_client_restrictions = "
DIRTY_LANES = """qdisc replace dev {0} root handle 1: htb default 1
class add dev {0} parent 1: classid 1:1 htb rate 10gbit quantum 60000
class add dev {0} parent 1: classid 1:2 htb rate 4mbit quantum 1500
qdisc add dev {0} clsact
filter add dev {0} egress bpf da object-pinned {1}
"""


@dataclass(frozen=True)
class Fault:
    strike: object  # (site, host)
    heal: object
    lasts: tuple  # seconds, at least and at most
    reasons: tuple  # that a verdict may have for it; none: it is to be borne
    row: str = ""
    breaks: bool = False  # the server's open sessions may end
    seen: bool = True  # one that lasts must become a verdict
    dead: bool = False  # no SYN may go there once it was seen
    takes: bool = False  # mail nevertheless
    hosts: object = 1


# --- servers ---

def master(site, host):
    return int((site.lab.run / host / "queue/pid/master.pid").read_text())


def to_all_of(site, host, number):
    """Sends a signal to all processes of a Postfix, which are one process group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(master(site, host), number)


def kill(site, host):
    pid = master(site, host)
    to_all_of(site, host, signal.SIGKILL)
    wait_until(lambda: not os.path.exists(f"/proc/{pid}/ns/net"), 5, f"{host}'s Postfix is dead")  # the lab looks there


def start(site, host):
    site.lab.start(host)


def freeze(site, host):
    to_all_of(site, host, signal.SIGSTOP)


def thaw(site, host):
    to_all_of(site, host, signal.SIGCONT)


def configured(lines):
    """Adds these lines to Postfix's configuration; its processes use them from the next client on. No key is written
    twice, because each process would log a warning, and under load the logging process can hang over its own."""
    keys = tuple(re.findall(r"^\w+", lines, re.M))

    def strike(site, host):
        file = site.lab.run / host / "etc/main.cf"
        site.sound[host] = file.read_text()
        kept = [line for line in site.sound[host].splitlines(True) if line.split(" ")[0] not in keys]
        file.write_text("".join(kept) + lines.format(run=site.lab.run))
        site.lab("server", "reload", host)
    return strike


def configured_back(site, host):
    (site.lab.run / host / "etc/main.cf").write_text(site.sound[host])
    site.lab("server", "reload", host)


def fill_disk(site, host):
    """Fills the disk to the last byte."""
    queue = site.lab.run / host / "queue"
    space = os.statvfs(queue)
    command("fallocate", "-l", str(space.f_bavail * space.f_bsize), str(queue / "filler"), status=None)
    with contextlib.suppress(OSError), (queue / "filler").open("ab", 0) as rest:
        while rest.write(bytes(4096)):
            pass


def free_disk(site, host):
    (site.lab.run / host / "queue/filler").unlink()


# --- the network ---

def cut(site, host):
    site.lab("cut", host)


def join(site, host):
    site.lab("join", host)


def vips(what):
    def act(site, host):
        nodad = "" if what == "del" else " nodad"
        site.lab.within(host, "ip", "-batch", "-",
                        input=f"address {what} {VIP}/32 dev lo\naddress {what} {VIP6}/128 dev lo{nodad}\n")
    return act


def dirty(site, host):
    pin = site.lab.pin / "dirty"
    if not pin.exists():
        program = str(site.lab.run / "dirty.o")
        command("clang", "-target", "bpf", "-O2", "-c", str(HERE / "dirty.bpf.c"), "-o", program)
        command(site.bpftool, "prog", "load", program, str(pin), "type", "classifier")
    site.lab.within("switch", "tc", "-batch", "-", input=DIRTY_LANES.format(host, pin))


def clean(site, host):
    site.lab.within("switch", "tc", "-batch", "-", input=f"qdisc del dev {host} root\nqdisc del dev {host} clsact\n")


FAULTS = {
    # B1; B14 when it is back at once
    "kill": Fault(kill, start, (1, 6), GONE, "B1", breaks=True, seen=False, dead=True),
    "restart": Fault(kill, start, (0, 0), GONE, "B14", breaks=True, seen=False, dead=True),
    "tier_10_dies": Fault(kill, start, (7, 10), GONE, "B11 B13", breaks=True, dead=True, hosts=OXFORD),
    "all_die": Fault(kill, start, (4, 6), GONE, "B12", breaks=True, dead=True, hosts=FIVE),
    # (a probe whose first connect was into the cut, and its second after it, misses the VIP)
    "cut": Fault(cut, join, (6, 10), ("unreachable", "vip_missing", *DEAF), "B2", breaks=True, dead=True),
    "freeze": Fault(freeze, thaw, (9, 13), DEAF, "B3", dead=True),
    "maintenance": Fault(configured(EARLY + "check_client_access static:{{421 4.3.2 Service not available}}\n"),
                         configured_back, (5, 8), ("greeting_421",), "B4"),
    "disk_full": Fault(fill_disk, free_disk, (6, 9), ("mail_4xx", "mail_421", "greeting_421", *DEAF), "B5"),
    "slow": Fault(configured(f"{EARLY}sleep {SLOW_S}\n"), configured_back, (10, 14), DEAF, "B6", dead=True),
    "vip_lost": Fault(vips("del"), vips("replace"), (8, 11), ("vip_missing", *DEAF), "B7", dead=True),
    "certificate": Fault(configured("smtpd_tls_cert_file = {run}/other.pem\nsmtpd_tls_key_file = {run}/other-key.pem\n"),
                         configured_back, (6, 9), ("certificate_self_signed",), "P13", takes=True),
    "dirty_cable": Fault(dirty, clean, (8, 12), (), "D13", seen=False, takes=True),
}


# --- the balancer ---

def kill_mxlbd(site, rng):
    """Kills mxlbd and starts it again after up to three seconds."""
    site.balancer.process.kill()
    site.balancer.process.wait()
    time.sleep(rng.uniform(0, 3))
    site.balancer.start()


def kill_child(site, _):
    os.kill(site.balancer.child(), signal.SIGKILL)


def reload(site, rng):
    """Reloads random weights, by mxlbctl or by SIGHUP."""
    site.lab.config_file.write_text(site.weighted(rng))
    if rng.random() < 0.5:
        return site.lab("ctl", "reload")
    before = site.balancer.count("event=config user=SIGHUP")
    site.balancer.process.send_signal(signal.SIGHUP)
    wait_until(lambda: site.balancer.count("event=config user=SIGHUP") > before, 20, "mxlbd has reloaded")


def reload_nonsense(site, rng):
    """Reloads an invalid file, which must be refused without any effect."""
    text = site.lab.config_file.read_text()
    site.lab.config_file.write_text(text[:rng.randrange(len(text) // 2)] + "\x01: [")
    site.lab("ctl", "reload", status=1)
    site.lab.config_file.write_text(text)


DEEDS = {"kill_mxlbd": kill_mxlbd, "kill_child": kill_child, "reload": reload, "reload_nonsense": reload_nonsense}
