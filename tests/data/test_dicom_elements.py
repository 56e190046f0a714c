"""Reading elements: bounded, and only those of the pixels."""

import struct

import numpy as np
import pytest
from pydicom.dataset import Dataset

from cxr_mtl.data import dicom_elements
from cxr_mtl.data.dicom_elements import (
    Refused,
    first_item,
    integer_of,
    is_dicom,
    number_of,
    read_elements,
    value_of,
)

PIXELS = np.zeros((8, 8), np.uint16)


def dataset_of(**elements) -> Dataset:
    dataset = Dataset()
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dataset


def test_only_elements_of_the_pixels_are_read(dicom):
    elements = read_elements(dicom(PIXELS, PatientName="A^B", StudyDate="20200101"))
    assert elements.Rows == 8
    assert "PatientName" not in elements
    assert "StudyDate" not in elements


def test_the_mark_stands_behind_the_preamble():
    assert is_dicom(bytes(128) + b"DICM")
    assert not is_dicom(b"DICM" + bytes(200))


def test_elements_without_end_are_refused(dicom):
    empty = struct.pack("<HH2sH", 0x0009, 0x0010, b"LO", 0)
    with pytest.raises(Refused, match="too many elements"):
        read_elements(dicom(PIXELS)[:132] + empty * (dicom_elements.MAX_READS + 10))


def test_sequences_within_sequences_without_end_are_refused(dicom):
    sequence = struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF)
    item = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    with pytest.raises(RecursionError):
        read_elements(dicom(PIXELS)[:132] + (sequence + item) * 10_000)


def test_a_table_that_is_too_long_is_refused(dicom):
    item = Dataset()
    item.LUTData = bytes(dicom_elements.MAX_TABLES)
    item["LUTData"].VR = "OW"
    item.LUTDescriptor = [4, 0, 16]
    elements = read_elements(dicom(PIXELS, VOILUTSequence=[item]))
    with pytest.raises(Refused, match="its VOILUTSequence is too long"):
        first_item(elements, "VOILUTSequence")
    assert first_item(elements, "ModalityLUTSequence") is None


def test_of_several_values_the_first_counts_and_an_empty_one_is_none():
    assert value_of(dataset_of(WindowCenter=[3, 4]), "WindowCenter") == 3
    assert value_of(dataset_of(WindowCenter=None), "WindowCenter") is None
    assert value_of(dataset_of(VOILUTFunction=""), "VOILUTFunction") is None
    assert value_of(Dataset(), "WindowCenter") is None


def test_numbers_are_finite_and_integers_whole():
    assert number_of(dataset_of(RescaleSlope=0.5), "RescaleSlope", 1) == 0.5
    assert number_of(Dataset(), "RescaleSlope", 1) == 1
    assert integer_of(dataset_of(Rows=5), "Rows") == 5
    assert integer_of(Dataset(), "Rows", None) is None
    with pytest.raises(Refused, match="its Rows is missing"):
        integer_of(Dataset(), "Rows")
    with pytest.raises(Refused, match="its WindowCenter is no whole number"):
        integer_of(dataset_of(WindowCenter=0.5), "WindowCenter")
    with pytest.raises(Refused, match="its VOILUTFunction is no number"):
        number_of(dataset_of(VOILUTFunction="TEXT"), "VOILUTFunction", None)


@pytest.mark.parametrize("value", [b"1e999 ", b"NAME^ONE"])
def test_a_value_that_is_no_number_is_not_quoted(dicom, value):
    data = dicom(PIXELS, WindowCenter="12345678" if len(value) == 8 else "123456")
    data = data.replace(b"12345678" if len(value) == 8 else b"123456", value)
    with pytest.raises(Refused, match="WindowCenter") as refused:
        number_of(read_elements(data), "WindowCenter", None)
    assert value.decode().strip() not in str(refused.value)
