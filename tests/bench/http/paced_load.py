"""Asks a server at a fixed rate, and prints the latencies as JSON.

    paced_load.py '{"port": …, "paths": […], "headers": {…}, "per_second": …,
                    "seconds": …}'

Each path is asked for in its turn. A latency counts from the moment at which
the request was due, so that a server that holds one request up is charged for
those that had to wait behind it.
"""

import http.client
import json
import sys
import time

TIMEOUT_S = 30.0
CONNECTIONS = 8


def run(port, paths, headers, per_second, seconds):
    """Latencies in microseconds, one list for each path."""
    latencies = [[] for _ in paths]
    connections = [
        http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
        for _ in range(CONNECTIONS)
    ]
    begin = time.monotonic()
    for number in range(int(per_second * seconds)):
        due = begin + number / per_second
        time.sleep(max(0.0, due - time.monotonic()))
        connection = connections[number % CONNECTIONS]
        which = number % len(paths)
        connection.request("GET", paths[which], headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        latencies[which].append(round((time.monotonic() - due) * 1e6))
        assert answer.status == 200, (answer.status, body)
        assert body.startswith(b'{"result":'), body
    for connection in connections:
        connection.close()
    return latencies


if __name__ == "__main__":
    print(json.dumps(run(**json.loads(sys.argv[1]))))
