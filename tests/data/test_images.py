"""Images: every kind converts to RGB rightly, every broken one is refused by name."""

import contextlib
import hashlib
import io
import os
import resource
import stat
import struct
import subprocess
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image, ImageFile, PngImagePlugin

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.file_hashes import file_state
from cxr_mtl.data import images
from cxr_mtl.data.images import check_images, read_image
from cxr_mtl.data.picture_sizes import MAX_ASPECT, MAX_BYTES, MIN_SIDE

RAMP = np.arange(128, dtype=np.uint8).reshape(8, 16) * 2
# The smallest picture that is read has 8 pixels a side: the tests' few values fill blocks of 8 x 8.
BLOCK = np.ones((8, 8), dtype=np.uint8)


def saved(image: Image.Image, path: Path, **options) -> Path:
    image.save(path, **options)
    return path


def blocks(values, dtype) -> Image.Image:
    return Image.fromarray(np.kron(np.array(values), BLOCK).astype(dtype))


def levels(path: Path) -> list[list[int]]:
    """The gray levels of a picture of blocks."""
    return np.asarray(read_image(path))[::8, ::8, 1].tolist()


def png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    size = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(b"\0" * 10))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + pixels + chunk(b"IEND", b"")


def test_an_8_bit_grayscale_keeps_its_values(tmp_path):
    image = read_image(saved(Image.fromarray(RAMP), tmp_path / "gray.png"))
    assert image.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(image), np.repeat(RAMP[..., None], 3, axis=2))


@pytest.mark.parametrize("name", ["deep.png", "deep.tif"])
def test_16_bit_grayscale_is_scaled_by_its_own_range(tmp_path, name):
    path = saved(blocks([[100, 1100], [2100, 4100]], np.uint16), tmp_path / name)
    assert levels(path) == [[0, 64], [128, 255]]


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_32_bit_grayscale_is_scaled_by_its_own_range(tmp_path, dtype):
    path = saved(blocks([[-1000, 0], [1000, 3000]], dtype), tmp_path / "deep.tif")
    assert levels(path) == [[0, 64], [128, 255]]


def test_a_16_bit_tiff_whose_zero_is_white_is_inverted(tmp_path):
    path = tmp_path / "inverted.tif"
    tifffile.imwrite(path, np.asarray(blocks([[0, 1000]], np.uint16)), photometric="miniswhite")
    assert levels(path) == [[255, 0]]


def test_a_constant_deep_picture_is_black(tmp_path):
    path = saved(Image.fromarray(np.full((8, 8), 7000, np.uint16)), tmp_path / "flat.png")
    assert not np.asarray(read_image(path)).any()


def test_a_palette_gives_its_colours(tmp_path):
    image = blocks([[1, 0]], np.uint8)
    image.putpalette([10, 20, 30, 200, 100, 50])
    read = read_image(saved(image, tmp_path / "palette.png"))
    assert [read.getpixel((x, 0)) for x in (0, 8)] == [(200, 100, 50), (10, 20, 30)]


def test_cmyk_is_converted(tmp_path):
    path = saved(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), tmp_path / "red.jpg")
    red, green, blue = read_image(path).getpixel((4, 4))
    assert red > 200
    assert max(green, blue) < 60


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("RGBA", (200, 100, 50, 0), (0, 0, 0)),
        ("RGBA", (200, 100, 50, 255), (200, 100, 50)),
        ("RGBA", (200, 100, 50, 51), (40, 20, 10)),
        ("LA", (200, 51), (40, 40, 40)),
    ],
)
def test_transparency_is_composited_on_black(tmp_path, mode, colour, expected):
    path = saved(Image.new(mode, (8, 8), colour), tmp_path / "alpha.png")
    assert read_image(path).getpixel((0, 0)) == expected


def test_a_transparent_palette_entry_is_black(tmp_path):
    image = Image.new("P", (8, 8))
    image.putpalette([200, 100, 50])
    path = saved(image, tmp_path / "palette.png", transparency=0)
    assert read_image(path).getpixel((0, 0)) == (0, 0, 0)


def test_exif_orientation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = saved(Image.new("L", (20, 10)), tmp_path / "turned.jpg", exif=exif)
    assert read_image(path).size == (10, 20)


