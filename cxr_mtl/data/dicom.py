"""A radiograph kept as DICOM, as a viewer shows it; nothing that says whose it is."""

import io
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.pixels import apply_color_lut, pixel_array
from pydicom.uid import (
    JPEG2000,
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    RLELossless,
)

from cxr_mtl.base.errors import InputError
from cxr_mtl.data.dicom_elements import (
    MAX_READS,
    Refused,
    integer_of,
    is_dicom,
    read_elements,
    value_of,
)
from cxr_mtl.data.dicom_levels import gray_levels
from cxr_mtl.data.picture_metadata import without_metadata
from cxr_mtl.data.picture_sizes import check_size

SUFFIXES = (".dcm", ".dicom")
_STORED = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)
_DECODERS = {
    JPEGBaseline8Bit: "pillow",
    JPEGExtended12Bit: "pillow",
    JPEG2000Lossless: "pillow",
    JPEG2000: "pillow",
    RLELossless: "pydicom",
}
_FRAGMENT, _CODESTREAM = b"\xfe\xff\x00\xe0", b"\xff\x4f\xff\x51"
_GRAY = ("MONOCHROME1", "MONOCHROME2")
_COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
_PALETTE = "PALETTE COLOR"


def read_dicom(path: Path | str, data: bytes) -> Image.Image:
    """Read the bytes of a DICOM file as an 8-bit RGB image.

    Gray values become what `gray_levels` makes of them; colours stay.

    Args:
        path: names the file in messages only.

    Raises:
        InputError: damaged, no picture, more than one, of a size no radiograph has, or kept in a
            way that cannot be read here.
    """
    try:
        return _picture(path, read_elements(data))
    except InputError:
        raise
    except Refused as refused:
        reason, remedy = str(refused), refused.remedy
    # pydicom answers damaged bytes with many kinds of exceptions, and quotes values in them.
    except Exception:
        reason, remedy = "damaged", "replace the file or leave it out"
    kind = "is DICOM, but" if is_dicom(data) else "is named as DICOM, but"
    raise InputError(f"{path} {kind} {reason}: {remedy}")


def _picture(path: Path | str, dataset: Dataset) -> Image.Image:
    if "PixelData" not in dataset:
        reason = "holds no pixels, as a report, a directory or a file that was cut off"
        raise Refused(reason, "name the radiograph itself")
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax not in _STORED and syntax not in _DECODERS:
        raise _not_decoded(syntax)
    frames = integer_of(dataset, "NumberOfFrames", 1)
    if frames > 1:
        raise Refused(f"holds {frames} frames", "save the one that is meant on its own")
    rows, columns = integer_of(dataset, "Rows"), integer_of(dataset, "Columns")
    check_size(path, columns, rows)
    _normalise(dataset)
    _check_pixel_data(dataset, syntax)
    pixels = pixel_array(dataset, decoding_plugin=_DECODERS.get(syntax, ""))
    kind = dataset.PhotometricInterpretation
    if kind in _GRAY:
        bits = dataset.BitsStored if syntax in _STORED else dataset.BitsAllocated
        return Image.fromarray(gray_levels(dataset, pixels, bits)).convert("RGB")
    if kind == _PALETTE:
        pixels = apply_color_lut(pixels, dataset)
        if pixels.dtype == np.uint16:
            pixels = (pixels >> 8).astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(pixels[..., :3]), mode="RGB")


def _not_decoded(syntax: UID) -> Refused:
    name = f"'{syntax.name}'" if syntax.name != syntax else "an unknown transfer syntax"
    remedy = "decompress it first, for example with gdcmconv --raw"
    return Refused(f"compressed as {name}, which is not decoded here", remedy)


def _normalise(dataset: Dataset) -> None:
    """Fill in and check what says how pixels are stored."""
    kind = str(value_of(dataset, "PhotometricInterpretation") or "").strip().upper()
    samples = integer_of(dataset, "SamplesPerPixel", 1)
    allocated = integer_of(dataset, "BitsAllocated")
    stored = integer_of(dataset, "BitsStored", allocated)
    if samples != (3 if kind in _COLOURS else 1) or kind not in (*_GRAY, *_COLOURS, _PALETTE):
        raise Refused("neither gray, RGB, YBR nor of a palette", "save it as MONOCHROME2")
    if allocated not in (8, 16) or (kind in _COLOURS and (allocated, stored) != (8, 8)):
        raise Refused(f"kept in {allocated} bits a sample", "save it in 8 bits, or 16 if gray")
    if not 1 <= stored <= allocated or integer_of(dataset, "HighBit", stored - 1) != stored - 1:
        raise Refused("its bits stored do not fit into those allocated")
    dataset.PhotometricInterpretation = kind
    dataset.SamplesPerPixel, dataset.BitsAllocated, dataset.BitsStored = samples, allocated, stored
    dataset.PixelRepresentation = int(integer_of(dataset, "PixelRepresentation", 0) == 1)
    if samples == 3:
        dataset.PlanarConfiguration = integer_of(dataset, "PlanarConfiguration", 0)


def _check_pixel_data(dataset: Dataset, syntax: UID) -> None:
    """Refuse pixel data of another size than the header names; of compressed ones keep a frame."""
    data = dataset.PixelData
    size = dataset.Rows * dataset.Columns
    if syntax in _STORED:
        samples = 2 if dataset.PhotometricInterpretation == "YBR_FULL_422" else None
        needed = size * (samples or dataset.SamplesPerPixel) * dataset.BitsAllocated // 8
        # Some writers fill up behind the last row; as much again would be a second picture.
        if not needed <= len(data) < 2 * needed:
            raise Refused(f"holds {len(data):,} bytes of pixels where its size needs {needed:,}")
        return
    if data.count(_FRAGMENT) > MAX_READS:
        raise Refused("in too many fragments")
    frame = get_frame(data, 0, number_of_frames=1)
    if syntax == RLELossless:
        _check_runs(frame, size)
        return
    if syntax == JPEGExtended12Bit and dataset.BitsStored > 8:
        raise _not_decoded(syntax)
    if syntax in (JPEG2000Lossless, JPEG2000):
        # What is wrapped around the picture is not DICOM's, and pydicom may never come to its end.
        frame = frame[frame.index(_CODESTREAM) :]
    frame, _ = without_metadata(frame)
    with Image.open(io.BytesIO(frame), formats=("JPEG", "JPEG2000")) as image:
        if image.size != (dataset.Columns, dataset.Rows):
            raise Refused("the picture in it has another size than its header names")
    dataset.PixelData = encapsulate([frame])


def _check_runs(frame: bytes, size: int) -> None:
    """Refuse RLE segments that unpack to more than a byte a pixel, before they are unpacked."""
    count, *starts = np.frombuffer(frame[:64], "<u4").tolist()
    starts = [*starts[:count], len(frame)]
    for start, end in pairwise(starts):
        segment, at, total = frame[start:end], 0, 0
        while at < len(segment):
            run = segment[at]
            total += run + 1 if run < 128 else 257 - run
            at += run + 2 if run < 128 else 2
            if total > size + 256:
                raise Refused("its runs unpack to more than its size needs")
