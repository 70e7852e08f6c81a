"""What strangers can do to a fleet from the network: the wall as it is shipped,
with a node of CAF behind it and an edge whose round trips go on meanwhile.

The attackers have as many addresses as they like, so that the rules' limits for
each address do not save the wall; one test is about those limits."""

import contextlib
import json
import multiprocessing
import pathlib
import signal
import socket
import ssl
import statistics
import subprocess
import time

import pytest

from harness import network
from harness.hosts import WALL_USER
from harness.idleness import assert_idle
from harness.waiting import wait_until
from harness.walls import (
    BASP_PORT,
    WALL_PORT,
    Asker,
    Fleet,
    Server,
)

import stranger

STRINGS = 100_000
STRINGS_TIMEOUT_S = 300
SILENT = 500
SLOW = 100
HANDSHAKES = 200
# What the wall gives up a silent handshake after (TIMEOUTbusy), and some more.
GIVES_UP_TIMEOUT_S = 30.0
# Far more than a round trip takes, and less than what an edge notices.
WORST_TRIP_S = 5.0
# How much longer a round trip may take, as a median, while a siege has all
# processors.
SLOWER = 20
# Stretches of a fifth of a second of which a median is taken.
STRETCHES = 10
MIB = 1 << 20
WALL_PEAK_BYTES = 192 * MIB
SERVER_GROWTH_BYTES = 16 * MIB
# Of the rules: connections of one address at once.
PER_ADDRESS = 16
# With these, stunnel takes 125 connections (descriptors * 125 / 256).
FEW_DESCRIPTORS = 256
FEW_CONNECTIONS = FEW_DESCRIPTORS * 125 // 256
# Descriptors that a wall has left which was started with more.
ROOM = 20
# TIMEOUTbusy of the shipped configuration: for each step of a handshake. Bytes
# come more often than that, and for several times as long.
STEP_S = 5.0
DRIP_PAUSE_S = 2.0
DRIPPING_S = 4 * STEP_S


class Watch:
    """An honest edge whose round trips must go on, and what is behind the wall
    must stay as it was."""

    def __init__(self, fleet):
        self.fleet = fleet
        self.asker = fleet.asker()

    def __enter__(self):
        self.asker.start()
        self._wait_stretches(STRETCHES)
        self._calm = len(self.asker.reports())
        self._before = self.fleet.server.resident_bytes()
        self._connections = self.fleet.server.descriptors()
        return self

    def _wait_stretches(self, count):
        def there():
            self.asker.assert_runs()
            return len(self.asker.reports()) >= count

        wait_until("round trips", there, GIVES_UP_TIMEOUT_S)

    def assert_served(self):
        """The edge's round trips go on, hardly slower than before."""
        self.asker.wait_trips()
        self._wait_stretches(self._calm + STRETCHES)
        reports = self.asker.reports()
        worst = max(x["worst_us"] for x in reports)
        assert worst / 1e6 < WORST_TRIP_S
        calm, siege = (
            statistics.median(x["mean_us"] for x in part)
            for part in (reports[: self._calm], reports[self._calm :])
        )
        assert siege <= SLOWER * calm, f"{siege} us, {calm} us before"

    def assert_well(self):
        """Nothing spins, fattens or has died, and the edge is served."""
        fleet = self.fleet
        self.assert_served()
        for process in (fleet.server, fleet.collector_wall):
            process.assert_runs()
            assert_idle(process.pid)
        # Nothing of all that has reached BASP.
        assert fleet.server.descriptors() == self._connections
        growth = fleet.server.resident_bytes() - self._before
        assert growth < SERVER_GROWTH_BYTES
        assert fleet.collector_wall.peak_bytes() < WALL_PEAK_BYTES

    def __exit__(self, *_):
        self.asker.stop()


@pytest.fixture(scope="module")
def fleet():
    with Fleet() as made:
        yield made


@pytest.fixture
def watch(fleet):
    with Watch(fleet) as watching:
        yield watching


def connect(fleet, source):
    """A connection to the wall from an address of the strangers'."""
    target = (fleet.collector.address, WALL_PORT)
    return socket.create_connection(target, 10, (source, 0))


@contextlib.contextmanager
def connections(fleet, count):
    """So many, each from an address of its own."""
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(connect(fleet, stranger.source(number)))
            for number in range(count)
        ]


def assert_a_new_edge_gets_in(fleet):
    with Asker(fleet.edges[0], fleet.work, "new") as asker:
        asker.wait_trips()


def wait_gone(fleet, watch):
    """Waits until the wall has nobody left but the edge."""
    # A listener, the edge and its way to BASP, and what a process has anyway.
    few = 16
    wall = fleet.collector_wall
    wait_until(
        lambda: f"{wall.descriptors()} descriptors become few",
        lambda: wall.descriptors() < few,
        GIVES_UP_TIMEOUT_S,
    )
    watch.asker.wait_trips()


