# SPDX-License-Identifier: BSD-2-Clause
"""Builds mxlb's Debian package and inspects it."""
import os
from pathlib import Path

from lab import ROOT, command


def build_package(folder, version=None):
    """Builds the package and returns the path of the .deb."""
    env = {**os.environ, "DEB_BUILD_OPTIONS": "noautodbgsym", **({"DEB_VERSION": version} if version else {})}
    return Path(command(str(ROOT / "scripts/make-deb"), str(folder), env=env, timeout=600).strip().splitlines()[-1])


def field(deb, name):
    return command("dpkg-deb", "-f", str(deb), name).strip()


def unpack(deb, folder):
    """Unpacks its files into folder/root and its maintainer scripts into folder/control."""
    command("dpkg-deb", "-x", str(deb), str(folder / "root"))
    command("dpkg-deb", "-e", str(deb), str(folder / "control"))
    return folder / "root", folder / "control"
