"""The hazards of Pistache 0.0.5, one by one: each test fails on a stock server.

The same routes are served by our frontend and, to show that the tests can
fail, by Pistache alone:

    HAZARDS_SERVER=build/dev/tests/hazards_stock EDGECAPD=build/dev/edgecapd \\
        /usr/bin/python3 -m pytest tests/e2e/test_hazards.py
"""

import resource
import socket
import ssl
import subprocess
import threading

import pytest

from harness.hazards import Server, TIMEOUT_S
from harness.idleness import assert_idle
from harness.waiting import wait_until

FILE_BYTES = 64 << 20
STREAM_BYTES = 400 * 1024
SMALL_BUFFER_BYTES = 4096
DESCRIPTORS = 128
GROWING_DOWNLOADS = 300


@pytest.fixture
def start(tmp_path):
    """Starts servers that are gone after the test."""
    (tmp_path / "large").write_bytes(b"")
    (tmp_path / "directory").mkdir()
    with open(tmp_path / "large", "r+b") as large:
        large.truncate(FILE_BYTES)
    started = []

    def start_one(*options, **more):
        # SIGPIPE is a hazard of its own.
        options = ("--ignore-sigpipe", *options)
        started.append(Server(tmp_path, *options, **more))
        return started[-1]

    yield start_one
    for server in started:
        server.__exit__()


def stuck_download(server, target="/file/large"):
    """A client that asks for much and reads nothing of it."""
    client = server.connect(SMALL_BUFFER_BYTES)
    client.request(target)
    client.read_some()
    return client


# -- what stops or ends the process -------------------------------------------


def test_h1_a_chunked_body_split_at_its_end_stops_no_thread(start):
    server = start()
    with server.connect() as client:
        client.send(
            b"POST /echo HTTP/1.1\r\nHost: x\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r",
            b"\n0\r\n\r\n",
        )
        server.assert_serves()
        assert client.answer("POST")[0] == 411


@pytest.mark.parametrize("target", ["/file/large", "/big"])
def test_h2_a_client_that_does_not_read_stops_no_thread(start, target):
    server = start()
    with stuck_download(server, target):
        server.assert_serves()
        with stuck_download(server, target):
            server.assert_serves()


def test_h3_an_answer_from_another_thread_is_whole(start):
    server = start()
    for _ in range(20):
        status, body = server.ask("/stream")
        assert (status, len(body)) == (200, STREAM_BYTES)
    server.assert_serves()


def test_h4_a_client_that_leaves_a_download_does_not_end_the_process(tmp_path):
    with open(tmp_path / "large", "wb") as large:
        large.truncate(FILE_BYTES)
    with Server(tmp_path) as server:
        for _ in range(20):
            stuck_download(server).reset()
        server.assert_serves()


def test_h5_a_download_that_is_left_keeps_no_descriptor(start):
    server = start()
    server.assert_serves()
    before = server.descriptors()
    for _ in range(20):
        stuck_download(server).reset()
    wait_until(
        lambda: f"{before} descriptors: {server.descriptors()}",
        lambda: server.descriptors() <= before,
    )
    server.assert_serves()


def test_h5_a_file_that_is_cut_short_stops_no_thread(start):
    server = start()
    with stuck_download(server) as client:
        with open(server.directory / "large", "r+b") as large:
            large.truncate(1)
        assert len(client.read_until_close()) < FILE_BYTES
    server.assert_serves()


def test_h5_a_file_that_grows_is_sent_as_long_as_it_was_announced(start):
    server = start()
    growing = server.directory / "growing"
    with subprocess.Popen(
        ["/bin/sh", "-c", f"while :; do printf x; done >> {growing}"]
    ) as writer:
        try:
            wait_until("it grows", growing.exists)
            for _ in range(GROWING_DOWNLOADS):
                with server.connect() as client:
                    client.request("/file/growing")
                    assert client.answer()[0] == 200
                    # What is too much would be taken for the next answer.
                    client.request("/small")
                    assert client.answer() == (200, b"small")
        finally:
            writer.kill()


def test_h5_a_directory_is_no_file(start):
    server = start()
    with server.connect() as client:
        client.request("/file/directory")
        assert client.answer()[0] == 404
    server.assert_serves()


