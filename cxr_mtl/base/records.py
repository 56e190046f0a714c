"""Records of a results file: which number each is, and finding them by `metric=recall&k=10`."""

import json
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from cxr_mtl.base.errors import InputError

Record = dict[str, Any]
Key = tuple[tuple[str, Any], ...]

MEASURED = frozenset(
    {"value", "low", "high", "p", "p_raw", "seed_sd", "test_sd", "paper", "unit"}
    | {"n", "positives", "seeds", "undefined_queries"}
)
"""Fields of a record that say what was found; all others say which number it is."""

NOTICE = "notice"
"""The metric of a record whose value is a sentence that the user of a run must read."""


def notices(records: Iterable[Mapping[str, Any]]) -> list[str]:
    """The sentences of the notices among records."""
    return [str(record["value"]) for record in records if record.get("metric") == NOTICE]


def find_records(records: list[Record], query: str) -> list[Record]:
    """All records whose fields equal those of `query`, written `key=value&key=value`.

    Raises:
        InputError: none matches; the sentence says which values there are.
    """
    left = records
    for key, text in parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)):
        there = sorted({_text(record[key]) for record in left if key in record})
        if not there:
            raise InputError(f"no record has a field {key}")
        left = [record for record in left if key in record and _text(record[key]) == text]
        if not left:
            raise InputError(f"no record has {key}={text}: there are {', '.join(there)}")
    if not left:
        raise InputError("there are no records")
    return left


def find_record(records: list[Record], query: str) -> Record:
    """The one record whose fields equal those of `query`, written `key=value&key=value`.

    Raises:
        InputError: none or several match; the sentence says which values there are.
    """
    left = find_records(records, query)
    if len(left) > 1:
        fields = {key: {_text(record.get(key)) for record in left} for key in left[0]}
        open_ = [f"{key} ({', '.join(sorted(v))})" for key, v in fields.items() if len(v) > 1]
        raise InputError(f"{len(left)} records match: choose by {' or '.join(open_)}")
    return left[0]


def _text(value: Any) -> str:
    """A field as a query writes it: text bare, everything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def number_key(record: Mapping[str, Any]) -> Key:
    """Which number a record is: its fields but for the measured ones, sorted by name."""
    fields = ((name, record[name]) for name in sorted(record.keys() - MEASURED))
    return tuple((name, value) for name, value in fields if value is not None)
