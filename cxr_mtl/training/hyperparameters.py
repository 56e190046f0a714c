"""Hyperparameters of a training, of which a wrong one is told by its name."""

from typing import Any

from pydantic import BaseModel, ValidationError

from cxr_mtl.base.errors import InputError


class Hyperparameters(BaseModel, frozen=True, extra="forbid"):
    """Values of fixed names, types and ranges.

    Raises:
        InputError: a value of the wrong type or out of its range, or of an unknown name.
    """

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(map(str, first["loc"]))
            raise InputError(
                f"training parameter {name} is {first['input']!r}: {first['msg'].lower()}"
            ) from None