@pytest.mark.parametrize("name", ["x.png", "x.jpg", "x.webp", "x.tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_of_every_format_shows_the_same_picture(tmp_path, name, orientation):
    upright = np.kron([[0, 80, 160], [240, 40, 120]], np.ones((16, 16))).astype(np.uint8)
    turned = Image.fromarray(upright)
    if orientation in images.TURNS:
        back = {Image.Transpose.ROTATE_90: Image.Transpose.ROTATE_270}
        back |= {value: key for key, value in back.items()}
        turn = images.TURNS[orientation]
        turned = turned.transpose(back.get(turn, turn))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if name == "x.webp" else {}
    path = saved(turned.convert("RGB"), tmp_path / name, exif=exif, **options)
    shown = np.asarray(read_image(path))
    assert shown.shape == (*upright.shape, 3)
    assert np.abs(shown[8::16, 8::16, 0].astype(int) - upright[8::16, 8::16]).max() <= 2


def test_the_transparent_value_of_a_16_bit_png_is_black_and_counts_for_no_range(tmp_path):
    path = saved(blocks([[0, 1000], [2000, 3000]], np.uint16), tmp_path / "x.png", transparency=0)
    assert levels(path) == [[0, 0], [128, 255]]
    everything = saved(blocks([[7]], np.uint16), tmp_path / "y.png", transparency=7)
    assert levels(everything) == [[0]]


def test_a_12_bit_pgm_is_scaled_by_its_own_range(tmp_path):
    values = np.asarray(blocks([[100, 1100], [2100, 4095]], np.uint16))
    (tmp_path / "x.pgm").write_bytes(
        b"P5\n# 12 bits\n16 16\n4095\n" + values.astype(">u2").tobytes()
    )
    assert levels(tmp_path / "x.pgm") == [[0, 64], [128, 255]]


def test_values_that_are_not_finite_are_refused(tmp_path):
    for value in (np.nan, np.inf, -np.inf):
        path = saved(blocks([[0, value]], np.float32), tmp_path / "x.tif")
        with pytest.raises(InputError, match="holds values that are not finite"):
            read_image(path)


GRADIENT = Image.fromarray(np.add.outer(np.arange(32), np.arange(40)).astype(np.uint8) * 3)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("progressive.jpg", {"progressive": True, "quality": 95}),
        ("big.tif", {"big_tiff": True}),
        ("lzw.tif", {"compression": "tiff_lzw"}),
        ("jpeg.tif", {"compression": "jpeg", "quality": 95}),
        ("lossless.webp", {"lossless": True}),
        ("x.gif", {}),
        ("two.mpo", {"save_all": True, "append_images": [Image.new("L", GRADIENT.size)]}),
        ("x.jp2", {"irreversible": False}),
        ("x.pgm", {}),
        ("x.bmp", {}),
    ],
)
def test_of_every_format_the_picture_is_read(tmp_path, name, options):
    path = saved(GRADIENT, tmp_path / name, **options)
    shown = np.asarray(read_image(path)).astype(int)
    assert np.abs(shown - np.asarray(GRADIENT)[..., None]).max() <= 4


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_the_planes_of_a_tiff_may_lie_apart(tmp_path, planar):
    colours = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    stored = colours if planar == "contig" else colours.transpose(2, 0, 1)
    tifffile.imwrite(tmp_path / "x.tif", stored, photometric="rgb", planarconfig=planar)
    np.testing.assert_array_equal(np.asarray(read_image(tmp_path / "x.tif")), colours)


def test_bits_are_black_and_white(tmp_path):
    for name in ("x.png", "x.tif", "x.bmp", "x.pbm"):
        path = saved(blocks([[0, 255]], np.uint8).convert("1"), tmp_path / name)
        assert levels(path) == [[0, 255]]


