"""DICOM files: whole ones of several syntaxes with their bytes and elements changed."""

import io
import random
import warnings
from functools import cache
from pathlib import Path

import numpy as np
from door import Door
from hostile import PIECES, seeds
from hypothesis import strategies as st
from mutation import NUMBERS, mutated
from PIL import Image
from pydicom import config, dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
)

from cxr_mtl.data.images import read_image

SYNTAXES = {
    "explicit": ExplicitVRLittleEndian,
    "implicit": ImplicitVRLittleEndian,
    "deflated": DeflatedExplicitVRLittleEndian,
    "RLE": RLELossless,
    "JPEG": JPEGBaseline8Bit,
    "JPEG 2000": JPEG2000Lossless,
}
ROWS, COLUMNS = 9, 12
PIXELS = np.random.default_rng(0).integers(0, 256, (ROWS, COLUMNS), dtype=np.uint8)

ODD = (*NUMBERS, -1, "", "1\\2\\3", "nan", "1e999", *PIECES[:24])
CHANGED = (
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "NumberOfFrames",
    "WindowCenter",
    "WindowWidth",
    "RescaleSlope",
    "RescaleIntercept",
    "PixelPaddingValue",
    "SpecificCharacterSet",
    "VOILUTFunction",
    "PresentationLUTShape",
)


def _dataset(syntax: str) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    stored = ExplicitVRLittleEndian if syntax == "RLE" else SYNTAXES[syntax]
    dataset.file_meta.TransferSyntaxUID = stored
    dataset.PatientName, dataset.PatientID = "Doe^Jane", "7"
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1", "1.2.3"
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = ROWS, COLUMNS, 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    dataset.PixelRepresentation = 0
    dataset.WindowCenter, dataset.WindowWidth = 128, 256
    dataset.RescaleSlope, dataset.RescaleIntercept = 1, 0
    dataset.PixelData = PIXELS.tobytes()
    dataset["PixelData"].VR = "OB"
    if syntax == "RLE":
        dataset.compress(RLELossless)
    elif syntax in ("JPEG", "JPEG 2000"):
        file = io.BytesIO()
        Image.fromarray(PIXELS).save(file, syntax.replace(" ", ""))
        dataset.PixelData = encapsulate([file.getvalue()])
        dataset["PixelData"].is_undefined_length = True
    return dataset


def _saved(dataset: Dataset) -> bytes:
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


@cache
def whole(syntax: str) -> bytes:
    """The bytes of an undamaged file."""
    return _saved(_dataset(syntax))


def damaged(syntax: str, seed: int | None) -> bytes:
    """The file with elements of odd values, or bytes changed anywhere."""
    if seed is None:
        return whole(syntax)
    rng = random.Random(seed)
    if rng.random() < 0.5:
        return mutated(whole(syntax), rng)
    with warnings.catch_warnings(), config.disable_value_validation():
        warnings.simplefilter("ignore")
        dataset = dcmread(io.BytesIO(whole(syntax)))
        try:
            for _ in range(rng.randint(1, 3)):
                _change(dataset, rng.choice(CHANGED), rng)
            return _saved(dataset)
        except Exception:  # the value has no place in an element of this kind
            return mutated(whole(syntax), rng)


def _change(dataset: Dataset, name: str, rng: random.Random) -> None:
    act = rng.random()
    if act < 0.1 and name in dataset:
        delattr(dataset, name)
    elif act < 0.2:
        dataset.PixelData = mutated(dataset.PixelData, rng)
    else:
        setattr(dataset, name, rng.choice(ODD))


def _lay(folder: Path, value: tuple[str, int | None]) -> Path:
    path = folder / "film.dcm"
    path.write_bytes(damaged(*value))
    return path


def _check(path: Path, value: tuple[str, int | None], picture: Image.Image) -> None:
    assert picture.mode == "RGB"
    syntax, seed = value
    if seed is None:
        assert picture.size == (COLUMNS, ROWS)
        exact = syntax != "JPEG"
        assert not exact or np.array_equal(np.asarray(picture)[..., 0], PIXELS)


DOORS = [
    Door(
        "DICOM",
        st.tuples(st.sampled_from(list(SYNTAXES)), st.none() | seeds),
        _lay,
        read_image,
        ("explicit", None),
        1000,
        _check,
    )
]
