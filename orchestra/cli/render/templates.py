"""Go's text/template as docker's ``--format`` uses it: fields, pipelines, if, range, with.

A template is parsed once and filled from values of JSON's kinds. Functions are those that docker
documents for formatting, and Go's own for comparing and printing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from orchestra.cli.render.templating import FUNCTIONS, truth, written
from orchestra.errors import UsageError
from orchestra.values import dataclass

Value = object
_ACTION = re.compile(r"\{\{(-\s)?\s*(.*?)\s*(\s-)?\}\}", re.DOTALL)
_TOKEN = re.compile(
    r"""\s*(?:(?P<string>"(?:[^"\\]|\\.)*"|`[^`]*`)|(?P<number>-?\d+(?:\.\d+)?)"""
    r"""|(?P<field>\$?(?:\.\w+)+|\$\w*|\.)|(?P<word>\w+)|(?P<mark>:=|[|(),=]))"""
)
_BLOCKS = ("if", "range", "with")


@dataclass(frozen=True, slots=True)
class _Text:
    text: str


@dataclass(frozen=True, slots=True)
class _Action:
    tokens: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Block:
    kind: str
    tokens: tuple[str, ...]
    body: tuple[_Node, ...]
    otherwise: tuple[_Node, ...]


_Node = _Text | _Action | _Block


class Row(dict[str, Value]):
    """Fields that a template may ask for, and methods, which are no part of its JSON."""

    def __init__(
        self, fields: Mapping[str, Value], methods: Mapping[str, Callable[..., Value]]
    ) -> None:
        super().__init__(fields)
        self.methods = methods


class Template:
    """A parsed template.

    :raises UsageError: when it is malformed.
    """

    def __init__(self, text: str) -> None:
        self._parts = _split(text)
        self._at = 0
        self._nodes, end = self._body()
        if end:
            raise _wrong(f"{{{{{end}}}}} without a beginning")

    def fill(self, value: Value) -> str:
        """Return the text for a value.

        :raises UsageError: when it asks for what the value does not have.
        """
        return _Scope(value, {"$": value}).run(self._nodes)

    def _body(self) -> tuple[tuple[_Node, ...], str]:
        nodes: list[_Node] = []
        while self._at < len(self._parts):
            part = self._parts[self._at]
            self._at += 1
            if isinstance(part, _Text):
                nodes.append(part)
                continue
            first = part.tokens[0] if part.tokens else ""
            if first in {"end", "else"}:
                self._else = part.tokens[1:]
                return tuple(nodes), first
            nodes.append(self._block(part) if first in _BLOCKS else part)
        return tuple(nodes), ""

    def _block(self, part: _Action) -> _Block:
        body, end = self._body()
        otherwise: tuple[_Node, ...] = ()
        if end == "else" and self._else[:1] == ("if",):
            return _Block(
                part.tokens[0], part.tokens[1:], body, (self._block(_Action(self._else)),)
            )
        if end == "else":
            otherwise, end = self._body()
        if end != "end":
            raise _wrong(f"{{{{{part.tokens[0]}}}}} without {{{{end}}}}")
        return _Block(part.tokens[0], part.tokens[1:], body, otherwise)


def _split(text: str) -> list[_Text | _Action]:
    parts: list[_Text | _Action] = []
    at, trim = 0, False
    for match in _ACTION.finditer(text):
        before = text[at : match.start()]
        before = before.lstrip() if trim else before
        parts.append(_Text(before.rstrip() if match[1] else before))
        if not match[2].startswith("/*"):
            parts.append(_Action(_tokens(match[2])))
        at, trim = match.end(), bool(match[3])
    rest = text[at:]
    if "{{" in rest:
        raise _wrong("an action is not closed")
    parts.append(_Text(rest.lstrip() if trim else rest))
    return parts


def _tokens(text: str) -> tuple[str, ...]:
    tokens, at = [], 0
    while at < len(text.rstrip()):
        match = _TOKEN.match(text, at)
        if match is None:
            raise _wrong(f'"{text[at:].strip()}" is not understood')
        tokens.append(match[0].strip())
        at = match.end()
    return tuple(tokens)


