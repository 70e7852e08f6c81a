"""The programs that edgecapd is compared with."""

import os
import pathlib
import signal
import socket
import subprocess

from harness.daemon import new_port
from harness.network import die_with_parent
from harness.waiting import wait_until

STOP_TIMEOUT_S = 10.0

_NGINX = """\
daemon off;
worker_processes 1;
user root;
pid {work}/nginx.pid;
events {{ }}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  default_type application/vnd.tcpdump.pcap;
  client_body_temp_path {work}/body;
  proxy_temp_path {work}/proxy;
  fastcgi_temp_path {work}/fastcgi;
  uwsgi_temp_path {work}/uwsgi;
  scgi_temp_path {work}/scgi;
  server {{
    listen 127.0.0.1:{port};
    location / {{ root {root}; }}
  }}
}}
"""


def _answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


class _Program:
    """A server that runs as long as the `with` block."""

    def __init__(self, command, **options):
        self.process = subprocess.Popen(
            command, preexec_fn=die_with_parent, **options
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(STOP_TIMEOUT_S)
        if self.process.stdout:
            self.process.stdout.close()


class BarePistache(_Program):
    """A stock Pistache server that answers a constant of `body_bytes`."""

    def __init__(self, body_bytes, threads):
        program = os.environ["BENCH_BARE_PISTACHE"]
        super().__init__(
            [program, str(body_bytes), str(threads)],
            stdout=subprocess.PIPE,
            text=True,
        )
        self.port = int(self.process.stdout.readline())


class Nginx(_Program):
    """nginx with one worker, which serves the files of a directory with
    sendfile."""

    def __init__(self, work, root):
        self.port = new_port()
        work = pathlib.Path(work)
        config = work / "nginx.conf"
        config.write_text(
            _NGINX.format(work=work, port=self.port, root=root),
            encoding="utf-8",
        )
        errors = str(work / "nginx-error.log")
        super().__init__(["nginx", "-e", errors, "-c", str(config)])
        wait_until("nginx listens", lambda: _answers(self.port))
