"""Of several pictures in a file none is taken silently; copies of the same picture do not count."""

import io
import struct

import numpy as np
import pytest
import tifffile
from PIL import Image

from cxr_mtl.base.errors import InputError
from cxr_mtl.data.images import read_image
from cxr_mtl.data.picture_pages import MOST_DIRECTORIES

FRONTAL = np.random.default_rng(0).integers(0, 256, (40, 32), dtype=np.uint8)
LATERAL = FRONTAL[::-1] // 2
SMALL = FRONTAL[::4, ::4]
REDUCED, MASK = 1, 4


def tiff(*pages: tuple[np.ndarray, int], inner: int = 0, **options) -> bytes:
    """Pages with what each is marked as; `inner` of them lie in a directory within the first."""
    file = io.BytesIO()
    with tifffile.TiffWriter(file, **options) as writer:
        for place, (page, mark) in enumerate(pages):
            more = {"subifds": inner} if place == 0 and inner else {}
            writer.write(page, subfiletype=mark, photometric="minisblack", metadata=None, **more)
    return file.getvalue()


def pillow(kind: str, *frames: np.ndarray, **options) -> bytes:
    file = io.BytesIO()
    first, *others = map(Image.fromarray, frames)
    first.save(file, kind, save_all=True, append_images=others, **options)
    return file.getvalue()


def netpbm(kind: str, *pictures: np.ndarray, most: int = 255) -> bytes:
    dtype = ">u2" if most > 255 else "u1"
    head = f"{kind} 32 40 {most}\n".encode()
    return b"".join(head + picture.astype(dtype).tobytes() for picture in pictures)


def bitmap(*pictures: np.ndarray) -> bytes:
    return b"".join(b"P4 32 40\n" + np.packbits(picture > 99).tobytes() for picture in pictures)


COLOURS = [np.repeat(picture[..., None], 3, axis=2) for picture in (FRONTAL, LATERAL)]
SEVERAL = {
    "pages of a tiff": tiff((FRONTAL, 0), (LATERAL, 0)),
    "pages of a big tiff": tiff((FRONTAL, 0), (LATERAL, 0), bigtiff=True),
    "pages of a big-endian tiff": tiff((FRONTAL, 0), (LATERAL, 0), byteorder=">"),
    "pages, a thumbnail first": tiff((SMALL, 0), (FRONTAL, 0)),
    "pages, a marked thumbnail first": tiff((SMALL, REDUCED), (FRONTAL, 0)),
    "pages, the picture within its thumbnail": tiff((SMALL, REDUCED), (FRONTAL, 0), inner=1),
    "pages, a second behind a thumbnail": tiff((FRONTAL, 0), (SMALL, REDUCED), (LATERAL, 0)),
    "pages, all thumbnails": tiff(*[(FRONTAL, 0), *[(SMALL, REDUCED)] * MOST_DIRECTORIES]),
    "frames of a gif": pillow("GIF", FRONTAL, LATERAL),
    "frames of a png": pillow("PNG", FRONTAL, LATERAL),
    "frames of a png, none of them its picture": pillow(
        "PNG", FRONTAL, LATERAL, default_image=True
    ),
    "frames of a webp": pillow("WEBP", FRONTAL, LATERAL),
    "pictures of a pgm": netpbm("P5", FRONTAL, LATERAL),
    "pictures of a deep pgm": netpbm("P5", FRONTAL, LATERAL, most=4095),
    "pictures of a ppm": netpbm("P6", *COLOURS),
    "pictures of a deep ppm": netpbm("P6", *COLOURS, most=65535),
    "pictures of a pbm": bitmap(FRONTAL, LATERAL),
}


@pytest.mark.parametrize("kind", SEVERAL)
def test_a_file_of_several_pictures_is_refused_with_the_remedy(tmp_path, kind):
    (tmp_path / "picture").write_bytes(SEVERAL[kind])
    what = kind.split()[0].strip(",")
    said = f"picture holds several {what}: save the one that is meant on its own"
    with pytest.raises(InputError, match=said):
        read_image(tmp_path / "picture")


def looped() -> bytes:
    """A TIFF whose only directory names itself as the next one."""
    content = bytearray(tiff((FRONTAL, 0)))
    start = int.from_bytes(content[4:8], "little")
    end = start + 2 + 12 * int.from_bytes(content[start : start + 2], "little")
    content[end : end + 4] = content[4:8]
    return bytes(content)


ONE = {
    "a tiff": tiff((FRONTAL, 0)),
    "a tiff that goes round": looped(),
    "a pyramid": tiff((FRONTAL, 0), (FRONTAL[::2, ::2], REDUCED), (SMALL, REDUCED)),
    "a pyramid within": tiff((FRONTAL, 0), (SMALL, REDUCED), inner=1),
    "a picture with its mask": tiff((FRONTAL, 0), (FRONTAL, REDUCED)).replace(
        struct.pack("<HHII", 254, 4, 1, REDUCED), struct.pack("<HHII", 254, 4, 1, MASK)
    ),
    "a preview alone": tiff((FRONTAL, REDUCED)),
    "a gif": pillow("GIF", FRONTAL),
    "a png": pillow("PNG", FRONTAL),
    "a webp": pillow("WEBP", FRONTAL, lossless=True),
    "a phone's jpeg": pillow("MPO", FRONTAL, LATERAL, quality=100),
    "a pgm with bytes behind it": netpbm("P5", FRONTAL) + b"\nP 5",
    "a deep pgm": netpbm("P5", FRONTAL, most=4095),
    "a ppm": netpbm("P6", COLOURS[0]),
}


@pytest.mark.parametrize("kind", ONE)
def test_one_picture_is_read_though_smaller_copies_follow(tmp_path, kind):
    (tmp_path / "picture").write_bytes(ONE[kind])
    shown = np.asarray(read_image(tmp_path / "picture")).astype(int)
    low, high = (FRONTAL.min(), FRONTAL.max()) if kind == "a deep pgm" else (0, 255)
    expected = (FRONTAL.astype(float) - low) / (high - low) * 255
    assert shown.shape == (*FRONTAL.shape, 3)
    assert np.abs(shown - expected[..., None]).max() <= 3
