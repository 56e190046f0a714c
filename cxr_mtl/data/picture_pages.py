"""One file, one picture: which of several pages or frames is meant, nobody can tell."""

import re
from pathlib import Path

from PIL import Image

from cxr_mtl.base.errors import InputError
from cxr_mtl.data.deep_pictures import is_deep
from cxr_mtl.data.picture_metadata import (
    PNG,
    TIFF,
    Directory,
    directory,
    next_directory,
    number_in,
    png_chunks,
)

MOST_DIRECTORIES = 32
"""More than one picture in all its resolutions has."""
_WIDTH, _PURPOSE, _INNER = 256, 254, 330
_REDUCED, _MASK = 1, 4


def check_pages(path: Path | str, data: bytes) -> None:
    """Refuse a TIFF of several pages and an animated PNG, from all bytes of the file.

    A TIFF's directories behind the first count for nothing where they are marked as the same
    picture with fewer pixels, or as a mask.

    Raises:
        InputError: several pictures.
    """
    if data[:4] in TIFF and _has_pages(data):
        raise _several(path, "pages")
    if data.startswith(PNG) and _is_animated(data):
        raise _several(path, "frames")


def check_frames(path: Path | str, image: Image.Image, data: bytes) -> None:
    """Refuse an animated GIF or WEBP and netpbm pictures in a row, which Pillow has opened.

    Raises:
        InputError: several pictures.
    """
    if image.format in ("GIF", "WEBP") and image.is_animated:
        raise _several(path, "frames")
    if image.format == "PPM" and _goes_on(image, data):
        raise _several(path, "pictures")


def _several(path: Path | str, what: str) -> InputError:
    return InputError(f"{path} holds several {what}: save the one that is meant on its own")


def _has_pages(data: bytes) -> bool:
    first = here = directory(data)
    is_preview = _is_part(data, first)
    if is_preview and _INNER in dict(first.entries):
        return True
    seen = {0, first.start}
    while (start := next_directory(data, here)) not in seen:
        here = directory(data, start)
        if _WIDTH not in dict(here.entries):
            return False
        seen.add(start)
        if is_preview or not _is_part(data, here) or len(seen) > MOST_DIRECTORIES:
            return True
    return False


def _is_part(data: bytes, page: Directory) -> bool:
    """Whether a directory is marked as another one's picture, smaller, or as its mask."""
    entry = dict(page.entries).get(_PURPOSE, b"")
    return bool(number_in(data, entry) & (_REDUCED | _MASK))


def _is_animated(data: bytes) -> bool:
    kinds = [kind for kind, _, _ in png_chunks(data)]
    if b"acTL" not in kinds or b"IDAT" not in kinds:
        return False
    first = kinds.index(b"IDAT")
    return b"acTL" in kinds[:first] and b"fcTL" in kinds[first:]


def _goes_on(image: Image.Image, data: bytes) -> bool:
    """Whether behind the pixels of a binary netpbm picture the next one begins."""
    if data[:2] not in (b"P4", b"P5", b"P6"):
        return False
    row = image.width * len(image.getbands()) * (2 if is_deep(image, data) else 1)
    if data[:2] == b"P4":
        row = -(-image.width // 8)
    end = image.tile[0].offset + row * image.height
    return re.match(rb"\s*P[1-6]\s", data[end : end + 20]) is not None
