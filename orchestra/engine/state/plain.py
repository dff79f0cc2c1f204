"""JSON without the ``json`` package, which brings regular expressions along and so takes 8 ms.

What reads and writes here is the same C code that ``json`` has below it. For small documents of
our own, whose readers have another way when these cannot be read.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class NotPlainError(Exception):
    """This is no such document, or this Python reads none this way."""


class _Rules:
    """What the scanner asks for: standard JSON."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    array_hook = None
    parse_float = float
    parse_int = int

    @staticmethod
    def parse_constant(_name: str) -> float:
        """Refuse NaN and infinity, which are no JSON."""
        raise NotPlainError


def loads(data: bytes) -> object:
    """Return what a document says.

    :raises NotPlainError: when it cannot be read.
    """
    try:
        import _json  # noqa: PLC0415 - other Pythons may have none

        text = data.decode()
        scan = _json.make_scanner(_Rules)  # type: ignore[arg-type]
        value, end = scan(text, 0)
    except (
        ImportError,
        AttributeError,
        TypeError,
        ValueError,
        StopIteration,
        RecursionError,
    ) as err:
        raise NotPlainError from err
    if text[end:].strip(" \t\n\r"):
        raise NotPlainError
    return value


def dumps(value: object) -> bytes:
    """Return a value made of dicts, lists, texts, whole numbers, booleans and None as JSON.

    :raises NotPlainError: when it is made of anything else.
    """
    try:
        from _json import encode_basestring_ascii as quoted  # noqa: PLC0415
    except ImportError as err:
        raise NotPlainError from err
    return _text(value, quoted).encode()


def _text(value: object, quoted: Callable[[str], str]) -> str:
    if isinstance(value, str):
        return quoted(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int):
        return str(value)
    if isinstance(value, list | tuple):
        return f"[{','.join([_text(each, quoted) for each in value])}]"
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise NotPlainError
        pairs = [f"{quoted(key)}:{_text(each, quoted)}" for key, each in value.items()]
        return f"{{{','.join(pairs)}}}"
    raise NotPlainError
