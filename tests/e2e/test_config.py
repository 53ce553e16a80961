# SPDX-License-Identifier: BSD-2-Clause
"""mxlbctl config: prints the configuration in force as a file that mxlbd accepts; secrets only for users who may make
changes."""
import json
import re
import shutil

import yaml


def test_what_is_in_force_is_printed_as_a_file_that_changes_nothing(lab, balancer):
    """All defaults are written out: mxlbd -t accepts the file, and its plan is empty."""
    balancer.configure(replace={"failback-hold: 0s": "failback-hold: 7s"})
    balancer.start()
    balancer.wait_all_up()
    text = lab("ctl", "config")
    assert re.search(r"^ +failback-hold: 7s$", text, re.M) and re.search(r"^ +min-up: 1$", text, re.M), text
    copy = lab.run / "copy.yaml"
    copy.write_text(text)
    copy.chmod(0o640)  # it has the key
    shutil.chown(copy, *lab.owner())
    assert "is valid" in lab("run", str(lab.run / "bin/mxlbd"), "-t", "-c", str(copy))
    assert lab("ctl", "plan", "-c", str(copy)) == "nothing would change\n"
    copy.unlink()
    as_others_read_it = json.loads(json.dumps(yaml.safe_load(text)))  # whose keys are text, a tier's too
    assert as_others_read_it == json.loads(lab("ctl", "--json", "config"))


def test_what_is_in_force_is_not_the_file_that_was_changed_since(lab, balancer):
    balancer.start()
    balancer.configure(replace={"failback-hold: 0s": "failback-hold: 7s"})
    assert json.loads(lab("ctl", "--json", "config"))["services"]["hybrid-mail"]["failback-hold"] == "0s"
    lab("ctl", "reload")
    assert json.loads(lab("ctl", "--json", "config"))["services"]["hybrid-mail"]["failback-hold"] == "7s"


def test_the_hash_key_is_shown_to_operators_only(lab, balancer):
    balancer.configure(replace={"datapath:\n": "datapath:\n  hash-key: very secret\n"})
    balancer.start()
    assert json.loads(lab("ctl", "--json", "config"))["datapath"]["hash-key"] == "very secret"
    (lab.run / "mxlb.sock").chmod(0o666)
    said = lab.within("lb", "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", str(lab.run / "bin/mxlbctl"),
                      "-s", str(lab.run / "mxlb.sock"), "config")
    assert "very secret" not in said and "root and operators: datapath.hash-key" in said
    assert re.search(r"^services:", said, re.M)
