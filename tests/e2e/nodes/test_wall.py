"""deploy/fleet: who gets through the wall in front of BASP, and what is seen of
what goes through. stunnel, nftables and fleet-ca as they are shipped, on hosts
of their own; behind them a node of CAF, since it is CAF that must be kept from
strangers."""

import errno
import re
import shutil
import socket
import ssl
import subprocess

import pytest

from harness.hosts import NODE_USER, OTHER_USER, WALL_USER, connect_error
from harness.network import ip
from harness.shipped import tool
from harness.waiting import wait_until
from harness.walls import (
    BASP_PORT,
    COLLECTOR,
    WALL_PORT,
    Asker,
    Authority,
    CollectorWall,
    EdgeWall,
    Fleet,
    Server,
)

# Nobody else's bytes.
MARKER = "cleartext-of-the-capture"
LONG_AGO = ("-startdate", "20200101000000Z", "-enddate", "20200102000000Z")
NOT_YET = ("-startdate", "20900101000000Z", "-enddate", "20910101000000Z")


@pytest.fixture(scope="module")
def fleet():
    with Fleet() as made:
        yield made


@pytest.fixture(scope="module")
def visitor(fleet):
    """A host whose wall each test sets up as it needs it."""
    return fleet.bridge.host("visitor")


@pytest.fixture(scope="module")
def impostor(fleet):
    """A host that claims to be the collector."""
    return fleet.bridge.host("impostor")


@pytest.fixture
def directory(fleet, request):
    """One of the test's own that every user may enter."""
    path = fleet.work / re.sub(r"\W+", "-", request.node.name)
    path.mkdir()
    path.chmod(0o755)
    return path


