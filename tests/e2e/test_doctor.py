# SPDX-License-Identifier: BSD-2-Clause
"""mxlbctl doctor: no finding on a healthy site, and each injected defect, with a remedy."""
import contextlib
import ctypes
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from lab import CLIENT, VIP, VIP6, Traffic, patience, wait_until

PORT = 2525  # of a connection that a server begins itself
UNSYNCHRONISED = 5  # adjtimex(2): TIME_ERROR
TRUSTING = "probes:\n  trusting: {{tls: certificate-validation, ca-file: {}}}\n"


def answer_time():
    """For --timeout: how long doctor waits for mxlbd's answers and listens to the network; 2s on a machine of its own."""
    return f"{1 + round(patience())}s"


def examine(lab, *words, user=(), status=None):
    """(level, check, text) of every finding. The check of the machine's clock, which no test sets, is left out."""
    asked = [*lab.nsenter("lb"), *knowing_its_group(lab), *user, str(lab.run / "bin/mxlbctl"), *(words or ("-s", str(lab.run / "mxlb.sock"))),
             "--json", "--timeout", answer_time(), "doctor"]
    done = subprocess.run(asked, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60 * patience(), check=False)
    found = json.loads(done.stdout)["findings"]
    assert all(f["text"] and (f.get("advice") or f["level"] not in ("error", "warning")) for f in found), found
    expected = any(f["level"] == "error" for f in found) if status is None else status
    assert done.returncode == expected, (done.returncode, found)
    return {(f["level"], f["check"], f["text"]) for f in found
            if f["level"] != "ok" and not (f["check"] == "clock" and clock_is_free())}


def knowing_its_group(lab):
    """The machine may not have the group mxlb, which mxlbd in the lab has (scripts/confine)."""
    groups = lab.run / "group"
    groups.write_text(f"{Path('/etc/group').read_text()}\nmxlb:x:{lab.owner()[1]}:\n")
    return "unshare", "-m", "sh", "-c", f'mount --bind {groups} /etc/group && exec "$@"', "-"


def clock_is_free():
    return ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512)) == UNSYNCHRONISED


def is_found(seen, level, check, words):
    return any((level, check) == f[:2] and all(word in f[2] for word in words) for f in seen)


def finds_all(lab, expected, seconds=30):
    """Waits until all are found at once (mxlbd may have to notice them first)."""
    seen = set()

    def met():
        seen.clear()
        seen.update(examine(lab))
        return all(is_found(seen, *e) for e in expected)
    try:
        wait_until(met, seconds, "all defects")
    except AssertionError as late:
        raise AssertionError(f"{late}: not {[e for e in expected if not is_found(seen, *e)]} but {seen}") from None


def finds_nothing(lab, seconds=30):
    seen = set()

    def met():
        seen.clear()
        seen.update(examine(lab))
        return not seen
    wait_until(met, seconds, lambda: f"a healthy site again, but {seen}")


@contextlib.contextmanager
def sysctl(lab, host, name, value):
    before = lab.within(host, "sysctl", "-n", name).strip()
    lab.within(host, "sysctl", "-qw", f"{name}={value}")
    try:
        yield
    finally:
        lab.within(host, "sysctl", "-qw", f"{name}={before}")


@contextlib.contextmanager
def commands(lab, host, do, undo):
    """Each argument is one command, as words."""
    lab.within(host, *do.split())
    try:
        yield
    finally:
        lab.within(host, *undo.split())


@contextlib.contextmanager
def vip_missing(lab):
    lab.within("oxford-a", "ip", "address", "del", f"{VIP}/32", "dev", "lo")
    try:
        yield
    finally:
        lab.add_vip("oxford-a")


def answers_arp(lab):
    return sysctl(lab, "oxford-b", "net.ipv4.conf.all.arp_ignore", 0)


def holds_vip6(lab):
    return commands(lab, "router", f"ip address add {VIP6}/128 dev lan nodad", f"ip address del {VIP6}/128 dev lan")


def vip_local(lab):
    return commands(lab, "lb", f"ip address add {VIP}/32 dev lo", f"ip address del {VIP}/32 dev lo")


