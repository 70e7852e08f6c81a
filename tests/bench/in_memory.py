"""A directory whose files are in memory."""

import contextlib
import pathlib
import subprocess
import tempfile


@contextlib.contextmanager
def directory():
    """A new directory on a tmpfs of its own. The caller is in a mount namespace of its
    own, so that it and its children alone see it."""
    with tempfile.TemporaryDirectory(prefix="edgecap-bench-") as path:
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", path], check=True)
        try:
            yield pathlib.Path(path)
        finally:
            # After a failure a daemon that uses it lives as long as we do.
            subprocess.run(["umount", "--lazy", path], check=True)
