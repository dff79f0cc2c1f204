"""The one error of the stand-in maker."""

from __future__ import annotations


class StandinError(Exception):
    """A stand-in image or its registry cannot be had; the message is one clause that says why."""