def two_hosts(lab):
    """The router gets oxford-b's address, too."""
    return commands(lab, "router", "ip address add 203.0.113.12/32 dev lan", "ip address del 203.0.113.12/32 dev lan")


@contextlib.contextmanager
def strict_rp_filter(lab):
    lab.within("lb", *"ip link add aside type veth peer name aside2".split())
    lab.within("lb", *"ip link set aside up".split())
    lab.within("lb", *"ip link set aside2 up".split())
    lab.within("lb", *f"ip route add {VIP}/32 dev aside".split())
    try:
        with sysctl(lab, "lb", "net.ipv4.conf.eth0.rp_filter", 1):
            yield
    finally:
        lab.within("lb", *"ip link del aside".split())


@contextlib.contextmanager
def neighbour_gone(lab):
    lab("cut", "nuneaton")
    try:
        yield
    finally:
        lab("join", "nuneaton")


@contextlib.contextmanager
def socket_closed(lab):
    os.chmod(lab.run / "mxlb.sock", 0o600)
    try:
        yield
    finally:
        os.chmod(lab.run / "mxlb.sock", 0o660)


@contextlib.contextmanager
def config_unreadable(lab):
    """mxlbd has its own user."""
    shutil.chown(lab.config_file, "nobody")
    lab.config_file.chmod(0o600)
    try:
        yield
    finally:
        shutil.chown(lab.config_file, "root")
        lab.config_file.chmod(0o644)


@contextlib.contextmanager
def pins_open(lab):
    layout, = lab.pin.glob("v*")
    layout.chmod(0o777)
    try:
        yield
    finally:
        layout.chmod(0o700)


def mtu_small(lab):
    return commands(lab, "lb", "ip link set eth0 mtu 1400", "ip link set eth0 mtu 1500")


@contextlib.contextmanager
def bundle_gone(lab):
    bundle = lab.run / "trusted.pem"
    bundle.rename(lab.run / "moved.pem")
    try:
        yield
    finally:
        (lab.run / "moved.pem").rename(bundle)


@contextlib.contextmanager
def bundle_empty(lab):
    bundle = lab.run / "trusted.pem"
    text = bundle.read_text()
    bundle.write_text("no certificate\n")
    try:
        yield
    finally:
        bundle.write_text(text)


@contextlib.contextmanager
def reload_failed(lab):
    text = lab.config_file.read_text()
    lab.config_file.write_text(text.replace("probe: exo", "probe: eox"))
    lab("ctl", "reload", status=1)
    try:
        yield
    finally:
        lab.config_file.write_text(text)
        lab("ctl", "reload")


@contextlib.contextmanager
def rival(lab):
    shutil.copy("/bin/sleep", lab.run / "keepalived")
    other = subprocess.Popen([*lab.nsenter("lb"), str(lab.run / "keepalived"), "600"])
    try:
        yield
    finally:
        other.kill()
        other.wait()


@contextlib.contextmanager
def way_back_through_here(lab):
    """oxford-a and oxford-b answer through the balancer while connections arrive (for the VIP that no other defect
    affects)."""
    routes = {host: lab.within(host, "ip", "-6", "route", "show", "default").strip() for host in ("oxford-a", "oxford-b")}
    for host in routes:
        lab.within(host, *"ip -6 route replace default via 2001:db8:113::5".split())
    try:
        with Traffic(lab, VIP6):
            yield
    finally:
        for host, route in routes.items():
            lab.within(host, "ip", "-6", "route", "replace", *route.split())


@contextlib.contextmanager
def calls_from_vip(lab):
    code = (f"import socket\nwhile True:\n  s = socket.socket(); s.settimeout(0.2); s.bind(('{VIP}', 0))\n"
            f"  try: s.connect(('{CLIENT}', {PORT}))\n  except OSError: pass\n")
    before = lab.within("oxford-a", "ip", "route", "show", "default").strip()
    lab.within("oxford-a", *"ip route replace default via 203.0.113.5".split())
    caller = subprocess.Popen([*lab.nsenter("oxford-a"), "/usr/bin/python3", "-c", code])
    try:
        yield
    finally:
        caller.kill()
        caller.wait()
        lab.within("oxford-a", "ip", "route", "replace", *before.split())


