"""http/openapi.yaml by itself: linted, complete, and shown as it is.

tests/e2e/test_openapi.py compares it with what the daemon answers, and
tests/http/routes_test.cpp with its routes.
"""

import json
import re
import shutil
import subprocess
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

import pytest
import yaml

TOOLS = Path(__file__).resolve().parent
ROOT = TOOLS.parents[1]
SOURCE = ROOT / "http" / "openapi.yaml"
LINT = TOOLS / "openapi"
# What npm installs stays for the next run.
CACHE = ROOT / "build" / "openapi-lint"

# Before a request reaches any operation, the frontend may answer these.
FRONT = {"400", "408", "411", "413", "414", "417", "431", "500", "503", "505"}
# Operations that look at credentials may answer these, too.
ACCOUNT = {"403", "404", "429", "504"}

# Codes that no operation answers: these requests are for none.
ELSEWHERE = {
    20001: "405: another method",
    20008: "501: an unknown method",
}


@pytest.fixture(scope="module")
def document():
    with open(SOURCE, encoding="utf-8") as f:
        return yaml.safe_load(f)


def operations(document):
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method != "parameters":
                yield method, path, operation


def text_of(document):
    return json.dumps(document)


# -- the linter ---------------------------------------------------------------


@pytest.fixture(scope="module")
def spectral():
    npm = shutil.which("npm")
    assert npm, "npm is missing: install it, as tests/run does"
    wanted = json.loads((LINT / "package.json").read_text())["dependencies"]
    (name, version), *_ = wanted.items()
    installed = CACHE / "node_modules" / name / "package.json"
    if (
        not installed.exists()
        or json.loads(installed.read_text())["version"] != version
    ):
        CACHE.mkdir(parents=True, exist_ok=True)
        shutil.copy(LINT / "package.json", CACHE)
        # No scripts: one of its dependencies would report home.
        done = subprocess.run(
            [npm, "install", "--ignore-scripts", "--no-package-lock"]
            + ["--no-audit", "--no-fund"],
            cwd=CACHE,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, f"npm install fails:\n{done.stderr}"
    return CACHE / "node_modules" / ".bin" / "spectral"


def lint(spectral, file):
    done = subprocess.run(
        [spectral, "lint", "--fail-severity=hint"]
        + ["--ruleset", LINT / "spectral.yaml", file],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_the_linter_finds_nothing(spectral):
    code, text = lint(spectral, SOURCE)
    assert code == 0, text


def test_the_linter_would_find_something(spectral, tmp_path):
    broken = SOURCE.read_text().replace("operationId: stopPcap", "x-id: stopPcap")
    broken = broken.replace("schemas/NoRemarks", "schemas/None", 1)
    (tmp_path / "broken.yaml").write_text(broken)
    code, text = lint(spectral, tmp_path / "broken.yaml")
    assert code == 1
    assert "operation-operationId" in text
    assert "invalid-ref" in text


# -- rules of ours ------------------------------------------------------------


def test_each_operation_has_the_statuses_that_it_may_answer(document):
    for method, path, operation in operations(document):
        statuses = set(operation["responses"])
        assert FRONT <= statuses, (method, path)
        if operation.get("security") != []:
            assert ACCOUNT <= statuses, (method, path)
        assert "default" not in statuses, (method, path)


def test_each_failure_is_an_envelope(document):
    envelope = {"$ref": "#/components/schemas/Failure"}
    for method, path, operation in operations(document):
        for status, response in operation["responses"].items():
            if status < "400":
                continue
            name = response["$ref"].split("/")[-1]
            content = document["components"]["responses"][name]["content"]
            assert content == {"application/json": {"schema": envelope}}, name


def test_head_is_wherever_get_is(document):
    for path, item in document["paths"].items():
        assert ("get" in item) == ("head" in item), path


def test_each_code_of_the_program_is_described(document):
    """Codes of errors, as http/errors.hpp lists them, in both documents."""
    source = (ROOT / "http" / "errors.hpp").read_text()
    codes = [int(x) for x in re.findall(r"constexpr int \w+ = (\d+);", source)]
    assert len(codes) > 30
    page = (ROOT / "docs" / "api.md").read_text()
    told = {int(x) for x in re.findall(r"\b\d{4,5}\b", text_of(document))}
    for first, last in re.findall(r"(\d{5}) to (\d{5})", text_of(document)):
        told.update(range(int(first), int(last) + 1))
    for code in codes:
        assert re.search(rf"\b{code}\b", page), f"{code} is not in docs/api.md"
        if code not in ELSEWHERE and code < 20400:
            assert code in told, f"{code} is not in http/openapi.yaml"


# -- the page -----------------------------------------------------------------


def test_the_page_is_the_document():
    """Otherwise: tests/tools/openapi-page > docs/openapi.md"""
    loader = SourceFileLoader("openapi_page", str(TOOLS / "openapi-page"))
    module = module_from_spec(spec_from_loader("openapi_page", loader))
    loader.exec_module(module)
    page = "\n".join(module.page(module.load())) + "\n"
    assert (ROOT / "docs" / "openapi.md").read_text() == page
