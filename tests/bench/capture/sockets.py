"""A packet socket for each filter, as every tool has that captures for itself."""

import concurrent.futures
import ctypes
import functools
import socket
import struct
import subprocess

# linux/if_packet.h, linux/socket.h
SOL_PACKET = 263
PACKET_RX_RING = 5
PACKET_VERSION = 10
TPACKET_V3 = 2
SO_ATTACH_FILTER = 26

ETH_P_ALL = 3
BLOCK_BYTES = 1 << 16
BLOCKS = 4
FRAME_BYTES = 2048
WAKE_INTERVAL_MS = 100

# Each waits for a grace period of the kernel when it is made and closed.
THREADS = 32


def _program(fields):
    """The filter's classic BPF, as tcpdump compiles it."""
    text = (
        f"ip proto {fields['protocol']} and src host {fields['source_address']} "
        f"and dst host {fields['destination_address']} "
        f"and src port {fields['source_port']} "
        f"and dst port {fields['destination_port']}"
    )
    lines = subprocess.run(
        ["tcpdump", "-y", "EN10MB", "-ddd", text],
        check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    ).stdout.splitlines()
    code = (struct.pack("=HBBI", *map(int, line.split())) for line in lines[1:])
    return b"".join(code)


def _open(interface, fields):
    """A socket that takes what matches into a ring that nobody reads."""
    result = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    program = _program(fields)
    memory = ctypes.create_string_buffer(program, len(program))
    result.setsockopt(
        socket.SOL_SOCKET, SO_ATTACH_FILTER,
        struct.pack("HP", len(program) // 8, ctypes.addressof(memory)),
    )
    result.setsockopt(SOL_PACKET, PACKET_VERSION, TPACKET_V3)
    result.setsockopt(SOL_PACKET, PACKET_RX_RING, struct.pack(
        "7I", BLOCK_BYTES, BLOCKS, FRAME_BYTES,
        BLOCK_BYTES // FRAME_BYTES * BLOCKS, WAKE_INTERVAL_MS, 0, 0,
    ))
    result.bind((interface, ETH_P_ALL))
    return result


class Sockets:
    """They are open as long as the `with` block."""

    def __init__(self, interface, filters):
        self._open = functools.partial(_open, interface)
        self._filters = filters

    def __enter__(self):
        with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
            self._sockets = list(pool.map(self._open, self._filters))
        return self

    def __exit__(self, *_):
        with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(socket.socket.close, self._sockets))