class _Scope:
    """The value that "." is, and the variables that are known."""

    def __init__(self, dot: Value, variables: Mapping[str, Value]) -> None:
        self._dot = dot
        self._variables = dict(variables)

    def run(self, nodes: Sequence[_Node]) -> str:
        return "".join(self._node(node) for node in nodes)

    def _node(self, node: _Node) -> str:
        match node:
            case _Text(text):
                return text
            case _Action(tokens):
                name, rest = _assigned(tokens)
                value = self._pipeline(rest)
                if name:
                    self._variables[name[-1]] = value
                    return ""
                return written(value)
            case _Block():
                return self._block(node)

    def _block(self, block: _Block) -> str:
        names, rest = _assigned(block.tokens)
        value = self._pipeline(rest)
        if not truth(value):
            return _Scope(self._dot, self._variables).run(block.otherwise)
        if block.kind == "if":
            return _Scope(self._dot, self._variables).run(block.body)
        if block.kind == "with":
            known = dict.fromkeys(names, value)
            return _Scope(value, {**self._variables, **known}).run(block.body)
        pairs: list[tuple[Value, Value]]
        if isinstance(value, Mapping):
            pairs = [(key, value[key]) for key in sorted(value)]
        else:
            pairs = list(enumerate(value if isinstance(value, list | tuple) else ()))
        return "".join(
            _Scope(one, {**self._variables, **_named(names, key, one)}).run(block.body)
            for key, one in pairs
        )

    def _pipeline(self, tokens: Sequence[str]) -> Value:
        commands: list[list[str]] = [[]]
        depth = 0
        for piece in tokens:
            depth += (piece == "(") - (piece == ")")
            if piece == "|" and not depth:
                commands.append([])
            else:
                commands[-1].append(piece)
        value = self._command(commands[0], ())
        for command in commands[1:]:
            value = self._command(command, (value,))
        return value

    def _command(self, tokens: Sequence[str], piped: tuple[Value, ...]) -> Value:
        if not tokens:
            raise _wrong("an action is empty")
        word = tokens[0]
        if re.fullmatch(r"[A-Za-z_]\w*", word) and word not in {"true", "false", "nil"}:
            function: Callable[..., Value] | None = FUNCTIONS.get(word)
            if function is None:
                raise _wrong(f'no function "{word}"', f"there are {', '.join(sorted(FUNCTIONS))}")
            arguments = (*self._operands(tokens[1:]), *piped)
            try:
                return function(*arguments)
            except (TypeError, ValueError, LookupError) as err:
                raise _wrong(f'"{word}" cannot take this: {err}') from err
        first, *rest = (*self._operands(tokens), *piped)
        if callable(first):
            try:
                return first(*rest)
            except TypeError as err:
                raise _wrong(f'"{word}" cannot take this: {err}') from err
        if rest:
            raise _wrong(f'"{" ".join(tokens)}" is no function')
        return first

    def _operands(self, tokens: Sequence[str]) -> list[Value]:
        values: list[Value] = []
        at = 0
        while at < len(tokens):
            piece = tokens[at]
            at += 1
            if piece == "(":
                end = _closing(tokens, at)
                values.append(self._pipeline(tokens[at:end]))
                at = end + 1
            else:
                values.append(self._operand(piece))
        return values

    def _operand(self, piece: str) -> Value:
        if piece[0] in '"`':
            return _literal(piece)
        if piece in {"true", "false", "nil"}:
            return {"true": True, "false": False, "nil": None}[piece]
        if piece[0] in "-0123456789":
            return float(piece) if "." in piece else int(piece)
        if FUNCTIONS.get(piece):
            return FUNCTIONS[piece]()
        if piece[0] not in ".$":
            raise _wrong(f'"{piece}" is not understood')
        name, *path = piece.split(".")
        if name not in {"", *self._variables}:
            raise _wrong(f'no variable "{name}"')
        value = self._variables[name] if name else self._dot
        for key in filter(None, path):
            value = _field(value, key, top=value is self._variables["$"])
        return value


def _field(value: Value, key: str, *, top: bool) -> Value:
    if isinstance(value, Row) and key in value.methods:
        return value.methods[key]
    if isinstance(value, Mapping):
        if key in value:
            return value[key]
        if not top:
            return None
    known = sorted(map(str, value)) if isinstance(value, Mapping) else []
    hint = f"fields here: {', '.join(known)}" if known else None
    raise UsageError(f'the format asks for ".{key}"', hint=hint)


def _assigned(tokens: Sequence[str]) -> tuple[tuple[str, ...], Sequence[str]]:
    """Split ``$a, $b := pipeline`` into names and pipeline."""
    for mark in (":=", "="):
        if mark in tokens[:4]:
            at = list(tokens).index(mark)
            return tuple(piece for piece in tokens[:at] if piece != ","), tokens[at + 1 :]
    return (), tokens


def _named(names: Sequence[str], key: Value, value: Value) -> dict[str, Value]:
    return dict(zip(names, (key, value) if len(names) == 2 else (value,), strict=False))


def _closing(tokens: Sequence[str], at: int) -> int:
    depth = 1
    for place in range(at, len(tokens)):
        depth += (tokens[place] == "(") - (tokens[place] == ")")
        if not depth:
            return place
    raise _wrong("a bracket is not closed")


def _literal(piece: str) -> str:
    if piece[0] == "`":
        return piece[1:-1]
    escapes = {"n": "\n", "t": "\t", "r": "\r"}
    return re.sub(r"\\(.)", lambda match: escapes.get(match[1], match[1]), piece[1:-1])


def _wrong(why: str, hint: str | None = None) -> UsageError:
    return UsageError(f"cannot use the format: {why}", hint=hint or "write it as {{.Name}}")
