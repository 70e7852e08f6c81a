"""Clients that a server would rather not have, all at once, in one thread.

    hostile_clients.py '{"port": …, "download": "…", "headers": {…},
                         "idle": …, "slow": …, "stalled": …, "aborting": …}'

Prints `ready` when all are in place and goes on until its standard input ends;
whoever is thrown out comes back. Then prints what they did, as JSON.
"""

import json
import resource
import selectors
import socket
import struct
import sys
import time

# One byte of a header so often.
DRIP_INTERVAL_S = 1.0
# An aborting client takes so much, and comes again so much later.
ABORT_AFTER_BYTES = 1 << 20
ABORT_PAUSE_S = 1.0
READ_BYTES = 65536
# A stalled client's window: small, so that the server notices soon.
STALLED_WINDOW_BYTES = 4096
TICK_S = 0.1
# Clients come from so many addresses of the loopback network.
ADDRESSES = 50


class Client:
    """One connection after another."""

    window_bytes = None
    reads = True

    def __init__(self, crowd, number):
        self.crowd = crowd
        self.source = f"127.0.1.{1 + number % ADDRESSES}"
        self.socket = None
        self.come_at = 0.0

    def come(self, now):
        """Connects, and says what this kind of client says first."""
        self.socket = socket.socket()
        if self.window_bytes:
            self.socket.setsockopt(
                socket.SOL_SOCKET, socket.SO_RCVBUF, self.window_bytes
            )
        self.socket.bind((self.source, 0))
        self.socket.connect(("127.0.0.1", self.crowd.port))
        self.socket.setblocking(False)
        if self.reads:
            self.crowd.selector.register(
                self.socket, selectors.EVENT_READ, self
            )
        self.begin(now)

    def go(self, now, pause_s=0.0):
        """Leaves with a reset, for a pause."""
        if self.reads:
            self.crowd.selector.unregister(self.socket)
        self.socket.setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        self.socket.close()
        self.socket = None
        self.come_at = now + pause_s

    def send(self, text):
        try:
            self.socket.send(text.encode())
        except OSError:
            pass  # Thrown out; the selector says so, too.

    def begin(self, now):
        """Just connected."""

    def tick(self, now):
        """Time passes."""

    def took(self, data, now):
        """The server has sent something."""

    def readable(self, now):
        """Takes what is there; comes back if thrown out."""
        try:
            data = self.socket.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self.took(data, now)
        else:
            self.crowd.thrown_out += 1
            self.go(now)

    def ask(self, path):
        lines = [f"GET {path} HTTP/1.1", "Host: bench"]
        lines += [f"{k}: {v}" for k, v in self.crowd.headers.items()]
        self.send("\r\n".join([*lines, "", ""]))


class Idle(Client):
    """Asks once, so that it is kept alive, and is silent then."""

    def begin(self, now):
        self.ask("/healthz")


class Slow(Client):
    """Sends a header that never ends, byte by byte."""

    def begin(self, now):
        self.send("GET / HTTP/1.1\r\nX-Slow: ")
        self.next_drip = now + DRIP_INTERVAL_S

    def tick(self, now):
        if now >= self.next_drip:
            self.send("x")
            self.next_drip += DRIP_INTERVAL_S


class Stalled(Client):
    """Asks for the large file, and reads nothing of it."""

    window_bytes = STALLED_WINDOW_BYTES
    reads = False

    def begin(self, now):
        self.ask(self.crowd.download)

    def tick(self, now):
        if self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self.crowd.thrown_out += 1
            self.go(now)


class Aborting(Client):
    """Takes the beginning of the large file, and leaves."""

    def begin(self, now):
        self.left = ABORT_AFTER_BYTES
        self.ask(self.crowd.download)

    def took(self, data, now):
        self.left -= len(data)
        if self.left <= 0:
            self.crowd.aborted += 1
            self.go(now, ABORT_PAUSE_S)


class Crowd:
    """All of them."""

    def __init__(self, port, download, headers, idle, slow, stalled, aborting):
        self.port = port
        self.download = download
        self.headers = headers
        self.selector = selectors.DefaultSelector()
        self.thrown_out = 0
        self.aborted = 0
        kinds = (
            [Idle] * idle
            + [Slow] * slow
            + [Stalled] * stalled
            + [Aborting] * aborting
        )
        self.clients = [kind(self, n) for n, kind in enumerate(kinds)]
        self.selector.register(sys.stdin, selectors.EVENT_READ, None)

    def run(self):
        """Until standard input ends."""
        ready = False
        next_tick = 0.0
        while True:
            now = time.monotonic()
            if now >= next_tick:
                self.tick(now)
                next_tick = now + TICK_S
            if not ready:
                print("ready", flush=True)
                ready = True
            for key, _ in self.selector.select(TICK_S):
                if key.data is None:
                    return
                # Whoever has left in this round is not there any more.
                if key.data.socket is key.fileobj:
                    key.data.readable(time.monotonic())

    def tick(self, now):
        for client in self.clients:
            if client.socket is not None:
                client.tick(now)
            elif now >= client.come_at:
                client.come(now)

    def leave(self):
        for client in self.clients:
            if client.socket is not None:
                client.go(0.0)


def main():
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    crowd = Crowd(**json.loads(sys.argv[1]))
    crowd.run()
    crowd.leave()
    said = {"thrown_out": crowd.thrown_out, "aborted": crowd.aborted}
    print(json.dumps(said))


if __name__ == "__main__":
    main()
