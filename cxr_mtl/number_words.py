"""The value of a record as prose writes it."""

from typing import Any

from cxr_mtl.errors import InputError
from cxr_mtl.result_tables import UNDEFINED, half_up


def number_in_words(record: dict[str, Any], spec: str) -> tuple[str, str]:
    """A record's value by a format such as `.3f`, and its interval with a space before, or nothing.

    A value that is None is written as undefined.

    Raises:
        InputError: the format does not suit the value.
    """
    if record["value"] is None:
        return UNDEFINED, ""
    number = _rounded(record["value"], spec)
    if record.get("low") is None:
        return number, ""
    return number, f" [{_rounded(record['low'], spec)}, {_rounded(record['high'], spec)}]"


def _rounded(value: Any, spec: str) -> str:
    try:
        return format(half_up(value) if isinstance(value, float) and spec else value, spec)
    except (ValueError, TypeError) as error:
        raise InputError(f"{value!r} cannot be written by the format {spec}: {error}") from None
