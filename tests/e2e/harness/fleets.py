"""A whole fleet: edgecapd as a collector and as edges, each on a host of its own
behind its wall."""

import datetime
import pathlib
import shutil

from harness.daemon import Daemon, configuration
from harness.hosts import Bridge
from harness.packets import ethernet, marked, udp_ipv4
from harness.savefiles import read_pcap
from harness.shipped import changed
from harness.waiting import wait_until
from harness.walls import (
    BASP_PORT,
    COLLECTOR,
    Authority,
    CollectorWall,
    EdgeWall,
    public_directory,
)

API_PORT = 8787
# Short, so that tests need not wait long for what is lost.
LOST_AFTER_S = 3
# docs/fleet.md: `fleet.lost_after` and a second; and what a busy machine adds.
LOST_WITHIN_S = LOST_AFTER_S + 1.0
SLACK_S = 3.0
# For the API to say so, which is not what is measured.
LOST_TIMEOUT_S = 40.0
BACK_TIMEOUT_S = 60.0


def numbers_in(content):
    """The numbers of the packets in a savefile, in its order."""
    file = read_pcap(content)
    times = [record.time_ns for record in file.records]
    assert times == sorted(times)
    return [
        int.from_bytes(record.data[46:50], "big") for record in file.records
    ]


def time_of(entry):
    """When a line of a log was written, as time.time() has it."""
    return datetime.datetime.fromisoformat(
        entry["time"].replace("Z", "+00:00")
    ).timestamp()


def lines_of(job, name):
    """What a job says of its times on a node."""
    return [line for line in job["interfaces"] if line["node"] == name]


def begin(client, edges, port=5000, **fields):
    """A job that captures on all of these."""
    job = client.create(
        filter_v1={"protocol": 17, "destination_port": port}, **fields
    )

    def everywhere():
        lines = client.job(job["id"])["interfaces"]
        return {x.host.name for x in edges} <= {
            line["node"] for line in lines if line["state"] == "capturing"
        }

    wait_until(lambda: f"everywhere: {client.job(job['id'])}", everywhere, 20)
    return job["id"]


class RootEdgeWall(EdgeWall):
    """The wall of an edge whose edgecapd is root here, for it captures."""

    @staticmethod
    def rules():
        return changed("fleet/edge.nft", [('"edgecapd"', "0")])


class NodeDaemon(Daemon):
    """edgecapd on a host."""

    ready_timeout_s = 60.0

    def __init__(self, host, work, config):
        directory = pathlib.Path(work) / f"{host.name}-edgecapd"
        directory.mkdir()
        super().__init__(directory, config)
        self.host = host

    def _prepare(self):
        self.host.prepare()()


class CollectorDaemon(NodeDaemon):
    """The collector; its API is served on the bridge."""

    def __init__(self, host, work, files, sections):
        config = configuration(
            pathlib.Path(work) / "captures",
            [],
            listen={
                "address": host.address,
                "port": API_PORT,
                "behind_proxy": True,
            },
            node={"name": host.name},
            fleet={
                "port": BASP_PORT,
                "lost_after": f"{LOST_AFTER_S}s",
                "authority": str(files / "ca.crt"),
                "revoked": str(files / "ca.crl"),
            },
        )
        for name, section in sections.items():
            config.setdefault(name, {}).update(section)
        config["role"] = "collector"
        config["systems"] = {"magic-transit": {}, "elsewhere": {}}
        super().__init__(host, work, config)
        self.address = host.address


