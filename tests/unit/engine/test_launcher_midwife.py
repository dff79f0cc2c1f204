"""Whether the next container can be the maker's."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest

from orchestra.engine.launcher import midwife as module
from orchestra.engine.launcher.midwife import PATIENCE_SECONDS, Midwife
from orchestra.engine.shim.pump import Loop


class Maker:
    """The other end of a midwife's line, and her clock."""

    def __init__(self):
        self.now = 100.0
        self.line = -1

    def be_forked(self, _body, keep):
        self.line = os.dup(keep[0])
        return 2**22 + 1  # the pid of nobody

    def say(self, word):
        os.write(self.line, word)


@pytest.fixture
def maker(monkeypatch):
    maker = Maker()
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: maker.now))
    yield maker
    os.close(maker.line)


def test_some_wait_for_a_maker_and_no_more(maker):
    midwife = Midwife(maker.be_forked, Loop(), "")
    assert midwife.is_free()
    for shim in range(module._WAITING_MAX):
        assert midwife.is_free()
        midwife.attend(shim, "/p", ())
    assert not midwife.is_free()
    maker.say(b".")
    assert midwife.is_free()
    midwife.close()


def test_nobody_waits_for_a_maker_that_hangs(maker):
    midwife = Midwife(maker.be_forked, Loop(), "")
    midwife.attend(1, "/p", ())
    midwife.attend(2, "/p", ())
    maker.now += PATIENCE_SECONDS * 0.9
    assert midwife.is_free()
    maker.say(b".")
    assert midwife.is_free()
    maker.now += PATIENCE_SECONDS * 0.9
    assert midwife.is_free(), "it has made one meanwhile"
    maker.now += PATIENCE_SECONDS * 0.2
    assert not midwife.is_free()
    maker.say(b".")
    assert midwife.is_free()
    midwife.close()
