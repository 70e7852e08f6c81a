"""nginx and HAProxy with the configuration of deploy/tls, in front of a daemon.

The shipped files are used as they are but for what deploy/tls/README.md says
may be changed: ports and paths, and the option of client certificates.
"""

import os
import pathlib
import signal
import socket
import subprocess

from harness.client import Client
from harness.daemon import ACCOUNT, TOKEN, bearer, new_port
from harness.network import die_with_parent
from harness.shipped import changed, tool
from harness.waiting import wait_until

READY_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 10.0


def _children(pid):
    path = f"/proc/{pid}/task/{pid}/children"
    with open(path, encoding="ascii") as f:
        return [int(child) for child in f.read().split()]


class Proxy:
    """A proxy of its own process, directory and port.

    `authority` signs its certificate `server`; the directory of the authority
    is its /etc/edgecap/tls. With `client_certificates`, clients must show one
    that is signed by it, too.
    """

    def __init__(
        self, work, upstream_port, authority, client_certificates=False
    ):
        self.work = pathlib.Path(work)
        self.upstream = f"127.0.0.1:{upstream_port}"
        self.authority = authority
        self.client_certificates = client_certificates
        self.port = new_port()
        self.log_file = self.work / "proxy.log"
        self.process = None
        authority.issue("server")

    def client(self, token=TOKEN, source=None, certificate=None):
        """A client of the API that comes through the proxy."""
        return Client(
            self.port,
            ACCOUNT,
            bearer(token),
            source=source,
            tls=self.authority.context(certificate),
        )

    def served_serial(self):
        """Serial number of the certificate that a new connection is shown."""
        context = self.authority.context()
        with socket.create_connection(("127.0.0.1", self.port), 10) as plain:
            with context.wrap_socket(plain, server_hostname="localhost") as tls:
                return tls.getpeercert()["serialNumber"]

    def processes(self):
        """Its processes, those of before a reload included."""
        first = self.process.pid
        return [first, *_children(first)]

    def open_files(self):
        """The regular files that its processes have open."""
        found = set()
        for pid in self.processes():
            for entry in os.scandir(f"/proc/{pid}/fd"):
                try:
                    target = os.readlink(entry.path)
                except FileNotFoundError:
                    continue
                if target.startswith("/") and not target.startswith("/dev/"):
                    found.add(target)
        return found

    def log(self):
        """What it wrote."""
        if not self.log_file.exists():
            return ""
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def start(self):
        """Starts and waits until it accepts connections."""
        command = self._configure()
        with open(self.log_file, "ab") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent,
            )

        def accepts():
            code = self.process.poll()
            assert code is None, f"exited with {code}:\n{self.log()}"
            try:
                socket.create_connection(("127.0.0.1", self.port), 10).close()
            except ConnectionRefusedError:
                return False
            return True

        wait_until(
            lambda: f"{self.name} accepts:\n{self.log()}",
            accepts,
            READY_TIMEOUT_S,
        )
        return self

    def renew_certificate(self):
        """As deploy/tls/README.md has it: a new file, and a reload."""
        self.authority.issue("server")
        self.process.send_signal(signal.SIGUSR2)

    def stop(self):
        """Ends it and all its processes at once."""
        processes = self.processes()
        self.process.terminate()
        self.process.wait(STOP_TIMEOUT_S)
        wait_until(
            "the proxy's processes end",
            lambda: not any(os.path.exists(f"/proc/{x}") for x in processes),
            STOP_TIMEOUT_S,
        )

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()


class Nginx(Proxy):
    """The site in an nginx.conf like Debian's, in a directory of its own."""

    name = "nginx"

    def renew_certificate(self):
        """It looks at each handshake, first for the certificate and then for
        the key: the key stays the same, or the two might not match."""
        self.authority.issue("server", keep_key=True)

    def _configure(self):
        changes = [
            ("127.0.0.1:8787", self.upstream),
            ("/etc/edgecap/tls", str(self.authority.directory)),
            ("listen 443 ssl", f"listen {self.port} ssl"),
            ("listen [::]:443 ssl", f"listen [::]:{self.port} ssl"),
        ]
        if self.client_certificates:
            changes += [
                ("#ssl_client_certificate", "ssl_client_certificate"),
                ("#ssl_verify_client", "ssl_verify_client"),
                ("clients.crt", self.authority.crt.name),
            ]
        site = self.work / "nginx-edgecap.conf"
        site.write_text(
            changed("tls/nginx-edgecap.conf", changes), encoding="utf-8"
        )
        main = self.work / "nginx.conf"
        spools = [
            f"{kind}_temp_path {self.work}/{kind};"
            for kind in ("client_body", "proxy", "fastcgi", "scgi", "uwsgi")
        ]
        lines = [
            "user root;",
            "daemon off;",
            "worker_processes 2;",
            f"pid {self.work}/nginx.pid;",
            f"error_log {self.log_file};",
            "events { worker_connections 768; }",
            "http {",
            f"access_log {self.work}/access.log;",
            # These are Debian's; the site must not depend on their absence.
            "sendfile on;",
            "tcp_nopush on;",
            "ssl_protocols TLSv1 TLSv1.1 TLSv1.2 TLSv1.3;",
            "ssl_prefer_server_ciphers on;",
            "gzip on;",
            *spools,
            f"include {site};",
            "}",
        ]
        main.write_text("\n".join(lines), encoding="utf-8")
        return [tool("nginx"), "-c", str(main), "-e", str(self.log_file)]


class Haproxy(Proxy):
    """The shipped file, run as Debian's unit does: a master and its worker."""

    name = "haproxy"

    def _configure(self):
        changes = [
            ("127.0.0.1:8787", self.upstream),
            ("/etc/edgecap/tls", str(self.authority.directory)),
            ("/run/haproxy/admin.sock", f"{self.work}/admin.sock"),
            ("bind :443 ", f"bind :{self.port} "),
            ("bind :::443 ", f"bind :::{self.port} "),
        ]
        if self.client_certificates:
            verify = f"ca-file {self.authority.crt} verify required"
            changes.append(("alpn http/1.1", f"alpn http/1.1 {verify}"))
        config = self.work / "haproxy.cfg"
        config.write_text(
            changed("tls/haproxy.cfg", changes), encoding="utf-8"
        )
        return [tool("haproxy"), "-W", "-f", str(config)]
