"""DICOM files: what can be shown is read, what cannot is refused by name, and nobody is named."""

import io
import logging
import struct
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.pixels import pixel_array
from pydicom.pixels.encoders import RLELosslessEncoder
from pydicom.uid import (
    JPEG2000,
    MPEG2MPML,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from cxr_mtl.base.errors import InputError
from cxr_mtl.data import dicom as module
from cxr_mtl.data.dicom import read_dicom
from cxr_mtl.data.images import check_images, read_image

GRAY = np.random.default_rng(0).integers(0, 4096, (24, 32)).astype(np.uint16)
SMOOTH = np.add.outer(np.arange(24), np.arange(32)).astype(np.uint8) * 4
COLOUR = np.random.default_rng(1).integers(0, 256, (24, 32, 3)).astype(np.uint8)
MARKER = "ZZmarkerZZ"


def read(data: bytes) -> np.ndarray:
    return np.asarray(read_dicom("x.dcm", data))


def png(pixels: np.ndarray, tmp_path) -> np.ndarray:
    Image.fromarray(pixels).save(tmp_path / "same.png")
    return np.asarray(read_image(tmp_path / "same.png"))


def encoded(pixels: np.ndarray, kind: str, **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return encapsulate([file.getvalue()])


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
def test_a_radiograph_equals_the_same_picture_saved_as_png(dicom, tmp_path, bits):
    pixels = (GRAY >> 12 - bits if bits < 12 else GRAY << bits - 12).astype(np.uint16)
    (tmp_path / "x.dcm").write_bytes(dicom(pixels, BitsStored=bits))
    read = read_image(tmp_path / "x.dcm")
    assert read.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(read), png(pixels, tmp_path))


def test_it_is_known_by_its_mark_not_by_its_name(dicom, tmp_path):
    (tmp_path / "x.png").write_bytes(dicom(GRAY))
    Image.fromarray(GRAY).save(tmp_path / "y.png")
    (tmp_path / "y.png").rename(tmp_path / "y.dcm")
    expected = png(GRAY, tmp_path)
    for name in ("x.png", "y.dcm"):
        np.testing.assert_array_equal(np.asarray(read_image(tmp_path / name)), expected)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
@pytest.mark.parametrize("cut", ["preamble", "preamble and meta"])
def test_a_file_without_preamble_is_read_where_its_name_says_so(dicom, tmp_path, syntax, cut):
    data = dicom(GRAY, syntax)
    begin = 132 if cut == "preamble" else data.index(b"\x28\0\x02\0")
    for name in ("x.dcm", "x.DICOM"):
        (tmp_path / name).write_bytes(data[begin:])
        np.testing.assert_array_equal(np.asarray(read_image(tmp_path / name)), png(GRAY, tmp_path))
    (tmp_path / "x").write_bytes(data[begin:])
    with pytest.raises(InputError, match="none of the known formats"):
        read_image(tmp_path / "x")


@pytest.mark.parametrize("planar", [0, 1])
def test_colours_stay(dicom, planar):
    stored = COLOUR if planar == 0 else np.ascontiguousarray(COLOUR.transpose(2, 0, 1))
    data = dicom(COLOUR, PlanarConfiguration=planar, PixelData=stored.tobytes())
    np.testing.assert_array_equal(read(data), COLOUR)


def test_ybr_becomes_rgb(dicom):
    ybr = np.asarray(Image.fromarray(COLOUR).convert("YCbCr"))
    shown = read(dicom(np.ascontiguousarray(ybr), PhotometricInterpretation="YBR_FULL"))
    assert np.abs(shown.astype(int) - COLOUR).max() <= 3


def test_a_palette_gives_its_colours(dicom):
    places = (SMOOTH % 4).astype(np.uint8)
    colours = np.array([[0, 10, 20], [30, 40, 50], [60, 70, 80], [255, 0, 128]])
    elements = {}
    for name, column in zip(("Red", "Green", "Blue"), colours.T, strict=True):
        elements[f"{name}PaletteColorLookupTableDescriptor"] = [4, 0, 16]
        data = (column * 257).astype("<u2").tobytes()
        elements[f"{name}PaletteColorLookupTableData"] = data
    data = dicom(places, PhotometricInterpretation="PALETTE COLOR", **elements)
    np.testing.assert_array_equal(read(data), colours[places])


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEG2000])
def test_jpeg_2000_is_decoded(dicom, tmp_path, syntax):
    data = dicom(GRAY, syntax, BitsStored=16, PixelData=encoded(GRAY, "JPEG2000"))
    np.testing.assert_array_equal(read(data), png(GRAY, tmp_path))


