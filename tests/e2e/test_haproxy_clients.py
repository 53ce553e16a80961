# SPDX-License-Identifier: BSD-2-Clause
"""The commands that clients of HAProxy's socket send, in their order and with their interpretation of the replies: a
change of the dialect that would break one of them fails here. Written from their behaviour; the real hatop and
exporter are in test_haproxy.py."""
import csv
import re
import socket
import time

import pytest

from lab import Traffic

SERVICE = "hybrid-mail"


class Client:
    """One request per connection, read to its end, as all of these clients do."""

    def __init__(self, path):
        self.path = str(path)

    def send(self, text):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(5)
            s.connect(self.path)
            s.sendall(text.encode())
            return b"".join(iter(lambda: s.recv(1024), b"")).decode()

    def rows(self, command="show stat"):
        return list(csv.DictReader(self.send(command + "\n").lstrip("# ").strip().splitlines()))

    def row(self, server):
        return next(r for r in self.rows() if (r["pxname"], r["svname"]) == (SERVICE, server))

    def info(self):
        return dict(line.split(": ", 1) for line in self.send("show info\n").splitlines() if line)


@pytest.fixture
def client(lab, balancer):
    balancer.start()
    balancer.wait_all_up()
    return Client(lab.run / "mxlb.sock")


def ansible_version(client):
    """Two numbers or None, parsed as Ansible's haproxy module does."""
    line = next(line for line in client.send("show info\n").splitlines() if "Version:" in line)
    parts = line.partition(":")[2].strip().split(".", 3)
    try:
        return int(parts[0]), int(parts[1])
    except (ValueError, IndexError):
        return None


def wait_status(client, server, status):
    deadline = time.monotonic() + 20
    while status not in (row := client.row(server))["status"] or not row["scur"].isdigit():
        assert time.monotonic() < deadline, row
        time.sleep(0.2)


def test_ansibles_module_drains_disables_and_enables(balancer, client):
    assert ansible_version(client) >= (1, 5)  # else it does nothing and reports success
    assert SERVICE in {r["pxname"] for r in client.rows() if r["svname"] == "BACKEND"}
    client.send(f"set server {SERVICE}/oxford-a state drain\n")
    wait_status(client, "oxford-a", "DRAIN")
    assert balancer.backend("oxford-a")["admin"] == "drain"
    place = f"{SERVICE}/oxford-a"
    replies = client.send(f"get weight {place}; disable agent {place}; disable server {place}; "
                          f"shutdown sessions server {place}\n")
    assert replies.startswith("1 (initial 1)\n")
    wait_status(client, "oxford-a", "MAINT")
    client.send(f"get weight {place}; enable server {place}; enable agent {place}; enable health {place}; "
                f"set weight {place} 50%\n")
    wait_status(client, "oxford-a", "UP")
    assert balancer.backend("oxford-a")["admin"] == "ready"
    client.send(f"set weight {place} 100%\n")


def data_plane(client, command):
    """The reply or the error, as the runtime client of the data plane API parses it."""
    raw = client.send(f"set severity-output number;{command}\n").removesuffix("\n> ").removesuffix("\n")
    if len(raw) > 5 and raw[1:5] in ("[3]:", "[2]:", "[1]:", "[0]:"):
        raise ValueError(raw[5:].strip())
    return raw[1:]


def test_the_data_plane_apis_client_reads_states_and_errors(balancer, client):
    assert "show servers state" in data_plane(client, "help")
    version = re.fullmatch(r"(\d+)\.(\d+)\.(\d+)-(\w+)-(.+)", client.info()["Version"])
    assert version and data_plane(client, "show version").startswith("[6]: ")
    lines = data_plane(client, f"show servers state {SERVICE}").split("\n")
    assert lines[0] == "1" and lines[1].startswith("# be_id be_name srv_id")
    servers = {fields[3]: fields for fields in (line.split() for line in lines[2:]) if len(fields) >= 19}
    assert set(servers) >= {"oxford-a", "oxford-b", "nuneaton"} and servers["oxford-a"][18] == "25"
    data_plane(client, f"set server {SERVICE}/oxford-a state maint")
    assert balancer.backend("oxford-a")["admin"] == "maint"
    lines = data_plane(client, f"show servers state {SERVICE}").split("\n")
    assert next(line.split() for line in lines if " oxford-a " in line)[6] == "1"  # srv_admin_state: maint
    data_plane(client, f"set server {SERVICE}/oxford-a state ready")
    with pytest.raises(ValueError, match="No such server"):
        data_plane(client, f"set server {SERVICE}/nobody state ready")
    with pytest.raises(ValueError, match="expects 'ready', 'drain' and 'maint'"):
        data_plane(client, f"set server {SERVICE}/oxford-a state asleep")
    assert int(re.search(r"^8\.Uptime_sec\.1:MDP:u\d\d:(\d+)$", data_plane(client, "show info typed"), re.M)[1]) >= 0
    # behind a master's socket the command is followed by `quit`
    assert client.send(f"set severity-output number;show servers state {SERVICE};quit\n").split("\n")[1] == "1"


