"""Cases out of compose-go's tests of templates and of env files, embedded in a Compose file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import yaml

from scripts.outside.cases import Case, Corpus
from scripts.outside.gocode import functions

_TEMPLATE_ENVIRONMENT = {
    "FOO": "first", "BAR": "", "JSON": '{"json":2}', "TEST_VAR": "Test Value", "EMPTY_VAR": "",
    "EMPTY": "", "USER": "jenny", "count": "5", "REQUIRED": "true",
}  # fmt: skip
_TEMPLATES = ("template/template_test.go", "interpolation/interpolation_test.go")
_ENV_TESTS = (
    "dotenv/godotenv_test.go",
    "dotenv/parser_test.go",
    "dotenv/godotenv_var_expansion_test.go",
    "cli/options_test.go",
)
_LINE = re.compile(r"(?:export\s+)?[^\s=:]+\s*[=:]|[#\n\"' ]|\w+$")


def templates(root: Path) -> Corpus:
    """Return a case for every string of the tests that may be a template."""
    found = Corpus("templates")
    seen: set[str] = set()
    for name in _TEMPLATES:
        for function in functions(root / name):
            for literal in function.literals:
                if "$" not in literal.value:
                    found.skip("a text without a variable (an expected result, a name)")
                elif literal.value not in seen:
                    seen.add(literal.value)
                    label = f"templates/{name}:{literal.line}"
                    found.cases.append(_template(label, literal.value, _TEMPLATE_ENVIRONMENT))
                    found.cases.append(_template(f"{label} unset", literal.value, {}))
    return found


def _template(name: str, text: str, environment: dict[str, str]) -> Case:
    service = {"image": "busybox", "labels": {"text": text}, "environment": [f"TEXT={text}"]}
    written = {"compose.yaml": yaml.safe_dump({"services": {"web": service}})}
    return Case(name=name, files=("compose.yaml",), written=written, environment=environment)


def env_files(root: Path) -> Corpus:
    """Return cases for every env file of the tests: as env_file, raw, .env and label_file."""
    found = Corpus("dotenv")
    seen: set[str] = set()
    for file in sorted((root / "dotenv/fixtures").iterdir()):
        found.cases.extend(_env_file(f"dotenv/{file.name}", file.read_text(encoding="utf-8")))
    for name in _ENV_TESTS:
        for function in functions(root / name):
            for literal in function.literals:
                text = literal.value
                if not re.search("[=:\n]", text):
                    found.skip("a name alone without a line's end, which docker compose misreads")
                    continue
                if not _LINE.match(text) or text in seen:
                    found.skip("a text that is no env file (a message, a repetition)")
                    continue
                seen.add(text)
                found.cases.extend(_env_file(f"dotenv/{name}:{literal.line}", text))
    return found


def _env_file(name: str, text: str) -> Iterator[Case]:
    for form, service in (
        ("env_file", {"image": "busybox", "env_file": "vars.txt"}),
        ("raw", {"image": "busybox", "env_file": [{"path": "vars.txt", "format": "raw"}]}),
        ("label_file", {"image": "busybox", "label_file": "vars.txt"}),
    ):
        compose = yaml.safe_dump({"services": {"web": service}})
        written = {"compose.yaml": compose, "vars.txt": text}
        environment = {"OPTION_A": "outside", "USER": "jenny"} if form == "env_file" else {}
        yield Case(
            name=f"{name} {form}",
            files=("compose.yaml",),
            written=written,
            environment=environment,
        )
    keys = re.findall(r"^\s*(?:export\s+)?([A-Za-z_]\w*)", text, re.MULTILINE)
    labels = {key: f"<${{{key}-unset}}>" for key in keys}
    compose = yaml.safe_dump({"services": {"web": {"image": "busybox", "labels": labels}}})
    yield Case(
        name=f"{name} .env",
        files=("compose.yaml",),
        written={"compose.yaml": compose, "vars.txt": text},
        env_files=("vars.txt",),
    )
