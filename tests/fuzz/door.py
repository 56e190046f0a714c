"""A door: a function of the library that reads what a user gives, and inputs to try at it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis.strategies import SearchStrategy


def _anything(argument: Any, value: Any, result: Any) -> None:
    """Any result will do."""


@dataclass(frozen=True)
class Door:
    """How to try one door; a value is drawn, laid down as files, and entered.

    Args:
        values: what to draw; values are plain, so that they can be sent to another process.
        lay: writes a value into an empty folder, and gives what `enter` takes. A door that writes
            does so into the folder `out` beside that folder.
        enter: calls the library.
        sound: a value that the door takes; without one, all that is tried might be refused.
        inputs: how many values `make test` tries; `make fuzz` tries fifty times as many.
        check: given argument, value and result, asserts that the result is right.
        refuses: whether some of the values must be refused, so that the door is known to look.
        may: audit events that this door may cause, beside reading files.
    """

    name: str
    values: SearchStrategy[Any]
    lay: Callable[[Path, Any], Any]
    enter: Callable[[Any], Any]
    sound: Any
    inputs: int
    check: Callable[[Any, Any, Any], None] = _anything
    refuses: bool = True
    may: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return self.name