@pytest.mark.parametrize("syntax", [JPEGBaseline8Bit, JPEGExtended12Bit])
def test_jpeg_of_8_bits_is_decoded(dicom, syntax):
    shown = read(dicom(SMOOTH, syntax, PixelData=encoded(SMOOTH, "JPEG", quality=100)))
    assert np.abs(shown[..., 0].astype(int) - SMOOTH).max() <= 3


def test_rle_is_decoded(dicom, tmp_path):
    frame = RLELosslessEncoder.encode(
        GRAY.tobytes(), rows=24, columns=32, samples_per_pixel=1, bits_allocated=16,
        bits_stored=16, pixel_representation=0, number_of_frames=1,
        photometric_interpretation="MONOCHROME2",
    )  # fmt: skip
    data = dicom(GRAY, RLELossless, PixelData=encapsulate([frame]))
    np.testing.assert_array_equal(read(data), png(GRAY, tmp_path))


def test_deflated_elements_are_read(dicom, tmp_path):
    data = dicom(GRAY, DeflatedExplicitVRLittleEndian)
    assert len(data) < GRAY.nbytes + 1000
    np.testing.assert_array_equal(read(data), png(GRAY, tmp_path))


# (name of a file that comes with pydicom, the rule that shows it)
SHOWN = ["MR_small.dcm", "MR_small_RLE.dcm", "MR_small_bigendian.dcm", "MR_small_implicit.dcm"]
SHOWN += ["MR_small_expb.dcm", "MR_small_padded.dcm", "MR_small_jp2klossless.dcm"]


@pytest.mark.parametrize("name", SHOWN)
def test_one_picture_in_every_syntax_is_one_picture(name):
    path = get_testdata_file(name, download=False)
    first = get_testdata_file("MR_small.dcm", download=False)
    np.testing.assert_array_equal(np.asarray(read_image(path)), np.asarray(read_image(first)))


@pytest.mark.parametrize("name", ["CT_small.dcm", "693_J2KI.dcm", "image_dfl.dcm"])
def test_pydicoms_own_files_look_as_its_values_say(name):
    path = get_testdata_file(name, download=False)
    dataset = dcmread(path)
    values = pixel_array(dataset).astype(float)
    if "PixelPaddingValue" in dataset:
        values[values == dataset.PixelPaddingValue] = np.nan
    if "WindowWidth" in dataset:
        slope, intercept = dataset.get("RescaleSlope", 1), dataset.get("RescaleIntercept", 0)
        values = values * float(slope) + float(intercept)
        first = [np.atleast_1d(dataset[f"Window{part}"].value)[0] for part in ("Center", "Width")]
        center, width = map(float, first)
        levels = np.clip(255 * ((values - center + 0.5) / (width - 1) + 0.5), 0, 255)
    elif dataset.BitsStored == 8:
        levels = values
    else:
        levels = 255 * (values - np.nanmin(values)) / (np.nanmax(values) - np.nanmin(values))
    difference = np.asarray(read_image(path))[..., 0] - np.nan_to_num(levels)
    assert np.abs(difference).max() <= 0.5 + 1e-9


