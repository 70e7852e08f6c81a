#!/usr/bin/python3
"""TLS and nothing else: the rival of the wall. Two processes, one connection,
certificates at both ends, OpenSSL's own loop over large buffers.

    raw_tls.py serve ADDRESS PORT DIRECTORY
    raw_tls.py push ADDRESS PORT DIRECTORY BYTES SECONDS

`push` prints what basp_peer prints."""

import json
import socket
import ssl
import sys
import time


def context(protocol, directory):
    result = ssl.SSLContext(protocol)
    result.check_hostname = False
    result.verify_mode = ssl.CERT_REQUIRED
    result.load_verify_locations(f"{directory}/ca.crt")
    result.load_cert_chain(f"{directory}/node.crt", f"{directory}/node.key")
    return result


def serve(address, port, directory):
    tls = context(ssl.PROTOCOL_TLS_SERVER, directory)
    listener = socket.create_server((address, int(port)))
    print("listening", flush=True)
    buffer = bytearray(1 << 20)
    while True:
        plain, _ = listener.accept()
        with tls.wrap_socket(plain, server_side=True) as connection:
            while connection.recv_into(buffer) > 0:
                pass
            connection.unwrap()


def push(address, port, directory, size, seconds):
    tls = context(ssl.PROTOCOL_TLS_CLIENT, directory)
    plain = socket.create_connection((address, int(port)))
    batch = bytes(range(256)) * (int(size) // 256)
    with tls.wrap_socket(plain) as connection:
        begin = time.monotonic()
        sent = 0
        while time.monotonic() < begin + float(seconds):
            connection.sendall(batch)
            sent += len(batch)
        # Ends when the other end has read all of it.
        connection.unwrap()
        took = time.monotonic() - begin
    print(json.dumps({"bytes": sent, "seconds": took}))


if __name__ == "__main__":
    {"serve": serve, "push": push}[sys.argv[1]](*sys.argv[2:])