def client_context(fleet, files=None):
    """TLS as a stranger speaks it, with a certificate if there are files."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(fleet.authority.directory / "ca.crt")
    if files:
        context.load_cert_chain(files / "node.crt", files / "node.key")
    return context


def dial(fleet, context, session=None):
    """Connects to the wall from the network, until BASP has spoken: it does so
    first. Returns the session, and whether it was an old one."""
    address = (fleet.collector.address, WALL_PORT)
    with socket.create_connection(address, 10) as plain:
        with context.wrap_socket(plain, session=session) as tls:
            # TLS 1.3 hears of a refusal only now.
            assert tls.recv(1)
            return tls.session, tls.session_reused


def take_revocations(fleet):
    """What an operator does after `fleet-ca revoke`."""
    shutil.copy(
        fleet.authority.directory / "ca.crl", fleet.collector_wall.directory
    )
    fleet.collector_wall.reload()


# -- certificates ---------------------------------------------------------------


def test_a_node_of_the_fleet_gets_through(fleet):
    with fleet.asker() as asker:
        asker.wait_trips()
    fleet.collector_wall.wait_logged(
        r"Certificate accepted at depth=0: CN=edge-1\b"
    )


def certificate_of(fleet, kind):
    """Files to come with, and what the wall says of whoever does."""
    authority = fleet.authority
    if kind == "none":
        return None, "peer did not return a certificate"
    if kind == "expired":
        return authority.sign("late", *LONG_AGO), "certificate has expired"
    if kind == "not yet valid":
        return authority.sign("early", *NOT_YET), "certificate is not yet valid"
    if kind == "of another authority":
        other = fleet.work / "other"
        other.mkdir()
        files = Authority(other).issue("edge", "edge-1")
        return files, "unable to get local issuer certificate"
    if kind == "a collector's":
        files = authority.issue("collector", "another.example")
        return files, "unsuitable certificate purpose"
    files = authority.issue("edge", "lost")
    authority.fleet_ca("revoke", "lost")
    take_revocations(fleet)
    return files, "certificate revoked"


@pytest.mark.parametrize(
    "kind",
    [
        "none",
        "expired",
        "not yet valid",
        "of another authority",
        "a collector's",
        "revoked",
    ],
)
def test_whoever_has_no_good_certificate_is_refused_by_reason(fleet, kind):
    files, reason = certificate_of(fleet, kind)
    connections = fleet.server.descriptors()
    already = fleet.collector_wall.log().count(reason)
    with pytest.raises((ssl.SSLError, ConnectionError, AssertionError)):
        dial(fleet, client_context(fleet, files))
    wait_until(
        lambda: f"{reason}:\n{fleet.collector_wall.log()[-2000:]}",
        lambda: fleet.collector_wall.log().count(reason) > already,
    )
    # BASP has not heard of it.
    assert fleet.server.descriptors() == connections


def test_an_older_version_of_tls_is_refused(fleet):
    context = client_context(fleet, fleet.edge_files[0])
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError):
        dial(fleet, context)
    fleet.collector_wall.wait_logged("unsupported protocol")


def test_no_session_outlives_the_look_at_its_certificate(fleet):
    """A resumed session would show none, revoked or not."""
    context = client_context(fleet, fleet.edge_files[0])
    session, _ = dial(fleet, context)
    _, resumed = dial(fleet, context, session)
    assert not resumed


def test_a_reload_leaves_connections(fleet):
    with fleet.asker() as asker:
        asker.wait_trips()
        fleet.collector_wall.reload()
        asker.wait_trips()


def test_a_renewed_node_goes_on_and_its_old_certificate_does_not(
    fleet, visitor, directory
):
    old = fleet.authority.issue("edge", "renewed")
    new = fleet.authority.issue("renew", "renewed")
    wall = EdgeWall(visitor, directory, old, fleet.collector)
    with wall, Asker(visitor, fleet.work, "old") as asker:
        asker.wait_trips()
    fleet.authority.fleet_ca("revoke", "renewed", old.name)
    take_revocations(fleet)
    with wall, Asker(visitor, fleet.work, "revoked") as asker:
        assert "cannot connect" in asker.failure()
    wall.install(new)
    with wall, Asker(visitor, fleet.work, "new") as asker:
        asker.wait_trips()


def test_a_second_authority_takes_over_step_by_step(
    fleet, visitor, impostor, directory
):
    """As docs/fleet.md has it: all trust both, then nodes are renewed."""
    second = Authority(directory)
    both = directory / "both"
    both.mkdir()
    for name in ("ca.crt", "ca.crl"):
        (both / name).write_bytes(
            (fleet.authority.directory / name).read_bytes()
            + (second.directory / name).read_bytes()
        )
    collector = CollectorWall(
        impostor, directory, fleet.collector_wall.directory
    )
    edge = EdgeWall(visitor, directory, fleet.edge_files[0], impostor)
    for wall in (collector, edge):
        wall.install(both)
    with Server(impostor, directory):
        for renew in (
            None,
            lambda: edge.install(second.issue("edge", "edge-1")),
            lambda: collector.install(second.issue("collector", COLLECTOR)),
        ):
            if renew:
                renew()
                # They came with the second authority's alone.
                for wall in (collector, edge):
                    wall.install(both)
            with collector, edge, Asker(visitor, directory) as asker:
                asker.wait_trips()


# -- the collector, as an edge sees it ------------------------------------------


def impostors_files(fleet, kind, directory):
    """What the impostor has, and what an edge says of it."""
    authority = fleet.authority
    if kind == "an edge's":
        return authority.sign(COLLECTOR), "unsuitable certificate purpose"
    if kind == "another collector's":
        files = authority.issue("collector", "other.example")
        return files, "Subject checks failed"
    if kind == "expired":
        files = authority.sign(COLLECTOR, *LONG_AGO, use="serverAuth")
        return files, "certificate has expired"
    files = Authority(directory).issue("collector", COLLECTOR)
    return files, "self-signed certificate in certificate chain"


@pytest.mark.parametrize(
    "kind",
    ["an edge's", "another collector's", "expired", "of another authority"],
)
def test_an_edge_dials_nobody_but_its_collector(
    fleet, visitor, impostor, directory, kind
):
    files, reason = impostors_files(fleet, kind, directory)
    wall = EdgeWall(visitor, directory, fleet.edge_files[0], impostor)
    with CollectorWall(impostor, directory, files), wall:
        with Asker(visitor, directory) as asker:
            assert "cannot connect" in asker.failure()
        wall.wait_logged(reason)
        assert "Certificate accepted at depth=0" not in wall.log()


# -- what is seen of it ----------------------------------------------------------


def capture(host, interface, file):
    """Starts to write down what passes an interface of a host."""
    command = [tool("tcpdump"), "-i", interface, "-U", "-w", str(file)]
    command += ["--immediate-mode"]
    prepare = host.prepare() if host else None
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, preexec_fn=prepare
    )
    assert "listening on" in process.stderr.readline()
    return process


def test_nothing_of_it_can_be_read_on_the_wire(fleet):
    outside, inside = fleet.work / "wire.pcap", fleet.work / "loopback.pcap"
    captures = [
        capture(None, fleet.bridge.name, outside),
        capture(fleet.collector, "lo", inside),
    ]
    with fleet.asker(name="marked", text=MARKER) as asker:
        asker.wait_trips(100)
    for process in captures:
        process.terminate()
        assert "\n0 packets dropped by kernel" in process.communicate()[1]
    assert inside.read_bytes().count(MARKER.encode()) >= 200
    wire = outside.read_bytes()
    assert len(wire) > 200 * len(MARKER)
    for text in (MARKER, MARKER[:8], MARKER[-8:]):
        assert text.encode() not in wire
    # Nor who talks: TLS 1.3 shows certificates to the other end alone.
    assert b"edge-1" not in wire


# -- who gets around it ----------------------------------------------------------


def test_other_users_of_the_collector_cannot_reach_basp(fleet):
    for user in (OTHER_USER, NODE_USER, 0):
        assert (
            connect_error(fleet.collector, user, "127.0.0.1", BASP_PORT)
            == errno.ECONNREFUSED
        )
    assert connect_error(fleet.collector, WALL_USER, "127.0.0.1", BASP_PORT) == 0


def test_other_users_of_an_edge_cannot_speak_for_it(fleet):
    edge = fleet.edges[0]
    for user in (OTHER_USER, WALL_USER, 0):
        assert (
            connect_error(edge, user, "127.0.0.1", BASP_PORT)
            == errno.ECONNREFUSED
        )
    assert connect_error(edge, NODE_USER, "127.0.0.1", BASP_PORT) == 0


def test_it_is_the_rules_that_keep_them_out(fleet, visitor):
    """Where there are none, anybody may: the tests above could fail."""
    with Server(visitor, fleet.work):
        assert connect_error(visitor, OTHER_USER, "127.0.0.1", BASP_PORT) == 0


def test_others_cannot_reach_basp_from_the_network(fleet, visitor):
    assert (
        connect_error(visitor, 0, fleet.collector.address, BASP_PORT)
        == errno.ECONNREFUSED
    )


def allow_loopback_on_the_network(host):
    with host.inside():
        for name in ("all", "default"):
            path = f"/proc/sys/net/ipv4/conf/{name}/route_localnet"
            with open(path, "w", encoding="ascii") as f:
                f.write("1")


def half_open(host):
    """Connections to BASP that the host has answered, and that wait."""
    filters = ["state", "syn-recv", f"sport = :{BASP_PORT}"]
    return host.run([tool("ss"), "-Htn", *filters]).stdout


def dropped(host):
    """Whether the rules have dropped a packet to loopback."""
    rules = host.run([tool("nft"), "list", "ruleset"], text=True).stdout
    found = re.search(r"daddr 127.0.0.0/8 counter packets (\d+)", rules)
    return int(found[1]) > 0


def test_loopback_is_no_address_for_the_network(fleet, impostor, directory):
    """Some container networks set route_localnet, and with it everybody on the
    network can reach what listens on loopback."""
    collector = fleet.collector
    allow_loopback_on_the_network(collector)
    allow_loopback_on_the_network(impostor)
    with impostor.inside():
        ip("route del local 127.0.0.0/8 dev lo table local")
        ip("route del local 127.0.0.1 dev lo table local")
        ip(f"route add 127.0.0.1 via {collector.address}")
    command = ["/usr/bin/python3", "-c", "import socket;"]
    command[-1] += f"socket.create_connection(('127.0.0.1', {BASP_PORT}), 60)"
    assert not dropped(collector)
    dialling = impostor.start(command, directory / "dialling.log")
    try:
        wait_until("the rules drop it", lambda: dropped(collector))
        assert not half_open(collector)
        # Without them it is answered.
        table = ["table", "inet", "edgecap_wall"]
        collector.run([tool("nft"), "delete", *table])
        wait_until("an answer", lambda: half_open(collector))
    finally:
        dialling.kill()
        dialling.wait()
        fleet.collector_wall.load_rules()