@pytest.mark.parametrize(
    ("elements", "reason"),
    [
        ({"NumberOfFrames": 2}, "holds 2 frames: save the one that is meant"),
        ({"PixelData": None}, "holds no pixels, as a report, a directory or a file .*: name the"),
        ({"Rows": None}, "its Rows is missing"),
        ({"Rows": 25}, "holds 1,536 bytes of pixels where its size needs 1,600"),
        ({"Rows": 12}, "holds 1,536 bytes of pixels where its size needs 768"),
        ({"BitsAllocated": 32, "BitsStored": 32}, "kept in 32 bits a sample"),
        ({"BitsAllocated": 1, "BitsStored": 1}, "kept in 1 bits a sample"),
        ({"BitsStored": 17}, "bits stored do not fit"),
        ({"HighBit": 11}, "bits stored do not fit"),
        ({"PhotometricInterpretation": None}, "neither gray, RGB, YBR nor of a palette"),
        ({"PhotometricInterpretation": "HSV"}, "neither gray, RGB, YBR nor of a palette"),
        ({"SamplesPerPixel": 3}, "neither gray, RGB, YBR nor of a palette"),
    ],
)
def test_what_is_no_single_picture_is_refused_by_name(dicom, elements, reason):
    with pytest.raises(InputError, match=rf"x\.dcm is DICOM, but .*{reason}"):
        read(dicom(GRAY, **elements))


@pytest.mark.parametrize(
    ("syntax", "name"),
    [
        (JPEGLosslessSV1, "JPEG Lossless"),
        (JPEGLSLossless, "JPEG-LS Lossless"),
        (MPEG2MPML, "MPEG2"),
        ("1.2.3.4", "an unknown transfer syntax"),
    ],
)
def test_a_syntax_without_a_decoder_is_refused_by_its_name(dicom, syntax, name):
    data = dicom(GRAY).replace(ExplicitVRLittleEndian.encode(), b"%s", 1)
    length = len(syntax) + len(syntax) % 2
    field = struct.pack("<H", length) + syntax.encode().ljust(length, b"\0")
    data = data.replace(b"\x14\0%s\0", field)
    with pytest.raises(InputError, match=rf"compressed as .*{name}.*: decompress it first"):
        read(data)


def test_jpeg_of_12_bits_is_refused_by_the_name_of_its_syntax():
    path = get_testdata_file("JPEG-lossy.dcm", download=False)
    with pytest.raises(InputError, match=r"compressed as 'JPEG Extended.*: decompress it first"):
        read_image(path)


@pytest.mark.parametrize(
    ("rows", "columns", "reason"),
    [(60_000, 60_000, "pixels, more than the"), (10, 1000, "times as long"), (4, 4, "fewer than")],
)
def test_the_size_is_checked_before_the_pixels(dicom, monkeypatch, rows, columns, reason):
    monkeypatch.setattr(module, "pixel_array", None)
    with pytest.raises(InputError, match=reason):
        read(dicom(GRAY, Rows=rows, Columns=columns))


def test_a_compressed_picture_of_another_size_is_refused_before_it_is_decoded(dicom, monkeypatch):
    monkeypatch.setattr(module, "pixel_array", None)
    large = encoded(np.zeros((2000, 2000), np.uint8), "JPEG2000")
    with pytest.raises(InputError, match="another size than its header names"):
        read(dicom(SMOOTH, JPEG2000, PixelData=large))
    bomb = struct.pack("<16I", 1, 64, *[0] * 14) + b"\x81\0" * 100_000
    with pytest.raises(InputError, match="runs unpack to more than its size needs"):
        read(dicom(SMOOTH, RLELossless, PixelData=encapsulate([bomb])))


def test_a_box_without_a_length_around_jpeg_2000_is_not_waited_for(dicom, tmp_path):
    picture = encoded(GRAY, "JPEG2000").replace(b"\0\0\0\x2djp2h", bytes(4) + b"jp2h")
    assert bytes(4) + b"jp2h" in picture
    np.testing.assert_array_equal(
        read(dicom(GRAY, JPEG2000, PixelData=picture)), png(GRAY, tmp_path)
    )