def test_a_truncated_image_is_refused_not_greyed(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    for name in ("noise.png", "noise.jpg", "noise.tif"):
        path = saved(Image.fromarray(noise), tmp_path / name)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(InputError, match=name):
            read_image(path)


@pytest.mark.parametrize("content", [b"no", b"\x89PNG", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0"])
def test_what_is_not_an_image_is_refused(tmp_path, content):
    path = tmp_path / "not.png"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"not\.png cannot be read as an image"):
        read_image(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"gone\.png is missing"):
        read_image(tmp_path / "gone.png")
    with pytest.raises(InputError, match="is a folder, not a file: give the file that holds the"):
        read_image(tmp_path)


@pytest.mark.parametrize("side", [9_000, 12_000, 60_000])
def test_a_decompression_bomb_is_refused_before_decoding(tmp_path, side):
    path = tmp_path / "bomb.png"
    path.write_bytes(png_header(side, side))
    with pytest.raises(InputError, match=r"bomb\.png .*pixels.*scale it down"):
        read_image(path)


def tiff(*entries: tuple[int, int, int]) -> bytes:
    """A TIFF of 100 x 100 pixels with these entries (tag, type, value) more."""
    data = zlib.compress(bytes(10_000))
    size = [(256, 4, 100), (257, 4, 100), (258, 3, 8), (259, 3, 8), (262, 3, 1), (277, 3, 1)]
    listed = [
        struct.pack("<HHII", t, kind, 1, value) for t, kind, value in sorted([*size, *entries])
    ]
    begin = b"II*\0" + struct.pack("<I", 8 + len(data)) + data
    return begin + struct.pack("<H", len(listed)) + b"".join(listed) + bytes(4)


def jpeg_2000(side: int) -> bytes:
    file = io.BytesIO()
    Image.new("L", (100, 100)).save(file, "JPEG2000")
    return file.getvalue().replace(struct.pack(">II", 100, 100), struct.pack(">II", side, side))


BOMBS = {
    "thin.png": png_header(1, 100_000),
    "huge.bmp": b"BM" + struct.pack("<IHHI", 54, 0, 0, 54)
    + struct.pack("<IiiHHIIiiII", 40, 100_000, 100_000, 1, 24, 0, 0, 0, 0, 0, 0),
    "huge.gif": b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\x02\0;",
    "huge.ppm": b"P6 99999 99999 255\n",
    "huge.jp2": jpeg_2000(30_000),
    "large.jp2": jpeg_2000(6_000),
    "canvas.webp": b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\xfe\x3f\0\xfe\x3f\0",
    "tile.tif": tiff((322, 4, 60_000), (323, 4, 60_000), (324, 4, 8), (325, 4, 30)),
    "strip.tif": tiff((273, 4, 8), (278, 4, 2**32 - 1), (279, 4, 2**32 - 1)),
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_a_small_file_that_would_grow_is_refused_or_stays_small(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(BOMBS[name])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with contextlib.suppress(InputError):
        assert max(read_image(path).size) <= 100
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert after - before < 50 * 1024  # KiB


def test_a_file_larger_than_any_picture_is_refused_unread(tmp_path):
    path = tmp_path / "large.png"
    with open(path, "wb") as file:
        file.write(png_header(100, 100))
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(
        InputError, match="has 268,435,457 bytes, more than the 268,435,456 allowed"
    ):
        read_image(path)


PEAK = """
import ctypes, re
from PIL import Image
from cxr_mtl.data import images

side = int(images.MAX_PIXELS ** 0.5)
for mode, name in (("F", "x.tif"), ("RGBA", "x.png")):
    Image.linear_gradient("L").resize((side, side)).convert(mode).save(name, compress_level=0)
    ctypes.CDLL(None).malloc_trim(0)
    open("/proc/self/clear_refs", "w").write("5")  # the peak is measured anew
    assert images.read_image(name).size == (side, side)
    status = open("/proc/self/status").read()
    print(int(re.search("VmHWM:[^0-9]*([0-9]+)", status)[1]) // 1024)
"""


def test_the_largest_picture_takes_less_than_a_gigabyte(tmp_path):
    library = str(Path(images.__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", PEAK],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": library},
        capture_output=True,
        text=True,
        check=True,
    )
    peaks = [int(line) for line in done.stdout.split()]  # MiB, with Python itself
    assert len(peaks) == 2
    assert 100 < max(peaks) < 950


def test_random_damage_gives_an_image_or_an_input_error(tmp_path):
    rng = np.random.default_rng(0)
    good = saved(Image.fromarray(RAMP), tmp_path / "good.png").read_bytes()
    path = tmp_path / "damaged.png"
    for _ in range(200):
        damaged = bytearray(good)
        damaged[rng.integers(len(good))] = rng.integers(256)
        path.write_bytes(damaged)
        with contextlib.suppress(InputError):
            assert read_image(path).mode == "RGB"


def test_what_is_no_file_is_refused_without_waiting_for_it(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    os.mknod(tmp_path / "socket.png", stat.S_IFSOCK | 0o600)
    (tmp_path / "empty.png").touch()
    kinds = {"pipe": "is a named pipe", "socket": "is a socket", "empty": "is empty"}
    for name, kind in kinds.items():
        with pytest.raises(InputError, match=rf"{name}\.png {kind}"):
            read_image(tmp_path / f"{name}.png")
    with pytest.raises(InputError, match="/dev/zero is a device"):
        read_image("/dev/zero")
    with pytest.raises(InputError, match="/proc/cpuinfo is empty"):
        read_image("/proc/cpuinfo")


def test_reading_leaves_pillow_and_the_warnings_as_they_were(tmp_path):
    settings = (ImageFile.LOAD_TRUNCATED_IMAGES, PngImagePlugin.MAX_TEXT_CHUNK)
    before = (*settings, Image.MAX_IMAGE_PIXELS, list(warnings.filters))
    read_image(saved(Image.fromarray(RAMP), tmp_path / "gray.png"))
    (tmp_path / "no.png").write_bytes(b"no")
    with pytest.raises(InputError):
        read_image(tmp_path / "no.png")
    settings = (ImageFile.LOAD_TRUNCATED_IMAGES, PngImagePlugin.MAX_TEXT_CHUNK)
    assert before == (*settings, Image.MAX_IMAGE_PIXELS, list(warnings.filters))
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


def test_check_images_keeps_the_good_and_names_the_bad(tmp_path):
    good = saved(Image.fromarray(RAMP), tmp_path / "good one.png")
    (tmp_path / "bad.png").write_bytes(b"no")
    studies = pd.DataFrame(
        {
            "study": ["1", "2", "3"],
            "image": [str(tmp_path / "bad.png"), str(good), str(tmp_path / "gone.png")],
            "text": "t",
            "label": 0,
            "more": "m",
        }
    )
    seen = []
    kept, dropped, states = check_images(studies, seen.append)
    hashes = ["image_sha256", "pixels_sha256"]
    assert list(kept) == ["study", "image", "text", "label", *hashes, "more"]
    assert kept.study.tolist() == ["2"]
    assert kept.image_sha256[0] == hashlib.sha256(good.read_bytes()).hexdigest()
    assert dropped.set_index("study").reason.to_dict() == {
        "1": "image unreadable",
        "3": "image missing",
    }
    assert dropped.detail.str.contains("bad.png|gone.png").all()
    assert sum(seen) == 3
    assert states == tuple(map(file_state, studies.image))


def test_equal_pixels_have_an_equal_hash_however_the_file_keeps_them(tmp_path):
    ramp = Image.fromarray(RAMP)
    information = PngImagePlugin.PngInfo()
    information.add_text("comment", "saved again")
    ramp.save(tmp_path / "a.png")
    ramp.save(tmp_path / "b.png", pnginfo=information, compress_level=0)
    ramp.save(tmp_path / "c.bmp")
    Image.fromarray(RAMP.reshape(2 * RAMP.shape[0], -1)).save(tmp_path / "d.png")
    images = [str(path) for path in sorted(tmp_path.iterdir())]
    kept, *_ = check_images(pd.DataFrame({"study": list("abcd"), "image": images, "label": 0}))
    assert kept.image_sha256.nunique() == 4
    assert kept.pixels_sha256.nunique() == 2
    assert kept.pixels_sha256[:3].nunique() == 1


def test_check_images_of_no_studies_is_empty():
    none = pd.DataFrame({"study": [], "image": [], "label": []})
    kept, dropped, states = check_images(none)
    assert len(kept) == len(dropped) == len(states) == 0
    assert "image_sha256" in kept


@pytest.mark.skipif("CXR_MTL_TEST_DATA" not in os.environ, reason="CXR_MTL_TEST_DATA is not set")
def test_real_radiographs_are_read():
    folder = Path(os.environ["CXR_MTL_TEST_DATA"]) / "openi-samples" / "images"
    paths = sorted(folder.glob("*.png"))
    assert len(paths) == 7
    for path in paths:
        image = read_image(path)
        assert (image.mode, image.width) == ("RGB", 512)
        assert np.asarray(image).std() > 20


@pytest.mark.skipif("CXR_MTL_TEST_DATA" not in os.environ, reason="CXR_MTL_TEST_DATA is not set")
def test_every_real_radiograph_is_far_from_the_bounds_of_size():
    folder = Path(os.environ["CXR_MTL_TEST_DATA"]) / "rocov2-cxr" / "images"
    sizes = [Image.open(path).size for path in folder.iterdir()]
    assert len(sizes) > 3000
    assert max(max(size) / min(size) for size in sizes) < MAX_ASPECT / 5
    assert min(min(size) for size in sizes) > 10 * MIN_SIDE


def test_no_reader_that_runs_a_program_is_allowed():
    assert not {"EPS", "WMF", "PSD", "FLI"} & set(images.FORMATS)
