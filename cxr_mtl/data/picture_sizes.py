"""How large a picture may be, and how gray values become 8 bits: the same for every format."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from cxr_mtl.base.errors import InputError

# A radiograph of 43 x 43 cm at 0.1 mm a pixel has 18.5 million. With these bounds no format and
# no depth takes more than 1 GB.
MAX_PIXELS = 30_000_000
MAX_BYTES = 256 * 2**20
MIN_SIDE = 8
# The longest of 3,516 radiographs of ROCOv2 is 2.7 times as long as wide; a whole spine, about 4.
MAX_ASPECT = 20
_PIXELS_AT_ONCE = 1_000_000


def check_size(path: Path | str, width: int, height: int) -> None:
    """Refuse a size no radiograph has, before any pixel is decoded.

    Raises:
        InputError: too many pixels, too few, or too long for their width.
    """
    if width * height > MAX_PIXELS:
        raise too_large(path, f"{width * height:,} pixels", MAX_PIXELS)
    short, long = sorted((width, height))
    if long > MAX_ASPECT * short:
        reason = f"is more than {MAX_ASPECT} times as long as wide, which no radiograph is"
    elif short < MIN_SIDE:
        reason = f"shows nothing on fewer than {MIN_SIDE} pixels across"
    else:
        return
    raise InputError(
        f"{path}, {width} x {height} pixels, {reason}: replace the file or leave it out"
    )


def too_large(path: Path | str, size: str, most: int) -> InputError:
    """The error of a file that has more of something than the most that is allowed."""
    return InputError(
        f"{path} has {size}, more than the {most:,} allowed: scale it down or leave it out"
    )


def strips(width: int, height: int) -> Iterator[tuple[int, int]]:
    """The first row of each strip, and the one behind its last: a whole picture may not fit."""
    rows = max(1, _PIXELS_AT_ONCE // width)
    for top in range(0, height, rows):
        yield top, min(top + rows, height)


def to_8_bits(values: np.ndarray, black: float, white: float) -> np.ndarray:
    """Gray values scaled linearly and rounded: `black` becomes 0 and `white` 255.

    `black` may be the larger one; where both are equal everything is black. Shape as given, uint8.
    """
    if black == white:
        return np.zeros(values.shape, dtype=np.uint8)
    scaled = (values - np.float64(black)) * (255 / (np.float64(white) - black))
    return np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)
