# SPDX-License-Identifier: BSD-2-Clause
"""The fetch of Microsoft 365's endpoints, by the real script from an HTTPS server: what it writes, what it refuses, and that mxlbd
takes it in. mxlbctl endpoints alone: what is plausible is in tests/unit/test_endpoints_judge.c."""
import contextlib
import http.server
import json
import os
import re
import subprocess
import threading

import pytest

from lab import ROOT, command, wait_until
from pki import Pki

SCRIPT = ROOT / "scripts/fetch-endpoints"
UNIT = ROOT / "scripts/mxlb-endpoints.service"
IPS = ["40.92.0.0/15", "40.107.0.0/16", "52.100.0.0/14", "104.47.0.0/17", "2a01:111:f400::/48", "2a01:111:f403::/48"]


def document(ips, ports="25"):
    """A document in Microsoft's format, with records of other services beside the relevant one."""
    return json.dumps([{"id": 10, "serviceArea": "Exchange", "urls": ["*.mail.protection.outlook.com"], "ips": ips, "tcpPorts": ports},
                       {"id": 46, "serviceArea": "Common", "urls": ["*.office.com"], "ips": ["13.107.6.171/32"], "tcpPorts": "80,443"},
                       {"id": 47, "serviceArea": "Common", "urls": ["office.live.com"], "tcpPorts": "443"}]).encode()


class Site:
    """The web server: its answers, and the requests that it got."""

    def __init__(self):
        self.status, self.body, self.length, self.headers, self.asked = 200, document(IPS), None, {}, []

    def handler(site):  # pylint: disable=no-self-argument
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                site.asked.append(self.path)
                self.send_response(site.status)
                for name, value in site.headers.items():
                    self.send_header(name, value)
                if site.length is not False:
                    self.send_header("Content-Length", str(site.length or len(site.body)))
                self.end_headers()
                with contextlib.suppress(OSError):
                    self.wfile.write(site.body)

            def log_message(self, *_):
                pass
        return Handler


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    made = Pki(tmp_path_factory.mktemp("pki"))
    made.authority("root", "/CN=Test root")
    made.certificate("site", "/CN=site", "root", "subjectAltName=IP:127.0.0.1")
    made.certificate("other", "/CN=other", "root", "subjectAltName=DNS:endpoints.example.net")
    return made


@pytest.fixture
def site(pki):
    own = Site()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), own.handler())
    context = pki.context("site")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    own.url = f"https://127.0.0.1:{server.server_port}/endpoints/worldwide"
    own.environment = {"PATH": f"{ROOT / os.environ.get('MXLB_B', 'build')}:{os.environ['PATH']}", "ENDPOINTS_URL": own.url,
                       "CURL_CA_BUNDLE": str(pki.directory / "root.pem")}
    yield own
    server.shutdown()
    server.server_close()


def fetch(site, file, status=0, **more):
    return command(str(SCRIPT), str(file), env={**site.environment, **more}, status=status)


def prefixes(file):
    record, = json.loads(file.read_text())
    assert record["tcpPorts"] == "25"
    return record["ips"]


def test_the_list_is_written_kept_and_replaced(site, tmp_path):
    file = tmp_path / "endpoints.json"
    assert f"{file} was replaced: 6 prefixes" in fetch(site, file)
    assert prefixes(file) == IPS and file.stat().st_mode & 0o777 == 0o644
    assert re.fullmatch(r"/endpoints/worldwide\?clientrequestid=[0-9a-f-]{36}", site.asked[0])
    marker = tmp_path / "endpoints.json.changed"
    assert marker.exists(), "mxlbd is to read it"
    marker.unlink()
    os.utime(file, (1, 1))
    written = file.read_bytes(), file.stat().st_ino
    site.body = site.body.replace(b"13.107.6.171/32", b"13.107.6.172/32")  # of another service
    assert "is up to date: 6 prefixes" in fetch(site, file)
    assert (file.read_bytes(), file.stat().st_ino) == written and file.stat().st_mtime > 1
    assert not marker.exists(), "nothing to reload"
    site.body = document(IPS + ["198.51.100.0/24"])
    assert "was replaced: 7 prefixes" in fetch(site, file, ENDPOINTS_URL=site.url + "?x=1")
    assert "x=1&clientrequestid=" in site.asked[-1]
    assert set(prefixes(file)) == {*IPS, "198.51.100.0/24"} and marker.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["endpoints.json", "endpoints.json.changed"]


