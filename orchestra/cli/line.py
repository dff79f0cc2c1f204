"""Read a command line by its declarations, as pflag does, which reads docker's.

A line that is not plain (help asked for, an option unknown, a value missing or wrong) is left to
typer, which is imported for nothing else: see ``typed.py``. Both read plain lines alike, but for
pflag's ``--flag=false``, ``-d=true`` and ``-f=FILE``, which typer does not have.
"""

from __future__ import annotations

from orchestra.cli.declare import Argument, Context, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_UnionType = type(int | str)
Values = dict[str, object]
_BOOLS = {
    **dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
}


class NotPlainError(Exception):
    """This line is for typer."""


class _Parameter:
    """One parameter of a command's function, as the reader needs it."""

    __slots__ = ("declared", "kind", "many", "name")

    def __init__(self, name: str, hint: object) -> None:
        self.name = name
        self.declared: Option | Argument = getattr(hint, "__metadata__")[0]  # noqa: B009
        base: object = getattr(hint, "__origin__")  # noqa: B009 - Annotated's
        if isinstance(base, _UnionType):
            base = getattr(base, "__args__")[0]  # noqa: B009
        self.many = getattr(base, "__origin__", None) is list
        self.kind: object = str if self.many else base

    def value(self, text: str) -> object:
        """Return what a text on the line means.

        :raises NotPlainError: when it means nothing.
        """
        if self.kind is bool and text in _BOOLS:
            return _BOOLS[text]
        if self.kind is str:
            return text
        if self.kind is not int or not text.removeprefix("-").isdecimal():
            raise NotPlainError
        number = int(text)
        if isinstance(self.declared, Argument):
            low, high = self.declared.min, self.declared.max
            if (low is not None and number < low) or (high is not None and number > high):
                raise NotPlainError
        return number


class Reader:
    """Reads what one function declares.

    ``interspersed`` says whether options may stand behind the first argument.
    """

    def __init__(self, function: Callable[..., object], *, interspersed: bool = True) -> None:
        self._interspersed = interspersed
        self._options: dict[str, tuple[_Parameter, bool]] = {}
        self._arguments: list[_Parameter] = []
        self._required: set[str] = set()
        self.context: str | None = None
        defaults = len(function.__defaults__ or ())
        known = getattr(function, "__globals__")  # noqa: B009 - a function's own
        hints = {name: text for name, text in function.__annotations__.items() if name != "return"}
        for place, (name, text) in enumerate(hints.items()):
            # our own declarations, which are written as text: see ``from __future__``
            hint = eval(text, known) if isinstance(text, str) else text  # noqa: S307
            if hint is Context:
                self.context = name
                continue
            self._add(_Parameter(name, hint))
            if place < len(hints) - defaults:
                self._required.add(name)

    def _add(self, parameter: _Parameter) -> None:
        if isinstance(parameter.declared, Argument):
            self._arguments.append(parameter)
            return
        for spelling in parameter.declared.names:
            on, _, off = spelling.partition("/")
            self._options[on] = parameter, True
            if off:
                self._options[off] = parameter, False

    def read(self, words: Sequence[str], *, command_follows: bool = False) -> tuple[Values, int]:
        """Return the values given, and how many words were read.

        With ``command_follows`` reading ends before the first argument.

        :raises NotPlainError: when typer has to look at the line.
        """
        values: Values = {}
        places: list[str] = []
        at = 0
        while at < len(words):
            word = words[at]
            if word == "--":
                places += words[at + 1 :]
                at = len(words)
            elif word.startswith("-") and word != "-":
                at = self._option(words, at, values)
            elif command_follows:
                break
            elif self._interspersed:
                places.append(word)
                at += 1
            else:
                places += words[at:]
                at = len(words)
        self._place(places, values)
        if not self._required <= values.keys():
            raise NotPlainError
        return values, at

    def _option(self, words: Sequence[str], at: int, values: Values) -> int:
        """Take the option, or the cluster of short ones, at a place; return the next place."""
        word = words[at]
        if word.startswith("--"):
            name, given, text = word.partition("=")
            return self._take(name, text if given else None, words, at + 1, values)
        name, rest = word[:2], word[2:]
        while rest:
            parameter, _ = self._find(name)
            if rest.startswith("=") or parameter.kind is not bool:
                return self._take(name, rest.removeprefix("="), words, at + 1, values)
            self._take(name, None, words, at + 1, values)
            name, rest = f"-{rest[0]}", rest[1:]
        return self._take(name, None, words, at + 1, values)

    def _find(self, name: str) -> tuple[_Parameter, bool]:
        found = self._options.get(name)
        if found is None:
            raise NotPlainError
        return found

    def _take(
        self, name: str, text: str | None, words: Sequence[str], following: int, values: Values
    ) -> int:
        parameter, positive = self._find(name)
        if parameter.kind is bool:
            value = parameter.value("true" if text is None else text)
            values[parameter.name] = bool(value) is positive
            return following
        if text is None:
            if following == len(words):
                raise NotPlainError
            text = words[following]
            following += 1
        if parameter.many:
            kept = values.setdefault(parameter.name, [])
            assert isinstance(kept, list)
            kept.append(text)
        else:
            values[parameter.name] = parameter.value(text)
        return following

    def _place(self, places: list[str], values: Values) -> None:
        """Give the words without a dash to the arguments, in their order."""
        for parameter in self._arguments:
            if not places:
                return
            if parameter.many:
                values[parameter.name] = places
                return
            values[parameter.name] = parameter.value(places[0])
            places = places[1:]
        if places:
            raise NotPlainError
