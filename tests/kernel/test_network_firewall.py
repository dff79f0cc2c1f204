"""A project's tables: elements come and go, and what is gone is not deleted again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from orchestra.engine.linux import nftables
from orchestra.engine.network import firewall
from orchestra.engine.network.naming import TABLE_PREFIX
from orchestra.engine.network.ruleset import Element

pytestmark = pytest.mark.kernel

ONE = Element(family="inet", container="published", key="tcp . 8080", value="10.1.2.3 . 80")
OTHER = Element(family="inet", container="published", key="udp . 53", value="10.1.2.4 . 53")


@pytest.fixture
def table(token: str) -> Iterator[str]:
    name = TABLE_PREFIX + token
    firewall.ensure_table(name, ())
    yield name
    firewall.remove_table(name)


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note what is said to nftables, which does it."""
    said: list[str] = []
    run = nftables.run

    def noting(text: str) -> str:
        said.append(text)
        return run(text)

    monkeypatch.setattr(nftables, "run", noting)
    return said


def test_drop_takes_what_is_there_and_leaves_the_rest(table: str) -> None:
    firewall.put(table, [ONE, OTHER])
    firewall.drop(table, [ONE])
    assert firewall.published(table) == {(OTHER.container, OTHER.key): OTHER.value}


def test_what_is_gone_is_not_deleted_again(table: str, commands: list[str]) -> None:
    firewall.put(table, [ONE])
    firewall.drop(table, [ONE])
    commands.clear()
    firewall.drop(table, [ONE])
    assert [text for text in commands if text.startswith("delete")] == []


def test_one_that_is_gone_does_not_keep_the_others(table: str) -> None:
    firewall.put(table, [ONE, OTHER])
    nftables.run(f"delete element inet {table} published {{ {ONE.key} }}")
    firewall.drop(table, [ONE, OTHER])
    assert firewall.published(table) == {}
    assert "elements" not in nftables.run(f"list set inet {table} closed")


def test_published_ports_are_closed_while_they_are_published(table: str) -> None:
    """To containers of other projects; no rule of an older kernel can ask the map itself."""
    firewall.put(table, [ONE, OTHER])
    listing = nftables.run(f"list set inet {table} closed")
    assert ". 8080" in listing
    assert ". 53" in listing
    firewall.drop(table, [ONE])
    listing = nftables.run(f"list set inet {table} closed")
    assert ". 8080" not in listing
    assert ". 53" in listing


def test_a_table_that_is_gone_is_no_error(table: str) -> None:
    firewall.remove_table(table)
    firewall.drop(table, [ONE])