def test_a_wrapping_without_jpeg_2000_in_it_is_not_waited_for(dicom):
    picture = encoded(GRAY, "JPEG2000")
    cut = picture[: picture.index(b"\xff\x4f\xff\x51")].replace(
        b"\0\0\0\x2djp2h", bytes(4) + b"jp2h"
    )
    with pytest.raises(InputError, match="damaged"):
        read(dicom(GRAY, JPEG2000, PixelData=cut + bytes(2000)))


def test_what_inflates_without_end_is_refused(dicom, monkeypatch):
    monkeypatch.setattr("cxr_mtl.data.dicom_elements.MAX_BYTES", 10_000)
    data = dicom(np.zeros((128, 128), np.uint16), DeflatedExplicitVRLittleEndian)
    assert len(data) < 2000
    with pytest.raises(InputError, match="inflates to more than 10,000 bytes"):
        read(data)


def patient(dataset: Dataset) -> None:
    dataset.PatientName = dataset.PatientID = dataset.AccessionNumber = MARKER
    dataset.InstitutionName = dataset.StudyDescription = dataset.PatientComments = MARKER
    dataset.add_new(0x00100030, "DA", MARKER)  # a birth date that is none: pydicom warns and quotes
    dataset.add_new(0x00101010, "AS", MARKER)
    dataset.add_new(0x00080060, "CS", MARKER.lower())
    dataset.add_new(0x00090010, "LO", MARKER)
    item = Dataset()
    item.PatientName = MARKER
    dataset.RequestAttributesSequence = [item]


@pytest.mark.parametrize(
    "elements",
    [
        {},
        {"PixelData": None},
        {"NumberOfFrames": 2},
        {"Rows": 25},
        {"PhotometricInterpretation": MARKER},
        {"VOILUTFunction": MARKER, "WindowCenter": 3, "WindowWidth": 4},
        {"SpecificCharacterSet": MARKER},
        {"BitsStored": 40},
    ],
)
def test_no_message_warning_log_or_table_holds_anything_of_the_patient(
    dicom, tmp_path, caplog, capfd, elements
):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plain = dcmread(io.BytesIO(dicom(GRAY, **elements)))
        patient(plain)
        plain.save_as(tmp_path / "x.dcm")
    assert MARKER.encode() in (tmp_path / "x.dcm").read_bytes()
    caplog.clear()
    capfd.readouterr()
    studies = pd.DataFrame({"study": ["1"], "image": [str(tmp_path / "x.dcm")], "label": 0})
    with caplog.at_level(logging.DEBUG), warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        kept, dropped, _ = check_images(studies)
    told = [str(warning.message) for warning in warned] + [caplog.text, *capfd.readouterr()]
    told += [kept.to_csv(), dropped.to_csv()]
    assert not [text for text in told if MARKER in text or MARKER.lower() in text]
    assert len(kept) + len(dropped) == 1
    if len(kept):
        image = read_image(tmp_path / "x.dcm")
        assert image.info == {}
        image.save(tmp_path / "x.png")
        assert MARKER.encode() not in (tmp_path / "x.png").read_bytes()


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_damage_anywhere_gives_a_picture_or_one_sentence(dicom, data):
    syntax = data.draw(st.sampled_from([ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEG2000]))
    pixels = {"PixelData": encoded(GRAY, "JPEG2000")} if syntax == JPEG2000 else {}
    window = {"WindowCenter": 300, "WindowWidth": 900, "NumberOfFrames": 1}
    good = bytearray(dicom(GRAY, syntax, **window, **pixels))
    for _ in range(data.draw(st.integers(1, 5))):
        place = data.draw(st.integers(128, 600))
        good[place] = data.draw(st.integers(0, 255))
    end = data.draw(st.sampled_from([len(good), data.draw(st.integers(140, len(good)))]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            told = read_dicom("x.dcm", bytes(good[:end])).mode
        except InputError as error:
            told = str(error)
    assert told == "RGB" or (told.startswith("x.dcm") and "\n" not in told)
