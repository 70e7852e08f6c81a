"""The programs of this project that a test or a benchmark runs."""

import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[3]


def build(preset, programs):
    """Builds those that the environment does not name, and has it name them. They are
    {variable: (target, path below the build)}."""
    missing = [name for name in programs if name not in os.environ]
    if not missing:
        return
    targets = [programs[name][0] for name in missing]
    subprocess.run([ROOT / "tests/tools/build", preset, *targets], check=True)
    for name in missing:
        path = ROOT / "build" / preset / programs[name][1]
        os.environ[name] = str(path)
