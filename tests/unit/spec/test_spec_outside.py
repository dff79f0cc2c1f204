"""The runner of scripts/outside: what it takes out of Go source and of a schema, and its table."""

from __future__ import annotations

from pathlib import Path

from scripts import known
from scripts.outside import gocode, schema
from scripts.outside.cases import Case
from scripts.outside.compare import Outcome, differences, judge
from scripts.outside.oracle import Verdict

GO = """package x

// a `comment`
func TestOne(t *testing.T) {
	load(t, `
services: {}
`, "a\\n\\"b\\"")
}

func (x *T) TestTwo(t *testing.T) { f(`two`, '`') }
"""


def test_literals_of_go_stand_in_their_function(tmp_path: Path) -> None:
    file = tmp_path / "x_test.go"
    file.write_text(GO)
    one, two = gocode.functions(file)
    assert (one.name, two.name) == ("TestOne", "TestTwo")
    assert [(text.value, text.raw) for text in one.literals] == [
        ("\nservices: {}\n", True),
        ('a\n"b"', False),
    ]
    assert [text.value for text in two.literals] == ["two"]
    assert one.literals[0].line == 5


def test_every_place_of_a_schema_is_tried(tmp_path: Path) -> None:
    (tmp_path / "schema").mkdir()
    (tmp_path / "schema/compose-spec.json").write_text(
        '{"properties": {"name": {"type": "string"}, "include": {"type": "array",'
        ' "items": {"oneOf": [{"type": "string"}, {"$ref": "#/$defs/entry"}]}}},'
        ' "$defs": {"entry": {"type": "object", "properties": {"path": {"enum": ["a"]}}}}}'
    )
    names = [case.name for case in schema.corpus(tmp_path).cases]
    for wanted in (
        "name: number",
        "include.[]: 'yes'",
        "include.[].path: 'a'",
        "include.[]: unknown key",
    ):
        assert f"schema/{wanted}" in names


def test_trees_are_compared_key_by_key() -> None:
    found = list(differences("c", {"a": 1, "b": [1, {"x": 0}]}, {"b": [1, {"x": False}], "c": 2}))
    assert [(one.key, one.ours, one.theirs) for one in found] == [
        ("a", "1", "(absent)"),
        ("b[1].x", "0", "false"),
        ("c", "(absent)", "2"),
    ]


def test_verdicts_are_compared_first() -> None:
    case = Case(name="c")
    refused, accepted = Verdict(error="no"), Verdict(tree={})
    assert judge(case, refused, refused).outcome is Outcome.BOTH_REFUSE
    assert judge(case, accepted, accepted).outcome is Outcome.SAME
    result = judge(case, refused, accepted)
    assert result.outcome is Outcome.VERDICT_DIFFERS
    assert [one.key for one in result.differences] == [""]


def test_known_differences_are_counted() -> None:
    rows = [known.Known("a/*", "x.*", "so"), known.Known("b", "", "so")]
    left = known.unexplained(
        [known.Difference("a/1", "x.y", "", ""), known.Difference("a/1", "z", "", "")], rows
    )
    assert [one.key for one in left] == ["z"]
    assert [row.met for row in rows] == [1, 0]


def test_the_table_has_reasons() -> None:
    assert all(row.reason for row in known.read(known.OUTSIDE))
