#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""make bench-mail: what a message costs on five ways to one server, as ratios to the direct one in the same round.

    direct      the client connects to the server's own address; the balancer's host carries nothing
    reflector   the barest XDP program that forwards: two MAC addresses, XDP_TX (tests/bench/reflect.bpf.c)
    mxlb        mxlbd as shipped, layer 2
    nftables    DNAT and masquerade on the balancer's host: packets pass it in both directions
    haproxy     mode tcp there: two connections for each message

Postfix's smtp-source and smtp-sink send and take the messages, one connection each. Times are of the whole machine: what runs
beside it counts, so only ratios of one round mean something; the median of the rounds is printed. Nothing is stored."""
import contextlib
import os
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/e2e"))
sys.dont_write_bytecode = True
from lab import SERVERS, VIP, Balancer, Lab, command, wait_until

SERVER = "203.0.113.11"
CACHE = Path("/var/cache/mxlb-lab")
ROUNDS = int(os.environ.get("MXLB_ROUNDS", "7"))
MESSAGES = {2048: 600, 65536: 300}
HAPROXY = f"""defaults
  mode tcp
  timeout connect 5s
  timeout client 60s
  timeout server 60s
listen mail
  bind {VIP}:25
  server oxford-a {SERVER}:25
"""
NFTABLES = f"""table ip mail {{
  chain in {{ type nat hook prerouting priority dstnat; ip daddr {VIP} tcp dport 25 dnat to {SERVER}; }}
  chain out {{ type nat hook postrouting priority srcnat; ip daddr {SERVER} tcp dport 25 masquerade; }}
}}
"""


def postfix(name):
    """The program and the environment that finds its libraries."""
    root = Path("/") if Path(f"/usr/sbin/{name}").exists() else CACHE / "postfix"
    return str(root / "usr/sbin" / name), {**os.environ, "LD_LIBRARY_PATH": str(root / "usr/lib/postfix")}


def mac(lab, host):
    return re.search(r"link/ether (\S+)", lab.within(host, "ip", "link", "show", "dev", "eth0"))[1]


@contextlib.contextmanager
def running(lab, host, *argv, **options):
    process = subprocess.Popen([*lab.nsenter(host), *argv], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(10)


def listens(lab, host):
    return wait_until(lambda: ":25 " in lab.within(host, "ss", "-Hltn"), 10, f"{host} listens on port 25")


@contextlib.contextmanager
def direct(_lab):
    yield SERVER


@contextlib.contextmanager
def reflector(lab):
    obj, pin = lab.run / "reflect.o", Path(f"{lab.pin}-reflect")
    words = ", ".join(f"0x{byte}" for byte in mac(lab, "oxford-a").split(":"))
    command("clang", "-target", "bpf", "-O2", "-g", f"-DSERVER_MAC={words}",
            f"-I/usr/include/{os.uname().machine}-linux-gnu", "-c", str(ROOT / "tests/bench/reflect.bpf.c"), "-o", str(obj))
    command("bpftool", "prog", "load", str(obj), str(pin), "type", "xdp")
    try:
        lab.within("lb", "bpftool", "net", "attach", "xdpdrv", "pinned", str(pin), "dev", "eth0")
        yield VIP
        lab.within("lb", "bpftool", "net", "detach", "xdpdrv", "dev", "eth0")
    finally:
        pin.unlink()


@contextlib.contextmanager
def mxlb(lab):
    balancer = Balancer(lab)
    balancer.configure(replace={"tls: encryption-only": "tls: none"})
    balancer.start()
    try:
        balancer.wait_for({"oxford-a": "up"}, 20)
        yield VIP
    finally:
        balancer.end()


@contextlib.contextmanager
def nftables(lab):
    lab.within("lb", "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv4.conf.all.send_redirects=0", "net.ipv4.conf.eth0.send_redirects=0")
    lab.within("lb", "nft", "-f", "-", input=NFTABLES)
    try:
        yield VIP
    finally:
        lab.within("lb", "nft", "delete", "table", "ip", "mail")
        lab.within("lb", "sysctl", "-qw", "net.ipv4.ip_forward=0")


@contextlib.contextmanager
def haproxy(lab):
    program = "/usr/sbin/haproxy" if Path("/usr/sbin/haproxy").exists() else str(CACHE / "haproxy/usr/sbin/haproxy")
    file = lab.run / "haproxy.cfg"
    file.write_text(HAPROXY)
    lab.within("lb", "ip", "address", "add", f"{VIP}/32", "dev", "lo")
    try:
        with running(lab, "lb", program, "-db", "-f", str(file)):
            listens(lab, "lb")
            yield VIP
    finally:
        lab.within("lb", "ip", "address", "del", f"{VIP}/32", "dev", "lo")


def send(lab, address, size):
    """Seconds for each message."""
    program, env = postfix("smtp-source")
    began = time.monotonic()
    lab.within("client", program, "-s", "4", "-l", str(size), "-m", str(MESSAGES[size]), "-f", "sender@example.net",
               "-t", "user@contoso.com", f"[{address}]:25", env=env)
    return (time.monotonic() - began) / MESSAGES[size]


def measure(lab, ways):
    took = {(way.__name__, size): [] for way in ways for size in MESSAGES}
    for _ in range(ROUNDS):
        for way in ways:
            with way(lab) as address:
                send(lab, address, min(MESSAGES))  # neighbours, caches
                for size in MESSAGES:
                    took[way.__name__, size].append(send(lab, address, size))
    return took


def report(took, ways):
    print(f"{ROUNDS} rounds; the median of the ratios to the direct connection of the same round (of ms a message)")
    print(f"{'':12}" + "".join(f"{size // 1024:>10} KiB" for size in MESSAGES))
    for way in ways:
        cells = []
        for size in MESSAGES:
            own, straight = took[way.__name__, size], took["direct", size]
            ratio = statistics.median(a / b for a, b in zip(own, straight))
            cells.append(f"{ratio:5.2f} ({statistics.median(own) * 1000:.2f})")
        print(f"{way.__name__:12}" + "".join(f"{cell:>14}" for cell in cells))


def main():
    lab = Lab(os.environ.get("MXLB_LAB", "mxlbmail"), os.environ.get("MXLB_B", str(ROOT / "build")))
    lab("down")
    lab("up")
    try:
        for host in SERVERS:
            lab("server", "stop", host)
        lab.within("router", "ip", "neigh", "replace", VIP, "lladdr", mac(lab, "lb"), "dev", "lan")
        sink, env = postfix("smtp-sink")
        with running(lab, "oxford-a", sink, "-u", "nobody", "0.0.0.0:25", "1024", env=env):
            listens(lab, "oxford-a")
            ways = direct, reflector, mxlb, nftables, haproxy
            report(measure(lab, ways), ways)
    finally:
        lab("down")


if __name__ == "__main__":
    main()
