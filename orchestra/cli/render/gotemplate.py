"""``--format`` of lists: json, table, and Go templates, a line for each row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from orchestra.cli.render.tables import print_table
from orchestra.cli.render.templates import Row, Template
from orchestra.cli.render.terminal import json_text, printable


def print_formatted(
    template: str, header: Mapping[str, str], rows: Iterable[Mapping[str, object]]
) -> None:
    """Print rows of fields: as a table ("" and "table"), one JSON object a line, or a template's.

    ``header`` names the columns of the plain table, by field, in order.

    :raises UsageError: when the template asks for what is not there.
    """
    rows = list(rows)
    if template in {"", "table"}:
        print_table(list(header.values()), [[str(row[field]) for field in header] for row in rows])
    elif template == "json":
        for row in rows:
            print(json_text(row))
    elif template.startswith("table "):
        parsed = Template(_unescape(template.removeprefix("table ")))
        names = {field: field.upper() for row in rows for field in row} | dict(header)
        titles = Row(names, {"Label": lambda label: label})
        lines = [parsed.fill(titles), *(printable(parsed.fill(row)) for row in rows)]
        cells = [line.split("\t") for line in lines]
        print_table(cells[0], cells[1:])
    else:
        parsed = Template(_unescape(template))
        for row in rows:
            print(printable(parsed.fill(row)))


def _unescape(template: str) -> str:
    return template.replace("\\t", "\t").replace("\\n", "\n")
