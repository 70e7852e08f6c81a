#!/usr/bin/python3
"""Sends a port strings that it does not expect, each on a connection of its own
and from an address of its own.

    stranger.py ADDRESS PORT COUNT SEED

At the end it prints how many of each kind the other end has taken. A program,
since it must not share a processor's time with what watches the other end.
"""

import errno
import json
import random
import select
import socket
import ssl
import struct
import sys
import time

CONNECTIONS = 64
# A string may look like the beginning of something: what waits for the rest is
# left after so long.
PATIENCE_S = 1.0
MAX_BYTES = 2048

# -- CAF's wire protocol, as in caf/io/basp/header.hpp of 0.17 ------------------

SERVER_HANDSHAKE, CLIENT_HANDSHAKE, DIRECT_MESSAGE = 0, 1, 2
OPERATIONS = range(8)


def basp(operation, payload_bytes, data=0, payload=b""):
    """A message of BASP: its header of 32 bytes and what follows."""
    head = struct.pack(
        "!BBBBIQQQ", operation, 0, 0, 0, payload_bytes, data, 0, 0
    )
    return head + payload


# What ends a port of CAF 0.17 that strangers can reach: one header that
# announces no payload where there has to be one.
KILLER = basp(CLIENT_HANDSHAKE, 0)


def _random(choose):
    return choose.randbytes(choose.randrange(1, MAX_BYTES))


def _basp(choose):
    kind = choose.randrange(5)
    if kind == 0:
        return KILLER
    if kind == 1:
        return basp(SERVER_HANDSHAKE, 0)
    if kind == 2:
        return basp(choose.choice(OPERATIONS), 0xFFFFFFFF)
    if kind == 3:
        # A vector of more elements than there is memory.
        return basp(DIRECT_MESSAGE, 64, 0, b"\xff" * 64)
    size = choose.randrange(256)
    return basp(
        choose.choice(OPERATIONS),
        size,
        choose.getrandbits(64),
        choose.randbytes(size),
    )


def client_hello():
    """The beginning of an honest handshake."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    sent = ssl.MemoryBIO()
    try:
        context.wrap_bio(ssl.MemoryBIO(), sent).do_handshake()
    except ssl.SSLWantReadError:
        pass
    return sent.read()


def _mutated(choose):
    hello = bytearray(_HELLO)
    for _ in range(choose.randrange(1, 9)):
        hello[choose.randrange(len(hello))] = choose.randrange(256)
    if choose.randrange(3) == 0:
        del hello[choose.randrange(1, len(hello)) :]
    if choose.randrange(4) == 0:
        place = choose.randrange(len(hello) + 1)
        hello[place:place] = choose.randbytes(choose.randrange(64))
    return bytes(hello)


def _forged(choose):
    """Records of TLS with whatever in them, or a hello and then BASP."""
    if choose.randrange(2) == 0:
        return _HELLO + _basp(choose)
    body = choose.randbytes(choose.randrange(512))
    length = choose.choice((len(body), 0, 0x4000, 0xFFFF))
    kind = choose.choice((20, 21, 22, 23, choose.randrange(256)))
    return struct.pack("!BHH", kind, 0x0303, length) + body


_HELLO = client_hello()
KINDS = {
    "random": _random,
    "basp": _basp,
    "mutated": _mutated,
    "forged": _forged,
}

# -- sending ---------------------------------------------------------------------


def source(number):
    """An address of harness.hosts.Bridge.strangers: one for each connection."""
    return f"10.78.{number // 250 % 250}.{number % 250 + 1}"


def close_at_once(connection):
    """Leaves no trace of the connection in the kernel."""
    connection.setsockopt(
        socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
    )
    connection.close()


class Stranger:
    """Keeps some connections under way until all strings are sent."""

    def __init__(self, target, count, seed):
        self.target = target
        self.count = count
        self.choose = random.Random(seed)
        self.taken = dict.fromkeys(KINDS, 0)
        self.started = 0
        self.poll = select.epoll()
        # By descriptor: the socket, what is left to send, kind, deadline.
        self.open = {}

    def run(self):
        while self.started < self.count or self.open:
            while self.started < self.count and len(self.open) < CONNECTIONS:
                self._start()
            for descriptor, events in self.poll.poll(0.1):
                self._advance(descriptor, events)
            now = time.monotonic()
            for descriptor in [
                d for d, x in self.open.items() if x[3] < now
            ]:
                self._end(descriptor)

    def _start(self):
        kind = self.choose.choice(list(KINDS))
        connection = socket.socket()
        connection.setblocking(False)
        connection.bind((source(self.started), 0))
        self.started += 1
        error = connection.connect_ex(self.target)
        assert error in (0, errno.EINPROGRESS), error
        self.open[connection.fileno()] = [
            connection,
            KINDS[kind](self.choose),
            kind,
            time.monotonic() + PATIENCE_S,
        ]
        self.poll.register(
            connection.fileno(), select.EPOLLOUT | select.EPOLLRDHUP
        )

    def _advance(self, descriptor, events):
        entry = self.open[descriptor]
        connection, left, kind, _ = entry
        try:
            if left and events & select.EPOLLOUT:
                entry[1] = left[connection.send(left) :]
                if entry[1]:
                    return
                self.taken[kind] += 1
                connection.shutdown(socket.SHUT_WR)
                self.poll.modify(
                    descriptor, select.EPOLLIN | select.EPOLLRDHUP
                )
                return
            if connection.recv(65536):
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self._end(descriptor)

    def _end(self, descriptor):
        connection = self.open.pop(descriptor)[0]
        self.poll.unregister(descriptor)
        close_at_once(connection)


def main():
    address, port, count, seed = sys.argv[1:]
    stranger = Stranger((address, int(port)), int(count), int(seed))
    stranger.run()
    print(json.dumps(stranger.taken))


if __name__ == "__main__":
    main()