# Those of a group don't hide each other, and are made together: doctor listens for a while each time.
DEFECTS = [
    [
        (vip_missing, "error", "servers", ["oxford-a", "vip_missing"]),
        (socket_closed, "error", "socket", ["group mxlb"]),
        (config_unreadable, "error", "config-file", ["may not read"]),
        (pins_open, "error", "pins", ["every user may write"]),
        (bundle_gone, "error", "ca-store", ["No such file"]),
        (rival, "warning", "processes", ["keepalived"]),
        (mtu_small, "warning", "interfaces", ["1400"]),
    ], [
        (answers_arp, "error", "wire", [VIP, "another host", "oxford-b"]),
        (holds_vip6, "error", "wire", [VIP6, "another host"]),
        (two_hosts, "error", "wire", ["203.0.113.12", "several hosts"]),
        (strict_rp_filter, "error", "rp-filter", [VIP, "aside"]),
        (reload_failed, "error", "config-file", ["the last reload failed", "no probe is named eox"]),
        (bundle_empty, "error", "ca-store", ["no certificate"]),  # mended before the file is read again
    ], [
        (vip_local, "error", "vip-local", [VIP, "(lo)"]),
        (neighbour_gone, "error", "neighbours", ["nuneaton", "failed"]),
        (way_back_through_here, "error", "wire", [VIP6, "come to this box", "oxford-"]),
    ], [
        (calls_from_vip, "error", "wire", [VIP, "uses this VIP", "oxford-a"]),
    ],
]


@pytest.fixture
def site(lab, balancer):
    """mxlbd, and a probe that no service uses but whose CA bundle has to exist."""
    shutil.copy(lab.run / "cert.pem", lab.run / "trusted.pem")
    balancer.configure(replace={"probes:\n": TRUSTING.format(lab.run / "trusted.pem")})
    balancer.start()
    balancer.wait_all_up()
    yield lab
    (lab.run / "trusted.pem").unlink()


def test_a_healthy_site_has_no_findings_and_each_defect_made_is_found(site, measured):
    """When all are repaired, there are no findings again."""
    finds_nothing(site)
    for group in DEFECTS:
        with contextlib.ExitStack() as made:
            for defect, *_ in group:
                made.enter_context(defect(site))
            finds_all(site, [expected for _, *expected in group])
    finds_nothing(site)
    measured(f"{sum(map(len, DEFECTS))} defects found, none on the healthy site before and after")


def test_an_interface_that_lost_its_program_and_one_with_anothers(lab, balancer):
    """While mxlbd is stopped, because it would restore the program."""
    asked = "-s", str(lab.run / "mxlb.sock"), "-c", str(lab.config_file)
    balancer.start()
    balancer.wait_all_up()
    balancer.stop()
    assert "xdp" not in {f[1] for f in examine(lab, *asked, status=3)}
    link, = lab.pin.glob("v*/link_*")
    lab.within("lb", "/usr/sbin/bpftool", "link", "detach", "pinned", str(link))
    assert any(f[:2] == ("error", "xdp") and "has no XDP program" in f[2] for f in examine(lab, *asked, status=3))
    with commands(lab, "lb", f"/usr/sbin/bpftool net attach xdpgeneric pinned {lab.pin}-pass dev eth0",
                  "/usr/sbin/bpftool net detach xdpgeneric dev eth0"):
        assert any(f[:2] == ("error", "xdp") and "not mxlb's" in f[2] for f in examine(lab, *asked, status=3))


