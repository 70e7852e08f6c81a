"""Certificates that the tests make for themselves, with openssl(1)."""

import pathlib
import ssl
import subprocess

# What clients know the proxies by.
NAMES = "subjectAltName=DNS:localhost,IP:127.0.0.1"


def _new_certificate(crt, key, subject, *options):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"]
        + ["-pkeyopt", "ec_paramgen_curve:prime256v1"]
        + ["-subj", f"/CN={subject}"]
        + ["-keyout", str(key), "-out", str(crt), *options],
        check=True,
        capture_output=True,
    )


class Authority:
    """Signs certificates; those who trust it have `crt`."""

    def __init__(self, directory, name="authority"):
        self.directory = pathlib.Path(directory)
        self.crt = self.directory / f"{name}.crt"
        self.key = self.directory / f"{name}.key"
        _new_certificate(
            self.crt, self.key, name, "-addext", "keyUsage=keyCertSign"
        )

    def issue(self, name):
        """Makes NAME.crt and NAME.key; a name that was there is replaced, both
        files at once, as a renewal does. Returns their paths."""
        crt, key = (self.directory / f"{name}.{x}" for x in ("crt", "key"))
        new_crt, new_key = (self.directory / f"new.{x}" for x in ("crt", "key"))
        signed = ["-CA", str(self.crt), "-CAkey", str(self.key)]
        names = ["-addext", NAMES]
        no_authority = ["-addext", "basicConstraints=critical,CA:FALSE"]
        _new_certificate(
            new_crt, new_key, name, *signed, *names, *no_authority
        )
        new_key.rename(key)
        new_crt.rename(crt)
        return crt, key

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
