"""Images from files nobody has vouched for: read safely, always RGB, or refused by name."""

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageOps

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.files import sha256_of_file

# Pillow's other readers start programs (EPS), fetch tiles or read formats no archive uses.
FORMATS = ("PNG", "JPEG", "JPEG2000", "TIFF", "BMP", "GIF", "WEBP", "PPM")
MAX_PIXELS = 64_000_000
DEEP_MODES = ("I", "I;16", "I;16B", "I;16L", "I;16N", "F")
PHOTOMETRIC_TAG, WHITE_IS_ZERO = 262, 0


def read_image(path: Path | str) -> Image.Image:
    """Read an image as 8-bit RGB, whatever the file holds.

    Grayscale deeper than 8 bits (16-bit and 32-bit integers, floats) is scaled linearly so that
    the file's own smallest value becomes 0 and its largest 255; 12-bit radiographs kept in 16-bit
    files therefore do not turn black. A constant picture becomes black. Transparency is composited
    on black, the EXIF orientation is applied, and of several frames the first is read.

    Raises:
        InputError: the file is missing, truncated, not an image, or larger than `MAX_PIXELS`.
    """
    try:
        with Image.open(path, formats=FORMATS) as image:
            pixels = image.width * image.height
            if pixels > MAX_PIXELS:
                raise InputError(_too_large(path, f"{pixels:,} pixels"))
            ImageOps.exif_transpose(image, in_place=True)
            return _to_rgb(image)
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{path} is missing: put the image there or correct its path") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise InputError(_too_large(path, "too many pixels")) from None
    # Pillow's decoders answer damaged bytes with nearly every kind of exception.
    except Exception as error:
        reason = str(error).replace(str(path), Path(path).name)
        raise InputError(
            f"{path} cannot be read as an image ({reason or type(error).__name__}): "
            "replace the file or leave it out"
        ) from error


def check_images(
    studies: pd.DataFrame, progress: Callable[[int], None] | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Decode every study's image once, so that no later stage meets a bad one.

    Args:
        studies: a table with at least `study`, `image` (path) and `label`.
        progress: called with the number of images checked since its last call.

    Returns:
        The studies whose image decodes, with `image_sha256`, of the file, and `pixels_sha256`, of
        the RGB pixels as `read_image` gives them, behind `label`; and the dropped ones (`study`,
        `reason`, `detail`), reason `image missing` or `image unreadable`.
    """
    checks = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for check in pool.map(_check, studies["image"]):
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
    return kept.reset_index(drop=True), dropped.reset_index(drop=True)


def _check(path: str) -> tuple[str, str, str, str]:
    if not Path(path).exists():
        return "", "", "image missing", f"{path} does not exist"
    try:
        image = read_image(path)
        return sha256_of_file(path), _sha256_of_pixels(image), "", ""
    except InputError as error:
        return "", "", "image unreadable", str(error)


def _sha256_of_pixels(image: Image.Image) -> str:
    # The size goes in too: the same bytes make pictures of several shapes.
    return hashlib.sha256(repr(image.size).encode() + image.tobytes()).hexdigest()


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in DEEP_MODES:
        return _scale_to_8_bits(image).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        black = Image.new("RGBA", image.size, (0, 0, 0, 255))
        return Image.alpha_composite(black, image).convert("RGB")
    return image.convert("RGB")


def _scale_to_8_bits(image: Image.Image) -> Image.Image:
    values = np.asarray(image, dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError("it holds values that are not finite")
    # Pillow itself inverts white-is-zero TIFFs of up to 8 bits, but not of 16.
    if image.format == "TIFF" and image.tag_v2.get(PHOTOMETRIC_TAG) == WHITE_IS_ZERO:
        values = -values
    values -= values.min()
    scaled = values * (255 / (values.max() or 1))
    return Image.fromarray(np.rint(scaled).astype(np.uint8))


def _too_large(path: Path | str, size: str) -> str:
    return f"{path} has {size}, more than the {MAX_PIXELS:,} allowed: scale it down or leave it out"
