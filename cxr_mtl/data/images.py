"""Images from files nobody has vouched for: read safely, always RGB, or refused by name."""

import hashlib
import io
import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
from PIL import Image, UnidentifiedImageError

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.file_hashes import FileState, file_state
from cxr_mtl.base.files import check_regular_file, sha256_of_file
from cxr_mtl.base.quiet import Quiet
from cxr_mtl.data.deep_pictures import is_deep, scale_deep
from cxr_mtl.data.dicom import SUFFIXES, is_dicom, read_dicom
from cxr_mtl.data.foreign_files import HEAD, what_it_is
from cxr_mtl.data.picture_metadata import without_metadata
from cxr_mtl.data.picture_pages import check_frames, check_pages
from cxr_mtl.data.picture_sizes import MAX_BYTES, MAX_PIXELS, check_size, strips, too_large

# Pillow's other readers start programs (EPS), fetch tiles or read formats no archive uses.
FORMATS = ("PNG", "JPEG", "JPEG2000", "TIFF", "BMP", "GIF", "WEBP", "PPM")
TILE_SIDES_TAGS = (322, 323)
_QUIET = Quiet("pydicom")
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_image(path: Path | str) -> Image.Image:
    """Read an image as 8-bit RGB, whatever the file holds.

    Gray and colours deeper than 8 bits (16-bit and 32-bit integers, floats) are scaled linearly so
    that the file's own smallest value becomes 0 and its largest 255; 12-bit radiographs kept in
    16-bit files therefore do not turn black. A constant picture becomes black. Transparency is
    composited on black, the EXIF orientation is applied, and other metadata are skipped unread,
    such as the previews of a phone's JPEG. DICOM is read as `read_dicom` tells.

    Raises:
        InputError: the file is missing, no regular file, truncated, not an image, of several pages
            or frames, of colours whose bits cannot all be had, larger than `MAX_PIXELS` or
            `MAX_BYTES`, narrower than `MIN_SIDE` pixels or more than `MAX_ASPECT` times as long as
            wide.
    """
    check_regular_file(path, "image")
    try:
        with _QUIET:
            return _decode(path, _content(path))
    except InputError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise too_large(path, "too many pixels", MAX_PIXELS) from None
    # Decoders answer damaged bytes with nearly every kind of exception.
    except Exception as error:
        reason = str(error) or "it is damaged"
    raise InputError(
        f"{path} cannot be read as an image ({reason}): replace the file or leave it out"
    )


def check_images(
    studies: pd.DataFrame, progress: Callable[[int], None] | None = None
) -> tuple[pd.DataFrame, pd.DataFrame, tuple[FileState, ...]]:
    """Decode every study's image once, so that no later stage meets a bad one.

    Args:
        studies: a table with at least `study`, `image` (path) and `label`.
        progress: called with the number of images checked since its last call.

    Returns:
        The studies whose image decodes, with `image_sha256`, of the file, and `pixels_sha256`, of
        the RGB pixels as `read_image` gives them, behind `label`; the dropped ones (`study`,
        `reason`, `detail`), reason `image missing` or `image unreadable`; and the state of every
        file before it was read.
    """
    states, checks = [], []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for state, *check in pool.map(_check, studies["image"]):
            states.append(state)
            checks.append(check)
            if progress:
                progress(1)
    hashes = ["image_sha256", "pixels_sha256"]
    columns = [*hashes, "reason", "detail"]
    check = pd.DataFrame(checks, columns=columns, index=studies.index, dtype=str)
    bad = check["reason"] != ""
    kept = studies[~bad].copy()
    for place, name in enumerate(hashes, start=kept.columns.get_loc("label") + 1):
        kept.insert(place, name, check[name][~bad])
    dropped = pd.concat([studies["study"], check[["reason", "detail"]]], axis=1)[bad]
    return kept.reset_index(drop=True), dropped.reset_index(drop=True), tuple(states)


def _check(path: str) -> tuple[FileState, str, str, str, str]:
    state = file_state(path)
    try:
        image = read_image(path)
        return state, sha256_of_file(path), _sha256_of_pixels(image), "", ""
    except InputError as error:
        missing = isinstance(error.__cause__, FileNotFoundError)
        return state, "", "", "image missing" if missing else "image unreadable", str(error)


def _sha256_of_pixels(image: Image.Image) -> str:
    # The size goes in too: the same bytes make pictures of several shapes.
    return hashlib.sha256(repr(image.size).encode() + image.tobytes()).hexdigest()


def _content(path: Path | str) -> bytes:
    with open(path, "rb") as file:
        what = what_it_is(file.read(HEAD))
        if what:
            raise InputError(f"{path} is {what}")
        size = os.fstat(file.fileno()).st_size
        if size > MAX_BYTES:
            raise too_large(path, f"{size:,} bytes", MAX_BYTES)
        file.seek(0)
        return file.read()


def _decode(path: Path | str, data: bytes) -> Image.Image:
    if is_dicom(data):
        return read_dicom(path, data)
    check_pages(path, data)
    data, orientation = without_metadata(data)
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError:
        # Old DICOM files begin with nothing that tells; but a name alone says nothing either.
        if Path(path).suffix.lower() in SUFFIXES:
            return read_dicom(path, data)
        raise ValueError("it is none of the known formats, or damaged where it begins") from None
    with image:
        check_size(path, *image.size)
        if image.format == "TIFF":
            _check_tiles(image)
        check_frames(path, image, data)
        rgb = scale_deep(path, image, data) if is_deep(image, data) else _to_rgb(image)
    return rgb.transpose(TURNS[orientation]) if orientation in TURNS else rgb


def _check_tiles(image: Image.Image) -> None:
    sides = [image.tag_v2.get(tag, 1) for tag in TILE_SIDES_TAGS]
    if math.prod(sides) > MAX_PIXELS:
        raise ValueError(f"its tiles have {math.prod(sides):,} pixels each")


def _to_rgb(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image.convert("RGB")
    rgb = Image.new("RGB", image.size)
    for top, bottom in strips(*image.size):
        piece = image.crop((0, top, image.width, bottom)).convert("RGBA")
        black = Image.new("RGBA", piece.size, (0, 0, 0, 255))
        rgb.paste(Image.alpha_composite(black, piece).convert("RGB"), (0, top))
    return rgb
