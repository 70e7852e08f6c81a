"""The wall in front of BASP: stunnel and nftables as deploy/fleet has them, the
certificates of its fleet-ca, and CAF nodes behind it.

The shipped files are used as they are but for paths, addresses and the names of
users, which are numbers here.
"""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile

from harness.hosts import NODE_USER, WALL_USER, Bridge
from harness.shipped import DEPLOY, changed, tool
from harness.waiting import wait_until

# The shipped ones: accept of the collector's stunnel, and fleet.port.
WALL_PORT = 8788
BASP_PORT = 8789
COLLECTOR = "collector.example"
# LimitNOFILE= of the shipped unit.
DESCRIPTORS = 4096
READY_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 10.0


def public_directory():
    """A directory that every user may enter; the caller removes it."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="edgecap-nodes-"))
    path.chmod(0o755)
    return path


def _resident(pid, field):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return int(re.search(rf"{field}:\s+(\d+) kB", f.read())[1]) * 1024


def cpu_s(pid):
    """Processor time that a process has used, user and system."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Process:
    """Something that runs on a host and says in a file what it does."""

    def __init__(self, host, log_file):
        self.host = host
        self.log_file = pathlib.Path(log_file)
        self.process = None

    def log(self):
        if not self.log_file.exists():
            return ""
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def wait_logged(self, pattern, timeout_s=READY_TIMEOUT_S):
        """Waits until it has said something that matches; returns the match."""
        return wait_until(
            lambda: f"{pattern!r} in the log:\n{self.log()[-4000:]}",
            lambda: re.search(pattern, self.log()),
            timeout_s,
        )

    def assert_runs(self):
        code = self.process.poll()
        assert code is None, f"ended with {code}:\n{self.log()[-4000:]}"

    @property
    def pid(self):
        return self.process.pid

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def threads(self):
        return len(os.listdir(f"/proc/{self.pid}/task"))

    def resident_bytes(self):
        return _resident(self.pid, "VmRSS")

    def peak_bytes(self):
        return _resident(self.pid, "VmHWM")

    def cpu_s(self):
        """Processor time that it has used."""
        return cpu_s(self.pid)

    def stop(self):
        """Ends it, however it is."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()


class Authority:
    """A fleet's authority, by the shipped fleet-ca."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory) / "ca"
        self.fleet_ca("init")

    def try_fleet_ca(self, *arguments):
        return subprocess.run(
            [DEPLOY / "fleet/fleet-ca", "--directory", self.directory]
            + [*arguments],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    def fleet_ca(self, *arguments):
        """What it printed; it must succeed."""
        done = self.try_fleet_ca(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def issue(self, *command):
        """The directory that fleet-ca says it has put the new files in."""
        said = self.fleet_ca(*command)
        return pathlib.Path(said.split(" has the files", 1)[0])

    def sign(self, name, *options, use="clientAuth"):
        """A certificate that fleet-ca would not make; the directory has what
        its own have."""
        directory = self.directory / f"odd-{name}-{len(options)}-{use}"
        directory.mkdir()
        extensions = directory / "extensions"
        extensions.write_text(
            f"basicConstraints=critical,CA:FALSE\nextendedKeyUsage={use}\n"
            f"subjectAltName=DNS:{name}\n",
            encoding="ascii",
        )
        for command in (
            ["req", "-new", "-newkey", "ec", "-pkeyopt"]
            + ["ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}"]
            + ["-keyout", directory / "node.key"]
            + ["-out", directory / "node.csr"],
            ["ca", "-config", "openssl.cnf", "-batch", "-notext", "-days", "9"]
            + ["-in", directory / "node.csr", "-extfile", extensions]
            + ["-out", directory / "node.crt", *options],
        ):
            subprocess.run(
                ["openssl", *command],
                check=True,
                capture_output=True,
                cwd=self.directory,
            )
        for name in ("ca.crt", "ca.crl"):
            shutil.copy(self.directory / name, directory)
        return directory


class Wall(Process):
    """stunnel on a host, and its rules once `load_rules` was called. `files` is
    a directory as fleet-ca makes them, `kind` a shipped configuration, in which
    `changes` are made besides those of paths."""

    def __init__(self, host, work, files, kind, changes):
        directory = pathlib.Path(work) / f"{host.name}-fleet"
        super().__init__(host, directory.with_suffix(".log"))
        self.directory = directory
        self.descriptors_limit = DESCRIPTORS
        directory.mkdir()
        self.install(files)
        self.configuration = directory / "stunnel.conf"
        self.configuration.write_text(
            changed(
                f"fleet/stunnel-{kind}.conf",
                [
                    ("/run/credentials/edgecap-wall.service", str(directory)),
                    ("/etc/edgecap/fleet", str(directory)),
                    *changes,
                ],
            ),
            encoding="utf-8",
        )

    def install(self, files):
        """Puts files of fleet-ca where the configuration looks for them."""
        for file in pathlib.Path(files).iterdir():
            copy = self.directory / file.name
            shutil.copy(file, copy)
            # systemd's LoadCredential= does this.
            os.chown(copy, WALL_USER, WALL_USER)

    def start(self):
        # A start is seen by what it says: what an earlier one said is not it.
        self.log_file.unlink(missing_ok=True)
        self.process = self.host.start(
            [tool("stunnel4"), self.configuration],
            self.log_file,
            WALL_USER,
            self.descriptors_limit,
        )
        self.wait_logged("Configuration successful")
        return self

    def limit_descriptors(self, count):
        """Has it find no more than so many from now on."""
        # By its own user: another one would need a capability.
        command = [tool("prlimit"), "--pid", str(self.pid), f"--nofile={count}:"]
        done = self.host.run(command, WALL_USER)
        assert done.returncode == 0, done.stderr

    def reload(self):
        """Reads its files again."""
        before = self.log().count("Configuration successful")
        self.process.send_signal(signal.SIGHUP)
        wait_until(
            lambda: f"reloaded:\n{self.log()}",
            lambda: self.log().count("Configuration successful") > before,
        )

    def load_rules(self, rules=None):
        """The shipped ones, or those that are given."""
        file = self.directory / "wall.nft"
        file.write_text(rules or self.rules(), encoding="utf-8")
        done = self.host.run([tool("nft"), "-f", file])
        assert done.returncode == 0, done.stderr


class CollectorWall(Wall):
    """The collector's end."""

    def __init__(self, host, work, files):
        super().__init__(host, work, files, "collector", [])

    @staticmethod
    def rules():
        return changed(
            "fleet/collector.nft", [('"edgecap-wall"', str(WALL_USER))]
        )


class EdgeWall(Wall):
    """An edge's end."""

    def __init__(self, host, work, files, collector):
        changes = [(f"{COLLECTOR}:8788", f"{collector.address}:8788")]
        super().__init__(host, work, files, "edge", changes)

    @staticmethod
    def rules():
        return changed("fleet/edge.nft", [('"edgecapd"', str(NODE_USER))])


def peer_program(work):
    """The CAF node that stands behind the wall, where every user can run it."""
    path = os.environ.get("BASP_PEER")
    assert path, "set BASP_PEER to the path of basp_peer"
    copy = pathlib.Path(work) / "basp_peer"
    if not copy.exists():
        shutil.copy(path, copy)
    return copy


class Server(Process):
    """A node that listens for BASP on a host; without `options` on loopback."""

    def __init__(self, host, work, port=BASP_PORT, options=()):
        log_file = pathlib.Path(work) / f"{host.name}-server-{port}.log"
        super().__init__(host, log_file)
        self._command = [peer_program(work), "serve", str(port), *options]

    def start(self):
        self.log_file.unlink(missing_ok=True)
        self.process = self.host.start(self._command, self.log_file, NODE_USER)
        self.wait_logged("listening")
        return self


class Asker(Process):
    """A node that asks the server through the wall again and again, and counts
    round trips."""

    def __init__(self, host, work, name="asker", text="ping"):
        log_file = pathlib.Path(work) / f"{host.name}-{name}.log"
        super().__init__(host, log_file)
        self._command = [peer_program(work), "ask", str(BASP_PORT)]
        self._command += ["--text", text, "--pause-us", "5000"]
        self._command += ["--seconds", "600"]

    def start(self):
        self.log_file.unlink(missing_ok=True)
        self.process = self.host.start(
            self._command, self.log_file, NODE_USER
        )
        return self

    def reports(self):
        """What it has counted, for each stretch of a fifth of a second."""
        lines = self.log().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def trips(self):
        return sum(report["trips"] for report in self.reports())

    def wait_trips(self, more=20, timeout_s=READY_TIMEOUT_S):
        """Waits for so many more round trips."""
        wanted = self.trips() + more

        def made():
            self.assert_runs()
            return self.trips() >= wanted

        wait_until(lambda: f"round trips:\n{self.log()}", made, timeout_s)

    def failure(self):
        """Why it gave up, which it must."""
        self.process.wait(READY_TIMEOUT_S)
        assert self.process.returncode == 1, self.log()
        return self.reports()[-1]["error"]


class Fleet:
    """A collector and edges, each on a host, with their walls and rules. Behind
    the collector's there is a node of CAF and nothing else."""

    def __init__(self, edges=1):
        self.work = public_directory()
        self.bridge = Bridge()
        self.authority = Authority(self.work)
        self.collector = self.bridge.host("collector")
        self.collector_wall = CollectorWall(
            self.collector,
            self.work,
            self.authority.issue("collector", COLLECTOR),
        )
        self.edges = []
        self.edge_walls = []
        self.edge_files = []
        for number in range(1, edges + 1):
            self._add_edge(f"edge-{number}")
        self.server = Server(self.collector, self.work)
        self.parts = [self.collector_wall, *self.edge_walls, self.server]

    def _add_edge(self, name):
        host = self.bridge.host(name)
        files = self.authority.issue("edge", name)
        self.edges.append(host)
        self.edge_files.append(files)
        self.edge_walls.append(
            EdgeWall(host, self.work, files, self.collector)
        )

    def asker(self, edge=0, **options):
        """A node on that edge that dials the collector."""
        return Asker(self.edges[edge], self.work, **options)

    def __enter__(self):
        for wall in [self.collector_wall, *self.edge_walls]:
            wall.load_rules()
        for part in self.parts:
            part.start()
        return self

    def __exit__(self, *_):
        for part in self.parts:
            part.stop()
        self.bridge.close()
        shutil.rmtree(self.work)