def test_a_tunnel_that_has_no_room_and_probes_that_do_not_take_it(lab, balancer):
    """One server is reached by a tunnel, which mxlbd decapsulates there."""
    lab.farend("nuneaton")
    balancer.configure(replace={f'nuneaton: {{address: "{net}13"': f'nuneaton: {{forward: ipip, address: "{net}13"'
                                for net in ("203.0.113.", "2001:db8:113::")})
    balancer.start()
    balancer.wait_all_up()
    finds_nothing(lab)
    for mtu, level in ((1400, "warning"), (590, "error")):  # 570 are left
        with commands(lab, "lb", f"ip route add 203.0.113.13/32 dev eth0 mtu {mtu}", "ip route del 203.0.113.13/32"):
            finds_all(lab, [(level, "tunnels", ["nuneaton", f"{mtu}", f"{mtu - 20}"])])

    again = "while :; do tc qdisc del dev eth0 clsact; done"  # mxlbd puts it back at once
    with subprocess.Popen([*lab.nsenter("lb"), "sh", "-c", again], stderr=subprocess.DEVNULL) as somebody:
        try:
            wait_until(lambda: any(f[:2] == ("error", "probe-filter") for f in examine(lab)), 30, "the missing filter is found")
        finally:
            somebody.kill()
    finds_nothing(lab)


def test_without_mxlbd_it_checks_by_the_file(lab, balancer):
    """It exits with status 3 if mxlbd does not answer, and it finds an interface that strips the VLAN tags of incoming
    mail."""
    balancer.start()
    assert balancer.stop() == 0
    words = "-s", str(lab.run / "mxlb.sock"), "-c", str(lab.config_file)
    lab.within("lb", *"ethtool -K eth0 rxvlan on".split())
    balancer.configure(replace={"{mode: auto}": "{mode: auto, vlan: 42}"})
    found = examine(lab, *words, status=3)
    assert any(f[:2] == ("error", "mxlbd") and "does not answer" in f[2] for f in found), found
    assert ("error", "offloads") in {f[:2] for f in found}
    assert ("not checked", "servers") in {f[:2] for f in found}
    assert ("error", "offloads") in {f[:2] for f in examine(lab, "-c", str(lab.config_file), status=1)}
    balancer.configure(replace={"probe: exo": "probe: eox"})
    assert any(f[:2] == ("error", "config-file") and "no probe is named eox" in f[2] for f in examine(lab, *words, status=3))
    balancer.configure(replace={"helo: probe.example.net": "helo: probe", '"203.0.113.25"': '"203.0.113.25/32"'})
    assert any(f[:2] == ("error", "config-file") and "without the prefix length" in f[2] for f in examine(lab, *words, status=3)), \
        "the first error, not the warning before it"
    balancer.configure(replace={'"203.0.113.13"': '"203.0.113.77"'})
    assert [f[2].split()[0] for f in examine(lab, "-c", str(lab.config_file), status=0) if f[:2] == ("warning", "wire")] == \
        ["203.0.113.77"]
    balancer.configure(replace={"eth0": "ens192"})
    found = examine(lab, "-c", str(lab.config_file), status=1)
    assert ("error", "interfaces") in {f[:2] for f in found}
    assert {f[1] for f in found if f[0] == "not checked"} >= {"xdp", "offloads", "queues"}
    balancer.configure(replace={"probe: exo": "probe: eox"})
    page = " ".join(lab.within("lb", str(lab.run / "bin/mxlbctl"), "-c", str(lab.config_file), "doctor", status=1).split())
    assert page.count("needs a valid configuration") == 1 and "needs mxlbd, or" not in page, page


def test_its_page_fits_80_columns(lab, balancer):
    balancer.start()
    page = lab.within("lb", str(lab.run / "bin/mxlbctl"), "-s", str(lab.run / "mxlb.sock"), "--timeout", answer_time(),
                      "doctor", status=None)
    assert max(map(len, page.splitlines())) < 80, page
    assert page.splitlines()[-1].startswith("errors: ") and len(page.splitlines()) > 20


def test_without_root_the_checks_that_need_it_are_named(lab, balancer):
    balancer.start()
    balancer.wait_all_up()
    nobody = "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"
    found = examine(lab, user=nobody, status=1)
    assert ("not checked", "servers") in {f[:2] for f in found}
    (lab.run / "mxlb.sock").chmod(0o666)
    found, also = set(), {("error", "socket"), ("not checked", "pins"), ("not checked", "sight")}

    def met():
        found.clear()
        found.update(examine(lab, user=nobody))
        unchecked = {f for f in found if f[2] == "needs root"}
        return {f[:2] for f in found - unchecked} <= also and \
            {f[1] for f in unchecked} == {"bpf", "networkd", "processes", "wire"}
    wait_until(met, 20, lambda: f"only what needs root is left out, but {found}")


