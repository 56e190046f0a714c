"""Images: every kind converts to RGB rightly, every broken one is refused by name."""

import contextlib
import hashlib
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image, PngImagePlugin

from cxr_mtl.base.errors import InputError
from cxr_mtl.data import images
from cxr_mtl.data.images import check_images, read_image

RAMP = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20


def saved(image: Image.Image, path: Path, **options) -> Path:
    image.save(path, **options)
    return path


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
    twelve_bit = np.array([[100, 1100], [2100, 4100]], dtype=np.uint16)
    image = read_image(saved(Image.fromarray(twelve_bit), tmp_path / name))
    expected = np.round((twelve_bit - 100.0) / 4000 * 255)
    np.testing.assert_array_equal(np.asarray(image)[..., 0], expected)


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_32_bit_grayscale_is_scaled_by_its_own_range(tmp_path, dtype):
    values = np.array([[-1000, 0], [1000, 3000]], dtype=dtype)
    image = read_image(saved(Image.fromarray(values), tmp_path / "deep.tif"))
    np.testing.assert_array_equal(np.asarray(image)[..., 1], [[0, 64], [128, 255]])


def test_a_16_bit_tiff_whose_zero_is_white_is_inverted(tmp_path):
    path = tmp_path / "inverted.tif"
    tifffile.imwrite(path, np.array([[0, 1000]], dtype=np.uint16), photometric="miniswhite")
    np.testing.assert_array_equal(np.asarray(read_image(path))[0, :, 0], [255, 0])


def test_a_constant_deep_picture_is_black(tmp_path):
    path = saved(Image.fromarray(np.full((2, 2), 7000, np.uint16)), tmp_path / "flat.png")
    assert not np.asarray(read_image(path)).any()


def test_a_palette_gives_its_colours(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putdata([1, 0])
    read = read_image(saved(image, tmp_path / "palette.png"))
    assert [read.getpixel((x, 0)) for x in (0, 1)] == [(200, 100, 50), (10, 20, 30)]


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
    path = saved(Image.new(mode, (2, 2), colour), tmp_path / "alpha.png")
    assert read_image(path).getpixel((0, 0)) == expected


def test_a_transparent_palette_entry_is_black(tmp_path):
    image = Image.new("P", (1, 1))
    image.putpalette([200, 100, 50])
    path = saved(image, tmp_path / "palette.png", transparency=0)
    assert read_image(path).getpixel((0, 0)) == (0, 0, 0)


def test_exif_orientation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = saved(Image.new("L", (20, 10)), tmp_path / "turned.jpg", exif=exif)
    assert read_image(path).size == (10, 20)


def test_a_truncated_image_is_refused_not_greyed(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    for name in ("noise.png", "noise.jpg", "noise.tif"):
        path = saved(Image.fromarray(noise), tmp_path / name)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(InputError, match=name):
            read_image(path)


@pytest.mark.parametrize("content", [b"", b"<html>", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"\x89PNG"])
def test_what_is_not_an_image_is_refused(tmp_path, content):
    path = tmp_path / "not.png"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"not\.png cannot be read as an image"):
        read_image(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"gone\.png is missing"):
        read_image(tmp_path / "gone.png")
    with pytest.raises(InputError, match="cannot be read"):
        read_image(tmp_path)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [9_000, 12_000, 60_000])
def test_a_decompression_bomb_is_refused_before_decoding(tmp_path, side):
    path = tmp_path / "bomb.png"
    path.write_bytes(png_header(side, side))
    with pytest.raises(InputError, match=r"bomb\.png .*pixels.*scale it down"):
        read_image(path)


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
    kept, dropped = check_images(studies, seen.append)
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


def test_equal_pixels_have_an_equal_hash_however_the_file_keeps_them(tmp_path):
    ramp = Image.fromarray(RAMP)
    information = PngImagePlugin.PngInfo()
    information.add_text("comment", "saved again")
    ramp.save(tmp_path / "a.png")
    ramp.save(tmp_path / "b.png", pnginfo=information, compress_level=0)
    ramp.save(tmp_path / "c.bmp")
    Image.fromarray(RAMP.reshape(2 * RAMP.shape[0], -1)).save(tmp_path / "d.png")
    images = [str(path) for path in sorted(tmp_path.iterdir())]
    kept, _ = check_images(pd.DataFrame({"study": list("abcd"), "image": images, "label": 0}))
    assert kept.image_sha256.nunique() == 4
    assert kept.pixels_sha256.nunique() == 2
    assert kept.pixels_sha256[:3].nunique() == 1


def test_check_images_of_no_studies_is_empty():
    none = pd.DataFrame({"study": [], "image": [], "label": []})
    kept, dropped = check_images(none)
    assert len(kept) == len(dropped) == 0
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


def test_no_reader_that_runs_a_program_is_allowed():
    assert not {"EPS", "WMF", "PSD", "FLI"} & set(images.FORMATS)