# -- answers that go astray ---------------------------------------------------

SMUGGLED = b"GET /item/SMUGGLED HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: %d\r\nDate: x\r\n" % len(SMUGGLED),
        b"Content-Length: 100000000\r\n",
        b"Content-Length: 3\r\nContent-Length: 0\r\nAccept: x\r\n",
    ],
    ids=["header that the parser refuses", "too large", "two lengths"],
)
def test_h6_a_body_is_never_taken_for_a_request(start, head):
    server = start()
    with server.connect() as client:
        client.send(
            b"POST /echo HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n", SMUGGLED
        )
        client.half_close()
        assert client.read_until_close().count(b"HTTP/1.1 ") == 1


def test_h7_an_answer_reaches_its_own_client_only(start):
    server = start()

    def ask(target):
        control.request(target)
        return control.answer()[1]

    with server.connect() as control:
        gone = server.connect()
        gone.request("/held/first")
        wait_until("the first is held", lambda: ask("/holding") == b"1")
        numbers = server.descriptor_numbers()
        gone.reset()
        wait_until(
            "its descriptor is free for the next client",
            lambda: server.descriptor_numbers() < numbers,
        )
        with server.connect() as client:
            client.request("/held/second")
            wait_until("the second is held", lambda: ask("/holding") == b"2")
            ask("/release/first")
            ask("/release/second")
            assert client.answer() == (200, b"second")


def test_h8_a_request_that_is_being_served_is_not_timed_out(start):
    server = start("--timeout-ms", 500)
    with server.connect() as client:
        client.request("/held/late")
        server.holds(1)
        # Twice the time passes as often as the server ends idle clients.
        for _ in range(3):
            with server.connect() as idle:
                assert b"HTTP/1.1 200" not in idle.read_until_close()
        server.ask("/release/late")
        assert client.answer() == (200, b"late")


def test_h9_a_client_silent_in_its_handshake_delays_no_other(start, tmp_path):
    """Ours has no TLS, so that there is no handshake to wait for."""
    subprocess.run(
        "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=x "
        f"-keyout {tmp_path}/key -out {tmp_path}/certificate".split(),
        check=True,
        capture_output=True,
    )
    server = start("--tls", tmp_path / "certificate", tmp_path / "key")
    with server.connect() as silent:
        silent.send(b"\x16\x03\x01")
        with socket.create_connection(
            ("127.0.0.1", server.port), timeout=TIMEOUT_S / 2
        ) as plain:
            client = plain
            if "stock" in server.process.args[0]:
                context = ssl._create_unverified_context()
                client = context.wrap_socket(plain)
            client.sendall(b"GET /small HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.recv(15) == b"HTTP/1.1 200 OK"


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /small HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /small HTTP/1.0\r\n\r\n",
    ],
    ids=["asked to close", "HTTP/1.0"],
)
def test_h10_a_connection_ends_when_it_should(start, request_bytes):
    server = start()
    with server.connect() as client:
        client.send(request_bytes)
        assert client.read_until_close().endswith(b"small")