# -- that there is something to fear ---------------------------------------------


def test_one_header_ends_a_node_that_strangers_can_reach(fleet):
    """Why there is a wall: if this fails, CAF has changed, and the wall may be
    looked at anew."""
    host = fleet.bridge.host("unprotected")
    with Server(host, fleet.work) as server:
        program = "import socket, sys; s = socket.create_connection("
        program += f"('127.0.0.1', {BASP_PORT}), 10);"
        program += "s.sendall(bytes.fromhex(sys.argv[1])); s.recv(100)"
        host.run(
            ["/usr/bin/python3", "-c", program, stranger.KILLER.hex()],
            WALL_USER,
        )
        assert server.process.wait(10) == -signal.SIGSEGV


# -- what they can do from outside -----------------------------------------------


def test_silent_connections_cost_nobody_anything(fleet, watch):
    with connections(fleet, SILENT):
        watch.assert_well()
        assert_a_new_edge_gets_in(fleet)
        # It is the wall that ends them, not they.
        wait_gone(fleet, watch)


def test_slow_handshakes_cost_nobody_anything(fleet, watch):
    hello = stranger.client_hello()
    with connections(fleet, SLOW) as slow:
        for byte in hello[:16]:
            for connection in slow:
                connection.send(bytes([byte]))
            watch.asker.wait_trips(1)
        watch.assert_well()
        assert_a_new_edge_gets_in(fleet)
        # They go on, each with as much as it dares, until the wall has enough.
        wait_gone(fleet, watch)


def test_one_address_gets_few_connections(fleet, watch):
    before = fleet.collector_wall.descriptors()
    refused = 0
    with contextlib.ExitStack() as stack:
        for _ in range(4 * PER_ADDRESS):
            connection = stack.enter_context(socket.socket())
            connection.bind(("10.78.251.1", 0))
            # Those beyond the rate are dropped: they get no answer at all.
            connection.settimeout(0.02)
            target = (fleet.collector.address, WALL_PORT)
            refused += connection.connect_ex(target) != 0
        assert refused >= 3 * PER_ADDRESS
        assert fleet.collector_wall.descriptors() <= before + PER_ADDRESS
        assert_a_new_edge_gets_in(fleet)
    wait_gone(fleet, watch)


@pytest.mark.skipif(
    not pathlib.Path("/proc/sys/net/ipv6").exists(),
    reason="the kernel has no IPv6",
)
def test_one_network_of_ipv6_gets_no_more_than_one_address(fleet):
    """Whoever has one has 2^64 addresses. What is asked for is the rules' answer,
    for the wall that is shipped listens on IPv4."""
    address = fleet.collector.with_ipv6()
    with contextlib.ExitStack() as stack:
        with fleet.collector.inside():
            listener = socket.create_server(
                (address, WALL_PORT), family=socket.AF_INET6, backlog=100
            )
        stack.enter_context(listener)

        def connects(source):
            connection = socket.socket(socket.AF_INET6)
            stack.enter_context(connection)
            connection.bind((source, 0))
            # No answer comes to those beyond the rate.
            connection.settimeout(0.02)
            return connection.connect_ex((address, WALL_PORT)) == 0

        wait_until("one gets in", lambda: connects("fd00:78:0:1::1"))
        sources = [f"fd00:78:0:2::{i:x}" for i in range(4 * PER_ADDRESS)]
        assert 0 < sum(map(connects, sources)) <= PER_ADDRESS
        wait_until("another gets in", lambda: connects("fd00:78:0:3::1"))


def test_what_follows_a_handshake_without_certificate_is_not_read(fleet, watch):
    """In TLS 1.3 a client is done before it is judged, and may send at once."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    for number in range(HANDSHAKES):
        plain = connect(fleet, stranger.source(number))
        with plain, context.wrap_socket(plain) as tls:
            with contextlib.suppress(ssl.SSLError, ConnectionError):
                tls.sendall(stranger.KILLER)
                assert tls.recv(1) == b""
    watch.assert_well()


def test_strings_that_nobody_expects(fleet, watch):
    program = pathlib.Path(stranger.__file__)
    target = [fleet.collector.address, str(WALL_PORT)]
    done = subprocess.run(
        [program, *target, str(STRINGS), "1"],
        capture_output=True,
        timeout=STRINGS_TIMEOUT_S,
        check=True,
    )
    taken = json.loads(done.stdout)
    # Some are refused before they have been sent as a whole.
    assert all(count > STRINGS / 5 for count in taken.values()), taken
    watch.assert_well()
    assert_a_new_edge_gets_in(fleet)
    wait_gone(fleet, watch)


@pytest.fixture
def small_wall(fleet):
    """The collector's wall with few descriptors, for one test."""
    wall = fleet.collector_wall
    for limit in (FEW_DESCRIPTORS, wall.descriptors_limit):
        wall.stop()
        wall.descriptors_limit = limit
        wall.start()
        if limit == FEW_DESCRIPTORS:
            yield wall


