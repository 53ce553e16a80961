# SPDX-License-Identifier: BSD-2-Clause
"""A real Exim (scripts/install-deps unpacks it) on one host of the lab. It needs a user of its own that is not visible
elsewhere, so it runs in a mount namespace with its own /etc/passwd."""
import os
import shutil
import signal
import subprocess
from pathlib import Path

from lab import wait_until

BINARY = Path("/var/cache/mxlb-lab/exim/usr/sbin/exim4")
USER, NUMBER = "Debian-exim", 61025
CONFIG = """
primary_hostname = exim.contoso.com
spool_directory = {directory}/spool
log_file_path = {directory}/log/%slog
pid_file_path = {directory}/pid
tls_certificate = {certificate}
tls_privatekey = {key}
log_selector = +smtp_connection +smtp_protocol_error +smtp_syntax_error
daemon_smtp_ports = {ports}
local_interfaces = <; 0.0.0.0 ; ::0
{options}
acl_smtp_connect = on_connect
acl_smtp_mail = on_mail
begin acl
on_connect:
{on_connect}
  accept
on_mail:
{on_mail}
  accept
"""


class Exim:
    def __init__(self, lab, host, ports, options="", on_connect="", on_mail="", tls=None):
        """tls: a file with key and chain. Exim's $ expansions may be used in its name."""
        self.lab, self.host, self.ports = lab, host, ports
        self.directory = lab.run / "exim"
        shutil.rmtree(self.directory, ignore_errors=True)
        for name in ("spool", "log"):
            (self.directory / name).mkdir(parents=True)
            os.chown(self.directory / name, NUMBER, NUMBER)
        shutil.copy(lab.run / "key.pem", self.directory / "key.pem")
        os.chown(self.directory / "key.pem", NUMBER, NUMBER)
        self.config = self.directory / "config"
        self.config.write_text(CONFIG.format(directory=self.directory, certificate=tls or lab.run / "cert.pem",
                                             key=tls or self.directory / "key.pem", ports=" : ".join(map(str, ports)),
                                             options=options, on_connect=on_connect, on_mail=on_mail))
        for file, line in (("passwd", f"{USER}:x:{NUMBER}:{NUMBER}::/:/bin/false\n"), ("group", f"{USER}:x:{NUMBER}:\n")):
            (self.directory / file).write_text(Path("/etc", file).read_text() + line)

    def __enter__(self):
        private = f'mount --bind {self.directory}/passwd /etc/passwd; mount --bind {self.directory}/group /etc/group; exec "$@"'
        self.process = subprocess.Popen([*self.lab.nsenter(self.host), "unshare", "--mount", "sh", "-ec", private, "sh",
                                         str(BINARY), "-C", str(self.config), "-bdf"], stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True)
        try:
            wait_until(self.listens, 10, "Exim listens")
        except BaseException:
            self.__exit__()
            raise
        return self

    def listens(self):
        assert self.process.poll() is None, self.process.stdout.read()
        out = self.lab.within(self.host, "ss", "-Htln")
        return all(f"0.0.0.0:{port} " in out for port in self.ports)

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=10)

    def log(self):
        file = self.directory / "log" / "mainlog"
        return file.read_text(errors="replace") if file.exists() else ""
