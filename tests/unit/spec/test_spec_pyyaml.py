"""PyYAML imported our way is PyYAML: what is compiled late works when it is used."""

from __future__ import annotations

import json
import re
import subprocess
import sys

TEXT = "a: [1, 2.5, yes, ~, 2026-01-02, 2026-01-02 03:04:05Z]\nb: {c: '\u00e4'}\n"
PROBE = """
import re
{first}
import json, sys, yaml
text = sys.argv[1]
said = [yaml.load(text, loader) for loader in (yaml.SafeLoader, yaml.CSafeLoader)]
dumped = [yaml.dump(said[0], Dumper=d) for d in (yaml.SafeDumper, yaml.CSafeDumper)]
try:
    yaml.load("a: \\x01", yaml.SafeLoader)
except yaml.YAMLError as err:
    wrong = str(err)
print(json.dumps([repr(said), dumped, wrong, type(re.compile("x")).__name__]))
"""


def answers(first: str) -> object:
    done = subprocess.run(
        [sys.executable, "-c", PROBE.format(first=first), TEXT],
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def test_it_is_the_same() -> None:
    assert answers("import orchestra.spec.pyyaml") == answers("")
    assert isinstance(re.compile("x"), re.Pattern)
