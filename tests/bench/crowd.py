"""Edges without an interface of their own: nodes/crowd.cpp, started and told."""

import os
import pathlib
import subprocess

from harness import network


class Crowd:
    """Some edges in one process, whose interfaces have packets when it is told.
    `prepare` is called in the new process; `options` are those of the program."""

    def __init__(
        self, work, numbers, port, prepare=network.die_with_parent, **options
    ):
        self.log_file = pathlib.Path(work) / f"crowd-{numbers.start}.log"
        with open(self.log_file, "wb") as log:
            self.process = subprocess.Popen(
                [
                    os.environ["BENCH_CROWD"],
                    f"--port={port}",
                    f"--first={numbers.start}",
                    f"--edges={len(numbers)}",
                    *(f"--{name}={value}" for name, value in options.items()),
                ],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                preexec_fn=prepare,
            )

    def send(self):
        """Each of them has its packets."""
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()

    def stop(self):
        self.process.stdin.close()

    def wait(self):
        self.process.wait(120)
