"""Damage to files, by chance and by design: bytes changed, cut, doubled, numbers made huge."""

import random
import struct
from collections.abc import Callable
from typing import Any

NUMBERS = (
    0,
    1,
    2,
    7,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0xFFFF,
    0x10000,
    2**24,
    2**31 - 1,
    2**31,
    2**32 - 1,
)
"""Values at which sizes, counts and offsets go wrong."""


def mutated(data: bytes, rng: random.Random, most: int = 6) -> bytes:
    """`data` with one to `most` of these changes, half of them near its beginning."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, most)):
        rng.choice(_CHANGES)(changed, _place(changed, rng), rng)
    return bytes(changed)


def _place(data: bytearray, rng: random.Random) -> int:
    end = len(data) if rng.random() < 0.5 else min(len(data), 64)
    return rng.randrange(end) if end else 0


def _flip(data: bytearray, at: int, rng: random.Random) -> None:
    if data:
        data[at] ^= 1 << rng.randrange(8)


def _set_byte(data: bytearray, at: int, rng: random.Random) -> None:
    data[at : at + 1] = bytes([rng.randrange(256)])


def _set_number(data: bytearray, at: int, rng: random.Random) -> None:
    code, order = rng.choice("BHIQ"), rng.choice("<>")
    size = struct.calcsize(code)
    number = rng.choice(NUMBERS) & (256**size - 1)
    data[at : at + size] = struct.pack(order + code, number)


def _insert(data: bytearray, at: int, rng: random.Random) -> None:
    data[at:at] = rng.randbytes(rng.choice((1, 2, 8, 40)))


def _delete(data: bytearray, at: int, rng: random.Random) -> None:
    del data[at : at + rng.choice((1, 2, 8, 200))]


def _double(data: bytearray, at: int, rng: random.Random) -> None:
    data[at:at] = data[at : at + rng.choice((1, 4, 32, 300))]


def _move(data: bytearray, at: int, rng: random.Random) -> None:
    piece = bytes(data[at : at + rng.choice((4, 16, 100))])
    other = _place(data, rng)
    data[other : other + len(piece)] = piece


def _cut(data: bytearray, at: int, rng: random.Random) -> None:
    if rng.random() < 0.3:  # a cut at the beginning leaves little to read
        del data[at:]


_CHANGES: tuple[Callable[[bytearray, int, random.Random], None], ...] = (
    _flip,
    _set_byte,
    _set_number,
    _set_number,
    _insert,
    _delete,
    _double,
    _move,
    _cut,
)


def mutated_json(value: Any, rng: random.Random, scalars: tuple[Any, ...], most: int = 3) -> Any:
    """A JSON value with one to `most` of its parts replaced, removed, added or nested.

    Args:
        scalars: what parts are replaced by; lists and objects among them are taken as they are.
    """
    for _ in range(rng.randint(1, most)):
        value = _changed_json(value, rng, scalars)
    return value


def _changed_json(value: Any, rng: random.Random, scalars: tuple[Any, ...]) -> Any:
    if not isinstance(value, dict | list) or not value or rng.random() < 0.15:
        return rng.choice((rng.choice(scalars), [value], {"": value}, rng.choice(scalars)))
    keys = list(value) if isinstance(value, dict) else range(len(value))
    key = rng.choice(keys)
    copy = value.copy()
    act = rng.random()
    if act < 0.15:
        del copy[key]
    elif act < 0.25:
        other = rng.choice(scalars)
        if isinstance(copy, dict):
            copy[str(other)[:40]] = copy[key]
        else:
            copy.insert(key, other)
    else:
        copy[key] = _changed_json(copy[key], rng, scalars)
    return copy
