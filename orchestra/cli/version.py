"""The version of this program; importlib.metadata would cost 15 ms of every start."""

VERSION = "0.1.0"
