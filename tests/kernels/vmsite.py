# SPDX-License-Identifier: BSD-2-Clause
"""A site in namespaces of this machine, meant for a VM that is discarded afterwards: an edge box `lb` with the device
that a test gives it, and a switch with a client and two servers behind another. Everything waits for conditions, with
deadlines that suit emulated machines."""
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / os.environ.get("MXLB_B", "build")
SMTP = Path(__file__).resolve().parent / "vmsmtp.py"
NET4, NET6 = "203.0.113.", "2001:db8:113::"
HOSTS = {"lb": 5, "client": 99, "s1": 11, "s2": 12}
SERVERS = ("s1", "s2")
VIPS = NET4 + "25", NET6 + "25"
PATIENCE_S = 90


class Failure(Exception):
    pass


def wait_until(condition, what, seconds=PATIENCE_S):
    deadline = time.monotonic() + seconds
    while True:
        if value := condition():
            return value
        if time.monotonic() > deadline:
            raise Failure(f"not within {seconds} s: {what}")
        time.sleep(0.1)


def run(*argv, status=0, **options):
    options = {"text": True, "timeout": 300, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, **options}
    done = subprocess.run(argv, check=False, **options)
    if status is not None and done.returncode != status:
        raise Failure(f"{' '.join(map(str, argv))}: status {done.returncode}: {(done.stdout or '').strip()}")
    return done.stdout


def lines(text):
    for line in filter(None, map(str.strip, text.strip().splitlines())):
        run(*line.split())


def nics():
    return {path.parent.name: path.read_text().strip() for path in Path("/sys/class/net").glob("*/address")}


def nic(mac):
    """The name of the NIC with this MAC address in the caller's network namespace."""
    for name, address in nics().items():
        if address == mac:
            return name
    raise Failure(f"there is no NIC {mac}: {nics()}")


