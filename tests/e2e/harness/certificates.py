"""Certificates that the tests make for themselves, with openssl(1)."""

import pathlib
import shutil
import ssl
import subprocess

# What clients know the proxies by.
NAMES = "subjectAltName=DNS:localhost,IP:127.0.0.1"


def _new_key(key):
    subprocess.run(
        ["openssl", "genpkey", "-algorithm", "EC", "-out", str(key)]
        + ["-pkeyopt", "ec_paramgen_curve:prime256v1"],
        check=True,
        capture_output=True,
    )


def _new_certificate(crt, key, subject, *options):
    subprocess.run(
        ["openssl", "req", "-x509", "-days", "2", "-subj", f"/CN={subject}"]
        + ["-key", str(key), "-out", str(crt), *options],
        check=True,
        capture_output=True,
    )


class Authority:
    """Signs certificates; those who trust it have `crt`."""

    def __init__(self, directory, name="authority"):
        self.directory = pathlib.Path(directory)
        self.crt = self.directory / f"{name}.crt"
        self.key = self.directory / f"{name}.key"
        _new_key(self.key)
        _new_certificate(
            self.crt, self.key, name, "-addext", "keyUsage=keyCertSign"
        )

    def issue(self, name, keep_key=False):
        """Makes NAME.crt, NAME.key, and NAME.pem, which holds both; those that
        were there are replaced, each at once, as a renewal does. Returns the
        first two."""
        crt, key, both = self._files(name)
        new_crt, new_key, new_both = self._files("new")
        if keep_key:
            shutil.copyfile(key, new_key)
        else:
            _new_key(new_key)
        signed = ["-CA", str(self.crt), "-CAkey", str(self.key)]
        names = ["-addext", NAMES]
        no_authority = ["-addext", "basicConstraints=critical,CA:FALSE"]
        _new_certificate(
            new_crt, new_key, name, *signed, *names, *no_authority
        )
        new_both.write_bytes(new_crt.read_bytes() + new_key.read_bytes())
        new_both.rename(both)
        new_key.rename(key)
        new_crt.rename(crt)
        return crt, key

    def _files(self, name):
        return [self.directory / f"{name}.{x}" for x in ("crt", "key", "pem")]

    def context(self, certificate=None):
        """What a client needs to trust this authority alone, and to show the
        certificate of that name."""
        result = ssl.create_default_context(cafile=self.crt)
        if certificate:
            result.load_cert_chain(
                self.directory / f"{certificate}.crt",
                self.directory / f"{certificate}.key",
            )
        return result