class EdgeDaemon(NodeDaemon):
    """An edge, ready when the collector has taken it."""

    def __init__(self, host, work, files, snaplen=None, **capture):
        interface = host.traffic.name
        if snaplen:
            interface = {"match": interface, "snaplen": snaplen}
        super().__init__(
            host,
            work,
            {
                "role": "edge",
                "node": {
                    "name": host.name,
                    "colo": "lab",
                    "labels": [f"host={host.name}"],
                },
                "fleet": {
                    "port": BASP_PORT,
                    "certificate": str(files / "node.crt"),
                    "key": str(files / "node.key"),
                },
                "systems": {
                    "magic-transit": {"interfaces": [interface]}
                },
                "capture": {"wake_interval": "20ms", **capture},
            },
        )

    @property
    def port(self):
        """What a failed test calls it."""
        return self.host.name

    def start(self):
        self._connected = len(self.events("collector-connected")) if (
            self.log_file.exists()
        ) else 0
        return super().start()

    def wait_ready(self):
        def ready():
            code = self.process.poll()
            assert code is None, f"exited with {code}:\n{self.log()}"
            return len(self.events("collector-connected")) > self._connected

        wait_until(
            lambda: f"connected\n{self.log()}", ready, self.ready_timeout_s
        )

    def send(self, numbers, port=5000, length=32):
        """Has its interface receive a packet for each number, with so many
        bytes of payload."""
        for number in numbers:
            packet = udp_ipv4(marked(number, length), destination_port=port)
            self.host.traffic.send(ethernet(packet))


class CapturingFleet:
    """A collector and edges that capture. `sections` extend the configuration
    of the collector; the rest is for the edges."""

    def __init__(self, edges, snaplen=None, ring=None, **sections):
        self.work = public_directory()
        self.bridge = Bridge()
        authority = Authority(self.work)
        host = self.bridge.host("collector")
        files = authority.issue("collector", COLLECTOR)
        self.walls = [CollectorWall(host, self.work, files)]
        self.collector = CollectorDaemon(host, self.work, files, sections)
        self.edges = []
        for number in range(1, edges + 1):
            edge = self.bridge.host(f"edge-{number}")
            files = authority.issue("edge", edge.name)
            self.walls.append(RootEdgeWall(edge, self.work, files, host))
            self.edges.append(
                EdgeDaemon(
                    edge,
                    self.work,
                    files,
                    snaplen,
                    **({"ring": ring} if ring else {}),
                )
            )

    def wall_of(self, daemon):
        """The wall on the host of a collector or an edge."""
        return next(x for x in self.walls if x.host is daemon.host)

    def node(self, name):
        """What the API says of a node; None if it knows none."""
        client = self.collector.client()
        answer = client.get(client.base + "/nodes")
        assert answer.status == 200, answer.body
        return next((x for x in answer.result if x["name"] == name), None)

    def wait_node(self, name, status, timeout_s):
        """Waits until the API says so of a node; returns what it says."""
        said = {}

        def is_so():
            said.update(self.node(name) or {})
            return said.get("status") == status

        wait_until(lambda: f"{name} {status}: {said}", is_so, timeout_s)
        return said

    def wait_lost(self, name, since_s):
        """Waits until a node is lost to which something was done at
        `since_s`, as time.time() has it, and judges when that was noticed;
        returns what the API says."""
        said = self.wait_node(name, "lost", LOST_TIMEOUT_S)
        noticed_s = min(
            time_of(entry)
            for entry in self.collector.events("node-lost", node=name)
            if time_of(entry) >= since_s
        )
        assert noticed_s - since_s <= LOST_WITHIN_S + SLACK_S
        return said

    def __enter__(self):
        for wall in self.walls:
            wall.load_rules()
            wall.start()
        for daemon in (self.collector, *self.edges):
            daemon.start()
        for edge in self.edges:
            self.wait_node(edge.host.name, "connected", BACK_TIMEOUT_S)
        return self

    def __exit__(self, kind, *_):
        for daemon in (*self.edges, self.collector):
            if daemon.process is None or daemon.process.poll() is not None:
                continue
            if kind is None:
                daemon.stop()
            else:
                daemon.kill()
        for wall in self.walls:
            wall.stop()
        self.bridge.close()
        shutil.rmtree(self.work)
