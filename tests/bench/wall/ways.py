"""The ways from an edge to the BASP of a collector that are compared. Each is a
context manager over a Link, on the hosts of the same fleet."""

import contextlib
import os
import pathlib
import shutil
import socket
import sys
from dataclasses import dataclass, field

from harness.hosts import NODE_USER, WALL_USER
from harness.shipped import tool
from harness.waiting import wait_until
from harness.walls import BASP_PORT, COLLECTOR, Process, Server

HERE = pathlib.Path(__file__).resolve().parent
# Ports that the rules know nothing of.
BARE_PORT, CAF_PORT, RAW_PORT = 9001, 9002, 9003
HAPROXY_PORT, HAPROXY_EDGE_PORT = 9004, 9005
# That of deploy/fleet, where a program does not take it from there.
SUITE = "TLS_AES_128_GCM_SHA256"


@dataclass
class Link:
    """Where a client on the edge connects to, and what that keeps busy."""

    options: list
    port: int
    # What strangers can connect to: a port of the collector, and its process.
    exposed_port: int
    exposed: Process
    # What is between the two nodes of CAF.
    between: list = field(default_factory=list)


class Files:
    """What nodes read themselves, of their own user."""

    def __init__(self, fleet):
        self.collector = self._copy(fleet, fleet.collector_wall.directory)
        self.edge = self._copy(fleet, fleet.edge_walls[0].directory)

    @staticmethod
    def _copy(fleet, source):
        directory = fleet.work / f"{source.name}-tls"
        if not directory.exists():
            directory.mkdir()
            for name in ("node.crt", "node.key", "ca.crt", "ca.crl"):
                shutil.copy(source / name, directory)
            both = (directory / "node.crt").read_bytes()
            both += (directory / "node.key").read_bytes()
            (directory / "node.pem").write_bytes(both)
            for file in [directory, *directory.iterdir()]:
                os.chown(file, NODE_USER, WALL_USER)
                file.chmod(0o750)
        return directory


@contextlib.contextmanager
def bare(fleet):
    """BASP over the network as it is."""
    address = fleet.collector.address
    options = ["--host", address]
    with Server(fleet.collector, fleet.work, BARE_PORT, options) as server:
        yield Link(options, BARE_PORT, BARE_PORT, server)


@contextlib.contextmanager
def wall(fleet):
    """stunnel at both ends, as shipped."""
    with Server(fleet.collector, fleet.work):
        between = [fleet.collector_wall, fleet.edge_walls[0]]
        yield Link([], BASP_PORT, 8788, fleet.collector_wall, between)


@contextlib.contextmanager
def caf_openssl(fleet):
    """CAF's own TLS over the network."""
    files = Files(fleet)
    listen = ["--host", fleet.collector.address, "--tls", files.collector]
    with Server(fleet.collector, fleet.work, CAF_PORT, listen) as server:
        dial = ["--host", fleet.collector.address, "--tls", files.edge]
        yield Link(dial, CAF_PORT, CAF_PORT, server)


@contextlib.contextmanager
def wall_and_caf_openssl(fleet):
    """Both, the one in the other."""
    files = Files(fleet)
    listen = ["--tls", files.collector]
    with Server(fleet.collector, fleet.work, BASP_PORT, listen):
        between = [fleet.collector_wall, fleet.edge_walls[0]]
        dial = ["--tls", files.edge]
        yield Link(dial, BASP_PORT, 8788, fleet.collector_wall, between)


class Haproxy(Process):
    """An end of the same wall, by HAProxy."""

    def __init__(self, host, work, address, service):
        super().__init__(host, pathlib.Path(work) / f"{host.name}-haproxy.log")
        self._address = address
        self._file = pathlib.Path(work) / f"{host.name}-haproxy.cfg"
        lines = [
            "global",
            f"  ssl-default-bind-ciphersuites {SUITE}",
            f"  ssl-default-server-ciphersuites {SUITE}",
            "defaults",
            "  mode tcp",
            "  timeout connect 5s",
            "  timeout client 60s",
            "  timeout server 60s",
            "listen fleet",
            *(f"  {line}" for line in service),
        ]
        self._file.write_text("\n".join(lines) + "\n", encoding="ascii")

    def start(self):
        command = [tool("haproxy"), "-db", "-f", self._file]
        self.process = self.host.start(command, self.log_file, WALL_USER)
        wait_until(lambda: f"HAProxy accepts:\n{self.log()}", self._accepts)
        return self

    def _accepts(self):
        self.assert_runs()
        try:
            with self.host.inside():
                socket.create_connection(self._address, 10).close()
        except ConnectionRefusedError:
            return False
        return True


@contextlib.contextmanager
def haproxy(fleet):
    """HAProxy at both ends."""
    files = Files(fleet)
    tls = "ca-file {0}/ca.crt crl-file {0}/ca.crl crt {0}/node.pem"
    tls += " verify required ssl-min-ver TLSv1.3"
    public = (fleet.collector.address, HAPROXY_PORT)
    bind = "bind {}:{} ssl ".format(*public)
    server = "server collector {}:{} ssl ".format(*public)
    collector = Haproxy(
        fleet.collector,
        fleet.work,
        public,
        [
            bind + tls.format(files.collector),
            f"server basp 127.0.0.1:{BASP_PORT}",
        ],
    )
    edge = Haproxy(
        fleet.edges[0],
        fleet.work,
        ("127.0.0.1", HAPROXY_EDGE_PORT),
        [
            f"bind 127.0.0.1:{HAPROXY_EDGE_PORT}",
            server + tls.format(files.edge) + f" verifyhost {COLLECTOR}",
        ],
    )
    with Server(fleet.collector, fleet.work), collector, edge:
        yield Link(
            [], HAPROXY_EDGE_PORT, HAPROXY_PORT, collector, [collector, edge]
        )


ALL = {
    "bare": bare,
    "wall": wall,
    "caf_openssl": caf_openssl,
    "wall and caf_openssl": wall_and_caf_openssl,
    "haproxy": haproxy,
}


class RawTls(Process):
    """The rival's end on the collector, and the command for the edge's."""

    def __init__(self, fleet):
        super().__init__(fleet.collector, fleet.work / "raw-tls.log")
        self._fleet = fleet
        self._files = Files(fleet)
        # Python has no other way to choose a suite of TLS 1.3.
        suite = fleet.work / "openssl.cnf"
        suite.write_text(
            "openssl_conf = init\n[init]\nssl_conf = ssl\n[ssl]\n"
            f"system_default = suite\n[suite]\nCiphersuites = {SUITE}\n",
            encoding="ascii",
        )
        self._program = ["env", f"OPENSSL_CONF={suite}"]
        self._program += [sys.executable, HERE / "raw_tls.py"]

    def _where(self, files):
        return [self._fleet.collector.address, str(RAW_PORT), files]

    def start(self):
        # What an earlier one said is not it.
        self.log_file.unlink(missing_ok=True)
        command = [*self._program, "serve", *self._where(self._files.collector)]
        self.process = self.host.start(command, self.log_file)
        self.wait_logged("listening")
        return self

    def push(self, size, seconds):
        arguments = [*self._where(self._files.edge), str(size), str(seconds)]
        return [*self._program, "push", *arguments]
