# SPDX-License-Identifier: BSD-2-Clause
"""The role of a box over detaches, early ends, lost lines, expired orders and reloads: keepalived reports only changes, so what mxlbd
stores decides."""
import re
import subprocess

from lab import patience, wait_until
from pair import rewrite
from test_pair import kill_keepalived, pair, site  # noqa: F401 (fixtures)


def test_a_box_without_a_peer_stays_active_over_a_detach(pair):
    """keepalived stays MASTER, because there is no other box, and reports no change to the mxlbd that starts."""
    pair["lb-b"].end()
    box = pair["lb"]
    box.ctl("detach")
    assert box.mxlbd.wait(10 * patience()) == 0
    box.start()
    wait_until(box.is_ready, 20, "every server is up")
    assert box.ha()["role"] == "active" and box.ha()["source"] == "lease"


def test_a_start_that_ended_early_after_a_detach_makes_no_standby_box_active(pair):
    """It leaves maps whose role word nothing has set."""
    box = pair["lb-b"]
    assert box.role() == "standby"
    box.ctl("detach")
    assert box.mxlbd.wait(10 * patience()) == 0
    place = box.dir / "mxlb.sock"
    place.unlink(missing_ok=True)
    place.mkdir()
    try:
        with box.log_file.open("a") as log:
            box.mxlbd = pair.lab.popen("box", box.host, stdin=subprocess.DEVNULL, stderr=log)
        assert box.mxlbd.wait(20 * patience()) != 0
    finally:
        place.rmdir()
    box.start()
    assert box.role() == "standby" and box.ha()["source"] == "lease"
    assert pair.active() == ["lb"]


def test_a_role_that_could_not_be_stored_is_stored_once_it_can_be(pair):
    """A start after a detach would use an earlier one."""
    box = pair["lb-b"]
    stored, obstacle = box.dir / "ha/priority.role", box.dir / "ha/priority.role.new"
    assert stored.read_text() == "standby"
    obstacle.mkdir()
    box.ctl("role", "active")
    wait_until(box.is_active, 10, "lb-b is active")
    wait_until(lambda: not stored.exists(), 10, "no earlier role is left")
    obstacle.rmdir()
    wait_until(lambda: stored.exists() and stored.read_text() == "active", 10, "the role is stored")


def test_the_line_after_a_full_fifo_counts(pair):
    """What waited in a full FIFO is discarded, because its end may be missing. What keepalived writes next is not."""
    box = pair["lb-b"]
    box.keepalived.terminate()
    box.keepalived.wait(10 * patience())
    wait_until(lambda: box.ha()["keepalived_lost"], 10, "keepalived is lost")
    box.mxlbd.terminate()
    assert box.mxlbd.wait(10 * patience()) == 0
    line = b'INSTANCE "mxlb" BACKUP 200\n'
    with open(box.dir / "ha/vrrp", "r+b", buffering=0) as fifo:
        for _ in range(62 * 1024 // len(line)):
            fifo.write(line)
        box.start()
        wait_until(lambda: "a full FIFO was discarded" in box.log(), 10, "the backlog is discarded")
        assert box.role() == "standby"
        fifo.write(line.replace(b"BACKUP", b"MASTER"))
        wait_until(box.is_active, 10, "lb-b follows the next line")


def test_an_order_that_has_expired_is_no_longer_stored(pair):
    """It would come back after a reboot with an earlier time of day."""
    pair["lb"].ctl("role", "active", "--for", "10s")
    file, = (pair.lab.run / "state-lb").glob("orders*")
    assert '"role"' in file.read_text()
    wait_until(lambda: pair["lb"].priority() == 10, 20, "the order has expired")
    wait_until(lambda: '"role"' not in file.read_text(), 5, "it is no longer stored")


def set_role(box, role):
    rewrite(box, lambda text: re.sub(r"role: \w+", f"role: {role}", text))
    box.ctl("reload")


def test_what_keepalived_reported_before_another_role_does_not_count_once_it_has_ended(pair):
    box = pair["lb"]
    kill_keepalived(pair)
    wait_until(lambda: box.ha()["keepalived_lost"], 10, "lb knows that keepalived is gone")
    assert "keepalived_lost" in [p["name"] for p in box.status()["problems"]]
    wait_until(pair["lb-b"].is_active, 10, "lb-b is active")
    set_role(box, "standby")
    assert not box.ha()["keepalived_lost"]
    assert "keepalived_lost" not in [p["name"] for p in box.status()["problems"]]
    set_role(box, "keepalived")
    assert box.ha()["source"] == "lease"
    assert pair.active() == ["lb-b"]
