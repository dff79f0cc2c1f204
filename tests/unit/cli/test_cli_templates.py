"""Go templates of ``--format``, with the values that docker's own documentation shows."""

from __future__ import annotations

import pytest

from orchestra.cli.render.gotemplate import print_formatted
from orchestra.cli.render.templates import Row, Template
from orchestra.errors import UsageError

VALUE = {
    "Id": "sha256:1",
    "RepoTags": ["a:1", "a:2"],
    "Size": 12,
    "Config": {"Labels": {"b": "2", "a.b": "1"}, "Env": None, "Cmd": ["sh", "-c"]},
    "Empty": [],
    "On": True,
}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{.Id}}", "sha256:1"),
        ("{{ .Size }} bytes", "12 bytes"),
        ("{{.RepoTags}}", "[a:1 a:2]"),
        ("{{.Config.Labels}}", "map[a.b:1 b:2]"),
        ("{{.Config.Env}}", "<no value>"),
        ("{{.Config.Nope}}", "<no value>"),
        ("{{json .Config.Cmd}}", '["sh","-c"]'),
        ("{{.Config.Cmd | json}}", '["sh","-c"]'),
        ('{{index .Config.Labels "a.b"}}', "1"),
        ("{{index .RepoTags 1}}", "a:2"),
        ('{{join .RepoTags ", "}}', "a:1, a:2"),
        ("{{len .RepoTags}}", "2"),
        ("{{upper .Id}}", "SHA256:1"),
        ("{{range .RepoTags}}<{{.}}>{{end}}", "<a:1><a:2>"),
        ("{{range $k, $v := .Config.Labels}}{{$k}}={{$v}} {{end}}", "a.b=1 b=2 "),
        ("{{range .Empty}}x{{else}}none{{end}}", "none"),
        ("{{if .On}}yes{{else}}no{{end}}", "yes"),
        ("{{if eq .Size 13}}a{{else if gt .Size 11}}b{{else}}c{{end}}", "b"),
        ("{{with .Config}}{{index .Cmd 0}}{{end}}", "sh"),
        ("{{with $x := .Id}}{{$x}}{{$.Size}}{{end}}", "sha256:112"),
        ("{{if and .On (not .Empty)}}both{{end}}", "both"),
        ('{{printf "%-5s|%d|%q" .Id .Size "x"}}', 'sha256:1|12|"x"'),
        ("a {{- /* said */ -}} b", "ab"),
        ("{{println .Size}}", "12\n"),
        ('{{(index .RepoTags 0) | printf "%s!"}}', "a:1!"),
        ("{{`raw`}}{{true}}", "rawtrue"),
        ('{{slice "abc"}}', None),
    ],
)
def test_templates_are_filled_as_go_fills_them(template: str, text: str | None) -> None:
    if text is None:
        with pytest.raises(UsageError, match='no function "slice"'):
            Template(template).fill(VALUE)
    else:
        assert Template(template).fill(VALUE) == text


@pytest.mark.parametrize(
    "template",
    ["{{.Nope}}", "{{", "{{range .Empty}}", "{{end}}", "{{}}", "{{nope .}}", "{{index .Id}}x{{%}}",
     "{{$x}}", "{{json}}", "{{len .Size}}", "{{(.Id}}"],
)  # fmt: skip
def test_a_malformed_template_is_one_clear_error(template: str) -> None:
    with pytest.raises(UsageError, match=r"^(cannot use the format|the format asks for)"):
        Template(template).fill(VALUE)


ROW = Row({"Name": "shop-web-1"}, {"Label": lambda name: {"tier": "front"}.get(name, "")})


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ('{{.Label "tier"}}', "front"),
        ('{{.Label "none"}}|', "|"),
        ('{{"tier" | .Label | upper}}', "FRONT"),
        ('{{if eq (.Label "tier") "front"}}{{.Name}}{{end}}', "shop-web-1"),
        ("{{json .}}", '{"Name":"shop-web-1"}'),
    ],
)
def test_a_row_has_methods_which_are_no_part_of_its_json(template: str, text: str) -> None:
    assert Template(template).fill(ROW) == text


def test_a_method_without_what_it_takes_is_refused() -> None:
    with pytest.raises(UsageError, match=r'"\.Label" cannot take this'):
        Template("{{.Label}}").fill(ROW)


def test_a_table_heads_a_labels_column_with_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    print_formatted('table {{.Name}}\t{{.Label "tier"}}', {"Name": "NAME"}, [ROW])
    assert capsys.readouterr().out.splitlines() == ["NAME         tier", "shop-web-1   front"]
