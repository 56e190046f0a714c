"""Pictures of more than 8 bits a sample: read with all their bits, scaled by their own range.

Of 16-bit colours Pillow keeps the high byte, so that a 12-bit film saved in colour would be black.
The low bytes come from the same decoder, told that the bytes of a sample lie the other way round.
"""

import io
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from cxr_mtl.base.errors import InputError
from cxr_mtl.data.picture_metadata import MAX_PARTS
from cxr_mtl.data.picture_sizes import strips, to_8_bits

Rows = tuple[np.ndarray, np.ndarray | None]
"""Values of some rows, rows x columns or with 3 colours behind; and how opaque, 0 to 1, each is."""

_GRAY_MODES = ("I", "I;16", "I;16B", "I;16L", "I;16N", "F")
_BITS_TAG, _PHOTOMETRIC_TAG, _PLANES_TAG, _NUMBERS_TAG = 258, 262, 284, 339
_WHITE_IS_ZERO, _PLANES_APART, _UNSIGNED = 0, 2, (1,)
_MOST = 65535
_SWAPPED = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}
_CODESTREAM = b"\xff\x4f\xff\x51"


def is_deep(image: Image.Image, data: bytes) -> bool:
    """Whether the samples of a picture that Pillow has opened have more than 8 bits.

    Args:
        data: what it was opened from.
    """
    if image.mode in _GRAY_MODES:
        return True
    if image.format == "TIFF":
        return bool(np.max(image.tag_v2.get(_BITS_TAG, 1)) > 8)
    if image.format == "PPM":
        _, most = _layout(image)
        return most > 255
    if image.format == "JPEG2000":
        return _depth_of_jpeg_2000(data) > 8
    return image.format == "PNG" and ";16" in _layout(image)[0]


def scale_deep(path: Path | str, image: Image.Image, data: bytes) -> Image.Image:
    """Read a deep picture as 8-bit RGB, its smallest value as 0 and its largest as 255.

    What is transparent counts for no range and lies on black.

    Args:
        path: names the file in messages only.

    Raises:
        InputError: colours kept in a way whose lower bits cannot be had.
    """
    read = _gray(image) if image.mode in _GRAY_MODES else _colours(path, image, data)
    ranges = []
    for top, bottom in strips(*image.size):
        values, opaque = read(top, bottom)
        if opaque is not None:
            values = values[opaque > 0]
        if values.size:
            ranges.append((values.min(), values.max()))
    smallest, largest = (np.min(ranges), np.max(ranges)) if ranges else (0, 0)
    if not np.isfinite([smallest, largest]).all():
        raise ValueError("it holds values that are not finite")
    # Pillow itself inverts white-is-zero TIFFs of up to 8 bits, but not of 16.
    inverted = image.format == "TIFF" and image.tag_v2.get(_PHOTOMETRIC_TAG) == _WHITE_IS_ZERO
    black, white = (largest, smallest) if inverted else (smallest, largest)
    rgb = Image.new("RGB", image.size)
    for top, bottom in strips(*image.size):
        values, opaque = read(top, bottom)
        scaled = to_8_bits(values, black, white)
        if opaque is not None:
            opaque = opaque[..., None] if scaled.ndim == 3 else opaque
            scaled = np.rint(scaled * opaque).astype(np.uint8)
        rgb.paste(Image.fromarray(scaled).convert("RGB"), (0, top))
    return rgb


def _gray(image: Image.Image) -> Callable[[int, int], Rows]:
    transparent = image.info.get("transparency")
    # Pillow has no mode for these, so that they come as integers with a sign.
    unsigned = image.format == "TIFF" and image.mode == "I" and image.tag_v2.get(_BITS_TAG) == (32,)
    unsigned = unsigned and image.tag_v2.get(_NUMBERS_TAG, _UNSIGNED) == _UNSIGNED

    def read(top: int, bottom: int) -> Rows:
        values = _rows(image, top, bottom)
        values = values.view(np.uint32) if unsigned else values
        return values, None if transparent is None else values != transparent

    return read


