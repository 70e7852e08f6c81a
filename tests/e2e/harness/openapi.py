"""http/openapi.yaml as a judge: every answer is validated against it."""

import functools
import pathlib
import re

import jsonschema
import yaml

PATH = pathlib.Path(__file__).resolve().parents[3] / "http" / "openapi.yaml"
METHODS = ("get", "put", "post", "delete", "head", "options", "patch", "trace")


def _resolve(root, node):
    """The node itself, or what its $ref names in this document."""
    seen = set()
    while isinstance(node, dict) and "$ref" in node:
        ref = node["$ref"]
        assert ref.startswith("#/") and ref not in seen, ref
        seen.add(ref)
        node = root
        for part in ref[2:].split("/"):
            node = node[part.replace("~1", "/").replace("~0", "~")]
    return node


class Operation:
    """One method of one route."""

    def __init__(self, root, method, route, node):
        self.method = method
        self.route = route
        self.responses = {
            str(status): _resolve(root, response)
            for status, response in node["responses"].items()
        }

    def __str__(self):
        return f"{self.method} {self.route}"

    def fits(self, path):
        """Whether the path is one of this route."""
        return re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", self.route), path)


class Document:
    """The API's description."""

    def __init__(self, root):
        self.root = root
        version = root["openapi"]
        assert version.startswith("3.1."), f"OpenAPI {version} is not expected"
        self.operations = [
            Operation(root, method.upper(), route, item[method])
            for route, item in root["paths"].items()
            for method in METHODS
            if method in item
        ]

    def operation(self, method, target):
        """The operation that a request is for; a literal segment wins over a
        parameter; None if there is none."""
        path = target.split("?")[0]
        found = [
            operation
            for operation in self.operations
            if operation.method == method and operation.fits(path)
        ]
        return min(found, key=lambda o: o.route.count("{"), default=None)

    def check(self, method, target, answer):
        """Whether the answer is one that the document knows."""
        operation = self.operation(method, target)
        if operation is None:
            return
        where = f"{operation} {answer.status}"
        response = operation.responses.get(
            str(answer.status), operation.responses.get("default")
        )
        assert response is not None, f"{where} is not documented"
        for name, header in response.get("headers", {}).items():
            header = _resolve(self.root, header)
            value = answer.header(name)
            if value is None:
                assert not header.get("required"), f"{where}: no {name}"
            else:
                self._check_header(where, name, header.get("schema"), value)
        content = response.get("content", {})
        if method == "HEAD" or not content:
            assert answer.body == b"", f"{where} has a body"
            return
        assert answer.media_type in content, f"{where}: {answer.media_type}"
        schema = content[answer.media_type].get("schema")
        if answer.media_type == "application/json":
            assert schema, f"{where} has no schema"
            self._validate(where, schema, answer.json)

    def _check_header(self, where, name, schema, value):
        if schema:
            kind = _resolve(self.root, schema).get("type")
            if kind == "integer":
                value = int(value)
            self._validate(f"{where}: {name}", schema, value)

    def _validate(self, where, schema, value):
        validator = jsonschema.Draft202012Validator(
            schema,
            resolver=jsonschema.RefResolver("", self.root),
            format_checker=jsonschema.FormatChecker(),
        )
        faults = [
            f"{where}: {error.json_path}: {error.message}"
            for error in validator.iter_errors(value)
        ]
        assert not faults, "\n".join(faults)


@functools.lru_cache(maxsize=1)
def document():
    """The one document."""
    with open(PATH, encoding="utf-8") as f:
        return Document(yaml.safe_load(f))
