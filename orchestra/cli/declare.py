"""How commands declare what they take: the one description that both readers of a line use.

``line.py`` reads plain lines by it without any framework; ``typed.py`` turns it into typer's own,
which writes the help and says what is wrong with the other lines. It must import next to nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Annotated

    from orchestra.cli.options import GlobalOptions
else:

    class Annotated:
        """``typing.Annotated``, as far as ``line.py`` looks into one: typing takes 4 ms."""

        __slots__ = ("__metadata__", "__origin__")

        def __init__(self, origin, *metadata) -> None:  # noqa: ANN001, ANN002
            self.__origin__ = origin
            self.__metadata__ = metadata

        def __class_getitem__(cls, parts):  # noqa: ANN001, ANN204
            """Return what stands between the brackets."""
            return cls(*parts)


__all__ = ["Annotated", "Argument", "Context", "Exit", "Option"]


class Option:
    """An option, or a flag when its parameter is a bool: all its names, ``--on/--off`` as one."""

    __slots__ = ("help", "metavar", "names")

    def __init__(self, *names: str, help: str, metavar: str | None = None) -> None:  # noqa: A002
        self.names = names
        self.help = help
        self.metavar = metavar


class Argument:
    """An argument by position; a list takes all that are left."""

    __slots__ = ("max", "metavar", "min")

    def __init__(
        self,
        *,
        metavar: str,
        min: int | None = None,  # noqa: A002
        max: int | None = None,  # noqa: A002
    ) -> None:
        self.metavar = metavar
        self.min = min
        self.max = max


class Context:
    """What a command gets beside its own options."""

    __slots__ = ("obj",)

    def __init__(self, obj: GlobalOptions | None = None) -> None:
        self.obj = obj


class Exit(Exception):
    """Ends the program with this code; everything has been said."""

    def __init__(self, code: int = 0) -> None:
        super().__init__(code)
        self.code = code
