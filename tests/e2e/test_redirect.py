# SPDX-License-Identifier: BSD-2-Clause
"""A server behind another interface than the clients', and jumbo frames: C46 and C30 of docs/conformance.md, on real cables.

    client c0 ── eth0 lb eth1 ── s0 server
         c1 ───────────────────── s1            the way back
"""
import hashlib
import json
import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from lab import ROOT, VIP, command, wait_until

CLIENT, SERVER = "198.51.100.10", "203.0.113.11"
PASS = '__attribute__((section("xdp.frags"), used)) int pass(void *ctx) { return 2; /* XDP_PASS */ }'
CONFIG = """
interfaces:
  eth0: {{mode: {mode}}}
  eth1: {{mode: {mode}}}
datapath: {{pin: {pin}}}
control: {{socket: {run}/mxlb.sock, group: mxlb}}
probes:
  banner: {{interval: 1s, fast-interval: 250ms, connect-timeout: 1s, depth: banner, tls: none}}
services:
  mail:
    address: {vip}
    interface: eth0
    advertise: none
    probe: banner
    tiers: {{10: {{far: {{address: {server}}}}}}}
"""
SERVE = """
import hashlib, socket
listener = socket.create_server(("0.0.0.0", 25), backlog=64)
while True:
    s, _ = listener.accept()
    try:
        s.sendall(b"220 far ESMTP\\r\\n")
        data = b"".join(iter(lambda: s.recv(1 << 16), b""))
        s.sendall(hashlib.sha256(data).hexdigest().encode())
    except OSError:
        pass
    s.close()
"""
SEND = """
import socket, sys
data = sys.stdin.buffer.read()
s = socket.create_connection((sys.argv[1], 25), timeout=20)
assert s.recv(64).startswith(b"220")
s.sendall(data)
s.shutdown(socket.SHUT_WR)
print(s.recv(64).decode())
"""
SNIFF = """
import socket
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
s.setsockopt(socket.SOL_SOCKET, 33, 1 << 26)  # SO_RCVBUFFORCE
s.bind(("s0", 0x0800))
print("ready", flush=True)
while True:
    frame = s.recv(65536)
    print(len(frame), frame[:54].hex(), flush=True)
"""


class Site:
    def __init__(self, lab, mode, mtu):
        self.lab, self.mode, self.mtu = lab, mode, mtu
        self.name = f"{lab.name}-redirect"
        self.run, self.pin = lab.run / "redirect", Path(f"/sys/fs/bpf/mxlb-{lab.name}-redirect")
        self.children = []

    def nsenter(self, host):
        return "nsenter", f"--net=/run/netns/{self.name}-{host}", "--"

    def within(self, host, *argv, **options):
        return command(*self.nsenter(host), *argv, **options)

    def start(self, host, *argv, **options):
        child = subprocess.Popen([*self.nsenter(host), *argv], **options)
        self.children.append(child)
        return child

    def cable(self, host, device, address, other, other_device, other_address):
        command("ip", "-n", f"{self.name}-{host}", "link", "add", device, "mtu", str(self.mtu), "type", "veth",
                "peer", "name", other_device, "mtu", str(self.mtu), "netns", f"{self.name}-{other}")
        for at, end, ip in ((host, device, address), (other, other_device, other_address)):
            self.within(at, "ip", "address", "add", f"{ip}/24", "dev", end)
            self.within(at, "sysctl", "-qw", f"net.ipv4.conf.{end}.rp_filter=0")
            self.within(at, "ethtool", "-K", end, "tx", "off")  # nobody fills in checksums of what XDP sends on
            self.within(at, "ip", "link", "set", end, "up")

    def up(self):
        self.run.mkdir()
        self.pin.mkdir()
        for each in self.run, self.pin:
            shutil.chown(each, *self.lab.owner())
        for host in ("client", "lb", "server"):
            command("ip", "netns", "add", f"{self.name}-{host}")
            self.within(host, "ip", "link", "set", "lo", "up")
            self.within(host, "sysctl", "-qw", "net.ipv4.conf.all.rp_filter=0")
        self.cable("client", "c0", CLIENT, "lb", "eth0", "198.51.100.5")
        self.cable("lb", "eth1", "203.0.113.5", "server", "s0", SERVER)
        self.cable("server", "s1", "192.0.2.11", "client", "c1", "192.0.2.10")
        self.within("client", "ip", "route", "add", VIP, "via", "198.51.100.5", "advmss", str(self.mtu - 40))
        self.within("server", "ip", "route", "add", CLIENT, "via", "192.0.2.10")
        self.within("server", "ip", "address", "add", f"{VIP}/32", "dev", "lo")
        self.let_frames_in("server", "s0")
        self.start("server", "/usr/bin/python3", "-c", SERVE)
        self.config = self.run / "mxlb.yaml"
        self.config.write_text(CONFIG.format(mode=self.mode, pin=self.pin, run=self.run, vip=VIP, server=SERVER))
        self.log = (self.run / "mxlbd.log").open("w+")
        self.lab("mxlbd", "--help")  # has the binaries copied
        self.start("lb", str(ROOT / "scripts/confine"), "-s", f"/sys/fs/bpf/mxlb={self.pin}", "-w", str(self.run), "run",
                   str(self.lab.run / "bin/mxlbd"), "-c", str(self.config), stderr=self.log)
        wait_until(self.is_up, 20, f"the server behind eth1 is up\n{self.text()}")

    def let_frames_in(self, host, device):
        """Frames that XDP sends into a veth arrive only if the far end has a program, too."""
        subprocess.run(["clang", "-target", "bpf", "-O2", "-x", "c", "-c", "-", "-o", self.run / "pass.o"],
                       input=PASS, text=True, check=True)
        command("bpftool", "prog", "load", str(self.run / "pass.o"), str(self.pin / "pass"))
        self.within(host, "bpftool", "net", "attach", "xdpdrv", "pinned", str(self.pin / "pass"), "dev", device)
        assert "prog/xdp" in self.within(host, "ip", "link", "show", "dev", device)

    def down(self):
        for child in reversed(self.children):
            child.kill()
            child.wait()
        for host in ("client", "lb", "server"):
            command("ip", "netns", "del", f"{self.name}-{host}", status=None)
        command("rm", "-rf", str(self.pin), str(self.run))

    def text(self):
        return (self.run / "mxlbd.log").read_text(errors="replace")

    def status(self):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(5)
            s.connect(str(self.run / "mxlb.sock"))
            s.sendall(b"show status\n")
            return json.loads(b"".join(iter(lambda: s.recv(65536), b"")))

    def far(self):
        return self.status()["services"][0]["tiers"][0]["servers"][0]

    def is_up(self):
        try:
            return self.far()["verdict"] == "up"
        except (OSError, ValueError):
            return False

    def mac(self, host, device):
        link, = json.loads(self.within(host, "ip", "-json", "link", "show", "dev", device))
        return bytes.fromhex(link["address"].replace(":", ""))

    def xdp(self, device):
        link, = json.loads(self.within("lb", "ip", "-json", "link", "show", "dev", device))
        return {1: "native", 2: "generic"}[link["xdp"]["mode"]]

    def send(self, data):
        """Sends to the VIP and returns the hash that the server computed of the data."""
        return self.within("client", "/usr/bin/python3", "-c", SEND, VIP, input=data, text=False).decode().strip()


