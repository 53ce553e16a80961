# SPDX-License-Identifier: BSD-2-Clause
"""mxlbctl plan: shows what a file would change, and refuses an invalid one."""
import re

from lab import OXFORD, Traffic

OXFORD_B = 'oxford-b: {address: "203.0.113.12"}'


def share(lines, service="hybrid-mail"):
    return float(re.search(rf"^service {service}: ([0-9.]+) % of new", lines, re.M)[1])


def test_a_plan_lists_the_changes_and_makes_none(lab, balancer):
    balancer.start()
    balancer.wait_all_up()
    before = balancer.status()["config"]
    assert lab("ctl", "plan", "-c", str(lab.config_file)) == "nothing would change\n"
    balancer.configure(replace={"interval: 1s": "interval: 2s", "probes:\n": "probes:\n  another: {tls: none}\n"})
    assert lab("ctl", "plan", "-c", str(lab.config_file)) == "probe another: added\nprobe exo: interval changes\n"
    balancer.configure(replace={OXFORD_B: 'oxford-b: {address: "203.0.113.12", weight: 0}',
                                "failback-hold: 0s": "failback-hold: 9s"})
    lab.config_file.write_text(lab.config_file.read_text() + "\nnotify: /bin/true\ndecap: {from: [192.0.2.1]}\n")
    lab.undo.callback(lab.config_file.chmod, 0o644)
    lab.config_file.chmod(0o600)  # whoever asks reads it, not mxlbd
    lines = lab("ctl", "plan", "-c", str(lab.config_file))
    assert "server hybrid-mail/oxford-b: weight 0, now 1\n" in lines
    assert "service hybrid-mail: failback-hold changes\n" in lines
    assert "notify changes\ndecap changes\n" in lines
    assert 49 < share(lines) < 51
    assert balancer.status()["config"] == before
    assert balancer.backend("oxford-b")["weight"] == 1
    with Traffic(lab) as traffic:
        traffic.wait_seen(OXFORD)
    lab.config_file.chmod(0o644)
    said = lab("ctl", "reload")
    assert said == f"reloaded: 2 services, 6 servers in force, from\n{lab.config_file}\n"
    assert lab("ctl", "plan", "-c", str(lab.config_file)) == "nothing would change\n"


def test_a_plan_of_an_invalid_file_names_the_line_and_leaves_no_trace(lab, balancer):
    balancer.start()
    balancer.wait_all_up()
    good = lab.config_file.read_text()
    file = lab.run / "next.yaml"
    for old, new, why in (("probe: exo", "probe: eox", r"next.yaml:\d+:\d+: services.*no probe is named eox"),
                          ("interfaces:", "interfaces: [", r"next.yaml:\d+:\d+: "),
                          ("datapath:", "datapath:\n  flows: 4096", "next.yaml: datapath: cannot change while running")):
        assert old in good
        file.write_text(good.replace(old, new, 1))
        assert re.search(why, said := lab("ctl", "plan", "-c", str(file), status=1)), said
    assert balancer.status()["config"]["last_error"] == ""
    file.unlink()
