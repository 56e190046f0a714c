"""What the check of an exercise expects of an answer; each says what was expected and found.

A number is a number whether Python, NumPy, pandas or PyTorch holds it, in single or in double
precision; so is a list of numbers an array.
"""

from collections.abc import Mapping, Set
from numbers import Number
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

_SHOWN = 8
"""So many numbers of an answer are written out."""


def expect_equal(found: Any, expected: Any, what: str) -> None:
    """Expect an answer to be equal: numbers of the same shape, or texts, or sets of either.

    Args:
        what: of what the answer is, the first words of the sentence.

    Raises:
        AssertionError: it is not.
    """
    if _array(expected) is not None:
        _expect_near(found, expected, 0.0, what)
    elif isinstance(expected, Set) and isinstance(found, Set):
        _expect_same_members(found, expected, what)
    else:
        answer = found.tolist() if hasattr(found, "tolist") else found
        if type(answer) is not type(expected) or answer != expected:
            _fail(what, _said(expected), found)


def expect_close(
    found: Any,
    expected: ArrayLike | Mapping[str, ArrayLike],
    what: str,
    *,
    rtol: float = 1e-5,
    atol: float = 0.0,
) -> None:
    """Expect numbers to be those of `expected`, as near as single precision computes them.

    They may be off by `rtol` of the largest expected number, and `atol`. Numbers by name are
    compared name by name.

    Raises:
        AssertionError: they are not, or have another shape; the sentence names the place where they
            are furthest off.
    """
    if isinstance(expected, Mapping):
        if not isinstance(found, Mapping) or found.keys() != expected.keys():
            _fail(what, f"a dict of {', '.join(expected)}", found)
        for name, numbers in expected.items():
            expect_close(found[name], numbers, f"{what}, {name}", rtol=rtol, atol=atol)
        return
    wanted = _array(expected)
    if wanted is None or not np.isfinite(wanted).all():
        raise ValueError(f"{what}: what is expected must be finite numbers, not {expected!r}")
    largest = float(np.abs(wanted).max(initial=0))
    _expect_near(found, expected, atol + rtol * largest, what)


def expect_between(found: Any, low: float, high: float, what: str) -> None:
    """Expect one number from `low` to `high`, both included.

    Raises:
        AssertionError: it is not.
    """
    number = expect_numbers(found, (), what)
    if not low <= number <= high:
        _fail(what, f"a number from {low:.6g} to {high:.6g}", found)


def expect_numbers(found: Any, shape: tuple[int, ...], what: str) -> NDArray[np.float64]:
    """The numbers of an answer that must have this shape; the shape () is one number.

    Raises:
        AssertionError: it is something else.
    """
    numbers = _array(found)
    if numbers is None or numbers.shape != shape:
        _fail(what, _shape(shape), found)
    return numbers.astype(np.float64)


def expect_several(found: Any, count: int, what: str) -> tuple[Any, ...]:
    """The parts of an answer that must have so many of them.

    Raises:
        AssertionError: it is something else.
    """
    try:
        parts = () if isinstance(found, str) else tuple(found)
    except TypeError:  # it has no parts
        parts = ()
    if len(parts) != count:
        _fail(what, f"{count} things", found)
    return parts


def expect_table(found: Any, columns: list[str], what: str) -> pd.DataFrame:
    """These columns of a table that must have them.

    Raises:
        AssertionError: it has not, or is no table.
    """
    if not isinstance(found, pd.DataFrame) or not set(columns) <= set(found.columns):
        names = isinstance(found, pd.DataFrame) and list(found.columns)
        _fail(what, f"a table with the columns {', '.join(columns)}", names or found)
    return found[columns]


def _expect_near(found: Any, expected: Any, off: float, what: str) -> None:
    numbers, wanted = _array(found), _array(expected)
    if numbers is None or numbers.shape != wanted.shape:
        _fail(what, _said(expected), found)
    distance = np.abs(np.subtract(numbers, wanted, dtype=np.float64))
    if (distance <= off).all():
        return
    if wanted.size <= _SHOWN:
        _fail(what, _said(expected), found)
    distance[np.isnan(distance)] = np.inf
    place = np.unravel_index(distance.argmax(), distance.shape)
    _fail(f"{what}, at {[int(i) for i in place]}", _said(wanted[place]), numbers[place])


def _expect_same_members(found: Set[Any], expected: Set[Any], what: str) -> None:
    counts = f"{what}: expected {len(expected)}, found {len(found)}"
    for word, more in (("expected", expected - found), ("found", found - expected)):
        if more:
            few = ", ".join(map(repr, sorted(more, key=repr)[:3]))
            raise AssertionError(f"{counts}; only {word}: {few}{', …' * (len(more) > 3)}")


def _array(value: Any) -> NDArray[Any] | None:
    """The numbers in an answer, None where it is something else."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        value = value.double() if value.is_floating_point() else value
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError):
        return None
    if array.dtype.kind == "O" and all(isinstance(each, Number) for each in array.flat):
        array = array.astype(np.float64)  # whole numbers of any size
    return array if array.dtype.kind in "biuf" else None


def _fail(what: str, expected: str, found: Any) -> None:
    said = _said(found)
    if found is None:
        said += ", which a function without `return` gives"
    elif said == expected:
        said += ", which differs in a digit that is not written"
    raise AssertionError(f"{what}: expected {expected}, found {said}")


def _said(value: Any) -> str:
    """An answer in a few words."""
    array = _array(value)
    if array is None:
        text = repr(value)
        return text if len(text) <= 100 else f"{text[:97]}…"
    return _shape(array.shape) if array.size > _SHOWN else _digits(array.tolist())


def _digits(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_digits, value))}]"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _shape(shape: tuple[int, ...]) -> str:
    return f"numbers of the shape {list(shape)}" if shape else "one number"