def _colours(path: Path | str, image: Image.Image, data: bytes) -> Callable[[int, int], Rows]:
    if image.format == "JPEG2000":
        raise _not_read(path, "JPEG 2000 colours")
    if image.format == "TIFF" and image.tag_v2.get(_PLANES_TAG) == _PLANES_APART:
        raise _not_read(path, "colours in planes that lie apart,")
    if image.format == "PPM":
        return _netpbm(path, image, data)
    kind, order = _layout(image)[0].split(";16")
    if kind == "CMYK":
        raise _not_read(path, "CMYK colours")
    if kind == "LA":
        both = _decoded(image, data, "RGBA")

        def gray_and_alpha(top: int, bottom: int) -> Rows:
            gray, alpha = np.moveaxis(_rows(both, top, bottom).view(">u2"), 2, 0)
            return gray, alpha / _MOST

        return gray_and_alpha
    bands = kind.upper()  # RGBa is RGBA whose colours have been multiplied by their alpha
    high = _decoded(image, data, f"{bands};16{order}")
    low = _decoded(image, data, f"{bands};16{_SWAPPED[order]}")
    transparent = image.info.get("transparency")

    def colours(top: int, bottom: int) -> Rows:
        values = _rows(high, top, bottom).astype(np.uint16) << 8 | _rows(low, top, bottom)
        if image.mode == "RGB":
            return values, None if transparent is None else (values != transparent).any(axis=2)
        values, alpha = values[..., :3], values[..., 3]
        if kind == "RGBa":
            values = np.minimum(values * (_MOST / np.maximum(alpha, 1))[..., None], _MOST)
        return values, alpha / _MOST

    return colours


def _netpbm(path: Path | str, image: Image.Image, data: bytes) -> Callable[[int, int], Rows]:
    tile = image.tile[0]
    if tile.codec_name == "ppm_plain":
        raise _not_read(path, "colours written as text,")
    shape = (image.height, image.width, 3)
    values = np.frombuffer(data, ">u2", np.prod(shape), tile.offset).reshape(shape)
    return lambda top, bottom: (values[top:bottom], None)


def _not_read(path: Path | str, what: str) -> InputError:
    return InputError(
        f"{path} holds {what} of more than 8 bits a sample, which cannot be read here: "
        "save it in 8 bits, or in 16 if gray"
    )


def _layout(image: Image.Image) -> tuple[str, int]:
    """How Pillow would unpack the samples, such as RGB;16B; and of a netpbm the largest value."""
    arguments = image.tile[0].args
    raw, *more = (arguments,) if isinstance(arguments, str) else arguments
    return raw, more[0] if image.format == "PPM" and more else 0


def _decoded(image: Image.Image, data: bytes, layout: str) -> Image.Image:
    """The picture decoded once more, its samples unpacked otherwise."""
    again = Image.open(io.BytesIO(data), formats=(image.format,))
    again.tile = [
        tile._replace(args=layout if isinstance(tile.args, str) else (layout, *tile.args[1:]))
        for tile in again.tile
    ]
    again.load()
    return again


def _rows(image: Image.Image, top: int, bottom: int) -> np.ndarray:
    return np.asarray(image.crop((0, top, image.width, bottom)))


def _depth_of_jpeg_2000(data: bytes) -> int:
    """The most bits a sample of the first codestream has; 0 if there is none."""
    at = 0
    for _ in range(MAX_PARTS):
        if data.startswith(_CODESTREAM, at):
            components = int.from_bytes(data[at + 40 : at + 42])
            depths = data[at + 42 : at + 42 + 3 * components : 3]
            return max(((depth & 0x7F) + 1 for depth in depths), default=0)
        size, kind = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8]
        head = 16 if size == 1 else 8
        if kind == b"jp2c":
            at += head
            continue
        size = int.from_bytes(data[at + 8 : at + 16]) if size == 1 else size
        if size < head or at + size >= len(data):
            return 0
        at += size
    raise ValueError("it has too many boxes")