def test_h10_a_client_that_only_asks_is_ended_and_costs_little(start):
    server = start("--timeout-ms", 1000)
    server.assert_serves()
    before = server.resident_bytes()
    with server.connect(SMALL_BUFFER_BYTES) as client:
        # As much as it takes; nothing of the answers is read.
        client.socket.setblocking(False)
        try:
            for _ in range(1000):
                client.socket.send(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
        except (BlockingIOError, BrokenPipeError, ConnectionResetError):
            pass
        assert client.is_ended(), "the connection stays open"
    assert server.resident_bytes() - before < 64 << 20
    server.assert_serves()


def test_h11_many_slashes_do_not_end_the_process(start):
    server = start()
    assert server.ask("/" * 100000 + "none")[0] == 404
    server.assert_serves()


# -- handlers -----------------------------------------------------------------


@pytest.mark.parametrize("target", ["/throw", "/throw-int"])
def test_h12_a_handler_that_throws_tells_nothing(start, target):
    server = start()
    status, body = server.ask(target)
    assert status == 500
    assert b"secret" not in body
    server.assert_serves()


def test_h13_a_late_answer_with_a_timeout_does_not_end_the_process(start):
    server = start()
    for _ in range(10):
        assert server.ask("/late") == (200, b"late")
    server.assert_serves()


def test_h14_any_method_at_once_on_all_threads(start):
    """The first request of each method writes to the stock router's table: on
    all threads at once, it is a race. What it does not know is 501."""
    methods = "PATCH OPTIONS DELETE PUT HEAD POST BREW PROPFIND".split()
    expected = {"BREW": 501, "PROPFIND": 501}
    server = start("--threads", 4)
    barrier = threading.Barrier(len(methods))
    seen = {}

    def ask(method):
        with server.connect() as client:
            barrier.wait()
            client.request("/item/1", method)
            seen[method] = client.answer(method)

    clients = [threading.Thread(target=ask, args=[m]) for m in methods]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    server.assert_serves()
    for method in methods:
        wanted = expected.get(method, 200 if method == "HEAD" else 405)
        assert seen[method] and seen[method][0] == wanted, seen


# -- resources ----------------------------------------------------------------


def test_h15_out_of_descriptors_it_neither_spins_nor_stays_so(start):
    server = start(descriptors=DESCRIPTORS)
    server.assert_serves()
    before = server.descriptors()
    # What is not accepted fits into any backlog.
    clients = [server.connect() for _ in range(DESCRIPTORS + 64)]
    wait_until("it is full", lambda: server.descriptors() > DESCRIPTORS / 3)
    assert_idle(server.process.pid)
    for client in clients:
        client.reset()
    wait_until("it is free", lambda: server.descriptors() <= before)
    server.assert_serves()


def test_h15_with_no_descriptor_left_it_does_not_spin(start):
    """Whoever has taken them: here, the limit sinks to what is in use."""
    server = start()
    server.assert_serves()
    with server.connect() as served:
        served.request("/small")
        assert served.answer() == (200, b"small")
        _, hard = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
        limit_descriptors(server, server.next_descriptor(), hard)
        waiting = [server.connect() for _ in range(5)]
        for client in waiting:
            client.request("/small")
        assert_idle(server.process.pid)
        served.request("/small")
        assert served.answer() == (200, b"small")
        limit_descriptors(server, hard, hard)
        for client in waiting:
            with client:
                assert client.answer() == (200, b"small")


def limit_descriptors(server, soft, hard):
    resource.prlimit(
        server.process.pid, resource.RLIMIT_NOFILE, (soft, hard)
    )


def test_h16_an_answer_cannot_be_split(start):
    server = start()
    with server.connect() as client:
        client.request("/location", "POST", b"x\r\nSet-Cookie: stolen")
        status, _, headers = client.full_answer("POST")
        assert headers.get("Set-Cookie") is None
        assert status == 500


def test_h16_a_path_is_decoded_and_has_no_control_characters(start):
    server = start()
    assert server.ask("/item/a%20b") == (200, b"a b")
    assert server.ask("/item/a%zz")[0] == 400
    with server.connect() as client:
        client.send(b"GET /item/a\0b HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.answer()[0] == 400


def test_h17_the_end_waits_for_answers(start):
    server = start()
    clients = [server.connect() for _ in range(20)]
    for i, client in enumerate(clients):
        client.request(f"/held/{i}")
    server.holds(len(clients))
    server.assert_ends()
    for i, client in enumerate(clients):
        with client:
            assert client.answer() == (200, str(i).encode())


def test_h17_the_end_does_not_wait_for_clients_that_do_not_read(start):
    server = start()
    with stuck_download(server), stuck_download(server):
        server.assert_ends()


# -- semantics ----------------------------------------------------------------


def test_h18_head_is_get_without_the_body(start):
    server = start()
    with server.connect() as client:
        client.request("/small", "HEAD")
        status, body, headers = client.full_answer("HEAD")
        assert (status, body, headers["Content-Length"]) == (200, b"", "5")
        client.request("/small")
        assert client.answer() == (200, b"small")


def test_h18_a_client_that_waits_for_continue_is_told(start):
    server = start()
    with server.connect() as client:
        client.send(
            b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n"
            b"Expect: 100-continue\r\n\r\n"
        )
        assert client.incoming.read(25) == (
            b"HTTP/1.1 100 Continue\r\n\r\n"
        )
        client.send(b"body")
        assert client.answer("POST") == (200, b"body")