def checksum_holds(header):
    total = sum(int.from_bytes(header[i:i + 2], "big") for i in range(0, len(header), 2))
    return (total & 0xffff) + (total >> 16) in (0xffff, 0x1fffe)


class Sniffer:
    """The lengths and headers of the frames with packets of the client that reach the server."""

    def __init__(self, site):
        self.file = site.run / "frames"
        with self.file.open("w") as out:
            site.start("server", "/usr/bin/python3", "-c", SNIFF, stdout=out)
        wait_until(lambda: "ready" in self.file.read_text(), 10, "the sniffer listens")

    def frames(self):
        lines = [line for line in self.file.read_text().splitlines(keepends=True)[1:] if line.endswith("\n")]
        frames = ((int(length), bytes.fromhex(head)) for length, head in map(str.split, lines))
        return [(length, head) for length, head in frames if head[26:30] == socket.inet_aton(CLIENT)]


@pytest.fixture
def site(request, lab):
    made = Site(lab, *request.param)
    try:
        made.up()
        yield made
    finally:
        made.down()


@pytest.mark.parametrize("site", [("native", 1500), ("generic", 1500), ("native", 9000), ("generic", 9000)],
                         indirect=True, ids=lambda mode: f"{mode[0]}-{mode[1]}")
def test_C46_C30_mail_for_a_server_behind_another_interface_is_redirected_whole(site):
    assert (site.xdp("eth0"), site.xdp("eth1")) == (site.mode, site.mode)
    data = os.urandom(2_000_000)
    before = site.far()["packets"]
    sniffer = Sniffer(site)
    assert site.send(data) == hashlib.sha256(data).hexdigest(), site.text()

    wait_until(lambda: sum(length - 54 for length, _ in sniffer.frames()) >= len(data), 10,
               "every frame is seen at the server")
    frames, macs = sniffer.frames(), site.mac("server", "s0") + site.mac("lb", "eth1")
    for length, frame in frames:
        assert frame[:12] == macs
        assert frame[30:34] == socket.inet_aton(VIP)
        assert frame[22] == 63, "one hop was taken from the client's 64"
        assert checksum_holds(frame[14:34])
        assert int.from_bytes(frame[16:18], "big") == length - 14, "no frame was cut"
    assert max(frames)[0] == site.mtu + 14, "the segments are as long as the cable lets them be"
    assert site.far()["packets"] - before >= len(frames)
