# SPDX-License-Identifier: BSD-2-Clause
"""Fixtures: the build, one lab for all tests, and mxlbd in it for one test. Root only."""
import os
import re
from pathlib import Path

import pytest

from lab import ROOT, Balancer, Lab, command

if worker := os.environ.get("PYTEST_XDIST_WORKER"):  # tests/run: each worker has a lab of its own
    os.environ["MXLB_LAB"] = f"{worker}x{os.environ['PYTEST_XDIST_TESTRUNUID'][:6]}"

TRAFFIC = {f"test_{name}" for name in ("allow", "failover", "faults_packets", "flows", "hints", "icmp", "mail", "own", "trouble")}


def pytest_configure(config):
    config.addinivalue_line("markers", "lab: uses the lab")
    config.addinivalue_line("markers", "kernels: make check-kernels runs it on each kernel, in a VM")
    config.addinivalue_line("markers", "long: not in a short selection for the kernels")
    config.addinivalue_line("markers", "traffic: is about mail on its way, by the clock")
    config.addinivalue_line("markers", "alone: uses up what all labs share")


def pytest_collection_modifyitems(config, items):
    for item in items:
        if "lab" in item.fixturenames:
            item.add_marker("lab")
        if item.path.stem in TRAFFIC:
            item.add_marker("traffic")


# A clean Debian of its own: make deb-check.
collect_ignore = [] if os.environ.get("MXLB_DEBOOTSTRAP") else ["test_booted.py"]

MEASURED = []  # lines that the terminal summary shows


@pytest.fixture(scope="session")
def build():
    """The directory of the binaries, built if necessary. MXLB_INSTALLED names a directory that is not built here."""
    if installed := os.environ.get("MXLB_INSTALLED"):
        return Path(installed)
    directory = os.environ.get("MXLB_B", "build")
    command("make", "-s", f"B={directory}", "all", cwd=ROOT, timeout=600)
    return ROOT / directory


OTHER = 1 + int(re.search(r"#define MXLB_LAYOUT (\d+)", (ROOT / "include/mxlb/abi.h").read_text())[1])


@pytest.fixture(scope="session")
def other(build):
    """A build whose maps have a different layout."""
    directory = build / f"layout{OTHER}"
    if "MXLB_INSTALLED" in os.environ:
        return directory
    command("make", "-s", f"B={directory}", f"CPPFLAGS=-DMXLB_LAYOUT={OTHER}", "all", cwd=ROOT, timeout=900)
    return directory


@pytest.fixture(scope="session")
def lab(build):
    if os.geteuid() != 0:
        pytest.skip("needs root")
    site = Lab(os.environ.get("MXLB_LAB", "mxlbtest"), build)
    site("down")  # what an interrupted run left
    site("up")
    yield site
    site("down")
    assert not site.run.exists() and not site.pin.exists()
    assert not list(Path("/run/netns").glob(f"{site.name}-*"))


@pytest.fixture
def forward(request):
    """How packets get to the servers in the lab's configuration: l2 unless the test sets something else (an indirect
    parameter). MXLB_LAB_FORWARD overrides both, to run all tests of a file over tunnels."""
    return os.environ.get("MXLB_LAB_FORWARD") or getattr(request, "param", "l2")


@pytest.fixture
def balancer(lab, forward):
    """mxlbd, not yet started. After the test the lab is restored."""
    lab.set_forward(forward)
    mxlbd = Balancer(lab)
    mxlbd.configure()
    yield mxlbd
    mxlbd.end()
    lab.mend()


@pytest.fixture(scope="session")
def chromium(lab, tmp_path_factory):
    if not Path("/usr/bin/chromium").exists():
        pytest.skip("Chromium is not installed")
    from browser import Browser  # needs Selenium
    one = Browser(f"/run/netns/{lab.name}-lb", tmp_path_factory.mktemp("profile"))
    yield one
    one.close()


@pytest.fixture
def browser(chromium):
    """Chromium in the balancer's network namespace. Its page ends with the test: an open one asks every mxlbd that is started
    later, which then has two sockets more."""
    yield chromium
    chromium.open("about:blank")


@pytest.fixture
def measured(request):
    """measured("text") prints a figure at the end of the report."""
    return lambda text: MEASURED.append(f"{request.node.name}: {text}")


def pytest_terminal_summary(terminalreporter):
    for line in MEASURED:
        terminalreporter.write_line(f"measured  {line}")


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    """A worker of pytest-xdist has ended: its figures."""
    MEASURED.extend(getattr(node, "workeroutput", {}).get("measured", ()))


def pytest_sessionfinish(session):
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["measured"] = MEASURED
