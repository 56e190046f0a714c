"""A picture file without its metadata: what a decoder needs, and how the picture is to be turned.

Viewers skip comments, colour profiles and EXIF data that they cannot read; Pillow refuses the
whole picture for some of them. So they are taken out before Pillow sees the file.
"""

import re
import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

MAX_PARTS = 200_000
"""More parts than any picture file has; walking through them takes a fraction of a second."""
MAX_SCANS = 100
"""Scans of one JPEG: encoders write about ten, and each costs a pass over the whole picture."""

PNG = b"\x89PNG\r\n\x1a\n"
TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
_PNG_PIXELS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT"}
_WEBP_PIXELS = {b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF"}
_WEBP_FLAGS = 0x12  # of VP8X: alpha and animation; the others announce metadata
# Which tags of a TIFF say how its pixels are stored; 274, the orientation, is read apart.
_TIFF_PIXELS = {256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 284, 292, 293, 317, 320}
_TIFF_PIXELS |= {322, 323, 324, 325, 332, 338, 339, 347, 529, 530, 531, 532, *range(512, 522)}
_ORIENTATION = 274
_EXIF = b"Exif\0\0"
_JPEG_MARKER = re.compile(rb"\xff([^\x00\xff])")
_JPEG_ALONE = {0x01, *range(0xD0, 0xDA)}  # markers without a segment
_SCAN = 0xDA
_COMMENT = re.compile(rb"#[^\r\n]*")
_NETPBM_NUMBER = re.compile(rb"-?\d{1,9}(?:\.\d{1,9})?(?:[eE][+-]?\d\d?)?")
_NETPBM_TOKEN = re.compile(rb"\s*(?:#[^\r\n]*|([^\s#]+))")


def without_metadata(data: bytes) -> tuple[bytes, int]:
    """A picture file's bytes without metadata, and its EXIF orientation.

    PNG, JPEG, WEBP, TIFF and PBM to PPM lose what is no pixel data; any other bytes come back as
    they are.

    Returns:
        Bytes that decode to the same pixels; and the orientation, 1 to 8, which is 1 where the
        file names none that can be read.

    Raises:
        ValueError: the parts that hold pixels are damaged.
    """
    if data.startswith(PNG):
        return _png(data)
    if data.startswith(b"\xff\xd8\xff"):
        return _jpeg(data)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return _webp(data)
    if data[:4] in TIFF:
        return _tiff(data)
    if re.match(rb"P[1-6f][\s#]", data):
        return _netpbm(data), 1
    return data, 1


def _png(data: bytes) -> tuple[bytes, int]:
    view, kept, exif = memoryview(data), [memoryview(PNG)], b""
    for kind, start, end in png_chunks(data):
        if kind in _PNG_PIXELS:
            if end > len(data):
                raise ValueError(f"it is truncated within its chunk {kind.decode()}")
            if zlib.crc32(view[start + 4 : end - 4]) != number_at(data, end - 4, ">I"):
                raise ValueError(f"the checksum of its chunk {kind.decode()} is wrong")
            kept.append(view[start:end])
        elif kind == b"eXIf":
            exif = exif or data[start + 8 : end - 4]
        elif not kind[0] & 0x20:
            raise ValueError(f"its chunk {kind.decode()} is not of the PNG standard")
    return b"".join([*kept, _PNG_END]), _orientation(exif)


def png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """The kind of each chunk of a PNG, where it starts, and where it says that it ends."""
    start = len(PNG)
    for _ in range(MAX_PARTS):
        length, kind = number_at(data, start, ">I"), data[start + 4 : start + 8]
        if len(kind) < 4 or not kind.isalpha() or kind == b"IEND":
            return
        end = start + 12 + length
        yield kind, start, end
        start = end
    raise ValueError("it has too many chunks")


def _jpeg(data: bytes) -> tuple[bytes, int]:
    view, kept, exif, at = memoryview(data), [memoryview(b"\xff\xd8")], b"", 2
    for _ in range(MAX_PARTS):
        marker = _JPEG_MARKER.search(data, at)
        if marker is None:
            raise ValueError("it ends before its pixels begin")
        kind, start = marker[1][0], marker.end()
        at = start
        if kind in _JPEG_ALONE:
            continue
        if kind == _SCAN:
            end = data.find(b"\xff\xd9", start)
            if data.count(b"\xff\xda", start, end if end > 0 else len(data)) >= MAX_SCANS:
                raise ValueError(f"it has more than {MAX_SCANS} scans")
            return b"".join([*kept, view[start - 2 :]]), _orientation(exif)
        length = number_at(data, start, ">H")
        if length < 2:
            raise ValueError("one of its segments has no length")
        at = start + length
        body = view[start + 2 : at]
        if kind == 0xE1 and body[:6] == _EXIF:
            exif = exif or bytes(body)
        # Of the applications' segments JFIF's and Adobe's say what the colours are.
        jfif = kind == 0xE0 and body[:5] == b"JFIF\0" and len(body) >= 14
        adobe = kind == 0xEE and body[:5] == b"Adobe" and len(body) >= 12
        if jfif or adobe or not (0xE0 <= kind <= 0xEF or kind == 0xFE):
            kept.append(view[start - 2 : at])
    raise ValueError("it has too many segments")


def _webp(data: bytes) -> tuple[bytes, int]:
    kept, exif, start = [b"WEBP"], b"", 12
    whole = min(len(data), 8 + number_at(data, 4, "<I"))
    for _ in range(MAX_PARTS):
        kind, length = data[start : start + 4], number_at(data, start + 4, "<I")
        body = data[start + 8 : min(start + 8 + length, whole)]
        start += 8 + length + length % 2
        if kind == b"VP8X":
            body = bytes([body[0] & _WEBP_FLAGS]) + body[1:] if body else body
        if kind == b"EXIF":
            exif = exif or body
        elif kind in _WEBP_PIXELS:
            kept += [kind, struct.pack("<I", length), body, b"\0" * (length % 2)]
        if start + 8 > whole:
            size = struct.pack("<I", sum(map(len, kept)))
            return b"".join([b"RIFF", size, *kept]), _orientation(exif)
    raise ValueError("it has too many chunks")


def _tiff(data: bytes) -> tuple[bytes, int]:
    at, _, count, link, entries = directory(data)
    kept: dict[int, bytes] = {}
    for tag, entry in entries:
        if tag in _TIFF_PIXELS:
            kept.setdefault(tag, entry)
    order = _order(data)
    # The directory of one picture, so that no further one is looked for.
    new = b"".join([struct.pack(order + count, len(kept)), *kept.values()])
    new += struct.pack(order + link, 0)
    view = memoryview(data)
    return b"".join([view[:at], new, view[at + len(new) :]]), _orientation(data)


def _netpbm(data: bytes) -> bytes:
    tokens: list[bytes] = []
    at = 0
    for _ in range(MAX_PARTS):
        token = _NETPBM_TOKEN.match(data, at)
        if token is None:
            break
        at = token.end()
        if token[1]:
            tokens.append(token[1])
            if len(tokens) > 1 and not _NETPBM_NUMBER.fullmatch(token[1]):
                raise ValueError("a number of its header is none")
        if len(tokens) == (3 if data[1:2] in b"14" else 4):
            # Values up to another maximum than 255 or 65535 go through a loop of Pillow's that
            # takes seconds a megapixel; deep ones are scaled by their own range anyway.
            if tokens[0] == b"P5" and 255 < float(tokens[3]) < 65535:
                tokens[3] = b"65535"
            body = data[at:]
            if data[1:2] in b"123":
                if body.count(b"#") > MAX_PARTS:
                    raise ValueError("it has too many comments")
                body = _COMMENT.sub(b"", body)
            return b" ".join(tokens) + body
    raise ValueError("it ends within its header")


def _orientation(exif: bytes) -> int:
    """The orientation, 1 to 8, that the bytes of an EXIF block or a TIFF name; 1 if unreadable."""
    exif = exif.removeprefix(_EXIF)
    for tag, entry in directory(exif).entries:
        if tag == _ORIENTATION:
            value = number_in(exif, entry)
            return value if 1 <= value <= 8 else 1
    return 1


class Directory(NamedTuple):
    """A directory of a TIFF, from `start` to `end`, behind which the place of the next one stands.

    `count` and `link` are the layouts of the number of entries and of such a place; the entries
    are listed by their tag, without those beyond the end of the file.
    """

    start: int
    end: int
    count: str
    link: str
    entries: list[tuple[int, bytes]]


def directory(data: bytes, start: int | None = None) -> Directory:
    """The first directory of a TIFF, or the one at an offset."""
    order = _order(data)
    big = number_at(data, 2, order + "H") == 43
    count, link, size = ("Q", "Q", 20) if big else ("H", "I", 12)
    if start is None:
        start = number_at(data, 8 if big else 4, order + link)
    first = start + struct.calcsize("=" + count)
    end = first + size * number_at(data, start, order + count)
    ends = range(first + size, min(len(data), end) + 1)
    entries = [data[at - size : at] for at in ends[: MAX_PARTS * size : size]]
    listed = [(number_at(entry, 0, order + "H"), entry) for entry in entries]
    return Directory(start, end, count, link, listed)


def next_directory(data: bytes, before: Directory) -> int:
    """Where the directory behind another one is; 0 if there is none."""
    return number_at(data, before.end, _order(data) + before.link)


def number_in(data: bytes, entry: bytes) -> int:
    """The whole number in an entry of a TIFF's directory; 0 if there is none."""
    kind = {1: "B", 3: "H", 4: "I"}.get(number_at(entry, 2, _order(data) + "H"))
    return number_at(entry, 12 if len(entry) == 20 else 8, _order(data) + kind) if kind else 0


def _order(data: bytes) -> str:
    return "<" if data[:2] == b"II" else ">"


def number_at(data: bytes, at: int, layout: str) -> int:
    """The number of that `struct` layout at an offset; 0 beyond the end."""
    size = struct.calcsize(layout)
    return struct.unpack_from(layout, data, at)[0] if at + size <= len(data) else 0
