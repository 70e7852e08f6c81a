"""Past its limits the frontend refuses, what it has accepted is answered, and
a capture that runs meanwhile loses nothing."""

import contextlib
import threading

import pytest

from harness import network
from harness.client import Client, RawConnection
from harness.daemon import ACCOUNT, TOKEN, Daemon, bearer, configuration
from harness.idleness import assert_idle
from harness.packets import ethernet, marked, udp_ipv4
from harness.savefiles import read_pcap
from harness.waiting import wait_until

OVERLOADED = 20302
PORT = 9999
PACKETS = 3000
# Of the namespace, besides loopback's, whose connections are not counted.
ADDRESS = "192.0.2.10"
DESCRIPTORS = 256

PCAPS = f"/client/v4/accounts/{ACCOUNT}/pcaps"
LIST = (
    f"GET {PCAPS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
).encode()


@pytest.fixture(scope="module")
def link(links):
    return links.veth()


@contextlib.contextmanager
def capture_of_all(api, link):
    """A capture that must have every packet that is sent during the block."""
    job = api.create(packet_limit=10000, filter_v1={"destination_port": PORT})
    api.wait_capturing(job["id"])
    go_on = threading.Event()
    sent = []

    def send():
        while not (go_on.is_set() and len(sent) >= PACKETS):
            if len(sent) < PACKETS:
                packet = udp_ipv4(marked(len(sent)), destination_port=PORT)
                link.send(ethernet(packet))
                sent.append(packet)
            else:
                go_on.wait(0.01)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield
    finally:
        go_on.set()
        sender.join()
    api.wait_captured(job["id"], PACKETS)
    api.stop(job["id"])
    done = api.wait_success(job["id"])
    assert done["packets_captured"] == PACKETS, done
    assert done["interfaces"][0]["dropped_by_kernel"] in (0, None), done
    assert done["interfaces"][0]["dropped_by_us"] == 0, done
    assert len(read_pcap(api.download(job["id"])).records) == PACKETS


def assert_refused(answer):
    assert (answer.status, answer.codes) == (503, [OVERLOADED]), answer
    assert int(answer.header("Retry-After")) >= 1


def test_requests_over_the_limit_are_shed_and_the_others_answered(link, work):
    config = configuration(work(), [link.name], http={"max_in_flight": 2})
    statuses = []

    def ask_often(port, enough):
        with RawConnection(port) as connection:
            while not enough.is_set():
                connection.send(LIST)
                answer = connection.answer(target=PCAPS)
                if answer.status != 200:
                    assert_refused(answer)
                statuses.append(answer.status)

    # Not for the tests' own questions, which must be answered.
    with Daemon(work(), config) as daemon:
        api = daemon.client()
        with capture_of_all(api, link):
            enough = threading.Event()
            clients = [
                threading.Thread(target=ask_often, args=[daemon.port, enough])
                for _ in range(16)
            ]
            for client in clients:
                client.start()
            try:
                wait_until(
                    lambda: f"both answers: {set(statuses)}",
                    lambda: statuses.count(200) > 200
                    and statuses.count(503) > 20,
                    30,
                )
            finally:
                enough.set()
                for client in clients:
                    client.join()


def test_connections_over_the_limit_are_refused(link, work):
    config = configuration(work(), [link.name], http={"max_connections": 10})
    with Daemon(work(), config) as daemon, contextlib.ExitStack() as stack:
        api = daemon.client()
        with capture_of_all(api, link):
            accepted = connect_all(stack, daemon, 10)
            for _ in range(30):
                with RawConnection(daemon.port) as refused:
                    assert_refused(refused.answer())
                    assert refused.is_closed_by_peer()
            for connection in accepted:
                connection.send(LIST)
                assert connection.answer(target=PCAPS).status == 200
            for connection in accepted:
                connection.__exit__()
            wait_until_free(api)


def test_connections_of_one_address_over_the_limit_are_refused(link, work):
    network.add_address(ADDRESS)
    config = configuration(
        work(),
        [link.name],
        listen={"address": "0.0.0.0", "behind_proxy": True},
        http={"max_connections_per_address": 5},
    )
    with Daemon(work(), config) as daemon, contextlib.ExitStack() as stack:
        accepted = connect_all(stack, daemon, 5, ADDRESS)
        with RawConnection(daemon.port, address=ADDRESS) as refused:
            assert_refused(refused.answer())
            assert refused.is_closed_by_peer()
        # Others are not touched, loopback least of all.
        for connection in connect_all(stack, daemon, 10):
            connection.send(LIST)
            assert connection.answer(target=PCAPS).status == 200
        accepted[0].__exit__()
        wait_until_free(Client(daemon.port, ACCOUNT, bearer(TOKEN), ADDRESS))


def connect_all(stack, daemon, count, address="127.0.0.1"):
    """So many connections that are served."""
    result = []
    for _ in range(count):
        connection = stack.enter_context(
            RawConnection(daemon.port, address=address)
        )
        connection.send(LIST)
        assert connection.answer(target=PCAPS).status == 200
        result.append(connection)
    return result


def wait_until_free(api):
    """Waits until connections are accepted again."""

    def served():
        try:
            return api.get("/healthz").status == 200
        except OSError:
            return False

    wait_until("connections are accepted", served)


def test_out_of_descriptors_it_refuses_and_captures(link, work):
    # At rest it has what it began with: neither a ring in reserve, which may be
    # made later, nor an interface that stays open for the next job.
    config = configuration(
        work(),
        [link.name],
        capture={"spare_rings": 0, "idle_time": "0ms"},
    )
    daemon = Daemon(work(), config, descriptors=DESCRIPTORS)
    with daemon, contextlib.ExitStack() as stack:
        api = daemon.client()
        before = daemon.descriptors()
        control = connect_all(stack, daemon, 1)[0]
        with capture_of_all(api, link):
            crowd = [
                stack.enter_context(RawConnection(daemon.port))
                for _ in range(2 * DESCRIPTORS)
            ]
            wait_until(
                "it is full", lambda: daemon.descriptors() > DESCRIPTORS / 2
            )
            # What is accepted is served, and captures have room.
            control.send(LIST)
            assert control.answer(target=PCAPS).status == 200
            assert_idle(daemon.pid)
            for connection in crowd:
                connection.__exit__()
            wait_until_free(api)
        control.__exit__()
        wait_until(
            lambda: f"{before} descriptors: {daemon.descriptors()}",
            lambda: daemon.descriptors() <= before,
        )
