"""Small file systems of the tests' own.

They are mounted in the mount namespace of the test process, and so vanish with
it, even after a crash.
"""

import errno
import os
import pathlib
import subprocess

MIB = 1 << 20


class Disk:
    """A file system of `size` bytes at `path`, until it is closed.

    A context manager. `kind` is tmpfs, or ext4 in a file at `image`.
    """

    def __init__(self, path, size=64 * MIB, kind="tmpfs", image=None):
        self.path = pathlib.Path(path)
        self._ballast = self.path / "ballast"
        self.path.mkdir(parents=True, exist_ok=True)
        if kind == "tmpfs":
            command = ["-t", "tmpfs", "-o", f"size={size}", "none"]
        else:
            with open(image, "wb") as f:
                f.truncate(size)
            # Without blocks that only root may use.
            subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], check=True)
            command = ["-o", "loop", str(image)]
        subprocess.run(["mount", *command, str(self.path)], check=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Unmounts it."""
        subprocess.run(["umount", "--lazy", str(self.path)], check=True)

    def free_bytes(self):
        status = os.statvfs(self.path)
        return status.f_bavail * status.f_frsize

    def take(self, size):
        """Writes so many bytes."""
        with open(self._ballast, "ab") as f:
            f.write(bytes(size))

    def fill(self):
        """Writes until there is not a byte left."""
        with open(self._ballast, "ab", buffering=0) as f:
            for size in (MIB, 4096, 1):
                try:
                    while True:
                        f.write(bytes(size))
                except OSError as error:
                    assert error.errno == errno.ENOSPC, error

    def empty(self):
        """Takes back what `take` and `fill` wrote."""
        self._ballast.unlink()


class Immutable:
    """Files that nobody can change, not even who has them open, within."""

    def __init__(self, *paths):
        self._paths = [str(path) for path in paths]

    def __enter__(self):
        subprocess.run(["chattr", "+i", *self._paths], check=True)
        return self

    def __exit__(self, *_):
        subprocess.run(["chattr", "-i", *self._paths], check=True)
