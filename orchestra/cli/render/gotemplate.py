"""``--format``: json, table, and Go templates as far as people use them for lists.

Fields as ``{{.Name}}``, ``{{json .}}`` and ``{{json .Name}}``, with escaped tabs and line ends
between them; what else a template may hold is refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from orchestra.cli.render.tables import print_table
from orchestra.cli.render.terminal import json_text, printable
from orchestra.errors import UsageError

_ACTION = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}")
_FIELD = re.compile(r"(json\s+)?\.(\w*)\Z")


def print_formatted(
    template: str, header: Mapping[str, str], rows: Iterable[Mapping[str, str]]
) -> None:
    """Print rows of fields: as a table ("" and "table"), one JSON object a line, or a template's.

    ``header`` names the columns of the plain table, by field, in order.

    :raises UsageError: when the template asks for what is not there.
    """
    rows = list(rows)
    if template in {"", "table"}:
        print_table(list(header.values()), [[row[field] for field in header] for row in rows])
    elif template == "json":
        for row in rows:
            print(json_text(row))
    elif template.startswith("table "):
        text = _unescape(template.removeprefix("table "))
        titles = {field: field.upper() for row in rows for field in row} | dict(header)
        lines = [_fill(text, titles), *(_fill(text, row) for row in rows)]
        cells = [line.split("\t") for line in lines]
        print_table(cells[0], cells[1:])
    else:
        for row in rows:
            print(_fill(_unescape(template), row))


def _unescape(template: str) -> str:
    return template.replace("\\t", "\t").replace("\\n", "\n")


def _fill(template: str, row: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        field = _FIELD.match(match[1])
        if field is None or (field[2] and field[2] not in row) or not (field[1] or field[2]):
            raise UsageError(
                f'the format asks for "{match[0]}"', hint=f"fields here: {', '.join(sorted(row))}"
            )
        found: object = row[field[2]] if field[2] else dict(row)
        return json_text(found) if field[1] else printable(str(found))

    return _ACTION.sub(value, template)