class Site:
    """Only one at a time. vlan: all of its hosts use this tag."""

    def __init__(self, vlan=None):
        self.vlan = vlan
        self.work = Path("/run/site")
        self.work.mkdir(exist_ok=True)
        self.spaces, self.processes, self.mxlbd = [], [], None

    def space(self, name):
        run("ip", "netns", "add", name)
        self.spaces.append(name)
        run("ip", "-n", name, "link", "set", "lo", "up")
        self.sysctl(name, **{"net.ipv6.conf.default.accept_dad": 0, "net.ipv4.conf.all.rp_filter": 0,
                             "net.ipv4.conf.default.rp_filter": 0})

    def within(self, name, *argv, **options):
        return run("nsenter", f"--net=/run/netns/{name}", "--", *map(str, argv), **options)

    def popen(self, name, *argv, **options):
        process = subprocess.Popen(["nsenter", f"--net=/run/netns/{name}", "--", *map(str, argv)], **options)
        self.processes.append(process)
        return process

    def sysctl(self, space, **values):
        self.within(space, "sysctl", "-qw", *(f"{key}={value}" for key, value in values.items()))

    def take(self, device, space, name):
        lines(f"ip link set {device} netns {space}\nip -n {space} link set {device} name {name}")

    def addresses(self, host, device):
        number = HOSTS[host]
        lines(f"""ip -n {host} address add {NET4}{number}/24 dev {device}
                  ip -n {host} address add {NET6}{number}/64 dev {device} nodad""")

    def ip_device(self, host, device):
        """The device with the IP address: the device itself or its VLAN device."""
        lines(f"ip -n {host} link set {device} up")
        if self.vlan:
            lines(f"""ip -n {host} link add link {device} name {device}.{self.vlan} type vlan id {self.vlan}
                      ip -n {host} link set {device}.{self.vlan} up""")
            device = f"{device}.{self.vlan}"
        self.addresses(host, device)

    def switch(self, *ports):
        """The switch with its hosts; these NICs of the initial namespace are its uplinks to lb."""
        self.space("sw")
        lines("""ip -n sw link add br0 type bridge mcast_snooping 0 forward_delay 0
                 ip -n sw link set br0 up""")
        self.sysctl("sw", **{"net.ipv6.conf.all.disable_ipv6": 1})
        for port in ports:
            lines(f"""ip link set {port} netns sw
                      ip -n sw link set {port} master br0 up""")
        for host in ("client", *SERVERS):
            self.host(host)

    def host(self, host):
        self.space(host)
        lines(f"""ip -n {host} link add eth0 type veth peer name {host} netns sw
                  ip -n sw link set {host} master br0 up""")
        self.within(host, "ethtool", "-K", "eth0", "tx", "off")  # M2: a checksum that only a driver would fill in
        self.ip_device(host, "eth0")
        if host not in SERVERS:
            return
        self.sysctl(host, **{"net.ipv4.conf.all.arp_ignore": 1, "net.ipv4.conf.all.arp_announce": 2})
        lines(f"""ip -n {host} address add {VIPS[0]}/32 dev lo
                  ip -n {host} address add {VIPS[1]}/128 dev lo nodad""")
        self.serve(host)

    def ledger(self, host):
        return self.work / f"{host}.mail"

    def serve(self, host, addresses=("0.0.0.0", "::")):
        if "::" in addresses:
            self.sysctl(host, **{"net.ipv6.bindv6only": 1})
        self.ledger(host).write_text("")
        self.popen(host, sys.executable, SMTP, "serve", self.ledger(host), *addresses)

    def received(self):
        return {host: self.ledger(host).read_text().split()[1::2] for host in SERVERS if self.ledger(host).exists()}

    def send(self, *jobs, client="client", patience=300):
        """Sends mail through the balancer; a job is "VIP,NUMBER,BYTES". Raises Failure unless all of it has arrived
        unchanged."""
        before = {host: len(got) for host, got in self.received().items()}
        sent = self.within(client, sys.executable, SMTP, "send", *jobs, timeout=patience).split()
        got = {host: digests[before[host]:] for host, digests in self.received().items()}
        wanted = sum(int(job.split(",")[1]) for job in jobs)
        if sorted(sent) != sorted(sum(got.values(), [])) or len(sent) != wanted:
            raise Failure(f"{jobs}: {len(sent)} sent, {sum(map(len, got.values()))} received")
        return {host: len(digests) for host, digests in got.items()}

    # mxlbd

    def configure(self, interface, conf="{mode: auto}", servers=None, more=""):
        """servers: the text of the tier of each service, by VIP."""
        plain = {vip: "".join(f"        {s}: {{address: \"{net}{HOSTS[s]}\"}}\n" for s in SERVERS)
                 for vip, net in zip(VIPS, (NET4, NET6))}
        text = f"interfaces:\n  {interface}: {conf}\ndatapath: {{pin: /sys/fs/bpf/mxlb, flows: 4096}}\n" \
               f"control: {{socket: {self.work}/mxlb.sock}}\n" \
               "probes:\n  exo: {helo: probe.example.net, interval: 2s, fast-interval: 1s, timeout: 30s, connect-timeout: 10s}\n" \
               f"{more}services:\n"
        for name, vip in (("mail", VIPS[0]), ("mail6", VIPS[1])):
            text += f"  {name}:\n    address: \"{vip}\"\n    interface: {interface}\n    probe: exo\n" \
                    f"    tiers:\n      10:\n{(servers or plain)[vip]}"
        (self.work / "mxlb.yaml").write_text(text)

    def start(self):
        self.mxlbd = self.popen("lb", BUILD / "mxlbd", "-c", self.work / "mxlb.yaml",
                                stderr=open(self.work / "mxlbd.log", "w", encoding="utf-8"))
        wait_until(lambda: self.mxlbd.poll() is not None or self.answers(), "mxlbd answers")
        if self.mxlbd.poll() is not None:
            raise Failure(f"mxlbd: exit status {self.mxlbd.returncode}: {self.log()[-600:]}")

    def stop(self):
        if self.mxlbd:
            self.mxlbd.terminate()
            self.mxlbd.wait(30)
        self.mxlbd = None

    def log(self):
        return (self.work / "mxlbd.log").read_text()

    def ctl(self, *words, json_too=True, **options):
        return self.within("lb", BUILD / "mxlbctl", "-s", self.work / "mxlb.sock", *(["--json"] if json_too else []), *words,
                           **options)

    def ask(self, line):
        """Uses the socket directly, because a process costs a second here."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(30)
            s.connect(str(self.work / "mxlb.sock"))
            s.sendall(line.encode() + b"\n")
            return b"".join(iter(lambda: s.recv(65536), b"")).decode()

    def answers(self):
        try:
            return self.status()
        except OSError:
            return None

    def status(self):
        return json.loads(self.ask("show status"))

    def backends(self, service=None):
        return {(s["name"], b["name"]): b for s in self.status()["services"] for t in s["tiers"] for b in t["backends"]
                if service in (None, s["name"])}

    def wait_all_up(self):
        def all_up():
            self.last = {"/".join(key): f"{b['verdict']} {b['text']}" for key, b in self.backends().items()}
            return all(b["verdict"] == "up" for b in self.backends().values())
        try:
            wait_until(all_up, "all servers are up")
        except Failure as failure:
            raise Failure(f"{failure}: {self.last}; {self.log()[-800:]}") from None

    def interface(self):
        return self.status()["interfaces"][0]

    def doctor(self, *checks):
        """The findings of these checks."""
        found = json.loads(self.ctl("doctor", "--timeout", "1s", status=None, timeout=120))["findings"]
        return [(f["level"], f["check"], f["text"], f["advice"] or "") for f in found
                if f["level"] in ("warning", "error") and (not checks or f["check"] in checks)]

    def close(self):
        if self.mxlbd and self.mxlbd.poll() is None:
            self.ctl("detach", json_too=False, status=None)
            self.stop()
        for process in self.processes:
            process.kill()
            process.wait()
        for space in self.spaces:  # NICs go back by themselves, a bond's slaves with the bond's address unless it goes first
            for device in ("bond0", "trunk"):
                run("ip", "-n", space, "link", "delete", device, status=None)
        for space in self.spaces:
            run("ip", "netns", "delete", space)
        wait_until(lambda: not any(Path(f"/sys/class/net/{host}").exists() for host in HOSTS), "the site is gone")
