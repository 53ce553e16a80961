# SPDX-License-Identifier: BSD-2-Clause
"""A clean Debian that runs its own systemd, in namespaces and in the network of a host of the lab. Its mounts
disappear with it. Root only."""
import contextlib
import os
import shlex
import shutil
import subprocess
from pathlib import Path

from lab import children, wait_until
from system import ENVIRONMENT, System

CGROUPS = Path("/sys/fs/cgroup")
V2 = (CGROUPS / "cgroup.controllers").exists()
MOUNTS = """
mount -t tmpfs tmpfs {folder}
cd {folder}
mkdir upper work root
mount -t overlay overlay -o lowerdir={lower},upperdir=upper,workdir=work root
mkdir root/.folder root/.before
mount --bind . root/.folder
cd root
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t bpf -o mode=0700 bpf sys/fs/bpf
mount -t tmpfs -o mode=0755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
mount -t tmpfs -o mode=0755 tmpfs dev
for name in null zero full random urandom tty; do touch dev/$name; mount --bind /dev/$name dev/$name; done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
{cgroups}
: >etc/machine-id
cp -L /etc/resolv.conf etc/resolv.conf
pivot_root . .before
umount -l /.before
container=docker exec /lib/systemd/systemd --unit=multi-user.target
"""
CGROUPS_V1 = """
mount -t tmpfs -o mode=0755 tmpfs sys/fs/cgroup
mkdir sys/fs/cgroup/systemd
mount -t cgroup -o none,name=systemd cgroup sys/fs/cgroup/systemd
"""
CGROUPS_V2 = "mount -t cgroup2 cgroup2 sys/fs/cgroup"
OF_BOOTING = ("etc/machine-id", "etc/resolv.conf", ".folder", "etc/.updated", "var/.updated", "var/tmp", "var/lib/private", "root/")


class Booted(System):
    """A machine booted by systemd. netns: the file of a network namespace."""

    def __init__(self, lower, folder, netns):
        self.lower, self.folder, self.netns, self.is_clean, self.mxlbd = Path(lower), folder, netns, True, None
        self.cgroup = (CGROUPS if V2 else CGROUPS / "systemd") / f"mxlb-{os.getpid()}"
        self.cgroup.mkdir()
        mounts = MOUNTS.format(folder=shlex.quote(str(folder)), lower=shlex.quote(str(lower)),
                               cgroups=CGROUPS_V2 if V2 else CGROUPS_V1)
        enter = f"echo $$ >{self.cgroup}/cgroup.procs; exec nsenter --net={netns} unshare --pid --fork --kill-child --mount --uts --ipc " \
                '--cgroup sh -ec "$1"'
        self.holder = subprocess.Popen(["sh", "-ec", enter, "-", mounts], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        try:
            wait_until(self.is_ready, 60, "systemd has started")
        except AssertionError:
            self.end()
            raise

    def is_ready(self):
        assert self.holder.poll() is None, "the system could not be booted"
        return children(self.holder.pid) and self("systemctl", "is-system-running", status=None).strip() in ("running", "degraded")

    @property
    def init(self):
        return children(self.holder.pid)[0]

    def file(self, path):
        return Path(f"/proc/{self.init}/root{path}")

    def inside(self, path):
        return self.file(f"/.folder{path}")

    def argv(self, *words, netns="own"):
        """Runs in the network namespace of the machine, or in this machine's, from where packages can be downloaded."""
        kinds = ["--mount", "--pid", "--uts", "--ipc", "--cgroup", *(["--net"] if netns == "own" else [])]
        return ["nsenter", f"--target={self.init}", *kinds, "--", "env", "-i", *(f"{k}={v}" for k, v in ENVIRONMENT.items()), *words]

    def __call__(self, *words, netns="own", **options):
        return super().__call__(*words, netns=netns, **options)

    def install(self, deb):
        shutil.copy(deb, self.file("/tmp"))
        self("apt-get", "-y", "install", f"/tmp/{deb.name}", netns=None)

    def status(self, expected=0):
        """The status document; None while mxlbd restarts. The journal has the errors."""
        return super().status(expected=None)

    def changed(self):
        return {name for name in super().changed() if not name.startswith(OF_BOOTING)}

    def journal(self):
        return self("journalctl", "--no-pager", "-u", "mxlb", "-o", "cat")

    def end(self):
        if self.holder.poll() is None:
            self.holder.kill()  # --kill-child: with it goes init, and with that all
        self.holder.wait()
        def gone():
            with contextlib.suppress(OSError):
                for path, _, _ in os.walk(self.cgroup, topdown=False):
                    os.rmdir(path)
            return not self.cgroup.exists()
        wait_until(gone, 20, "its processes have ended")
