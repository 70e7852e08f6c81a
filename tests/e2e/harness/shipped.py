"""The files of deploy/, with what their pages say may be changed."""

import os
import pathlib
import shutil

DEPLOY = pathlib.Path(__file__).resolve().parents[3] / "deploy"


def changed(file, changes):
    """The content of a file of deploy/, with each old text replaced by the new
    one; all of them must be there."""
    text = (DEPLOY / file).read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text, f"deploy/{file} has no {old!r}"
        text = text.replace(old, new)
    return text


def tool(name):
    """Path of a program; Debian's root alone has some in PATH."""
    path = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    assert path, f"{name} is missing: deploy/install-packages test"
    return path
