"""The elements of a DICOM file that say how its pixels are stored and shown, and no others.

No message quotes a value of the file but technical ones, nor what pydicom says of one: it may be
the patient's name.
"""

import io
import zlib
from typing import Any

import numpy as np
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filereader import data_element_generator, read_dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from cxr_mtl.data.picture_sizes import MAX_BYTES

PREAMBLE, MAGIC = 128, b"DICM"
MAX_READS = 200_000
"""Reads of a header's parts: a radiograph's takes some hundred."""
MAX_TABLES = 2**22
"""Bytes of a sequence of lookup tables: one of 65,536 entries takes 131,072."""

_PALETTE = [
    f"{colour}PaletteColorLookupTable{part}"
    for colour in ("Red", "Green", "Blue")
    for part in ("Descriptor", "Data")
]
_ELEMENTS = [
    Tag(keyword)
    for keyword in (
        "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "NumberOfFrames",
        "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
        "PixelPaddingValue", "PixelPaddingRangeLimit", "RescaleIntercept", "RescaleSlope",
        "ModalityLUTSequence", "VOILUTSequence", "WindowCenter", "WindowWidth", "VOILUTFunction",
        *_PALETTE, "PixelData",
    )
]  # fmt: skip
_SYNTAX = Tag("TransferSyntaxUID")
_NEEDED: Any = object()


class Refused(Exception):
    """Why a DICOM file is not read, and what to do, in words that quote only technical values."""

    def __init__(self, reason: str, remedy: str = "replace the file or leave it out") -> None:
        super().__init__(reason)
        self.remedy = remedy


def is_dicom(data: bytes) -> bool:
    """Whether a file that begins so is DICOM, by the mark behind its preamble."""
    return data[PREAMBLE : PREAMBLE + len(MAGIC)] == MAGIC


def read_elements(data: bytes) -> Dataset:
    """A file's elements that say how its pixels are stored and shown, with its transfer syntax.

    Raises:
        Refused: it inflates to too much or has too many elements.
        Exception: of many kinds, where it is damaged.
    """
    stream = _BoundedReads(data)
    stream.seek(PREAMBLE + len(MAGIC) if is_dicom(data) else 0)

    def past_meta(tag: int, vr: str | None, length: int) -> bool:
        return tag >> 16 != 2

    meta = data_element_generator(stream, False, True, past_meta, specific_tags=[_SYNTAX])
    named = [element.value for element in meta if element.tag == _SYNTAX]
    syntax = UID(named[0].decode("ascii").rstrip("\0 ")) if named else ImplicitVRLittleEndian
    if syntax == DeflatedExplicitVRLittleEndian:
        content = zlib.decompressobj(-zlib.MAX_WBITS).decompress(
            data[stream.tell() :], MAX_BYTES + 1
        )
        if len(content) > MAX_BYTES:
            raise Refused(f"inflates to more than {MAX_BYTES:,} bytes")
        stream, syntax = _BoundedReads(content), ExplicitVRLittleEndian
    # Where the encoding is not the one that was named, pydicom sees that.
    implicit, little = syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian
    dataset = read_dataset(stream, implicit, little, specific_tags=_ELEMENTS)
    if not named and not dataset.original_encoding[0]:
        syntax = ExplicitVRLittleEndian
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    return dataset


def value_of(dataset: Dataset, keyword: str) -> Any:
    """An element's first value; None if it is absent or empty.

    Raises:
        Refused: it is not of the element's kind.
    """
    try:
        value = dataset.get(keyword)
    except Exception:  # it may quote the value
        raise Refused(f"its {keyword} cannot be read") from None
    if isinstance(value, MultiValue):
        value = value[0] if value else None
    return None if value == "" else value


def number_of(dataset: Dataset, keyword: str, default: float | None) -> float | None:
    """An element's first value as a finite number; `default` if it is absent or empty.

    Raises:
        Refused: it is none.
    """
    value = value_of(dataset, keyword)
    try:
        number = default if value is None else float(value)
    except (TypeError, ValueError):
        raise Refused(f"its {keyword} is no number") from None
    if number is not None and not np.isfinite(number):
        raise Refused(f"its {keyword} is not finite")
    return number


def integer_of(dataset: Dataset, keyword: str, default: Any = _NEEDED) -> Any:
    """An element's first value as an integer; `default`, if one is given, where it is absent.

    Raises:
        Refused: it is none, or absent and needed.
    """
    number = number_of(dataset, keyword, None)
    if number is None and default is _NEEDED:
        raise Refused(f"its {keyword} is missing")
    if number is not None and number != int(number):
        raise Refused(f"its {keyword} is no whole number")
    return default if number is None else int(number)


def first_item(dataset: Dataset, keyword: str) -> Dataset | None:
    """The first item of a sequence, here of lookup tables; None if there is none.

    Raises:
        Refused: it is longer than any lookup tables are.
    """
    sequence = dataset.get_item(keyword) if keyword in dataset else None
    if isinstance(sequence, RawDataElement) and sequence.length > MAX_TABLES:
        raise Refused(f"its {keyword} is too long")
    items = value_of(dataset, keyword)
    return items[0] if isinstance(items, Sequence) and items else None


class _BoundedReads(io.BytesIO):
    """Bytes from which only so often is read: a header may hold elements without end."""

    reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.reads += 1
        if self.reads > MAX_READS:
            raise Refused("its header has too many elements")
        return super().read(size)
