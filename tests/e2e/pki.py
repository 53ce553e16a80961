# SPDX-License-Identifier: BSD-2-Clause
"""Valid and invalid certificates of every kind, made with the openssl command in a directory of the test."""
import datetime
import ssl
import subprocess
import warnings

CONFIG = """
[ca]
default_ca = here
[here]
database = index.txt
new_certs_dir = .
rand_serial = yes
default_md = sha256
policy = any
unique_subject = no
email_in_dn = yes
[any]
countryName = optional
stateOrProvinceName = optional
localityName = optional
organizationName = optional
organizationalUnitName = optional
commonName = optional
emailAddress = optional
"""


def openssl(*argv, cwd):
    subprocess.run(["openssl", *argv], cwd=cwd, check=True, capture_output=True, timeout=60)


class Pki:
    def __init__(self, directory):
        self.directory = directory
        (directory / "ca.cnf").write_text(CONFIG)
        (directory / "index.txt").touch()
        openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "key.pem", cwd=directory)

    def certificate(self, name, subject, issuer=None, extensions="", days=(-1, 90), md="sha256"):
        """Writes NAME.pem with the common key. issuer: the name of another one, or None for self-signed. Days are
        relative to now."""
        (self.directory / "ext").write_text(extensions or "# none")
        now = datetime.datetime.now(datetime.timezone.utc)
        start, end = ((now + datetime.timedelta(days=d)).strftime("%Y%m%d%H%M%SZ") for d in days)
        openssl("req", "-new", "-utf8", "-key", "key.pem", "-subj", subject, "-out", "csr", cwd=self.directory)
        sign = ["-selfsign"] if issuer is None else ["-cert", f"{issuer}.pem"]
        openssl("ca", "-batch", "-notext", "-preserveDN", "-config", "ca.cnf", "-keyfile", "key.pem", *sign, "-md", md,
                "-startdate", start, "-enddate", end, "-extfile", "ext", "-in", "csr", "-out", f"{name}.pem",
                cwd=self.directory)
        return self.directory / f"{name}.pem"

    def authority(self, name, subject, issuer=None, **more):
        return self.certificate(name, subject, issuer, "basicConstraints=critical,CA:TRUE", **more)

    def chain(self, *names):
        """The chain as a server sends it, its own certificate first."""
        chain = self.directory / ("-".join(names)[:100] + ".chain")
        chain.write_text("".join((self.directory / f"{name}.pem").read_text() for name in names))
        return chain

    def context(self, *names):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with warnings.catch_warnings(action="ignore"):
            context.minimum_version = ssl.TLSVersion.TLSv1
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        context.load_cert_chain(self.chain(*names), self.directory / "key.pem")
        return context

    def spki_sha256(self):
        return subprocess.run("openssl pkey -in key.pem -pubout -outform der | openssl dgst -sha256 -r", shell=True, check=True,
                              cwd=self.directory, capture_output=True, text=True).stdout.split()[0]
