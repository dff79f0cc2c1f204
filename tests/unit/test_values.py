"""A dataclass made late is, to whoever uses it, the standard library's."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra import values


@values.dataclass(frozen=True, slots=True, order=True)
class Late:
    """Positional, frozen, ordered."""

    a: int
    b: str = "x"
    c: tuple[int, ...] = values.field(default=(), compare=False, repr=False)
    d: list[int] = values.field(default_factory=list)


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Made:
    """The same of the standard library."""

    a: int
    b: str = "x"
    c: tuple[int, ...] = dataclasses.field(default=(), compare=False, repr=False)
    d: list[int] = dataclasses.field(default_factory=list)


@values.dataclass(frozen=True, slots=True, kw_only=True)
class LateChild(Late):
    """Adds to what it inherits, and has a default of its own for one."""

    b: str = "y"
    e: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MadeChild(Made):
    """The same of the standard library."""

    b: str = "y"
    e: int


@values.dataclass(slots=True)
class Loose:
    """Not frozen."""

    a: int
    seen: list[str] = values.field(default_factory=list)


@values.dataclass(frozen=True, slots=True)
class Hashable:
    """All fields can be hashed."""

    a: int
    b: str


def outcome(call: Callable[[], object]) -> str:
    """Return what a call gives, or how it fails, in words that name no class."""
    try:
        text = repr(call())
    except TypeError as err:
        text = str(err)
    return text.replace("Made", "Late")


GIVEN = st.tuples(
    st.lists(st.sampled_from([1, 2, "x", (1,)]), max_size=5),
    st.dictionaries(st.sampled_from("abcdez"), st.sampled_from([1, 2, "x"]), max_size=4),
)


@given(GIVEN)
def test_values_are_made_alike_and_refused_alike(given_: tuple[list[object], dict[str, object]]):
    places, names = given_
    pairs: list[tuple[Callable[..., object], Callable[..., object]]] = [
        (Late, Made), (LateChild, MadeChild),
    ]  # fmt: skip
    for late, made in pairs:
        assert outcome(lambda: late(*places, **names)) == outcome(lambda: made(*places, **names))  # noqa: B023


@given(st.lists(GIVEN, max_size=values._FEW + 2))
def test_the_first_values_are_made_as_all_others_are(
    calls: list[tuple[list[object], dict[str, object]]],
) -> None:
    @values.dataclass(frozen=True, slots=True)
    class Late:
        a: int
        b: str = "x"
        d: list[int] = values.field(default_factory=list)

    @dataclasses.dataclass(frozen=True, slots=True)
    class Made:
        a: int
        b: str = "x"
        d: list[int] = dataclasses.field(default_factory=list)

    place = f"{Late.__qualname__.rpartition('.')[0]}."
    for places, names in calls:
        late = outcome(lambda: Late(*places, **names))  # type: ignore[arg-type]  # noqa: B023
        made = outcome(lambda: Made(*places, **names))  # type: ignore[arg-type]  # noqa: B023
        assert late.replace(place, "") == made.replace(place, "")


@given(
    st.tuples(st.integers(0, 2), st.integers(0, 2)), st.tuples(st.integers(0, 2), st.integers(0, 2))
)
def test_comparisons(one: tuple[int, int], two: tuple[int, int]):
    late = Late(one[0], c=(one[1],)), Late(two[0], c=(two[1],))
    made = Made(one[0], c=(one[1],)), Made(two[0], c=(two[1],))
    assert (late[0] == late[1]) == (made[0] == made[1])
    assert (late[0] < late[1], late[0] >= late[1]) == (made[0] < made[1], made[0] >= made[1])


def test_equality_is_of_one_class():
    assert Late(1) != Made(1)
    assert Late(1) != LateChild(a=1, b="x", e=1)


def test_a_hash_is_of_the_fields():
    assert hash(Hashable(1, "a")) == hash(Hashable(1, "a"))
    assert {Hashable(1, "a"), Hashable(1, "a"), Hashable(2, "a")} == {
        Hashable(2, "a"),
        Hashable(1, "a"),
    }
    with pytest.raises(TypeError, match="unhashable"):
        hash(Loose(1))


def test_frozen():
    value = Late(1)
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign to field 'a'"):
        value.a = 2  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        del value.a
    assert not hasattr(value, "__dict__")


def test_not_frozen():
    value = Loose(1)
    value.a = 2
    value.seen.append("x")
    assert (value, Loose(2).seen) == (Loose(2, ["x"]), [])


def test_the_standard_library_works_on_it():
    value = LateChild(1, e=2, d=[3])
    assert dataclasses.is_dataclass(LateChild)
    assert [field.name for field in dataclasses.fields(LateChild)] == ["a", "b", "c", "d", "e"]
    assert dataclasses.replace(value, e=3) == LateChild(1, e=3, d=[3])
    assert dataclasses.asdict(value) == {"a": 1, "b": "y", "c": (), "d": [3], "e": 2}
    assert [f.default for f in dataclasses.fields(Late)][:3] == [dataclasses.MISSING, "x", ()]
    assert Late.__match_args__ == Made.__match_args__
    assert LateChild.__match_args__ == MadeChild.__match_args__


def test_replace_and_copies():
    value = LateChild(1, e=2, d=[3])
    assert values.replace(value, b="z") == LateChild(1, b="z", e=2, d=[3])
    with pytest.raises(TypeError, match="unexpected keyword"):
        values.replace(value, nothing=1)  # type: ignore[call-arg]
    assert values.replace(Made(1), a=2) == Made(2)
    assert copy.deepcopy(value) == value
    assert pickle.loads(pickle.dumps(value)) == value


def test_fields_of():
    assert [f.name for f in values.fields_of(LateChild) if f.required] == ["a", "e"]
    assert [f.is_default([]) for f in values.fields_of(Late)] == [False, False, False, True]
    assert values.fields_of(Made) == ()


def test_prepare_compiles_what_is_left():
    @values.dataclass(frozen=True, slots=True)
    class Waiting:
        a: int

    waiting = vars(Waiting)["__init__"]
    values.prepare()
    assert vars(Waiting)["__init__"] is not waiting
    assert Waiting(1).a == 1


def test_slots_are_asked_for():
    with pytest.raises(TypeError, match="slots"):
        values.dataclass(frozen=True, slots=False)


class Written(values.TypedDict, total=False):
    """A document."""

    name: str
    other: list[int]


Short = values.TypedDict("Short", {"class": str})


def test_a_typed_dictionary_is_a_plain_one() -> None:
    made = Written(name="x")
    assert type(made) is dict
    assert made == {"name": "x"}
    assert type(Short({"class": "y"})) is dict
    assert (Written.__name__, Written.__doc__) == ("Written", "A document.")
    assert Short.__name__ == "Short"
