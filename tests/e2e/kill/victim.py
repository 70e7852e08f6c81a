"""The daemon that is killed."""

import http.client
import subprocess
import time

from harness import daemon as daemons

# Between two looks at whether it is ready.
POLL_INTERVAL_S = 0.002


class Victim(daemons.Daemon):
    """Starts in two steps, so that it can be killed between them."""

    def launch(self):
        """Starts the process, and does not wait."""
        with open(self.log_file, "ab") as log:
            # What a kill cut off ends here.
            log.write(b"\n")
            self.process = subprocess.Popen(
                [daemons.program(), "--config", str(self.config_file)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=daemons.environment(),
                preexec_fn=self._prepare,
            )
        daemons.running.append(self)

    def start_up(self):
        """Starts, waits until it is ready, returns how long that took in s."""
        began = time.monotonic()
        self.launch()
        while not self._ready():
            code = self.process.poll()
            assert code is None, f"exited with {code}:\n{self.tail()}"
            late = time.monotonic() - began > self.ready_timeout_s
            assert not late, f"not ready in time:\n{self.tail()}"
            time.sleep(POLL_INTERVAL_S)
        took = time.monotonic() - began
        # What is left on disk is judged next.
        self.wait_inspected()
        return took

    def _ready(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def tail(self):
        """The end of its log."""
        return "\n".join(self.log().splitlines()[-20:])
