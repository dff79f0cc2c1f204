"""In place of shapely and s2sphere (80 MB): there are no geographical queries in this image."""

from __future__ import annotations


class _Missing(type):
    def __getattr__(cls, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        return cls


class _Geometry(metaclass=_Missing):
    def __init__(self, *_args: object, **_options: object) -> None:
        raise NotImplementedError("geographical queries are not in this stand-in image")


def __getattr__(name: str) -> object:
    if name.startswith("__"):
        raise AttributeError(name)
    return _Geometry
