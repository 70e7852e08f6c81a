"""The server that the tests of hazards drive, and clients that say exactly
what they send.

HAZARDS_SERVER names the program: tests/hazards/ has our frontend, which is the
default, and a stock Pistache server with the same routes.
"""

import fcntl
import http.client
import itertools
import os
import pathlib
import resource
import select
import signal
import socket
import struct
import subprocess
import termios

from harness.daemon import environment, program
from harness.network import die_with_parent
from harness.waiting import wait_until

# What a client waits for an answer before the server counts as stuck.
TIMEOUT_S = 8.0
STOP_TIMEOUT_S = 10.0


def server_program():
    """Path of the server under test."""
    beside = pathlib.Path(program()).parent / "tests" / "hazards_front"
    path = os.environ.get("HAZARDS_SERVER", str(beside))
    assert os.access(path, os.X_OK), f"HAZARDS_SERVER={path} is no program"
    return path


class Server:
    """A server with a directory of files."""

    def __init__(self, directory, *options, descriptors=None):
        self.directory = pathlib.Path(directory)

        def limit():
            die_with_parent()
            if descriptors:
                resource.setrlimit(
                    resource.RLIMIT_NOFILE, (descriptors, descriptors)
                )

        self.process = subprocess.Popen(
            [server_program(), str(directory), *map(str, options)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            env=environment(),
            preexec_fn=limit,
        )
        self.port = self._read_port()

    def _read_port(self):
        """The line that says so may come after some of the log."""
        for line in self.process.stdout:
            if line.startswith(b"port "):
                return int(line.split()[1])
        raise AssertionError(f"ended with {self.process.wait()}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def connect(self, receive_buffer_bytes=None):
        return Connection(self.port, receive_buffer_bytes)

    def ask(self, target, method="GET", body=b""):
        """The answer to one request on a connection of its own."""
        with self.connect() as connection:
            connection.request(target, method, body)
            return connection.answer(method)

    def assert_serves(self):
        """Whether it is alive and answers a new client in time."""
        code = self.process.poll()
        assert code is None, f"the process ended with {code}"
        status, body = self.ask("/small")
        assert (status, body) == (200, b"small")

    def assert_ends(self):
        """Whether SIGTERM ends it in order and in time."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(STOP_TIMEOUT_S) == 0

    def holds(self, count):
        """Waits until so many requests wait for their release."""
        wait_until(
            f"{count} held requests",
            lambda: self.ask("/holding")[1] == str(count).encode(),
        )

    # -- what the kernel says of the process

    def descriptor_numbers(self):
        return {int(n) for n in os.listdir(f"/proc/{self.process.pid}/fd")}

    def descriptors(self):
        return len(self.descriptor_numbers())

    def next_descriptor(self):
        """The number that its next descriptor will have."""
        used = self.descriptor_numbers()
        return next(n for n in itertools.count() if n not in used)

    def resident_bytes(self):
        path = f"/proc/{self.process.pid}/statm"
        with open(path, encoding="ascii") as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Connection:
    """A client that sends what it is told and reads when it is told."""

    def __init__(self, port, receive_buffer_bytes=None):
        self.socket = socket.socket()
        self.socket.settimeout(TIMEOUT_S)
        if receive_buffer_bytes:
            self.socket.setsockopt(
                socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes
            )
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.connect(("127.0.0.1", port))
        self.incoming = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.incoming.close()
        self.socket.close()

    def send(self, *segments):
        """Sends each part as a segment of its own: the next follows when the
        kernel of the server's side has acknowledged the one before."""
        for segment in segments:
            self.socket.sendall(segment)
            wait_until("sent", lambda: unacknowledged(self.socket) == 0)

    def request(self, target, method="GET", body=b"", headers=""):
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        head = f"{method} {target} HTTP/1.1\r\nHost: x\r\n{headers}{length}\r\n"
        self.socket.sendall(head.encode("latin-1") + body)

    def answer(self, method="GET"):
        """Status and body of one answer; None if the connection ends first."""
        full = self.full_answer(method)
        return full and full[:2]

    def full_answer(self, method="GET"):
        """Status, body and headers."""
        try:
            line = self.incoming.readline()
            if not line:
                return None
            assert line.startswith(b"HTTP/1.1 "), line
            headers = http.client.parse_headers(self.incoming)
            if method == "HEAD":
                body = b""
            elif headers["Transfer-Encoding"]:
                body = self._read_chunks()
            else:
                body = self.incoming.read(int(headers["Content-Length"]))
        except ConnectionResetError:
            return None
        return int(line.split()[1]), body, headers

    def _read_chunks(self):
        body = b""
        while True:
            size = int(self.incoming.readline(), 16)
            body += self.incoming.read(size)
            assert self.incoming.readline() == b"\r\n"
            if size == 0:
                return body

    def read_until_close(self):
        """All that comes; fails if the connection stays open."""
        content = b""
        try:
            while more := self.incoming.read1(1 << 16):
                content += more
        except ConnectionResetError:
            pass
        return content

    def is_ended(self):
        """Whether the server ends the connection; waits for it, and reads
        nothing."""
        poll = select.poll()
        poll.register(self.socket, select.POLLRDHUP | select.POLLHUP)
        return bool(poll.poll(TIMEOUT_S * 1000))

    def read_some(self):
        assert self.incoming.read1(1024)

    def half_close(self):
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self):
        """Leaves without a word."""
        self.socket.setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        self.incoming.close()
        self.socket.close()


def unacknowledged(sock):
    """Bytes that the other side's kernel does not have yet (SIOCOUTQ)."""
    answer = fcntl.ioctl(sock, termios.TIOCOUTQ, struct.pack("i", 0))
    return struct.unpack("i", answer)[0]
