# SPDX-License-Identifier: BSD-2-Clause
"""The Debian package, as it is built. Its behaviour once installed: test_deb.py."""
import re
import subprocess

import pytest

from lab import ROOT, command
from packages import build_package, field, unpack


@pytest.fixture(scope="module")
def deb(tmp_path_factory):
    return build_package(tmp_path_factory.mktemp("deb"))


@pytest.fixture(scope="module")
def unpacked(deb, tmp_path_factory):
    return unpack(deb, tmp_path_factory.mktemp("unpacked"))


def test_lintian_finds_neither_errors_nor_warnings(deb):
    said = command("lintian", "--allow-root", str(deb), status=None)
    assert re.findall(r"^[EW]: .*", said, re.M) == [], said


def test_a_later_commit_is_a_higher_version(deb):
    count = command("git", "rev-list", "--count", "HEAD", cwd=ROOT, status=None).strip()
    if not count.isdigit():
        pytest.skip("no clone of git here")
    assert field(deb, "Version").startswith(f"0.9.0+git{count}.")


def test_it_brings_all_that_an_installation_brings(unpacked, build, tmp_path):
    files, _ = unpacked
    command("make", "-s", f"B={build.relative_to(ROOT)}", f"DESTDIR={tmp_path}", "PREFIX=/usr", "UNITDIR=/lib/systemd/system",
            "install", cwd=ROOT)
    installed = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    packed = {str(path.relative_to(files)).removesuffix(".gz") for path in files.rglob("*") if path.is_file()}
    assert packed - installed == {"etc/mxlb/mxlb.yaml", "usr/share/doc/mxlb/changelog", "usr/share/doc/mxlb/copyright"}
    assert installed <= packed


def test_the_programs_run_and_know_the_packages_version(deb, unpacked):
    for program in ("usr/sbin/mxlbd", "usr/bin/mxlbctl"):
        name, version, build = command(str(unpacked[0] / program), "--version").split()
        assert (version, build) == (field(deb, "Version").partition("+")[0], f"({field(deb, 'Version')})"), name


def test_the_packaged_configuration_does_nothing_and_explains_how_to_begin(unpacked):
    files, control = unpacked
    config = files / "etc/mxlb/mxlb.yaml"
    assert all(line.startswith("#") for line in config.read_text().splitlines())
    done = subprocess.run([files / "usr/sbin/mxlbd", "-c", config], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "interfaces: is required" in done.stderr
    assert (control / "conffiles").read_text().split() == ["/etc/mxlb/mxlb.yaml"]
    for named in re.findall(r"/usr/share\S+", config.read_text()):
        assert (files / named[1:]).is_file(), named


def test_an_installation_starts_nothing_and_an_upgrade_restarts_what_runs(unpacked):
    script = (unpacked[1] / "postinst").read_text()
    assert set(re.findall(r"deb-systemd-invoke (\S+)", script)) == {"try-restart"}
    assert "deb-systemd-helper --quiet was-enabled" in script


def test_what_a_build_needs_is_what_install_deps_installs():
    wanted = re.search(r"^Build-Depends:((?:.*\n)(?: .*\n)*)", (ROOT / "scripts/debian/control").read_text(), re.M)[1]
    wanted = {re.split(r"[ (]", name.strip())[0] for name in wanted.split(",")}
    installed = re.search(r"^build=\((.*?)\)", (ROOT / "scripts/install-deps").read_text(), re.S | re.M)[1].split()
    essential = {"gcc", "libc6-dev", "make", "linux-libc-dev"}  # build-essential has them
    assert wanted - {"debhelper-compat"} == set(installed) - essential - {"git"}


@pytest.mark.parametrize("tool", ["CC", "CLANG", "BPFTOOL"])
def test_a_build_without_a_tool_names_it_and_how_to_install_it(tool, tmp_path):
    said = command("make", f"B={tmp_path}", f"{tool}=no-such-tool", cwd=ROOT, status=2)
    assert "no-such-tool is missing" in said and "sudo scripts/install-deps build" in said
