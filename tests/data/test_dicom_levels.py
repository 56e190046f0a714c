"""Gray levels of DICOM: the standard's formulas, a value at a time, are the oracle."""

import math

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from cxr_mtl.base.errors import InputError
from cxr_mtl.data.dicom import read_dicom

RNG = np.random.default_rng(0)
TWELVE = RNG.integers(0, 4096, (9, 11)).astype(np.uint16)
SIGNED = RNG.integers(-2048, 2048, (9, 11)).astype(np.int16)
EIGHT = RNG.integers(40, 200, (9, 11)).astype(np.uint8)
SYNTAXES = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)


def levels(data: bytes) -> np.ndarray:
    image = np.asarray(read_dicom("x.dcm", data))
    assert (image[..., 0] == image[..., 1]).all()
    assert (image[..., 0] == image[..., 2]).all()
    return image[..., 0]


def check(data: bytes, pixels: np.ndarray, expected) -> None:
    """Every level is the rounded value of a function of its stored value."""
    shown = levels(data)
    assert shown.shape == pixels.shape
    for level, stored in zip(shown.ravel().tolist(), pixels.ravel().tolist(), strict=True):
        assert abs(level - expected(stored)) <= 0.5 + 1e-9


def between(low: float, high: float):
    return lambda value: 255 * (value - low) / (high - low)


def linear(center: float, width: float):
    def level(value: float) -> float:
        if value <= center - 0.5 - (width - 1) / 2:
            return 0
        if value > center - 0.5 + (width - 1) / 2:
            return 255
        return 255 * ((value - (center - 0.5)) / (width - 1) + 0.5)

    return level


def linear_exact(center: float, width: float):
    def level(value: float) -> float:
        if value <= center - width / 2:
            return 0
        if value > center + width / 2:
            return 255
        return 255 * ((value - center) / width + 0.5)

    return level


def sigmoid(center: float, width: float):
    return lambda value: 255 / (1 + math.exp(-4 * (value - center) / width))


def table(first: int, entries: list[int], bits: int, **more) -> list[Dataset]:
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [len(entries), first, bits])
    item.add_new("LUTData", "US", entries)
    return [item]


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize(("pixels", "bits"), [(TWELVE, 12), (TWELVE, 16), (SIGNED, 12)])
def test_without_a_window_the_range_of_the_values_is_shown(dicom, syntax, pixels, bits):
    data = dicom(pixels, syntax, BitsStored=bits)
    check(data, pixels, between(int(pixels.min()), int(pixels.max())))


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_8_bits_stay_as_they_are(dicom, syntax):
    np.testing.assert_array_equal(levels(dicom(EIGHT, syntax)), EIGHT)
    np.testing.assert_array_equal(levels(dicom(EIGHT.astype(np.uint16), BitsStored=8)), EIGHT)
    trivial = {"RescaleSlope": 1, "RescaleIntercept": 0}
    np.testing.assert_array_equal(levels(dicom(EIGHT, syntax, **trivial)), EIGHT)


@pytest.mark.parametrize(("pixels", "bits"), [(TWELVE, 12), (SIGNED, 12), (EIGHT, 8)])
def test_monochrome1_is_turned_round(dicom, pixels, bits):
    data = dicom(pixels, BitsStored=bits, PhotometricInterpretation="MONOCHROME1")
    low, high = (0, 255) if bits == 8 else (int(pixels.min()), int(pixels.max()))
    check(data, pixels, between(high, low))


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize(
    ("function", "formula"),
    [(None, linear), ("LINEAR", linear), ("LINEAR_EXACT", linear_exact), ("SIGMOID", sigmoid)],
)
@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize(("slope", "intercept"), [(1, 0), (0.5, -300), (-2, 10)])
def test_rescale_then_window(dicom, syntax, function, formula, inverted, slope, intercept):
    window = {"WindowCenter": 300, "WindowWidth": 900, "VOILUTFunction": function}
    data = dicom(
        SIGNED,
        syntax,
        PhotometricInterpretation="MONOCHROME1" if inverted else "MONOCHROME2",
        RescaleSlope=slope,
        RescaleIntercept=intercept,
        **window,
    )
    shown = formula(300, 900)

    def expected(stored):
        level = shown(slope * stored + intercept)
        return 255 - level if inverted else level

    check(data, SIGNED, expected)


def test_of_several_windows_the_first_is_used(dicom):
    data = dicom(TWELVE, WindowCenter=[1000, 40], WindowWidth=[700, 400])
    check(data, TWELVE, linear(1000, 700))


