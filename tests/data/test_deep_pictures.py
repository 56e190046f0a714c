"""Pictures of more than 8 bits a sample: all bits count in every kind of file, or it is refused."""

import io
import os
import re
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from cxr_mtl.base.errors import InputError
from cxr_mtl.data import images
from cxr_mtl.data.images import read_image

RNG = np.random.default_rng(0)
FILM = RNG.integers(200, 4096, (12, 20)).astype(np.uint16)
COLOURS = RNG.integers(200, 4096, (12, 20, 3)).astype(np.uint16)
OPAQUE = np.full(FILM.shape, 65535, np.uint16)
ALPHA = RNG.choice([0, 1, 700, 30_000, 65_535], FILM.shape).astype(np.uint16)
_KINDS = {1: 0, 2: 4, 3: 2, 4: 6}  # of a PNG, by the number of its bands


def png(samples: np.ndarray, transparent: bytes = b"", interlaced: bool = False) -> bytes:
    """A 16-bit PNG, rows x columns x bands; its rows are filtered, as writers do."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    def filtered(part: np.ndarray) -> bytes:
        if not part.size:
            return b""
        values = part.astype(">u2").view(np.uint8).reshape(len(part), part.shape[1], -1)
        before = np.zeros_like(values)
        before[:, 1:] = values[:, :-1]
        rows = (values - before).reshape(len(part), -1)
        return b"".join(b"\x01" + row.tobytes() for row in rows)

    height, width, bands = samples.shape
    starts = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2)]
    starts = [*starts, (1, 0, 2, 1)] if interlaced else [(0, 0, 1, 1)]
    pixels = b"".join(filtered(samples[y::down, x::right]) for y, x, down, right in starts)
    head = struct.pack(">IIBBBBB", width, height, 16, _KINDS[bands], 0, 0, int(interlaced))
    parts = [chunk(b"IHDR", head), chunk(b"tRNS", transparent) if transparent else b""]
    parts += [chunk(b"IDAT", zlib.compress(pixels)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def tiff(samples: np.ndarray, **options) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, samples, **{"photometric": "rgb"} | options)
    return file.getvalue()


def ppm(samples: np.ndarray, most: int) -> bytes:
    height, width, _ = samples.shape
    return b"P6 # a film\n%d %d\n%d\n" % (width, height, most) + samples.astype(">u2").tobytes()


def with_alpha(samples: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    return np.dstack([samples, alpha])


WRITERS = {
    "png": png,
    "interlaced png": lambda samples: png(samples, interlaced=True),
    "png, alpha": lambda samples: png(with_alpha(samples, OPAQUE)),
    "tiff": tiff,
    "big-endian tiff": lambda samples: tiff(samples, byteorder=">"),
    "deflated tiff": lambda samples: tiff(samples, compression="zlib", predictor=2),
    "big-endian deflated tiff": lambda samples: tiff(samples, compression="zlib", byteorder=">"),
    "tiled tiff": lambda samples: tiff(samples, tile=(16, 16)),
    "tiff, alpha": lambda samples: tiff(
        with_alpha(samples, OPAQUE), extrasamples=["unassalpha"], compression="zlib"
    ),
    "tiff, multiplied alpha": lambda samples: tiff(
        with_alpha(samples, OPAQUE), extrasamples=["assocalpha"]
    ),
    "tiff, a band more": lambda samples: tiff(
        with_alpha(samples, OPAQUE), extrasamples=["unspecified"]
    ),
    "ppm of 16 bits": lambda samples: ppm(samples, 65535),
    "ppm of 12 bits": lambda samples: ppm(samples, 4095),
}


def read(tmp_path: Path, content: bytes) -> np.ndarray:
    (tmp_path / "picture").write_bytes(content)
    return np.asarray(read_image(tmp_path / "picture"))


def scaled(values: np.ndarray, used: np.ndarray | None = None) -> np.ndarray:
    """By their own range, which is that of `used` if given."""
    used = values if used is None else used
    return (values.astype(float) - used.min()) / (float(used.max()) - used.min()) * 255


@pytest.mark.parametrize("kind", WRITERS)
def test_a_film_saved_in_colour_is_the_picture_of_its_gray_file(tmp_path, kind):
    gray = read(tmp_path, png(FILM[..., None]))
    assert np.array_equal(gray[..., 0], np.rint(scaled(FILM)))
    colour = read(tmp_path, WRITERS[kind](np.repeat(FILM[..., None], 3, axis=2)))
    np.testing.assert_array_equal(colour, gray)


@pytest.mark.parametrize("kind", WRITERS)
def test_deep_colours_are_scaled_by_one_range_from_all_their_bits(tmp_path, kind):
    colour = read(tmp_path, WRITERS[kind](COLOURS))
    np.testing.assert_array_equal(colour, np.rint(scaled(COLOURS)))


def test_deep_gray_with_alpha_is_the_picture_of_its_gray_file(tmp_path):
    for interlaced in (False, True):
        content = png(with_alpha(FILM, OPAQUE), interlaced=interlaced)
        np.testing.assert_array_equal(read(tmp_path, content)[..., 1], np.rint(scaled(FILM)))


@pytest.mark.parametrize("samples", [FILM[..., None], COLOURS], ids=["gray", "colours"])
def test_deep_transparency_lies_on_black_and_counts_for_no_range(tmp_path, samples):
    shown = scaled(samples, samples[ALPHA > 0]) * (ALPHA[..., None] / 65535)
    # Colours are rounded before and after they are composited, as those of 8 bits.
    content = png(with_alpha(samples, ALPHA))
    assert np.abs(read(tmp_path, content) - np.clip(shown, 0, 255)).max() <= 1
    assert not read(tmp_path, png(with_alpha(samples, ALPHA * 0))).any()


def test_colours_of_a_tiff_that_alpha_has_multiplied_are_divided_by_it_first(tmp_path):
    alpha = np.where(ALPHA > 700, ALPHA, 65535).astype(np.uint16)
    multiplied = np.rint(COLOURS * (alpha / 65535)[..., None]).astype(np.uint16)
    content = tiff(with_alpha(multiplied, alpha), extrasamples=["assocalpha"])
    shown = scaled(COLOURS) * (alpha / 65535)[..., None]
    assert np.abs(read(tmp_path, content) - shown).max() <= 1


def test_the_transparent_colour_of_a_deep_png_is_black_and_counts_for_no_range(tmp_path):
    samples = COLOURS.copy()
    samples[::2, ::2] = (5, 40_000, 9)
    samples[1, 1] = (5, 40_000, 8)  # only one like it in the high bytes
    shown = np.rint(scaled(samples, np.array([5, 40_000])))
    shown[::2, ::2] = 0
    content = png(samples, transparent=struct.pack(">HHH", 5, 40_000, 9))
    np.testing.assert_array_equal(read(tmp_path, content), shown)


def test_unsigned_integers_of_32_bits_have_no_sign(tmp_path):
    values = FILM.astype(np.uint32) * 1_000_000
    shown = read(tmp_path, tiff(values, photometric="minisblack"))
    np.testing.assert_array_equal(shown[..., 0], np.rint(scaled(FILM)))


def jpeg_2000(box: bytes = b"", depth: int = 16) -> bytes:
    """Its pixels have 8 bits a sample, but what is asked of the header comes before them."""
    file = io.BytesIO()
    Image.new("RGB", (12, 8)).save(file, "JPEG2000")
    content = bytearray(file.getvalue())
    at = content.index(b"\xff\x4f\xff\x51") + 42
    content[at : at + 9 : 3] = bytes([depth - 1] * 3)
    at = content.index(b"jp2c") - 4
    return bytes(content[:at] + box + content[at:])


UNREADABLE = {
    "JPEG 2000 colours": jpeg_2000(),
    "JPEG 2000 colours of": jpeg_2000(b"\0\0\0\x0cuuid\xff\x4f\xff\x51", 12),
    "CMYK colours": tiff(with_alpha(COLOURS, OPAQUE), photometric="separated"),
    "colours in planes that lie apart": tiff(COLOURS.transpose(2, 0, 1), planarconfig="separate"),
    "colours written as text": b"P3 8 8 65535 " + b"4095 " * 192,
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_deep_colours_whose_lower_bits_cannot_be_had_are_refused_with_the_remedy(tmp_path, kind):
    said = r"more than 8 bits a sample, which cannot be read here: save it in 8 bits, or in 16 if"
    with pytest.raises(InputError, match=rf"picture holds {kind}.* {said}"):
        read(tmp_path, UNREADABLE[kind])


def test_colours_of_8_bits_in_the_same_kinds_of_files_keep_their_values(tmp_path):
    small = (COLOURS // 16).astype(np.uint8)
    planes = tiff(small.transpose(2, 0, 1), planarconfig="separate")
    text = b"P3 20 12 255 " + " ".join(map(str, small.ravel())).encode()
    for content in (planes, text, b"P6 20 12 255\n" + small.tobytes()):
        np.testing.assert_array_equal(read(tmp_path, content), small)
    assert read(tmp_path, jpeg_2000(depth=8)).shape == (8, 12, 3)


@pytest.mark.parametrize("kind", WRITERS)
def test_a_deep_picture_that_was_cut_off_is_refused(tmp_path, kind):
    content = WRITERS[kind](COLOURS)
    with pytest.raises(InputError, match="picture cannot be read as an image"):
        read(tmp_path, content[: len(content) * 2 // 3])


PEAK = """
import ctypes, re, struct, sys, zlib
from cxr_mtl.data import images

