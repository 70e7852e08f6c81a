"""Load on a server, and how it bears it: requests by wrk, downloads by one
socket."""

import json
import os
import pathlib
import socket
import subprocess
import time

CONNECTIONS = 32
# What a download is read with: large enough not to be the bottleneck.
READ_BYTES = 1 << 20
TIMEOUT_S = 60.0
_SCRIPT = pathlib.Path(__file__).with_name("requests.lua")


def cpu_seconds(process):
    """What a process has used of the processors, and all its threads."""
    with open(f"/proc/{process}/stat", encoding="ascii") as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wrk(port, process, paths_file, headers, seconds):
    """Asks for the paths in the file over 32 connections that are kept alive.

    Returns requests/s, latencies, and what a request costs the process that
    serves; every answer must have been a 200.
    """
    used = cpu_seconds(process)
    # Pistache keeps connections alive for whoever says so.
    headers = {"Connection": "keep-alive", **headers}
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s"]
    for name, value in headers.items():
        command += ["-H", f"{name}: {value}"]
    command += ["-s", str(_SCRIPT), f"http://127.0.0.1:{port}", "--"]
    said = subprocess.run(
        [*command, str(paths_file)],
        capture_output=True,
        text=True,
        timeout=seconds + TIMEOUT_S,
        check=True,
    ).stdout
    figures = json.loads(said.strip().splitlines()[-1])
    assert figures["requests"] > 0, said
    assert figures["failed"] == 0 and figures["refused"] == 0, said
    figures["per_second"] = figures["requests"] / figures["duration_us"] * 1e6
    used = cpu_seconds(process) - used
    figures["cpu_us"] = used / figures["requests"] * 1e6
    return figures


def download(port, path, headers, expected=None):
    """Downloads a file over a connection of its own.

    Returns bytes and seconds. With `expected`, compares each byte with it
    (which takes time that is not measured, but holds the server up).
    """
    buffer = memoryview(bytearray(READ_BYTES))
    lines = [f"GET {path} HTTP/1.1", "Host: bench", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    with socket.create_connection(("127.0.0.1", port), TIMEOUT_S) as connection:
        begin = time.monotonic()
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        head, rest = _read_head(connection)
        length = _content_length(head)
        received = len(rest)
        assert expected is None or rest == expected[:received], "wrong bytes"
        while received < length:
            count = connection.recv_into(buffer)
            assert count > 0, f"{path} ended after {received} of {length} bytes"
            if expected is not None:
                wanted = expected[received : received + count]
                assert buffer[:count] == wanted, f"wrong after {received} bytes"
            received += count
        seconds = time.monotonic() - begin
        assert received == length, f"{path}: {received} of {length} bytes"
    return received, seconds


def _read_head(connection):
    content = b""
    while b"\r\n\r\n" not in content:
        more = connection.recv(65536)
        assert more, f"no whole header: {content}"
        content += more
    head, _, rest = content.partition(b"\r\n\r\n")
    return head.decode(), rest


def _content_length(head):
    first, *fields = head.split("\r\n")
    assert first.split()[1] == "200", head
    values = [
        value
        for name, _, value in (field.partition(":") for field in fields)
        if name.lower() == "content-length"
    ]
    assert len(values) == 1, head
    return int(values[0])
