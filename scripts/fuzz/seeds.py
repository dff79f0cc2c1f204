"""What fuzzing begins with: the golden projects, tricky texts of each syntax, and the keywords."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from scripts.conformance import KEYS
from scripts.fuzz.targets import SEPARATOR

ROOT = Path(__file__).resolve().parents[2]
PROJECTS = ROOT / "tests" / "golden" / "projects"

_TEMPLATES = (
    "$A ${B} $$A ${NO:-d} ${NO-d} ${A:+y} ${A+y} ${NO:?m} ${NO?m}",
    "${NO:-${NO2:-${B}}} ${A:+${B}} ${NO:-{}} ${NO:-$$} ${",
)
_DOTENVS = (
    'A=1\nexport B=two # c\nC=\'x$A\'\nD="a\\n${A}\\t\\101"\nE\nF: g\n#c\n\nG="a\nb"\n',
    "\ufeffA=${B:-x}\r\nB=\"\\\"\"\nC='\\''\n[x].y-z=1\nD=$$A\n",
)
_SHORT = (
    "127.0.0.1:8000-8001:80-81/tcp", "[::1]:80:80/udp", "80", "9090-9091:80",
    "data:/var/lib:ro,z", "./src:/src:rshared", "C:\\a:/b", "/cache",
    "/dev/a:/dev/b:rwm", "name=1.2.3.4,::1", "name:[::1]", "sh -c 'a \"b\"' c\\ d",
    "1w2d3h4m5.5s6ms7us8ns", "1.5 GiB", "-1", "yes", "My Project_1", "~/x/../y",
)  # fmt: skip
_DOCUMENTS = (
    "a: &x {p: 1, <<: [{q: 2}]}\nb: *x\nc: !reset null\nd: !override [1]\n",
    "---\ne: |\n  t\nf: >-\n  u\n---\n- 1\n",
    "a: [0x1F, 0o17, 017, 1_000, .inf, 1e3, ~, 'q', \"\\u00e9\\n\", !!str 5]\n? k\n: v\n",
)
_LOADER = (
    b"include: [part/compose.yaml]\nservices:\n  web: {extends: {file: base.yaml, service: b}}\n"
    b"%%% base.yaml\nservices:\n  b: {image: x, ports: ['80'], env_file: web.env}\n"
    b"%%% part/compose.yaml\nservices: {p: {image: ${A}}}\n%%% web.env\nX=$A\n%%% .env\nQ=1\n"
    b"%%% over.yaml\nservices: {web: {ports: !reset [], command: !override [a]}}\n"
)


def seeds(target: str) -> Iterator[bytes]:
    """Yield the inputs that a target's corpus begins with."""
    match target:
        case "template":
            yield from (text.encode() for text in _TEMPLATES)
        case "dotenv":
            yield from (text.encode() for text in _DOTENVS)
        case "shorthand":
            yield from (bytes([index]) + text.encode() for text in _SHORT for index in range(11))
        case "document":
            yield from (text.encode() for text in _DOCUMENTS)
            yield from (file.read_bytes() for file in _files("*.yaml"))
        case _:
            yield _LOADER
            for directory in sorted(PROJECTS.iterdir()):
                yield _joined(directory)
            yield from (file.read_bytes() for file in _files("*.config"))


def _files(pattern: str) -> list[Path]:
    return sorted(PROJECTS.rglob(pattern))


def _joined(directory: Path) -> bytes:
    first = (directory / "compose.yaml").read_bytes()
    rest = [
        path for path in (*directory.glob("*.yaml"), *directory.glob("*.env")) if path.is_file()
    ]
    return first + b"".join(
        SEPARATOR + path.name.encode() + b"\n" + path.read_bytes()
        for path in sorted(rest)
        if path.name != "compose.yaml"
    )


def words() -> Iterator[str]:
    """Yield the keywords worth inserting: every key of the specification, tags and short values."""
    keys = KEYS.read_text(encoding="utf-8").split()
    found = {part for key in keys for part in key.split(".")} - {"*", "[]"}
    yield from sorted(f"{word}: " for word in found)
    yield from (
        "!reset ", "!override ", "&a ", "*a", "<<: *a", "---\n", "- ", "{", "}", "[", "]", "x-a: ",
        "${A}", "${NO:-d}", "${NO:?m}", "$$", "export ", "null", "true", "service:web", "\n  ",
        "\n%%% over.yaml\n", "\n%%% base.yaml\n", "\n%%% .env\n", "\n%%% web.env\n", "80:80/udp",
    )  # fmt: skip
