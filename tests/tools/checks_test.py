"""Tests of the checkers in this folder: each rule is broken once, in a tree of
its own, and the checker has to name the file and the line."""

import subprocess
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parent


def run(tool, root):
    done = subprocess.run(
        [TOOLS / tool, root], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    return done.returncode, done.stdout.decode()


def write(root, name, content, mode=0o644):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(mode)


ALLOWED = [
    ("main.cpp", '#include "config/daemon/options.hpp"'),
    ("main.cpp", '#include "http/server.hpp"'),
    ("config/daemon/a.cpp", '#include "config/settings.hpp"'),
    ("config/daemon/a.cpp", '#include "actors/system.hpp"'),
    ("main.cpp", '#include "config/load.hpp"'),
    ("main.cpp", '#include "actors/system.hpp"'),
    ("http/a.cpp", '#include "http/b.hpp"'),
    ("http/a.cpp", '#include "actors/messages.hpp"'),
    ("http/a.cpp", '#include "actors/interfaces.hpp"'),
    ("http/a.cpp", '#include "capture/filter.hpp"'),
    ("http/a.cpp", "#include <pistache/http.h>"),
    ("http/a.cpp", "#include <prometheus/registry.h>"),
    ("http/a.cpp", '#include "actors/log_event.hpp"'),
    ("actors/a.cpp", '#include "capture/merge.hpp"'),
    ("actors/log_event.cpp", "#include <nlohmann/json.hpp>"),
    ("actors/job_index.cpp", "#include <SQLiteCpp/Database.h>"),
    ("capture/a.cpp", "#include <pcap/pcap.h>"),
    ("capture/a.cpp", "#include <tins/tins.h>"),
    ("config/a.cpp", "#include <yaml-cpp/yaml.h>"),
    ("tests/http/a.cpp", '#include "actors/job.hpp"'),
    ("tests/http/a.cpp", "#include <pcap.h>"),
    ("capture/a.cpp", "#include <linux/filter.h>"),
]

FORBIDDEN = [
    ("config/a.cpp", '#include "config/daemon/options.hpp"'),
    ("http/a.cpp", '#include "actors/job.hpp"'),
    ("http/a.cpp", '#include "capture/merge.hpp"'),
    ("http/a.cpp", '#include "config/settings.hpp"'),
    ("http/a.cpp", '#  include  "actors/job.hpp"'),
    ("actors/a.hpp", '#include "http/server.hpp"'),
    ("actors/a.cpp", '#include "config/settings.hpp"'),
    ("actors/a.cpp", "#include <SQLiteCpp/Database.h>"),
    ("actors/a.cpp", "#include <pcap.h>"),
    ("actors/a.cpp", "#include <nlohmann/json.hpp>"),
    ("capture/a.cpp", '#include "actors/job.hpp"'),
    ("capture/a.cpp", "#include <caf/all.hpp>"),
    ("capture/a.cpp", "#include <sqlite3.h>"),
    ("config/a.cpp", '#include "capture/filter.hpp"'),
    ("config/a.cpp", "#include <nlohmann/json.hpp>"),
    ("main.cpp", '#include "tests/support/fixture.hpp"'),
    ("http/a.cpp", '#include "tests/support/fixture.hpp"'),
    ("http/a.cpp", '#include "b.hpp"'),
    ("http/a.cpp", "#include <http/b.hpp>"),
    ("http/a.cpp", "#include <tins/tins.h>"),
    ("http/a.cpp", "#include <pcap-int.h>"),
    ("main.cpp", "#include <pistache/http.h>"),
]


@pytest.mark.parametrize("file,line", ALLOWED)
def test_include_is_allowed(tmp_path, file, line):
    write(tmp_path, file, f"{line}\n")
    assert run("check-includes", tmp_path) == (0, "")


@pytest.mark.parametrize("file,line", FORBIDDEN)
def test_include_is_forbidden(tmp_path, file, line):
    write(tmp_path, file, f"// first\n{line}\n")
    status, output = run("check-includes", tmp_path)
    assert status == 1
    assert output.startswith(f"{file}:2: ")


def test_includes_of_an_empty_tree_are_not_called_good(tmp_path):
    assert run("check-includes", tmp_path)[0] == 2


BAD_TEXT = [
    ("a.md", "one\ntwo \n", 0o644, "a.md:2: blanks"),
    ("a.cpp", "int x;\n\tint y;\n", 0o644, "a.cpp:2: a tab"),
    ("a.md", "one\ntwo", 0o644, "a.md:0: no newline"),
    ("a.md", "one\n\n", 0o644, "a.md:0: empty lines"),
    ("a.md", "one\r\n", 0o644, "a.md:1: a carriage return"),
    ("a.md", b"\xff\n", 0o644, "a.md:0: not UTF-8"),
    ("run", "#!/bin/sh\n", 0o644, "run:0: a script without"),
    ("a.md", "one\n", 0o755, "a.md:0: a run bit"),
    ("a.cpp", "// TO" "DO: later\n", 0o644, "a.cpp:1: a note"),
]


@pytest.fixture
def repository(tmp_path):
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    return tmp_path


@pytest.mark.parametrize("name,content,mode,expected", BAD_TEXT)
def test_text_is_refused(repository, name, content, mode, expected):
    write(repository, name, content, mode)
    status, output = run("check-text", repository)
    assert status == 1
    assert output.startswith(expected)


def test_text_is_accepted(repository):
    write(repository, "a.md", "one\n\ntwo\n")
    write(repository, "run", "#!/bin/sh\ntrue\n", 0o755)
    write(repository, "empty", "")
    write(repository, "a.pcap", b"\xd4\xc3\xb2\xa1\0\0 \t\n ")
    write(repository, "tests/fuzz/corpus/request", b"GET / HTTP/1.1\r\n\r\n")
    assert run("check-text", repository) == (0, "")


def test_text_that_git_ignores_is_not_read(repository):
    write(repository, ".gitignore", "/build/\n")
    write(repository, "build/log", "blank \n")
    assert run("check-text", repository) == (0, "")