@pytest.mark.parametrize("width", [0, -5, 0.5, None])
def test_a_window_without_a_width_is_none(dicom, width):
    data = dicom(TWELVE, WindowCenter=0, WindowWidth=width)
    check(data, TWELVE, between(int(TWELVE.min()), int(TWELVE.max())))


def test_a_narrow_window_of_another_function_is_one(dicom):
    data = dicom(
        TWELVE,
        RescaleSlope="0.0001",
        RescaleIntercept=0,
        WindowCenter="0.2",
        WindowWidth="0.3",
        VOILUTFunction="LINEAR_EXACT",
    )
    check(data, TWELVE, lambda stored: linear_exact(0.2, 0.3)(0.0001 * stored))


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize(("count", "first", "bits"), [(4096, 0, 8), (300, 1000, 12), (10, 5, 16)])
def test_a_voi_lut_goes_before_a_window(dicom, syntax, count, first, bits):
    entries = RNG.integers(0, 2**bits, count).tolist()
    window = {"WindowCenter": 300, "WindowWidth": 900}
    data = dicom(TWELVE, syntax, VOILUTSequence=table(first, entries, bits), **window)

    def expected(stored):
        return 255 * entries[min(max(stored - first, 0), count - 1)] / (2**bits - 1)

    check(data, TWELVE, expected)


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("first", [-2000, -5, 0])
def test_a_modality_lut_goes_before_a_window(dicom, syntax, first):
    entries = RNG.integers(0, 2**16, 4000).tolist()
    window = {"WindowCenter": 30000, "WindowWidth": 20000}
    data = dicom(SIGNED, syntax, ModalityLUTSequence=table(first, entries, 16), **window)

    def expected(stored):
        return linear(30000, 20000)(entries[min(max(stored - first, 0), 3999)])

    check(data, SIGNED, expected)


def test_a_table_of_bytes_is_read(dicom):
    entries = RNG.integers(0, 256, 4096).astype(np.uint8)
    item = table(0, [0] * 4096, 8)[0]
    item.add_new("LUTData", "OW", entries.tobytes())
    check(dicom(TWELVE, VOILUTSequence=[item]), TWELVE, lambda stored: entries[stored])


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("windowed", [False, True])
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_padding_is_black_and_counts_for_no_range(dicom, inverted, windowed, syntax):
    pixels = SIGNED.copy()
    pixels[0, :5] = -30000
    pixels[1, :5] = -29990
    data = dicom(
        pixels,
        syntax,
        PhotometricInterpretation="MONOCHROME1" if inverted else "MONOCHROME2",
        PixelPaddingValue=-30000,
        PixelPaddingRangeLimit=-29990,
        **({"WindowCenter": 0, "WindowWidth": 1000} if windowed else {}),
    )
    rest = pixels[pixels > -20000]
    shown = linear(0, 1000) if windowed else between(int(rest.min()), int(rest.max()))

    def expected(stored):
        if stored < -20000:
            return 0
        return 255 - shown(stored) if inverted else shown(stored)

    check(data, pixels, expected)


def test_padding_beyond_the_bits_stored_is_no_value(dicom):
    pixels = TWELVE.copy()
    pixels[0, 0] = 4095
    data = dicom(pixels, BitsStored=12, PixelPaddingValue=65535)
    assert levels(data)[0, 0] == 255


def test_bits_above_those_stored_are_no_pixels(dicom):
    overlay = TWELVE | RNG.integers(0, 16, TWELVE.shape).astype(np.uint16) << 12
    np.testing.assert_array_equal(
        levels(dicom(overlay, BitsStored=12)), levels(dicom(TWELVE, BitsStored=12))
    )


@pytest.mark.parametrize("value", [0, 7])
def test_a_constant_picture_is_black(dicom, value):
    assert not levels(dicom(np.full((9, 11), value, np.uint16))).any()
    padded = dicom(np.full((9, 11), value, np.uint16), PixelPaddingValue=value)
    assert not levels(padded).any()


@pytest.mark.parametrize(
    ("elements", "reason"),
    [
        ({"WindowCenter": 1, "WindowWidth": 9, "VOILUTFunction": "CUBIC"}, "function is none of"),
        ({"RescaleSlope": "1e307", "RescaleIntercept": "0"}, "beyond all numbers"),
        ({"VOILUTSequence": table(0, [1], 30)}, "lookup table is shorter than it says, or not"),
    ],
)
def test_what_cannot_be_shown_is_refused(dicom, elements, reason):
    with pytest.raises(InputError, match=rf"x\.dcm is DICOM, but .*{reason}"):
        read_dicom("x.dcm", dicom(TWELVE, **elements))