NETWORKD = [  # files below /etc/systemd, and what networkd then removes; None: nothing
    ({}, "policy rules and routes"),
    ({"networkd.conf": "[Network]\nManageForeignRoutingPolicyRules=no\n"}, "routes"),
    ({"networkd.conf": "[Network]\n ManageForeignRoutes = off \n"}, "policy rules"),
    ({"networkd.conf": "[DHCPv4]\nManageForeignRoutes=no\n#[Network]\n"}, "policy rules and routes"),
    ({"networkd.conf": "[Network]\n#ManageForeignRoutes=no\nManageForeignRoutes=perhaps\n"}, "policy rules and routes"),
    ({"networkd.conf.d/mxlb.conf": "[Network]\nManageForeignRoutingPolicyRules=no\nManageForeignRoutes=no\n"}, None),
    ({"networkd.conf.d/mxlb.conf": "[Network]\nManageForeignRoutingPolicyRules=no\nManageForeignRoutes=no\n",
      "networkd.conf.d/zz.conf": "[Network]\nManageForeignRoutes=1\n",
      "networkd.conf.d/zzz": "[Network]\nManageForeignRoutingPolicyRules=1\n"}, "routes"),
    ({"networkd.conf.d/mxlb.conf": "[Network]\nManageForeignRoutingPolicyRules=no\nManageForeignRoutes=no\n",
      "networkd.conf": "[Network]\nManageForeignRoutes=yes\n"}, None),
]


def test_a_networkd_that_removes_what_it_has_not_made_is_warned_of(lab, balancer, tmp_path):
    balancer.start()
    balancer.wait_all_up()
    lab("ctl", "status")  # has the binaries copied
    program = lab.run / "bin/systemd-networkd"
    shutil.copy("/bin/sleep", program)
    ctl = str(lab.run / "bin/mxlbctl"), "-s", str(lab.run / "mxlb.sock"), "--json", "--timeout", answer_time(), "doctor"

    def found(folder):
        done = subprocess.run([*lab.nsenter("lb"), "unshare", "-m", "sh", "-c", f'mount --bind {folder} /etc/systemd && exec "$@"',
                               "-", *ctl], stdout=subprocess.PIPE, text=True, timeout=60 * patience(), check=False)
        return {(f["level"], f["text"]) for f in json.loads(done.stdout)["findings"] if f["check"] == "networkd"}
    for n, (files, removes) in enumerate(NETWORKD):
        folder = tmp_path / str(n)
        folder.mkdir()
        for name, text in files.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text)
        assert {level for level, _ in found(folder)} == {"ok"}, "none runs here"
        with subprocess.Popen([*lab.nsenter("lb"), str(program), "600"]) as networkd:
            try:
                wait_until(lambda: Path(f"/proc/{networkd.pid}/comm").read_text() == "systemd-network\n", 5, "it runs")
                (level, text), = found(folder)
            finally:
                networkd.kill()
        assert level == ("warning" if removes else "ok"), (files, text)
        assert not removes or f", systemd-networkd removes {removes} that it did not create" in text, text


def test_a_server_behind_a_router_is_named_before_the_start_and_as_its_reason(lab, balancer):
    lab.set_forward("l2")
    lab("ctl", "--version")
    balancer.configure(replace={'oxford-b: {address: "203.0.113.12"': f'oxford-b: {{address: "{CLIENT}"'})
    before = examine(lab, "-c", str(lab.config_file), status=None)
    assert [f[2].split()[0] for f in before if f[1] == "on-link"] == ["hybrid-mail/oxford-b"]
    balancer.start()
    balancer.wait_for({"oxford-a": "up", "oxford-b": "down"}, 30)
    assert balancer.backend("oxford-b")["reason"] == "not_on_link"
    status = " ".join(lab("ctl", "status").split())
    assert "not_on_link (4.4.315): " in status
    found = [f for f in examine(lab, status=1) if "oxford-b" in f[2]]
    assert {f[1] for f in found} >= {"on-link", "servers"}
