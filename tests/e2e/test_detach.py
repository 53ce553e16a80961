# SPDX-License-Identifier: BSD-2-Clause
"""mxlbctl detach, and only it, removes all of mxlb from the kernel: of a running mxlbd and of a stopped one."""
import pytest

from lab import Traffic, wait_until
from leftovers import EVERYTHING, TIMERS, left, timers


def detach_left(lab, *words, **options):
    return lab("run", str(lab.run / "bin/mxlbctl"), "-s", str(lab.run / "mxlb.sock"), "-c", str(lab.config_file), "detach",
               *words, **options)


def nothing_passes(lab):
    with Traffic(lab) as traffic:
        wait_until(lambda: len(traffic.attempts()) > 3, 20, "connections are tried")
        assert traffic.seen() == {None}


@pytest.mark.parametrize("forward, extra", [("l2", set()), ("ipip", {"filters"})], indirect=["forward"])
@pytest.mark.parametrize("running", [True, False], ids=["running", "gone"])
def test_after_detach_nothing_of_mxlb_is_left_and_mail_stops(lab, balancer, running, extra, forward):
    before = [1100, 1100] if running else [1000, 1000]  # of an mxlbd that is gone nobody knows the old value: the default
    for name, value in zip(TIMERS, before):
        lab.within("lb", "sysctl", "-qw", f"{name}={value}")
    balancer.start()
    balancer.wait_all_up()
    assert left(lab) >= EVERYTHING | extra
    assert timers(lab) == [200, 200]
    if running:
        assert "forwards no mail any more" in lab("ctl", "detach")
        assert balancer.process.wait(10) == 0
        assert "event=detach user=root" in balancer.log()
    else:
        balancer.process.kill()
        balancer.process.wait()
        detach_left(lab)
    assert left(lab) == set()
    assert timers(lab) == before
    nothing_passes(lab)
    balancer.start()
    balancer.wait_all_up()
    lab("send", "20")


@pytest.mark.parametrize("how", ["TERM", "KILL"])
def test_a_stop_does_not_detach(lab, balancer, how):
    balancer.start()
    balancer.wait_all_up()
    balancer.process.terminate() if how == "TERM" else balancer.process.kill()
    balancer.process.wait(10)
    assert left(lab) >= EVERYTHING and timers(lab) == [200, 200]
    lab("send", "20")


def test_detach_by_the_file_alone_is_refused_while_mxlbd_runs(lab, balancer):
    balancer.start()
    balancer.wait_all_up()
    said = lab("run", str(lab.run / "bin/mxlbctl"), "-c", str(lab.config_file), "detach", status=1)
    assert "another mxlbd runs" in said
    assert left(lab) >= EVERYTHING and balancer.process.poll() is None
    lab("send", "20")


def test_detach_twice_and_detach_of_nothing_are_no_errors(lab, balancer):
    lab("mxlbd", "--help")  # has the binaries copied
    detach_left(lab)
    assert left(lab) == set()
    detach_left(lab)


def test_detach_needs_the_right_to_change(lab, balancer):
    balancer.start()
    balancer.wait_all_up()
    (lab.run / "mxlb.sock").chmod(0o666)
    said = lab.within("lb", "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", str(lab.run / "bin/mxlbctl"),
                      "-s", str(lab.run / "mxlb.sock"), "detach", status=1)
    assert "Permission denied" in said
    assert left(lab) >= EVERYTHING and balancer.process.poll() is None, said


def test_the_pins_of_other_layouts_go_too_and_nothing_else_in_the_directory(lab, balancer):
    balancer.start()
    balancer.wait_all_up()
    assert balancer.stop() == 0
    layout, = lab.pin.glob("v*")
    layout.rename(lab.pin / "v1")
    (lab.pin / "vicar").mkdir()
    detach_left(lab)
    assert [path.name for path in lab.pinned()] == ["vicar"]
    assert lab.xdp() is None
    nothing_passes(lab)


def test_a_detach_needs_no_valid_configuration(lab, balancer):
    """detach is the emergency brake: from an invalid file it uses what can still be read, here the path of the pins."""
    balancer.start()
    balancer.wait_all_up()
    balancer.process.kill()
    balancer.process.wait()
    text = lab.config_file.read_text()
    try:
        lab.config_file.write_text(text.replace("services:", "servces: ["))
        detach_left(lab)
    finally:
        lab.config_file.write_text(text)
    assert left(lab) == set()
    nothing_passes(lab)
