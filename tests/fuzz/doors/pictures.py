"""Pictures of every format that is read, their bytes, chunks and headers changed."""

import io
import random
import struct
import zlib
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from door import Door
from hostile import seeds
from hypothesis import strategies as st
from mutation import NUMBERS, mutated
from PIL import Image

from cxr_mtl.data.images import read_image

Kind = tuple[str, str]
"""A format and a mode, such as PNG and I;16."""

WRITTEN: dict[Kind, dict[str, Any]] = {
    ("PNG", "L"): {},
    ("PNG", "1"): {},
    ("PNG", "P"): {},
    ("PNG", "LA"): {},
    ("PNG", "RGBA"): {},
    ("PNG", "I;16"): {},
    ("PNG", "LA;16"): {},
    ("PNG", "RGB;16"): {},
    ("PNG", "RGBA;16"): {},
    ("JPEG", "L"): {},
    ("JPEG", "RGB"): {"progressive": True},
    ("JPEG", "CMYK"): {},
    ("JPEG2000", "L"): {},
    ("JPEG2000", "RGB"): {"irreversible": True},
    ("JPEG2000", "I;16"): {},
    ("TIFF", "L"): {},
    ("TIFF", "1"): {"compression": "group4"},
    ("TIFF", "RGB"): {"compression": "tiff_lzw"},
    ("TIFF", "I;16"): {"compression": "tiff_adobe_deflate"},
    ("TIFF", "RGB;16"): {"compression": "zlib"},
    ("TIFF", "RGBA;16"): {},
    ("TIFF", "F"): {},
    ("TIFF", "CMYK"): {"compression": "packbits"},
    ("BMP", "L"): {},
    ("BMP", "RGB"): {},
    ("TIFF", "several L"): {"compression": "packbits"},
    ("GIF", "P"): {},
    ("GIF", "several P"): {},
    ("WEBP", "RGB"): {},
    ("WEBP", "RGBA"): {"lossless": True},
    ("PPM", "L"): {},
    ("PPM", "RGB"): {},
    ("PPM", "I;16"): {},
    ("PPM", "RGB;16"): {},
    ("PPM", "1"): {},
}
"""The pictures that are damaged, and how they are written."""

SEVERAL = "several "
DEEP = {"LA;16": (4, 2), "RGB;16": (2, 3), "RGBA;16": (6, 4)}
"""What a PNG calls colours of 16 bits, and the number of their bands."""

SIZE = (12, 9)


def drawn(mode: str) -> Image.Image:
    """A small picture of noise in a mode of Pillow's."""
    noise = np.random.default_rng(0).integers(0, 256, (*SIZE[::-1], 3), dtype=np.uint8)
    if mode == "I;16":
        return Image.fromarray(noise[..., 0].astype(np.uint16) * 16)
    if mode == "F":
        return Image.fromarray(noise[..., 0].astype(np.float32))
    return Image.fromarray(noise).convert(mode)


@cache
def whole(kind: Kind) -> bytes:
    """The bytes of an undamaged picture, or of several in one file."""
    name, mode = kind
    if mode in DEEP:
        return _deep(kind)
    file = io.BytesIO()
    options = WRITTEN[kind]
    picture = drawn(mode.removeprefix(SEVERAL))
    if mode.startswith(SEVERAL):
        options = options | {"save_all": True, "append_images": [picture.rotate(180)]}
    picture.save(file, name, **options)
    return file.getvalue()


def _deep(kind: Kind) -> bytes:
    """A picture of 16 bits a sample, of the kinds that Pillow does not write."""
    name, mode = kind
    colour, bands = DEEP[mode]
    width, height = SIZE
    samples = np.random.default_rng(0).integers(0, 4096, (height, width, bands)).astype(">u2")
    if name == "PPM":
        return b"P6 %d %d 65535\n" % SIZE + samples.tobytes()
    if name == "TIFF":
        file = io.BytesIO()
        tifffile.imwrite(file, samples, photometric="rgb", **WRITTEN[kind])
        return file.getvalue()
    head = struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row.tobytes() for row in samples))
    chunks = [(b"IHDR", head), (b"IDAT", pixels), (b"IEND", b"")]
    return _joined(chunks, random.Random(0), 0.0)


def damaged(kind: Kind, seed: int | None) -> bytes:
    """The picture with bytes changed anywhere, or a part of its own format changed."""
    content = whole(kind)
    if seed is None:
        return content
    rng = random.Random(seed)
    if kind[0] in PARTS and rng.random() < 0.6:
        content = PARTS[kind[0]](content, rng)
        return mutated(content, rng, 1) if rng.random() < 0.2 else content
    return mutated(content, rng)


