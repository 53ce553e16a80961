#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The script that `mxlbctl server-setup linux` prints for servers behind tunnels, run on Linux servers behind a router: all four
pairs of families, all four on one server (a) and two on another (b); 25 MB through each; and again after the network of the
server was taken down and only that ran which the script leaves for a restart. In a VM made by check-devices.

lb, client --- sw --- router --- far --- a, b
"""
import os
import sys
import time

from vmsite import Failure, NET4, NET6, Site, lines, run, wait_until

FAR4, FAR6 = "192.0.2.", "2001:db8:2::"
FARS = {"a": 11, "b": 12}
# service: (VIP, outer prefix, its servers)
PAIRS = {
    "v4o4": (NET4 + "21", FAR4, "ab"),
    "v6o4": (NET6 + "22", FAR4, "a"),
    "v4o6": (NET4 + "23", FAR6, "a"),
    "v6o6": (NET6 + "24", FAR6, "ab"),
}
RP_FILTER = {"a": "1", "b": "0"}  # of "all"; new devices begin with 2, as Debian's systemd has it
FOLDERS = "etc/sysctl.d", "etc/systemd/system", "usr/local/lib/mxlb"
SIZE = 25_000_000


class Tunnels(Site):
    def farhost(self, host):
        number = FARS[host]
        self.space(host)
        lines(f"""ip -n {host} link add eth0 type veth peer name to-{host} netns router
                  ip -n router link set to-{host} master far up
                  ip -n {host} link set eth0 up""")
        self.sysctl(host, **{"net.ipv4.conf.all.rp_filter": RP_FILTER[host], "net.ipv4.conf.default.rp_filter": 2})
        self.network(host)
        for folder in FOLDERS:
            (self.work / host / folder).mkdir(parents=True)
        vips = [vip for vip, _, servers in PAIRS.values() if host in servers]
        self.serve(host, vips)

    def network(self, host):
        """The network as the machine's own configuration sets it up at boot."""
        number = FARS[host]
        lines(f"""ip -n {host} address replace {FAR4}{number}/24 dev eth0
                  ip -n {host} address replace {FAR6}{number}/64 dev eth0 nodad
                  ip -n {host} route replace default via {FAR4}1
                  ip -6 -n {host} route replace default via {FAR6}1""")

    def router(self):
        self.space("router")
        lines(f"""ip -n router link add eth0 type veth peer name router netns sw
                  ip -n sw link set router master br0 up
                  ip -n router link set eth0 up
                  ip -n router link add far type bridge mcast_snooping 0 forward_delay 0
                  ip -n router link set far up
                  ip -n router address add {NET4}1/24 dev eth0
                  ip -n router address add {NET6}1/64 dev eth0 nodad
                  ip -n router address add {FAR4}1/24 dev far
                  ip -n router address add {FAR6}1/64 dev far nodad""")
        self.sysctl("router", **{"net.ipv4.ip_forward": 1, "net.ipv6.conf.all.forwarding": 1})

    def build(self):
        self.space("sw")
        lines("ip -n sw link add br0 type bridge mcast_snooping 0 forward_delay 0\nip -n sw link set br0 up")
        self.sysctl("sw", **{"net.ipv6.conf.all.disable_ipv6": 1})
        self.router()
        for host in ("lb", "client"):
            self.host(host)
            lines(f"""ip -n {host} route add default via {NET4}1
                      ip -6 -n {host} route add default via {NET6}1""")
        for host in FARS:
            self.farhost(host)

    def configuration(self):
        text = "interfaces:\n  eth0: {mode: generic}\ndatapath: {pin: /sys/fs/bpf/mxlb, flows: 4096}\n" \
               f"control: {{socket: {self.work}/mxlb.sock}}\nprobes:\n  exo: {{helo: probe.example.net, interval: 2s, " \
               "fast-interval: 1s, timeout: 30s, connect-timeout: 5s}\nservices:\n"
        for name, (vip, outer, servers) in PAIRS.items():
            text += f"  {name}:\n    address: \"{vip}\"\n    interface: eth0\n    probe: exo\n    tiers:\n      10:\n"
            text += "".join(f"        {s}: {{address: \"{outer}{FARS[s]}\", forward: ipip}}\n" for s in servers)
        (self.work / "mxlb.yaml").write_text(text)

    def on(self, host, script):
        """Runs a shell script on the server, with the server's own files."""
        mounts = "".join(f"mkdir -p /{folder}; mount --bind {self.work}/{host}/{folder} /{folder}; " for folder in FOLDERS)
        return self.within(host, "unshare", "-m", "sh", "-ec", f"{mounts} sh", input=script)

    def received(self):
        return {host: self.ledger(host).read_text().split()[1::2] for host in FARS}

    def verdicts(self):
        return {f"{service}/{server}": b["verdict"] for (service, server), b in self.backends().items()}

    def network_restarts(self, host):
        devices = [line.split(":")[1].split("@")[0].strip() for line in run("ip", "-n", host, "-o", "link").splitlines()]
        for device in devices:
            if device.startswith("mx"):
                lines(f"ip -n {host} link delete {device}")
        for vip, _, servers in PAIRS.values():
            if host in servers:
                lines(f"ip -n {host} address del {vip}/{128 if ':' in vip else 32} dev lo")
        lines(f"""ip -n {host} link set eth0 down
                  ip -n {host} address flush dev eth0
                  ip -n {host} link set eth0 up""")
        self.sysctl(host, **{"net.ipv4.conf.all.arp_ignore": 0, "net.ipv4.conf.all.arp_announce": 0})
        self.network(host)

    def persistence(self, host):
        """What a boot of the machine runs: systemd-sysctl, and each unit that the script has created."""
        self.on(host, """set -e
            for file in /etc/sysctl.d/*.conf; do sysctl -q -p "$file"; done
            for unit in /etc/systemd/system/mxlb-server-*.service; do
                systemd-analyze verify --man=no "$unit"
                command=$(sed -n 's/^ExecStart=//p' "$unit")
                [ -x "$command" ]
                "$command"
            done""")


