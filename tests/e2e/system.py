# SPDX-License-Identifier: BSD-2-Clause
"""A Debian system of its own to install packages in: a directory over an overlay whose lower layer is never changed,
with mounts in a namespace that disappears with it. No systemd runs there; scripts/confine replaces it. Root only."""
import json
import os
import shlex
import shutil
import subprocess
from pathlib import Path

from lab import ROOT, command, wait_until

UNIT = "/lib/systemd/system/mxlb.service"
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
# What plays systemd's part, and systemd itself, whose tools the package's own scripts call; and what mxlb recommends, for other
# packages do, too: it stays.
INCLUDED = "python3,python3-seccomp,systemd,ca-certificates"
MOUNTS = """
mount -t tmpfs tmpfs {folder}
cd {folder}
mkdir upper work root
mount -t overlay overlay -o lowerdir={lower},upperdir=upper,workdir=work root
mount -t proc proc root/proc
mount --rbind /sys root/sys
mount -t bpf bpf root/sys/fs/bpf
mount --rbind /dev root/dev
mount -t tmpfs tmpfs root/run
mount -t tmpfs -o mode=1777 tmpfs root/tmp
touch ready
exec sleep infinity
"""
# Where packages leave traces of any package: databases, caches, logs, and the last version of a file of accounts.
OF_PACKAGING = ("var/lib/dpkg", "var/lib/apt", "var/cache", "var/log", "etc/ld.so.cache", "etc/passwd-", "etc/group-",
                "etc/shadow-", "etc/gshadow-", "etc/subuid-", "etc/subgid-", "etc/.pwd.lock", "var/lib/systemd")


def debootstrap(folder, *more):
    """A minimal clean Debian from the mirror that this machine's apt uses."""
    release = command("sh", "-c", '. /etc/os-release && echo "$VERSION_CODENAME"').strip()
    mirror = command("apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", f"Codename: {release}").split()[0]
    command("debootstrap", "--variant=minbase", f"--include={','.join([INCLUDED, *more])}", release, str(folder), mirror, timeout=600)
    settings = [line for line in command("apt-config", "dump").splitlines() if line.startswith("Acquire::")]
    (folder / "etc/apt/apt.conf.d/99machine").write_text("\n".join(settings) + "\n")


def same(a, b):
    """Compares two files, one of which may be missing."""
    plain = all(path.is_file() and not path.is_symlink() for path in (a, b))
    return plain and a.read_bytes() == b.read_bytes()


class System:
    """lower: the initial contents; folder: an empty directory."""

    def __init__(self, lower, folder):
        self.lower, self.folder, self.root = Path(lower), folder, folder / "root"
        self.is_clean = lower != "/"
        mounts = MOUNTS.format(folder=shlex.quote(str(folder)), lower=shlex.quote(str(lower)))
        self.holder = subprocess.Popen(["unshare", "--mount", "sh", "-ec", mounts], stdout=subprocess.DEVNULL)
        self.mxlbd = self.log = None
        try:
            wait_until(self.is_ready, 20, "the system's mounts")
        except AssertionError:
            self.end()
            raise

    def is_ready(self):
        assert self.holder.poll() is None, "the system could not be mounted"
        return self.inside("/ready").exists()

    def inside(self, path):
        """The path under which this process can open a file of the folder."""
        return Path(f"/proc/{self.holder.pid}/root{self.folder}{path}")

    def file(self, path):
        return self.inside(f"/root{path}")

    def argv(self, *words, netns=None):
        net = [f"--net={netns}"] if netns else []
        return ["nsenter", f"--mount=/proc/{self.holder.pid}/ns/mnt", *net, "chroot", str(self.root), *words]

    def __call__(self, *words, netns=None, **options):
        return command(*self.argv(*words, netns=netns), env=ENVIRONMENT, **{"timeout": 600, **options})

    def install(self, deb):
        shutil.copy(deb, self.file("/tmp"))
        self("apt-get", "-y", "install", f"/tmp/{deb.name}")

    def changed(self):
        """The files that differ from the initial contents, without those that dpkg and apt write."""
        upper = self.inside("/upper")
        files = {str(path.relative_to(upper)): path for path in upper.rglob("*") if path.is_symlink() or not path.is_dir()}
        return {name for name, path in files.items()
                if not name.startswith(OF_PACKAGING) and not same(path, self.lower / name)}

    # --- systemd's part ---

    def start(self, netns, log):
        """Does what `systemctl start mxlb` would do, in that network namespace."""
        shutil.copy(ROOT / "scripts/confine", self.file("/tmp/confine"))
        unit = self.file(UNIT).read_text()
        start, = [line.partition("=")[2] for line in unit.splitlines() if line.startswith("ExecStart=")]
        self("/tmp/confine", "-u", UNIT, "prepare", netns=netns)
        self("install", "-d", "-o", "mxlb", "-g", "mxlb", "-m", "755", "/run/mxlb")
        with log.open("w") as out:
            self.mxlbd = subprocess.Popen(self.argv("/tmp/confine", "-u", UNIT, "-w", "/run/mxlb", "run", *start.split(), netns=netns),
                                          env=ENVIRONMENT, stdin=subprocess.DEVNULL, stderr=out)
        self.log = log
        wait_until(self.answers, 20, f"mxlbd answers\n{log.read_text()}")

    def answers(self):
        assert self.mxlbd.poll() is None, f"mxlbd ended with {self.mxlbd.returncode}:\n{self.log.read_text()}"
        return self.status(expected=None)

    def stop(self):
        self.mxlbd.terminate()
        return self.mxlbd.wait(20)

    def status(self, expected=0):
        said = self("mxlbctl", "--json", "status", status=expected)
        return json.loads(said) if said.startswith("{") else None

    def end(self):
        for process in (self.mxlbd, self.holder):
            if process and process.poll() is None:
                process.kill()
                process.wait()