@cache
def _deflated(size: int) -> bytes:
    return zlib.compress(bytes(size))


METADATA = (b"eXIf", b"tEXt", b"zTXt", b"iTXt", b"iCCP", b"tIME", b"prVt")
"""Chunks of a PNG without which the picture is the same."""

Chunks = list[tuple[bytes, bytes]]


def _chunks(content: bytes) -> Chunks:
    chunks, at = [], 8
    while at + 8 <= len(content):
        size = int.from_bytes(content[at : at + 4])
        chunks.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + size]))
        at += size + 12
    return chunks


def _joined(chunks: Chunks, rng: random.Random, wrong: float) -> bytes:
    """A PNG of chunks, a share of their checksums wrong."""
    written = [b"\x89PNG\r\n\x1a\n"]
    for name, data in chunks:
        check = zlib.crc32(name + data) ^ (rng.random() < wrong)
        written.append(struct.pack(">I", len(data)) + name + data + struct.pack(">I", check))
    return b"".join(written)


def _odd_chunk(rng: random.Random, names: tuple[bytes, ...]) -> tuple[bytes, bytes]:
    bomb = _deflated(rng.choice((10, 3_000_000)))
    words = (rng.randbytes(30), b"Exif\0\0MM\0*", b"key\0\0" + bomb, b"key\0\0\0\0\0" + bomb)
    return rng.choice(names), rng.choice(words)


def _png(content: bytes, rng: random.Random) -> bytes:
    """One chunk changed, doubled, left out or put in; checksums that are right, mostly."""
    chunks = _chunks(content)
    place = rng.randrange(len(chunks))
    name, data = chunks[place]
    if name == b"IHDR" and rng.random() < 0.7:
        field = rng.choice((0, 4))
        data = data[:field] + struct.pack(">I", rng.choice(NUMBERS)) + data[field + 4 :]
    elif rng.random() < 0.5:
        odd = _odd_chunk(rng, (*METADATA, b"tRNS", b"acTL", b"PLTE", b"gAMA"))
        chunks.insert(rng.randrange(1, len(chunks)), odd)
    else:
        data = mutated(data, rng, 2)
    act = rng.random()
    chunks[place : place + 1] = [(name, data)] * (0 if act < 0.1 else 2 if act < 0.2 else 1)
    return _joined(chunks, rng, 0.05)


def _jpeg(content: bytes, rng: random.Random) -> bytes:
    """A segment changed or put in before the scan: tables, sizes, Exif, ICC, comments."""
    at, starts = 2, []
    while content[at] == 0xFF and content[at + 1] != 0xDA:
        starts.append(at)
        at += 2 + int.from_bytes(content[at + 2 : at + 4])
    start = rng.choice(starts)
    if rng.random() < 0.5:
        size = int.from_bytes(content[start + 2 : start + 4])
        inside = mutated(content[start + 4 : start + 2 + size], rng, 2)
        length = struct.pack(">H", (len(inside) + 2) & 0xFFFF)
        return content[: start + 2] + length + inside + content[start + 2 + size :]
    marker = bytes([0xFF, rng.choice((0xC0, 0xC4, 0xDB, 0xE0, 0xE1, 0xE2, 0xED, 0xEE, 0xFE))])
    inside = rng.choice((b"Exif\0\0MM\0*\0\0\0\x08", b"ICC_PROFILE\0\x01\x01", b"Adobe", b""))
    inside += rng.randbytes(rng.choice((0, 6, 200)))
    return content[:start] + marker + struct.pack(">H", len(inside) + 2) + inside + content[start:]


def _tiff(content: bytes, rng: random.Random) -> bytes:
    """An entry of the first directory changed: tag, type, count, value."""
    order = "<" if content[:2] == b"II" else ">"
    (start,) = struct.unpack_from(order + "I", content, 4)
    (count,) = struct.unpack_from(order + "H", content, start)
    changed = bytearray(content)
    entry = start + 2 + 12 * rng.randrange(count)
    field, code = rng.choice(((0, "H"), (2, "H"), (4, "I"), (8, "I"), (8, "H")))
    number = rng.choice((*NUMBERS, rng.randrange(400)))
    struct.pack_into(order + code, changed, entry + field, number & (0xFFFF if code == "H" else -1))
    return bytes(changed)


def _netpbm(content: bytes, rng: random.Random) -> bytes:
    """A number or a mark of the header changed."""
    parts = content.split(maxsplit=4)
    place = rng.randrange(min(4, len(parts)))
    odd = (b"P1", b"P2", b"P3", b"P7", b"Pf", b"#", b"-1", b"1e9", b"65536", b"")
    parts[place] = rng.choice((*odd, *(str(number).encode() for number in NUMBERS)))
    return b" ".join(parts[:3]) + b"\n" + b" ".join(parts[3:])


