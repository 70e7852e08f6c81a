"""Free memory that costs every tool the same.

The host of a virtual machine may take memory back that its guest has freed (free
page reporting): whoever gets such a page waits for the host. That makes a write to a
tmpfs up to ten times as expensive, for one tool in one round and not for another, and
a ring of 32 MiB, which takes 3 ms, takes 80 ms, as much as a million packets. The
guest offers blocks of 512 pages and more, and gives away smaller ones first. What the
kernel wants for itself, such as rings, comes from other blocks than what is for
processes and files.
"""

import contextlib
import mmap
import socket
import struct

PAGE = mmap.PAGESIZE
KEEP_ONE_IN = 64
# madvise(2), since Linux 5.14; Python does not name it.
MADV_POPULATE_WRITE = 23
STEP_BYTES = 64 << 20
# Of memory for rings, in one piece each: 256 pages, which any ring's blocks fit into.
RING_PIECE_BYTES = 1 << 20
# packet(7) and linux/if_packet.h; Python does not name them.
SOL_PACKET = 263
PACKET_VERSION = 10
PACKET_RX_RING = 5
TPACKET_V3 = 2
FRAME_BYTES = 2048


class BackedMemory:
    """Has the host back so much memory, and leaves it free in pieces of fewer
    than 64 pages, as long as the object lives."""

    def __init__(self, size_bytes):
        self._kept = mmap.mmap(-1, size_bytes, mmap.MAP_PRIVATE)
        self._kept.madvise(mmap.MADV_NOHUGEPAGE)
        # Else what it keeps would count as memory of each tool that is started.
        self._kept.madvise(mmap.MADV_DONTFORK)
        for begin in range(0, size_bytes, STEP_BYTES):
            self._kept.madvise(MADV_POPULATE_WRITE, begin, STEP_BYTES)
        for begin in range(0, size_bytes, KEEP_ONE_IN * PAGE):
            self._kept.madvise(
                mmap.MADV_DONTNEED, begin + PAGE, (KEEP_ONE_IN - 1) * PAGE
            )


class BackedRings:
    """The same for rings: so much memory lies free between other rings that are
    kept."""

    def __init__(self, size_bytes):
        with contextlib.ExitStack() as between:
            pieces = size_bytes // RING_PIECE_BYTES
            self._kept = []
            for _ in range(pieces):
                self._kept.append(_ring_of_one_piece())
                between.enter_context(_ring_of_one_piece())


def _ring_of_one_piece():
    """A packet socket that captures nothing, with a ring of one block."""
    result = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    result.setsockopt(SOL_PACKET, PACKET_VERSION, TPACKET_V3)
    frames = RING_PIECE_BYTES // FRAME_BYTES
    # A block that has begun is closed so seldom that it costs nothing.
    timeout_ms, private_bytes, features = 60_000, 0, 0
    result.setsockopt(SOL_PACKET, PACKET_RX_RING, struct.pack(
        "7I", RING_PIECE_BYTES, 1, FRAME_BYTES, frames,
        timeout_ms, private_bytes, features,
    ))
    return result
