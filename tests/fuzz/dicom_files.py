"""A writer of DICOM files, as small as they may be."""

import io

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian


def dicom_bytes(pixels: np.ndarray, syntax: str = ExplicitVRLittleEndian, **elements) -> bytes:
    """A DICOM file of these stored values; an element that is None is left out."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    big = syntax == ExplicitVRBigEndian
    allocated = 8 * pixels.dtype.itemsize
    elements = {
        "SamplesPerPixel": 1 if pixels.ndim == 2 else 3,
        "PhotometricInterpretation": "MONOCHROME2" if pixels.ndim == 2 else "RGB",
        "PlanarConfiguration": None if pixels.ndim == 2 else 0,
        "Rows": pixels.shape[0],
        "Columns": pixels.shape[1],
        "BitsAllocated": allocated,
        "BitsStored": allocated,
        "HighBit": elements.get("BitsStored", allocated) - 1,
        "PixelRepresentation": int(pixels.dtype.kind == "i"),
        "PixelData": pixels.astype(pixels.dtype.newbyteorder(">" if big else "<")).tobytes(),
        **elements,
    }
    for keyword, value in elements.items():
        if value is not None:
            setattr(dataset, keyword, value)
    if "PixelData" in dataset:
        compressed = dataset.file_meta.TransferSyntaxUID.is_encapsulated
        dataset["PixelData"].VR = "OB" if compressed or allocated == 8 else "OW"
        dataset["PixelData"].is_undefined_length = compressed
    file = io.BytesIO()
    dataset.save_as(
        file,
        implicit_vr=syntax == ImplicitVRLittleEndian,
        little_endian=not big,
        enforce_file_format=False,
    )
    return bytes(128) + b"DICM" + file.getvalue().removeprefix(bytes(128) + b"DICM")