def test_haproxyadmin_finds_haproxy_and_reads_metrics(client):
    assert client.info()["Name"] == "HAProxy"  # it refuses every other name
    numbers = ("Nbproc", "Process_num", "Pid", "Uptime_sec", "Memmax_MB", "Maxconn", "Hard_maxconn", "CurrConns", "CumConns",
               "CumReq", "MaxSslConns", "CurrSslConns", "CumSslConns", "Maxpipes", "PipesUsed", "PipesFree", "ConnRate",
               "ConnRateLimit", "MaxConnRate", "SessRate", "SessRateLimit", "MaxSessRate", "SslRate", "SslRateLimit",
               "MaxSslRate", "CompressBpsIn", "CompressBpsOut", "CompressBpsRateLim", "Tasks", "Run_queue", "Idle_pct")
    info = client.info()
    assert {name: info[name] for name in numbers if not info[name].isdigit()} == {}
    for kind, want in ((1, {"FRONTEND"}), (2, {"BACKEND"})):
        assert {r["svname"] for r in client.rows(f"show stat -1 {kind} -1")} == want
    iid = client.row("BACKEND")["iid"]
    assert {r["svname"] for r in client.rows(f"show stat {iid} 6 -1")} == {"oxford-a", "oxford-b", "nuneaton", "BACKEND"}
    assert client.send(f"set weight {SERVICE}/oxford-a 10\n").splitlines()[0] == ""
    assert client.send(f"get weight {SERVICE}/oxford-a\n").splitlines()[0] == "10 (initial 1)"


ZABBIX = {"FRONTEND": "scur smax slim stot bin bout dreq dresp ereq rate rate_lim rate_max req_rate req_tot",
          "BACKEND": "qcur qmax scur smax slim stot bin bout dreq dresp econ eresp wretr wredis act bck chkdown downtime "
                     "lbtot rate rate_max cli_abrt srv_abrt",
          "oxford-a": "qcur qmax scur smax stot bin bout dresp econ eresp wretr wredis weight act bck chkfail chkdown "
                      "lastchg downtime lbtot rate rate_max check_duration cli_abrt srv_abrt lastsess qtime ctime rtime ttime"}


def test_zabbixs_scripts_find_a_number_in_each_field_that_they_chart(client):
    """Cut by position, as `cut -d, -fN` does; Zabbix's scripts turn an empty field into 9999999999."""
    lines = client.send("show stat\n").splitlines()
    columns = lines[0].removeprefix("# ").split(",")
    for server, names in ZABBIX.items():
        fields = next(line for line in lines if line.startswith(f"{SERVICE},{server},")).split(",")
        assert {name for name in names.split() if not re.fullmatch(r"-?\d+", fields[columns.index(name)])} == set(), server


def test_netdatas_collector_sums_sessions_queues_and_states(client):
    rows, info = client.rows(), client.info()
    for row in rows:
        for name in ("bin", "bout", "scur") + (() if row["svname"] == "FRONTEND" else ("qcur",)):
            int(row[name])
    servers = [r for r in rows if r["svname"] not in ("FRONTEND", "BACKEND")]
    assert all(r["status"].split()[0] in ("UP", "DOWN", "MAINT", "DRAIN", "NOLB", "no") for r in servers)
    assert 0 <= float(info["Idle_pct"]) <= 100


def test_telegrafs_input_accepts_each_row(client):
    text = client.send("show stat\n")
    table = list(csv.reader(text.strip().splitlines()))
    assert table[0][0].startswith("# ") and {len(row) for row in table} == {len(table[0])}
    for row in csv.DictReader(text.lstrip("# ").strip().splitlines()):
        assert int(row["type"]) < 4 and re.fullmatch(r"-?\d+", row["lastsess"] or "0")


def test_datadogs_check_reads_info_and_stat_of_one_line(client):
    text = client.send("show info;show stat\r\n")
    info, stat = text.split("\n\n", 1)
    assert re.search(r"^Version: (\d+)\.(\d+)\.(\d+)", info, re.M)
    rows = list(csv.DictReader(stat.lstrip("# ").strip().splitlines()))
    for row in rows:
        if row["svname"] == "BACKEND":
            assert row["status"] in ("UP", "DOWN") and row["qcur"].isdigit() and row["rate"].isdigit()
    assert {r["svname"] for r in rows if r["pxname"] == SERVICE} == {"FRONTEND", "BACKEND", "oxford-a", "oxford-b", "nuneaton"}


def check_haproxy(client):
    """The result of a Nagios plugin: services down, servers down, session limits nearly reached."""
    bad = []
    for row in client.rows():
        if row["svname"] in ("FRONTEND", "BACKEND"):
            if row["status"] not in ("UP", "OPEN"):
                bad.append((row["pxname"], row["svname"]))
            elif row["slim"] and int(row["scur"]) * 100 / int(row["slim"]) > 90:
                bad.append((row["pxname"], "sessions"))
        elif row["status"].split()[0] not in ("UP", "no") and row["status"] != "MAINT":
            bad.append((row["pxname"], row["svname"]))
    return bad


def test_check_haproxy_is_content_until_a_server_stops(lab, balancer, client):
    assert check_haproxy(client) == []
    lab.stop("oxford-b")
    balancer.wait_for({"oxford-b": "down"})
    assert (SERVICE, "oxford-b") in check_haproxy(client)


def test_session_rates_follow_the_mail(lab, client):
    with Traffic(lab) as traffic:
        traffic.wait_seen({"oxford-a", "oxford-b"})
        deadline = time.monotonic() + 10
        while int(client.row("FRONTEND")["rate_max"]) == 0 or client.row("oxford-a")["lastsess"] == "-1":
            assert time.monotonic() < deadline
            time.sleep(0.2)
    assert int(client.info()["MaxSessRate"]) >= int(client.row("BACKEND")["rate_max"]) > 0
