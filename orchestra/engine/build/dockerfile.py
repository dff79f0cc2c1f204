"""The text of a Dockerfile as lines: keyword, flags, arguments, heredocs, line numbers.

Pure. Owns directives, continuation lines, comments, quoting of words and heredocs; what the
instructions mean is instructions.py. The grammar is BuildKit's (frontend/dockerfile/parser).
``# syntax=`` is read and nothing more: no frontend is ever fetched.
"""

from __future__ import annotations

import re

from orchestra.engine.build.lexer import SPACES, Lexing, expand
from orchestra.engine.build.words import read_arguments, split_flags, split_once
from orchestra.errors import BuildError, Location
from orchestra.values import dataclass, replace

_DIRECTIVE = re.compile(r"#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*\Z")
_DIRECTIVES = ("syntax", "escape", "check")
_HEREDOC = re.compile(r"(\d*)<<(-?)\s*([^<]*)", re.ASCII)
_TRAILING_CR = "\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Heredoc:
    """An inline document; ``expand`` False: a part of its name was quoted; ``chomp``: ``<<-``."""

    name: str
    content: str
    expand: bool
    chomp: bool

    @property
    def text(self) -> str:
        """Return the content, without leading tabs where ``<<-`` asks for that."""
        return re.sub(r"(?m)^\t+", "", self.content) if self.chomp else self.content


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One logical line. ``arguments`` are split as its keyword wants; ``json``: the exec form.

    ENV and LABEL give key, value, "=" (or "" for the old form) for each pair. ``trigger`` is the
    line inside an ONBUILD. ``comments`` are those above it, without their mark. Lines count from 1.
    """

    keyword: str
    flags: tuple[str, ...]
    arguments: tuple[str, ...]
    json: bool
    heredocs: tuple[Heredoc, ...]
    trigger: Line | None
    source: str
    line: int
    end_line: int
    comments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Dockerfile:
    """A parsed Dockerfile: its lines, its escape character, its directives.

    ``empty_continuations`` are the last lines of instructions that go on after an empty line.
    """

    lines: tuple[Line, ...]
    escape: str
    directives: dict[str, str]
    empty_continuations: tuple[int, ...]


def parse_dockerfile(text: str, file: str = "Dockerfile") -> Dockerfile:
    """Split a Dockerfile into its logical lines.

    :raises BuildError: at ``file``:line, when a line or a heredoc does not follow the grammar.
    """
    return _Parser(text, file).parse()


def parse_heredoc_word(word: str) -> Heredoc | None:
    """Read ``<<NAME``, ``<<-NAME`` or ``<<"NAME"``; None for any other word."""
    match = _HEREDOC.fullmatch(word)
    if match is None or not match[3]:
        return None
    plain = expand(match[3], {}, Lexing(keep_unset=True)).words
    raw = expand(match[3], {}, Lexing(keep_unset=True, raw_quotes=True)).words
    if len(plain) != 1 or len(raw) != 1:
        return None
    quoted = _quotes(plain[0]) != _quotes(raw[0])
    return Heredoc(name=plain[0], content="", expand=not quoted, chomp=match[2] == "-")


def _quotes(text: str) -> int:
    return text.count("'") + text.count('"')


class _Parser:
    def __init__(self, text: str, file: str) -> None:
        self.file = file
        text = text.removeprefix("\ufeff")
        self.raw = text.split("\n")
        self.ends_open = bool(self.raw[-1])
        if not self.raw[-1]:
            self.raw.pop()
        self.next = 0
        self.escape = "\\"
        self.directives: dict[str, str] = {}
        self.in_directives = True
        self.empty: list[int] = []
        self.comments: list[str] = []
        self._set_escape("\\")

    def parse(self) -> Dockerfile:
        lines: list[Line] = []
        while self.next < len(self.raw):
            line = self._logical_line()
            if line is not None:
                lines.append(line)
        if not lines:
            raise BuildError(
                "cannot build: the Dockerfile holds no instruction", location=Location(self.file)
            )
        return Dockerfile(
            lines=tuple(lines),
            escape=self.escape,
            directives=self.directives,
            empty_continuations=tuple(self.empty),
        )

    def _fail(self, why: str, line: int) -> BuildError:
        return BuildError(f"cannot parse: {why}", location=Location(self.file, line))

    def _set_escape(self, character: str) -> None:
        self.escape = character
        mark = re.escape(character)
        self.continuation = re.compile(rf"(?:(?<=[^{mark}])|^){mark}[ \t]*\Z")

    def _read(self) -> str:
        text = self.raw[self.next]
        self.next += 1
        return text

    def _logical_line(self) -> Line | None:
        text = self._read().rstrip(_TRAILING_CR).lstrip(SPACES)
        start = self.next
        known = len(self.directives)
        self._directive(text)
        if text.startswith("#") and len(self.directives) == known:
            self._comment(text)
        text, ended = self._trim("" if text.startswith("#") else text)
        if ended and not text:
            return None
        parts = [text]
        empty = False
        while not ended and self.next < len(self.raw):
            text = self._read().rstrip(_TRAILING_CR)
            if text.lstrip(SPACES).startswith("#"):
                continue
            if not text.strip(SPACES):
                empty = True
                continue
            text, ended = self._trim(text)
            parts.append(text)
        source = "".join(parts)
        if empty:
            self.empty.append(self.next)
        try:
            line = self._line(source, start)
        except BuildError as error:
            if error.location is not None:
                raise
            raise self._fail(error.message.removeprefix("cannot parse: "), start) from error
        line = replace(line, comments=tuple(self.comments))
        self.comments.clear()
        return self._with_heredocs(line)

    def _comment(self, text: str) -> None:
        """Keep a comment for the instruction below it; an empty one ends what it says."""
        comment = text[1:].strip(SPACES)
        if comment:
            self.comments.append(comment)
        else:
            self.comments.clear()

    def _trim(self, text: str) -> tuple[str, bool]:
        match = self.continuation.search(text)
        return (text[: match.start()], False) if match else (text, True)

    def _directive(self, text: str) -> None:
        if not self.in_directives:
            return
        match = _DIRECTIVE.match(text)
        key = match[1].lower() if match else ""
        if match is None or key not in _DIRECTIVES:
            self.in_directives = False
            return
        if key in self.directives:
            raise self._fail(f'only one "{key}" directive can be used', self.next)
        self.directives[key] = match[2]
        if key == "escape":
            if match[2] not in ("\\", "`"):
                raise self._fail(
                    f'the escape character "{match[2][:20]}" is not \\ or `', self.next
                )
            self._set_escape(match[2])

    def _line(self, source: str, number: int) -> Line:
        keyword, _, rest = split_once(source.strip(SPACES))
        flags, rest = split_flags(rest, self.escape)
        rest = rest.strip(SPACES)
        trigger = None
        if keyword.lower() == "onbuild":
            trigger = self._line(rest, number) if rest else None
            arguments, is_json = ((trigger.keyword, *trigger.arguments) if trigger else ()), False
        else:
            arguments, is_json = read_arguments(keyword, rest, self.escape)
        return Line(
            keyword=keyword,
            flags=flags,
            arguments=arguments,
            json=is_json,
            heredocs=(),
            trigger=trigger,
            source=source,
            line=number,
            end_line=self.next,
        )

    def _with_heredocs(self, line: Line) -> Line:
        inner = line.trigger or line
        takes = inner.keyword.lower() in ("run", "copy", "add") and not inner.json
        if not takes or "<<" not in line.source:
            return line
        heredocs = tuple(self._body(word, line.line) for word in _heredoc_words(line.source))
        trigger = line.trigger
        if trigger is not None:
            trigger = replace(trigger, heredocs=heredocs, end_line=self.next)
        return replace(line, heredocs=heredocs, end_line=self.next, trigger=trigger)

    def _body(self, heredoc: Heredoc, start: int) -> Heredoc:
        content: list[str] = []
        while self.next < len(self.raw):
            text = self._read()
            end = text.rstrip(_TRAILING_CR)
            if (end.lstrip("\t") if heredoc.chomp else end) == heredoc.name:
                return Heredoc(
                    name=heredoc.name,
                    content="".join(content),
                    expand=heredoc.expand,
                    chomp=heredoc.chomp,
                )
            last = self.next == len(self.raw)
            content.append(text if last and self.ends_open else text + "\n")
        raise self._fail(f'the heredoc "{heredoc.name}" has no end', start)


def _heredoc_words(source: str) -> list[Heredoc]:
    lexing = Lexing(raw_quotes=True, raw_escapes=True, keep_unset=True)
    try:
        words = expand(source, {}, lexing).words
    except BuildError:
        return []
    return [heredoc for heredoc in map(parse_heredoc_word, words) if heredoc is not None]
