"""Damage to a folder: JSON of another shape, headers that lie, files of another kind."""

import hashlib
import json
import pickle
import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hostile import PIECES, seeds
from hypothesis import strategies as st
from mutation import NUMBERS, mutated, mutated_json

Files = dict[str, bytes]
Damage = Callable[[bytes, random.Random], bytes]

SCALARS = (None, True, -1, 0.5, 1e308, "", [], {}, *NUMBERS, 2**63, 2**64, *PIECES[:24])
WORDS = ("/etc/passwd", "../secret", "../../secret", "hf-hub:a/b", "http://127.0.0.1:9/x")


class Exploit:
    """Unpickled, it would start a program."""

    def __reduce__(self) -> tuple[Any, ...]:
        return __import__("os").system, ("touch unpickled",)


STRANGERS = (
    b"",
    b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 344\n",
    b"<!doctype html><html><title>404</title></html>",
    b"\x89HDF\r\n\x1a\n" + bytes(40),
    pickle.dumps(Exploit()),
    b"PK\x03\x04" + bytes(60),
)
"""What is found in the place of weights and other binary files."""


def damaged_json(content: bytes, rng: random.Random) -> bytes:
    """JSON of another shape, or bytes that are no JSON."""
    if rng.random() < 0.1:
        return rng.choice((b"", b"[" * 100_000, b"{", b"NaN", b"\xff\xfe", mutated(content, rng)))
    return json.dumps(mutated_json(json.loads(content), rng, (*SCALARS, *WORDS))).encode()


def damaged_safetensors(content: bytes, rng: random.Random) -> bytes:
    """A header with other sizes, types and offsets, or a length of the header that lies."""
    (size,) = struct.unpack_from("<Q", content)
    header, data = content[8 : 8 + size], content[8 + size :]
    act = rng.random()
    if act < 0.6:
        kinds = ("F64", "F32", "F16", "BF16", "I64", "U8", "BOOL", "F8_E4M3", "X")
        header = json.dumps(mutated_json(json.loads(header), rng, (*SCALARS, *kinds))).encode()
    if act < 0.75:
        length = rng.choice((len(header), len(header), *NUMBERS, 2**63))
        return struct.pack("<Q", length) + header + data
    return rng.choice(STRANGERS) if act < 0.85 else mutated(content, rng)


def damaged_binary(content: bytes, rng: random.Random) -> bytes:
    """Other bytes, or a file of another kind."""
    return rng.choice(STRANGERS) if rng.random() < 0.1 else mutated(content, rng)


def laid(folder: Path, files: Files, damages: dict[str, Damage], seed: int | None) -> Path:
    """Write the files, one or two of them damaged or missing where there is a seed."""
    files = files.copy()
    if seed is not None:
        rng = random.Random(seed)
        for name in rng.sample(sorted(damages), min(len(damages), rng.choice((1, 1, 2)))):
            if rng.random() < 0.03:
                files.pop(name, None)
            elif name in files:
                files[name] = damages[name](files[name], rng)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def contents(folder: Path) -> Files:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


maybe_seeds = st.none() | seeds


def with_sums(folder: Path, seed: int | None, card: str, names: list[str]) -> Path:
    """Put the checksums of the damaged files where they are told, as who made them would."""
    if seed is None or seed % 4 == 0:
        return folder
    try:
        about = json.loads((folder / card).read_text())
        sums = {n: hashlib.sha256((folder / n).read_bytes()).hexdigest() for n in names}
        if len(names) == 1:
            about["sha256"] = sums[names[0]]
        else:
            about["sha256"].update(sums)
    except (OSError, ValueError, TypeError, AttributeError, KeyError, RecursionError):
        return folder
    (folder / card).write_text(json.dumps(about))
    return folder
