# SPDX-License-Identifier: BSD-2-Clause
"""mxlbctl server-setup: the script is run on an unprepared server, and mail flows."""
import re
import subprocess

import pytest

from lab import OXFORD, VIP, VIP6, wait_until

SERVER = "oxford-a"
BARE = {"net.ipv4.conf.all.arp_ignore": "0", "net.ipv4.conf.all.arp_announce": "0"}
SERVICES = {"hybrid-mail": (VIP, 32), "hybrid-mail6": (VIP6, 128)}

# The script writes where a machine keeps such things: here into folders that go with the mount namespace.
FOLDERS = "/etc/sysctl.d", "/etc/systemd/system", "/usr/local/lib"
PRIVATE = "set -e; " + "".join(f"[ ! -d {folder} ] || mount -t tmpfs none {folder}; " for folder in (*FOLDERS, "/run/systemd"))


def script(lab, system, whose, **options):
    return lab("ctl", "server-setup", system, whose, **options)


def lay_bare(lab):
    for name, value in BARE.items():
        lab.within(SERVER, "sysctl", "-qw", f"{name}={value}")
    for vip, length in SERVICES.values():
        lab.within(SERVER, "ip", "address", "del", f"{vip}/{length}", "dev", "lo", status=None)


def run(lab, text, then=""):
    """Runs the script on the server as root, on a file system whose changes are discarded, and then `then`. Returns the
    output of both."""
    done = subprocess.run([*lab.nsenter(SERVER), "unshare", "-m", "sh", "-c", f"{PRIVATE}cat >/usr/local/lib/script; "
                           f"sh /usr/local/lib/script; {then}"], input=text, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture
def bare(lab, balancer):
    """oxford-a has no VIP and would answer ARP for one, and mxlbd has noticed."""
    def restore():
        for vip, length in SERVICES.values():
            lab.within(SERVER, "ip", "address", "replace", f"{vip}/{length}", "dev", "lo")
        lab.within(SERVER, "sysctl", "-qw", "net.ipv4.conf.all.arp_ignore=1", "net.ipv4.conf.all.arp_announce=2")
    balancer.start()
    balancer.wait_all_up()
    lab.undo.callback(restore)
    lay_bare(lab)
    for service in SERVICES:
        balancer.wait_for({SERVER: "down"}, 15, service)
    return lab


def test_a_bare_linux_server_takes_mail_after_its_script_and_after_a_restart(bare, balancer):
    """For both address families. Running it twice does no harm, and what the unit runs at boot is sufficient."""
    starts = " && ".join(f"/usr/local/lib/mxlb/server-{service}" for service in SERVICES)
    restart = "for name in arp_ignore arp_announce; do sysctl -qw net.ipv4.conf.all.$name=0; done; " + "".join(
        f"ip address del {vip}/{length} dev lo; " for vip, length in SERVICES.values())
    for service in SERVICES:
        run(bare, script(bare, "linux", f"{service}/{SERVER}"))
    balancer.wait_all_up()
    assert bare.within(SERVER, "sysctl", "-n", *BARE).split() == ["1", "2"]
    for service in SERVICES:
        bare("ctl", "maint", f"{service}/oxford-b")
    for vip in (VIP, VIP6):
        before = bare.log_sizes()
        bare("send", "20", vip)
        wait_until(lambda: bare.accepted(before)[SERVER] == 20, 10, f"20 messages to {vip}")
    for service in SERVICES:
        bare("ctl", "ready", f"{service}/oxford-b")
    both = "\n".join(f"({script(bare, 'linux', f'{service}/{SERVER}')}\n)" for service in SERVICES)
    said = run(bare, f"{both}\n{both}", f"{restart} {starts}; sysctl -q --system --pattern '^net.ipv4.conf.all.arp_'; "
               "systemd-analyze verify --man=no /etc/systemd/system/mxlb-server-*.service; ls /etc/systemd/system")
    assert "There is no systemd here" in said and "mxlb-server-hybrid-mail.service\nmxlb-server-hybrid-mail6.service" in said
    assert bare.within(SERVER, "sysctl", "-n", *BARE).split() == ["1", "2"]
    balancer.wait_all_up()


def test_the_script_of_a_tunnels_end_names_its_device_and_the_segment_that_fits(lab, balancer):
    """This kernel has no ipip, so only the text is checked: MTU 1500, minus 20, 20 and 20."""
    balancer.configure(replace={f'{host}: {{address: "203.0.113.{n}"': f'{host}: {{forward: ipip, address: "203.0.113.{n}"'
                                for host, n in (("oxford-b", 12),)})
    balancer.start()
    wait_until(lambda: balancer.backend("oxford-b")["tunnel"]["mtu"], 10, "the tunnel's way is known")
    text = script(lab, "linux", "hybrid-mail/oxford-b")
    assert "type ipip local 203.0.113.12 remote 203.0.113.5\n" in text and "advmss 1440" in text
    assert ".rp_filter=2\n" in text
    device = re.search(r"link add (mx44-[0-9a-f]{8}) ", text)[1]  # of this edge box: the other box's script keeps its own files
    assert f"\nstart=/usr/local/lib/mxlb/server-hybrid-mail-{device}\nunit=mxlb-server-hybrid-mail-{device}.service\n" in text
    for whose in ("hybrid-mail/oxford-b", "hybrid-mail/oxford-a", "hybrid-mail6"):
        subprocess.run(["sh", "-n"], input=script(lab, "linux", whose), text=True, check=True)
        shell = subprocess.run(["shellcheck", "-"], input=script(lab, "linux", whose), text=True, stdout=subprocess.PIPE,
                               check=False)
        assert shell.returncode == 0, shell.stdout
    assert "give SERVICE/SERVER" in script(lab, "linux", "hybrid-mail", status=1)
    assert "decap: {from: [203.0.113.5]}" in script(lab, "windows", "hybrid-mail/oxford-b")


def test_the_script_for_windows_has_every_step(lab, balancer):
    balancer.start()
    for service, (vip, length) in SERVICES.items():
        text = script(lab, "windows", service)
        assert f"$vip = '{vip}'" in text and f"-PrefixLength {length} -SkipAsSource $true" in text
        for step in ("KM-TEST Loopback", "-RegisterThisConnectionsAddress $false", "-WeakHostReceive Enabled -WeakHostSend Enabled",
                     "New-NetFirewallRule", "-LocalPort $port"):
            assert step in text
        assert text.count("{") == text.count("}") and text.count("(") == text.count(")") and "@" not in text.replace("@{ ", "")


def test_what_is_not_there_is_refused(lab, balancer):
    balancer.start()
    for whose in ("nothing", "hybrid-mail/nobody", *OXFORD):
        assert "No such" in script(lab, "linux", whose, status=1)
    script(lab, "vms", "hybrid-mail", status=2)