def mail(site, size):
    for name, (vip, _, _) in PAIRS.items():
        began = time.monotonic()
        counts = site.send(f"{vip},1,{size}", patience=600)
        print(f"    {name}: {size // 1000000} MB in {time.monotonic() - began:.0f} s, {counts}", flush=True)


def devices(site, host):
    return sorted(line.split(":")[1].split("@")[0].strip() for line in run("ip", "-n", host, "-o", "link").splitlines()
                  if line.split(":")[1].strip().startswith("mx"))


def main():
    site = Tunnels()
    site.build()
    site.configuration()
    site.start()
    targets = [(name, server) for name, (_, _, servers) in PAIRS.items() for server in servers]
    wait_until(lambda: len(site.verdicts()) == len(targets) and
               all(b["tunnel"].get("mtu") and b["tunnel"].get("source") for b in site.backends().values()), "tunnels are known")
    for name, server in targets:
        script = site.ctl("server-setup", "linux", f"{name}/{server}", json_too=False)
        said = site.on(server, script) + site.on(server, script)  # twice is as good as once
        if "RTNETLINK" in said or "rror" in said:
            raise Failure(f"server-setup linux {name}/{server}: {said}")
        print(f"    server-setup linux {name}/{server}: done", flush=True)
    site.wait_all_up()
    print(f"tunnels: all {len(targets)} are up; devices on a: {devices(site, 'a')}, on b: {devices(site, 'b')}", flush=True)
    mail(site, SIZE)
    for server in FARS:
        site.network_restarts(server)
    wait_until(lambda: set(site.verdicts().values()) == {"down"}, "without its network no server is up")
    for server in FARS:
        site.persistence(server)
    site.wait_all_up()
    print("tunnels: after a restart of the servers' network all are up again", flush=True)
    mail(site, SIZE)
    site.close()


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        print(f"FAILED {failure}")
        os.system("for s in a b; do ip -n $s address; ip -n $s route; ip -n $s -s link; done; tail -30 /run/site/mxlbd.log")
        sys.exit(1)
    print("tunnels: passed")