PARTS = {"PNG": _png, "JPEG": _jpeg, "TIFF": _tiff, "PPM": _netpbm}


def _lay(folder: Path, value: tuple[Kind, int | None]) -> Path:
    path = folder / "picture"
    path.write_bytes(damaged(*value))
    return path


def _check(path: Path, value: tuple[Kind, int | None], picture: Image.Image) -> None:
    """What was read is 8-bit RGB, of the size the header names; undamaged it is what was drawn."""
    assert picture.mode == "RGB"
    size = picture.size
    with suppress(Exception), Image.open(path) as header:  # Pillow minds damaged metadata
        size = header.size
    assert picture.size in (size, size[::-1])  # Exif may turn it
    kind, seed = value
    assert seed is not None or not kind[1].startswith(SEVERAL)
    if seed is None and kind[1] in ("L", "RGB") and kind[0] in ("PNG", "TIFF", "BMP", "PPM"):
        assert np.array_equal(np.asarray(picture), np.asarray(drawn(kind[1]).convert("RGB")))


def _lay_annotated(folder: Path, value: tuple[Kind, int]) -> Path:
    """A whole PNG, or JPEG, with metadata that are damaged, huge or of another kind."""
    kind, seed = value
    rng, content = random.Random(seed), whole(kind)
    if kind[0] == "PNG":
        chunks = _chunks(content)
        for _ in range(rng.randint(1, 3)):
            chunks.insert(rng.randrange(1, len(chunks)), _odd_chunk(rng, METADATA))
        content = _joined(chunks, rng, 0.0)
    else:
        words = (b"Exif\0\0MM\0*\0\0\0\x08", b"ICC_PROFILE\0\x01\x01", b"http://ns.adobe.com/xap")
        inside = rng.choice(words) + rng.randbytes(rng.choice((0, 6, 65_000)))
        marker = bytes([0xFF, rng.choice((0xE1, 0xE2, 0xED, 0xFE))])
        content = content[:2] + marker + struct.pack(">H", len(inside) + 2) + inside + content[2:]
    (folder / "annotated").write_bytes(content)
    (folder / "plain").write_bytes(whole(kind))
    return folder


def _read_annotated(folder: Path) -> tuple[Image.Image, Image.Image]:
    return read_image(folder / "annotated"), read_image(folder / "plain")


def _check_annotated(folder: Path, value: Any, read: tuple[Image.Image, Image.Image]) -> None:
    """What every viewer shows is read, and metadata change no pixel of it."""
    annotated, plain = (picture.tobytes() for picture in read)
    assert annotated == plain


SIDES = (1, 2, 7, 8, 9, 100, 300, 2000, 5400, 20_000, 65_000)


def _lay_of_size(folder: Path, value: tuple[str, str, int, int]) -> Path:
    name, mode, width, height = value
    if width * height > 40_000_000:
        width, height = (5400, 5500) if width > height else (4000, 8000)
    Image.new(mode, (width, height)).save(folder / "picture", name)
    return folder / "picture"


SIZED = st.tuples(
    st.sampled_from([("PNG", "L"), ("PNG", "I;16"), ("TIFF", "F"), ("PNG", "RGBA"), ("BMP", "L")]),
    st.sampled_from(SIDES),
    st.sampled_from(SIDES),
).map(lambda value: (*value[0], *value[1:]))

DOORS = [
    Door(
        f"picture, {name}",
        st.tuples(
            st.sampled_from([kind for kind in WRITTEN if kind[0] == name]), st.none() | seeds
        ),
        _lay,
        read_image,
        (next(kind for kind in WRITTEN if kind[0] == name), None),
        inputs,
        _check,
    )
    for name, inputs in {
        "PNG": 800,
        "JPEG": 600,
        "JPEG2000": 500,
        "TIFF": 1000,
        "BMP": 400,
        "GIF": 400,
        "WEBP": 400,
        "PPM": 400,
    }.items()
] + [
    Door(
        "picture with odd metadata",
        st.tuples(st.sampled_from([("PNG", "L"), ("PNG", "P"), ("JPEG", "L")]), seeds),
        _lay_annotated,
        _read_annotated,
        (("PNG", "L"), 0),
        300,
        _check_annotated,
        refuses=False,
    ),
    Door("picture of any size", SIZED, _lay_of_size, read_image, ("PNG", "L", 100, 100), 40),
]
