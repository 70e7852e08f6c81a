"""Packets on all links, without a pause."""

import threading

from harness.packets import ethernet, marked, udp_ipv4

PORT = 40053
# Packets of one burst on one link, and the pause behind it.
BURST = 20
PAUSE_S = 0.005


def number_of(data):
    """The number of a packet, which counts up on each link."""
    assert data[42:46] == b"seq ", data
    return int.from_bytes(data[46:50], "big")


class Traffic:
    """Sends from a thread of its own while it is entered."""

    def __init__(self, links):
        self._links = links
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()

    def __exit__(self, *_):
        self._enough.set()
        self._thread.join()

    def _run(self):
        number = 0
        while not self._enough.wait(PAUSE_S):
            for _ in range(BURST):
                number += 1
                frame = ethernet(
                    udp_ipv4(marked(number), destination_port=PORT)
                )
                for link in self._links:
                    link.send(frame)