def test_a_wall_without_room_keeps_who_is_there(fleet, small_wall):
    """All of its connections are taken: nobody new gets in, and nothing else
    happens, until the wall has given the silent ones up."""
    with Watch(fleet) as watch, connections(fleet, 2 * FEW_DESCRIPTORS):
        small_wall.wait_logged("too many clients")
        watch.assert_well()
        wait_gone(fleet, watch)
        assert_a_new_edge_gets_in(fleet)


def assert_a_new_edge_is_kept_out(fleet):
    with Asker(fleet.edges[0], fleet.work, "late") as asker:
        assert "cannot connect" in asker.failure()


@contextlib.contextmanager
def dripping(slow, hello):
    """A byte of a hello on each connection, again and again. A process, so that
    it goes on whatever the test does meanwhile."""

    def drip():
        network.die_with_parent()
        for byte in hello:
            for connection in slow:
                # Some are not connected, or not any more.
                with contextlib.suppress(BlockingIOError, ConnectionError):
                    connection.send(bytes([byte]))
            # What it is about, and nothing that the test waits for.
            time.sleep(DRIP_PAUSE_S)

    process = multiprocessing.get_context("fork").Process(target=drip)
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()


def has_ended(connection):
    """Whether the other end has closed it."""
    connection.setblocking(False)
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def test_dripping_handshakes_hold_what_they_have(fleet, small_wall):
    """What the wall does not keep strangers from: it bounds each step of a
    handshake and not the whole, so that whoever has enough addresses can hold
    all of its connections for hours, with a byte every few seconds. Edges that
    are connected notice nothing; one that dials meanwhile does not get in."""
    hello = stranger.client_hello()
    with contextlib.ExitStack() as stack:
        watch = stack.enter_context(Watch(fleet))
        # stunnel counts late: it may take some more than it has room for.
        slow = stack.enter_context(connections(fleet, 2 * FEW_CONNECTIONS))
        with dripping(slow, hello):
            small_wall.wait_logged("too many clients")
            enough = time.monotonic() + DRIPPING_S
            wait_until(
                "the siege lasts",
                lambda: time.monotonic() >= enough,
                DRIPPING_S + 1,
            )
            # All but the edge's.
            held = sum(not has_ended(connection) for connection in slow)
            assert held >= FEW_CONNECTIONS - 1
            watch.assert_well()
            assert_a_new_edge_is_kept_out(fleet)
        # Nobody drips any more, and so the wall ends them.
        wait_gone(fleet, watch)
        assert_a_new_edge_gets_in(fleet)


def test_named_edges_get_in_whatever_drips(fleet, small_wall):
    """The remedy: `edges4` names where edges come from, and nobody else can
    begin a handshake."""
    edges = ", ".join(host.address for host in fleet.edges)
    rules = fleet.collector_wall.rules()
    assert "elements = { 0.0.0.0/0 }" in rules
    named = rules.replace("{ 0.0.0.0/0 }", f"{{ {edges} }}")
    with contextlib.ExitStack() as stack:
        stack.callback(fleet.collector_wall.load_rules)
        fleet.collector_wall.load_rules(named)
        watch = stack.enter_context(Watch(fleet))
        slow = []
        for number in range(2 * FEW_CONNECTIONS):
            connection = stack.enter_context(socket.socket())
            connection.bind((stranger.source(number), 0))
            connection.setblocking(False)
            # There is no answer.
            connection.connect_ex((fleet.collector.address, WALL_PORT))
            slow.append(connection)
        with dripping(slow, stranger.client_hello()):
            watch.assert_well()
            assert_a_new_edge_gets_in(fleet)


def test_a_wall_without_descriptors_waits_for_some(fleet, watch):
    """Fewer than its connections want, so that accept(2) fails: it takes nobody
    for a second at a time, keeps who is there, and is well again when some are
    free."""
    wall = fleet.collector_wall
    few = wall.descriptors() + ROOM
    wall.limit_descriptors(few)
    try:
        with connections(fleet, 3 * ROOM):
            wall.wait_logged("Accepting new connections suspended")
            watch.assert_well()
        wait_gone(fleet, watch)
        assert_a_new_edge_gets_in(fleet)
    finally:
        wall.limit_descriptors(wall.descriptors_limit)
