"""Metadata never decide whether a picture is read: pixels equal those of the file without them."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cxr_mtl.data.picture_metadata import MAX_SCANS, without_metadata

PIXELS = np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8)
PICTURE = Image.fromarray(PIXELS)
TEXT = b"x" * 2**21


def encoded(kind: str, picture: Image.Image = PICTURE, **options) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def pixels(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


def exif_of(orientation: int, order: str = "<") -> bytes:
    entry = struct.pack(order + "HHIHH", 274, 3, 1, orientation, 0)
    mark = b"II*\0" if order == "<" else b"MM\0*"
    return mark + struct.pack(order + "IH", 8, 1) + entry + bytes(4)


def chunk(kind: bytes, data: bytes, checksum: int = 0) -> bytes:
    whole = kind + data
    return struct.pack(">I", len(data)) + whole + struct.pack(">I", zlib.crc32(whole) ^ checksum)


def png_with(added: bytes) -> bytes:
    png = encoded("PNG")
    return png[:33] + added + png[33:]


def jpeg_with(kind: int, data: bytes) -> bytes:
    jpeg = encoded("JPEG")
    return jpeg[:2] + b"\xff" + bytes([kind]) + struct.pack(">H", len(data) + 2) + data + jpeg[2:]


def webp_with(kind: bytes, data: bytes) -> bytes:
    webp = encoded("WEBP", lossless=True, exif=exif_of(1))
    end = webp.index(b"EXIF")
    body = webp[8:end] + kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def tiff_with(tag: int, kind: int, count: int, place: int) -> bytes:
    """A TIFF with one entry more, its directory moved behind the pixels."""
    tiff = encoded("TIFF")
    at = struct.unpack_from("<I", tiff, 4)[0]
    entries = struct.unpack_from("<H", tiff, at)[0]
    listed = [tiff[at + 2 + 12 * i : at + 14 + 12 * i] for i in range(entries)]
    listed.append(struct.pack("<HHII", tag, kind, count, place))
    listed.sort(key=lambda entry: struct.unpack_from("<H", entry)[0])
    directory = struct.pack("<H", len(listed)) + b"".join(listed) + bytes(4)
    return tiff[:4] + struct.pack("<I", len(tiff)) + tiff[8:] + directory


WITH_METADATA = {
    "a broken eXIf": png_with(chunk(b"eXIf", b"Exif\0\0nonsense")),
    "a cut eXIf": png_with(chunk(b"eXIf", exif_of(6)[:14])),
    "2 MB of text": png_with(chunk(b"tEXt", b"Comment\0" + TEXT)),
    "text that inflates to 2 MB": png_with(chunk(b"zTXt", b"C\0\0" + zlib.compress(TEXT))),
    "text of Unicode that does": png_with(chunk(b"iTXt", b"C\0\1\0\0\0" + zlib.compress(TEXT))),
    "a profile that does": png_with(chunk(b"iCCP", b"C\0\0" + zlib.compress(TEXT))),
    "a profile of 2 MB": png_with(chunk(b"iCCP", b"C\0\0" + TEXT)),
    "text with a wrong checksum": png_with(chunk(b"tEXt", b"C\0x", checksum=1)),
    "a short cHRM": png_with(chunk(b"cHRM", b"x")),
    "a short pHYs": png_with(chunk(b"pHYs", b"x")),
    "a short acTL": png_with(chunk(b"acTL", b"x")),
    "frames out of order": png_with(chunk(b"acTL", bytes(8)) + chunk(b"fcTL", b"\1" * 26)),
    "a private chunk": png_with(chunk(b"prVt", b"x")),
    "no end": encoded("PNG")[:-12],
    "bytes behind the PNG": encoded("PNG") + b"more",
    "a broken end": encoded("PNG")[:-4] + b"oops",
    "broken EXIF in a JPEG": jpeg_with(0xE1, b"Exif\0\0nonsense"),
    "a short JFIF segment": jpeg_with(0xE0, b"JFIF\0"),
    "a profile in one part of nine": jpeg_with(0xE2, b"ICC_PROFILE\0\1\x09x"),
    "a profile without a number": jpeg_with(0xE2, b"ICC_PROFILE\0"),
    "a broken index of pictures": jpeg_with(0xE2, b"MPF\0nonsense"),
    "a broken Photoshop segment": jpeg_with(0xED, b"Photoshop 3.0\x008BIM\4\4"),
    "a short Adobe segment": jpeg_with(0xEE, b"Adobe"),
    "a comment": jpeg_with(0xFE, b"x" * 60000),
    "bytes behind the JPEG": encoded("JPEG") + b"\xff\xda" * 1000,
    "broken EXIF in a WEBP": webp_with(b"EXIF", b"nonsense"),
    "a profile in a WEBP": webp_with(b"ICCP", b"nonsense"),
    "a chunk of no kind": webp_with(b"    ", b"x"),
    "a private tag beyond the end": tiff_with(65000, 2, 2**31, 2**31),
    "a private tag of no type": tiff_with(65000, 999, 1, 0),
    "XMP beyond the end": tiff_with(700, 1, 2**30, 2**30),
    "a profile beyond the end": tiff_with(34675, 7, 2**30, 2**30),
    "EXIF beyond the end": tiff_with(34665, 4, 1, 2**30),
    "a resolution beyond the end": tiff_with(282, 5, 1, 2**30),
}


def plain(data: bytes) -> np.ndarray:
    kinds = {b"\x89PN": "PNG", b"\xff\xd8\xff": "JPEG", b"RIF": "WEBP", b"II*": "TIFF"}
    options = {"lossless": True} if data[:3] == b"RIF" else {}
    return pixels(encoded(kinds[data[:3]], **options))


@pytest.mark.parametrize("data", WITH_METADATA.values(), ids=WITH_METADATA.keys())
def test_pixels_equal_those_of_the_file_without_metadata(data):
    clean, orientation = without_metadata(data)
    assert orientation == 1
    np.testing.assert_array_equal(pixels(clean), plain(data))


@settings(max_examples=60, deadline=None)
@given(kind=st.integers(0xE0, 0xEF), data=st.binary(max_size=80))
def test_no_segment_of_an_application_matters(kind, data):
    clean, _ = without_metadata(jpeg_with(kind, data))
    if data.startswith((b"JFIF\0", b"Adobe")):
        return
    np.testing.assert_array_equal(pixels(clean), plain(clean))


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from([b"eXIf", b"tEXt", b"zTXt", b"iTXt", b"iCCP", b"tIME", b"acTL", b"abCd"]),
    data=st.binary(max_size=80),
    checksum=st.integers(0, 1),
)
def test_no_chunk_beside_the_pixels_matters(kind, data, checksum):
    clean, _ = without_metadata(png_with(chunk(kind, data, checksum)))
    np.testing.assert_array_equal(pixels(clean), PIXELS)


@settings(max_examples=60, deadline=None)
@given(
    tag=st.sampled_from([270, 282, 296, 305, 306, 318, 330, 700, 33723, 34377, 34665, 50000]),
    kind=st.integers(0, 20),
    count=st.integers(0, 2**32 - 1),
    place=st.integers(0, 2**32 - 1),
)
def test_no_tag_beside_those_of_the_pixels_matters(tag, kind, count, place):
    clean, _ = without_metadata(tiff_with(tag, kind, count, place))
    np.testing.assert_array_equal(pixels(clean), PIXELS)


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "jpeg", "packbits", "tiff_deflate"])
@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I", "F"])
def test_a_tiff_of_any_kind_keeps_its_pixels(mode, compression):
    if compression == "jpeg" and mode in ("1", "P", "I", "F"):
        compression = "tiff_adobe_deflate"  # JPEG keeps none of these
    picture = PICTURE.convert(mode)
    tiff = encoded("TIFF", picture, compression=compression)
    clean, _ = without_metadata(tiff)
    np.testing.assert_array_equal(pixels(clean), pixels(tiff))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_is_read_wherever_it_stands(orientation, order):
    exif = exif_of(orientation, order)
    for data in (
        png_with(chunk(b"eXIf", exif)),
        jpeg_with(0xE1, b"Exif\0\0" + exif),
        webp_with(b"EXIF", exif),
        tiff_with(274, 3, 1, orientation),
    ):
        assert without_metadata(data)[1] == orientation


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_is_none_is_ignored(orientation):
    assert without_metadata(png_with(chunk(b"eXIf", exif_of(orientation))))[1] == 1


def test_a_second_page_is_not_kept():
    tiff = encoded("TIFF", save_all=True, append_images=[PICTURE] * 3)
    with Image.open(io.BytesIO(without_metadata(tiff)[0])) as image:
        assert image.n_frames == 1


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (encoded("PNG").replace(b"IDAT", b"IDAT", 1)[:60], "truncated within its chunk IDAT"),
        (encoded("PNG")[:-13] + b"x" + encoded("PNG")[-12:], "checksum of its chunk IDAT is wrong"),
        (png_with(chunk(b"IHDR", bytes(13), checksum=1)), "checksum of its chunk IHDR is wrong"),
        (png_with(chunk(b"CgBI", b"x")), "chunk CgBI is not of the PNG standard"),
        (b"\xff\xd8\xff\xe0", "no length"),
        (b"\xff\xd8\xff\xff\xff\xff", "ends before its pixels begin"),
        (encoded("JPEG", progressive=True)[:-2] + b"\xff\xda" * MAX_SCANS, "scans"),
        (b"P5\n# 8 8", "ends within its header"),
        (b"P5\n8 \x9b8 255\n", "a number of its header is none"),
        (b"P2\n8 8\n9\n" + b"#\n" * 300_000, "too many comments"),
        (b"\x89PNG\r\n\x1a\n" + b"\0\0\0\0teXt\0\0\0\0" * 300_000, "too many chunks"),
        (b"\xff\xd8" + b"\xff\xe1\0\2" * 300_000, "too many segments"),
    ],
)
def test_damage_to_what_holds_pixels_is_named(data, reason):
    with pytest.raises(ValueError, match=reason):
        without_metadata(data)


@pytest.mark.parametrize("kind", ["GIF", "BMP", "JPEG2000"])
def test_other_formats_come_back_as_they_are(kind):
    data = encoded(kind)
    assert without_metadata(data) == (data, 1)


@pytest.mark.parametrize(
    ("commented", "plain"),
    [
        (b"P1\n#a\n8 8\n" + b"0 #\n1" * 32, b"P1 8 8\n" + b"01" * 32),
        (b"P2 8\n#a\n#b\n8\n 200\n" + b"0 #1\n7 " * 32, b"P2 8 8 200\n" + b"0 7 " * 32),
        (b"P3 8 8#\n\n255 #\n" + b"1 2 3 " * 64, b"P3 8 8 255\n" + b"1 2 3 " * 64),
        (b"P4\n#a\n8 8\n" + b"#" * 8, b"P4 8 8\n" + b"#" * 8),
        (b"P5#\n8 8 255\n" + b"#" * 64, b"P5 8 8 255\n" + b"#" * 64),
        (b"P6\r#\r8 8 255\n" + b"#" * 192, b"P6 8 8 255\n" + b"#" * 192),
    ],
)
def test_comments_of_a_netpbm_file_do_not_matter(commented, plain):
    clean, _ = without_metadata(commented)
    np.testing.assert_array_equal(pixels(clean), pixels(plain))


def test_a_12_bit_pgm_keeps_the_steps_between_its_values():
    values = np.linspace(0, 4095, 64).astype(np.uint16).reshape(8, 8)
    clean, _ = without_metadata(b"P5 8 8 4095\n" + values.astype(">u2").tobytes())
    np.testing.assert_array_equal(pixels(clean), values)