side = int(images.MAX_PIXELS ** 0.5)
chunks = [(b"IHDR", struct.pack(">IIBBBBB", side, side, 16, 6, 0, 0, 0))]
row = b"\\0" + bytes(range(8)) * side
packer = zlib.compressobj(0)
packed = b"".join([packer.compress(row) for _ in range(side)]) + packer.flush()
with open("x.png", "wb") as file:
    file.write(b"\\x89PNG\\r\\n\\x1a\\n")
    for kind, data in (*chunks, (b"IDAT", packed), (b"IEND", b"")):
        file.write(struct.pack(">I", len(data)) + kind + data)
        file.write(struct.pack(">I", zlib.crc32(kind + data)))
del packed, data, chunks
ctypes.CDLL(None).malloc_trim(0)
open("/proc/self/clear_refs", "w").write("5")  # the peak is measured anew
assert images.read_image("x.png").size == (side, side)
print(int(re.search("VmHWM:[^0-9]*([0-9]+)", open("/proc/self/status").read())[1]) // 1024)
"""


def test_the_largest_deep_picture_takes_less_than_a_gigabyte(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", PEAK],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(images.__file__).parents[2])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert re.fullmatch(r"\d+", done.stdout.strip())
    assert 300 < int(done.stdout) < 950  # MiB, with Python itself