REFUSED = {  # what comes: what is said
    "a page of a proxy": ({"body": b"<html>Please log in</html>"}, "is not JSON"),
    "an error": ({"status": 404}, "404"),
    "an empty answer": ({"body": b""}, "is empty"),
    "a redirection": ({"status": 302, "body": b"", "headers": {"Location": "http://192.0.2.1/"}}, "is empty"),
    "a part of it": ({"length": 100000}, "transfer closed with"),
    "half of a list": ({"body": document(IPS)[:200], "length": None}, "is not JSON"),
    "another shape": ({"body": b'{"endpoints": []}'}, "list of records"),
    "no port 25": ({"body": document(IPS, "587")}, "no IPv4 prefix"),
    "no IPv6": ({"body": document(IPS[:4])}, "no IPv6 prefix"),
    "everybody": ({"body": document(IPS + ["0.0.0.0/0"])}, "is everyone"),
    "half of the world": ({"body": document(IPS + ["128.0.0.0/1"])}, "length 1, wider than /10"),
    "too many": ({"body": document(IPS + [f"10.{i // 256}.{i % 256}.0/25" for i in range(1000)])}, "1006 prefixes"),
    "less than half": ({"body": document(IPS[:1] + IPS[4:])}, "1 IPv4 and 2 IPv6, before 4 and 2"),
    "too long": ({"body": b" " * (5 << 20)}, "Maximum file size exceeded"),
    "too long, of unknown length": ({"body": b" " * (5 << 20), "length": False}, ""),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_plausible_changes_nothing(site, tmp_path, case):
    answer, said = REFUSED[case]
    file = tmp_path / "endpoints.json"
    fetch(site, file)
    os.utime(file, (1, 1))
    before = file.read_bytes()
    vars(site).update(answer)
    assert said in (output := fetch(site, file, status=None)), output
    done = subprocess.run([SCRIPT, file], env=site.environment, capture_output=True, check=False)
    assert done.returncode not in (0, 2)
    assert file.read_bytes() == before and file.stat().st_mtime == 1, "its age tells"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["endpoints.json", "endpoints.json.changed"]


@pytest.mark.parametrize("change, said", [
    ({"ENDPOINTS_URL": "http://127.0.0.1:9/"}, "not supported"),
    ({"CURL_CA_BUNDLE": "/etc/ssl/certs/ca-certificates.crt"}, "certificate"),
    ({"ENDPOINTS_URL": "https://127.0.0.1:9/"}, "Failed to connect"),
])
def test_a_server_that_cannot_be_trusted_or_reached_is_named(site, tmp_path, change, said):
    file = tmp_path / "endpoints.json"
    assert said in fetch(site, file, status=None, **change)
    assert not file.exists() and list(tmp_path.iterdir()) == []


def test_a_certificate_for_another_name_is_refused(pki, site, tmp_path):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), site.handler())
    server.socket = pki.context("other").wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        assert "127.0.0.1" in fetch(site, tmp_path / "e", status=None, ENDPOINTS_URL=f"https://127.0.0.1:{server.server_port}/")
    finally:
        server.shutdown()
        server.server_close()
    assert site.asked == []


def test_within_the_walls_of_its_unit_it_renews_what_mxlbd_has_in_force(lab, balancer, site, pki):
    """The two commands of the service with its restrictions. The server runs on this host, so the download runs here,
    not in the lab."""
    state = lab.run / "endpoints-state"
    command("install", "-d", "-o", "61999", str(state))
    file, bundle = state / "endpoints.json", state / "root.pem"
    bundle.write_bytes((pki.directory / "root.pem").read_bytes())
    bundle.chmod(0o644)
    lab("ctl", "--version")  # copies it
    script = lab.run / "fetch-endpoints"
    script.write_bytes(SCRIPT.read_bytes())
    script.chmod(0o755)
    environment = {**site.environment, "PATH": f"{lab.run}/bin:{os.environ['PATH']}", "CURL_CA_BUNDLE": str(bundle)}

    def once():
        said = command(str(ROOT / "scripts/confine"), "-u", str(UNIT), "-w", str(state), "run", str(script), str(file), env=environment)
        reload = lab.run / "reload"  # mxlbctl by its default socket, as the unit has it; the lab's is another
        reload.mkdir(exist_ok=True)
        (reload / "mxlbctl").write_text(f'#!/bin/sh\nexec {lab.run}/bin/mxlbctl -s {lab.run}/mxlb.sock "$@"\n')
        (reload / "mxlbctl").chmod(0o755)
        command(str(script), "--reload", str(file), env={**environment, "PATH": f"{reload}:{os.environ['PATH']}"})
        return said

    assert "was replaced" in once()  # mxlbd does not run yet
    assert not (state / "endpoints.json.changed").exists()
    balancer.configure(replace={"failback-hold: 0s": f"failback-hold: 0s\n    allow-file: {file}"})
    balancer.start()

    def allow():
        return balancer.status()["services"][0]["allow"]
    assert (allow()["file"], allow()["file_prefixes"], allow()["prefixes"]) == (str(file), 4, 4)
    reloads = balancer.status()["config"]["reloads_ok"]
    assert "is up to date" in once()
    assert balancer.status()["config"]["reloads_ok"] == reloads
    site.body = document(IPS + ["198.51.100.0/24"])
    assert "was replaced" in once()
    assert (allow()["file_prefixes"], balancer.status()["config"]["reloads_ok"]) == (5, reloads + 1)
    assert f"5 of {file} (renewed" in " ".join(lab("ctl", "status").split())
    old = 15 * 86400
    os.utime(file, (os.stat(file).st_mtime - old,) * 2)
    wait_until(lambda: "allow_file_old" in [f["code"] for f in balancer.status()["diagnosis"]], 10, "its age is told")
    for said in (lab("ctl", "status"), lab("ctl", "check", status=1), lab("ctl", "doctor", status=None)):
        assert "was last renewed 15 days ago" in " ".join(said.split()), said
    assert "is up to date" in once()
    wait_until(lambda: not balancer.status()["diagnosis"], 10, "and renewed")


def test_the_units_are_sound(tmp_path, build):
    command("make", "-s", f"B={build.relative_to(ROOT)}", f"PREFIX={tmp_path}", "install", cwd=ROOT)
    units = [tmp_path / "lib/systemd/system" / name for name in ("mxlb-endpoints.service", "mxlb-endpoints.timer")]
    assert command("systemd-analyze", "verify", "--man=no", *map(str, units)) == ""
    said = command("systemd-analyze", "security", "--offline=true", "--no-pager", str(units[0]))
    assert float(re.search(r"exposure level for mxlb-endpoints.service: ([\d.]+)", said)[1]) <= 1.7
    program = re.search(r"^ExecStart=(\S+)", units[0].read_text(), re.M)[1]
    assert os.access(program, os.X_OK) and program == str(tmp_path / "lib/mxlb/fetch-endpoints")
    assert re.search(r"^u mxlb-fetch ", (tmp_path / "lib/sysusers.d/mxlb.conf").read_text(), re.M)
