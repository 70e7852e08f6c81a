"""The programs that a benchmark measures."""

import os
import subprocess


def build(root, programs):
    """Builds, as what is installed, those that the environment does not name. They
    are {variable: (target, path below the build)}."""
    missing = [name for name in programs if name not in os.environ]
    if not missing:
        return
    targets = [programs[name][0] for name in missing]
    for command in (
        ["cmake", "--preset", "release"],
        ["cmake", "--build", "--preset", "release", "--target", *targets],
    ):
        subprocess.run(command, cwd=root, check=True, stdout=subprocess.DEVNULL)
    for name in missing:
        os.environ[name] = str(root / "build/release" / programs[name][1])
