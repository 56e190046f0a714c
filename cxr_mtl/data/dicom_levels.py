"""The gray levels that a viewer shows of a DICOM radiograph's stored values."""

import numpy as np
from pydicom.dataset import Dataset
from pydicom.pixels import apply_windowing

from cxr_mtl.data.dicom_elements import Refused, first_item, integer_of, number_of, value_of
from cxr_mtl.data.picture_sizes import to_8_bits


def gray_levels(dataset: Dataset, pixels: np.ndarray, bits: int) -> np.ndarray:
    """Stored gray values [rows, columns] of that many bits as 8-bit levels, 0 black.

    They pass the modality LUT, or rescale slope and intercept, then the first VOI LUT or window
    whose width is positive. Without one of these two, values of 8 bits that were not rescaled stay
    as they are, and others are scaled so that the smallest becomes 0 and the largest 255.
    MONOCHROME1 is turned round; padding is black and counts for no range.

    There are at most 65,536 different values, so that the steps are taken once for each.
    """
    stored = np.arange(2**bits, dtype=np.int64)
    if dataset.PixelRepresentation:
        stored[2 ** (bits - 1) :] -= 2**bits
    places = pixels.astype(np.int32)
    places &= 2**bits - 1
    padding = _padding(dataset, stored)
    values, rescaled = _modality(dataset, stored)
    black, white, shown = _voi(dataset, values)
    if shown is None and dataset.BitsStored == 8 and not rescaled:
        black = -128 if dataset.PixelRepresentation else 0
        white, shown = black + 255, stored
    elif shown is None:
        present = np.zeros(len(stored), dtype=bool)
        present[places] = True
        used = values[present & ~padding]
        black, white, shown = (used.min(), used.max(), values) if used.size else (0, 0, values)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        black, white = white, black
    levels = to_8_bits(shown, black, white)
    levels[padding] = 0
    return levels[places]


def _padding(dataset: Dataset, stored: np.ndarray) -> np.ndarray:
    """Which of the stored values are padding."""
    first = _signed(dataset, integer_of(dataset, "PixelPaddingValue", None), dataset.BitsAllocated)
    if first is None:
        return np.zeros(len(stored), dtype=bool)
    last = integer_of(dataset, "PixelPaddingRangeLimit", None)
    last = first if last is None else _signed(dataset, last, dataset.BitsAllocated)
    return (stored >= min(first, last)) & (stored <= max(first, last))


def _signed(dataset: Dataset, value: int | None, bits: int) -> int | None:
    """A value as the pixels' own kind of number: its element may have been written as the other."""
    if value is None:
        return None
    value %= 2**bits
    return value - 2**bits if dataset.PixelRepresentation and value >= 2 ** (bits - 1) else value


def _modality(dataset: Dataset, stored: np.ndarray) -> tuple[np.ndarray, bool]:
    """The values that stored ones mean, and whether they are others.

    Raises:
        Refused: they are beyond all numbers.
    """
    table = first_item(dataset, "ModalityLUTSequence")
    if table:
        return _look_up(dataset, table, stored)[0], True
    slope = number_of(dataset, "RescaleSlope", 1)
    intercept = number_of(dataset, "RescaleIntercept", 0)
    with np.errstate(all="ignore"):
        values = stored * slope + intercept
        if not np.isfinite(values.max() - values.min()):
            raise Refused("its rescale slope and intercept lead beyond all numbers")
    return values, (slope, intercept) != (1, 0)


def _voi(dataset: Dataset, values: np.ndarray) -> tuple[float, float, np.ndarray | None]:
    """What is black, what is white, and the values as VOI LUT or window show them, if there is one.

    Raises:
        Refused: the window's function is none of the standard's three.
    """
    table = first_item(dataset, "VOILUTSequence")
    if table:
        shown, most = _look_up(dataset, table, values)
        return 0, most, shown
    center = number_of(dataset, "WindowCenter", None)
    width = number_of(dataset, "WindowWidth", None)
    function = str(value_of(dataset, "VOILUTFunction") or "LINEAR").strip().upper()
    if function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
        raise Refused("its VOI LUT function is none of LINEAR, LINEAR_EXACT and SIGMOID")
    least = 1 if function == "LINEAR" else np.nextafter(0, 1)
    if center is None or width is None or width < least:
        return 0, 0, None
    dataset.VOILUTFunction = function
    with np.errstate(all="ignore"):
        ends = np.array([-np.inf, np.inf])
        shown = apply_windowing(np.concatenate([ends, values]), dataset)
    return shown[0], shown[1], shown[2:]


def _look_up(dataset: Dataset, item: Dataset, values: np.ndarray) -> tuple[np.ndarray, int]:
    """Values through an item's lookup table, and the most that its entries may be.

    pydicom's own `apply_voi` takes no table of 8 bits with more than 256 entries.
    """
    count, first, bits = (int(number) for number in item.LUTDescriptor)
    count = count % 2**16 or 2**16
    if values.min() < 0 and first >= 2**15:
        first -= 2**16
    data = item.LUTData
    if isinstance(data, bytes):
        order = "<" if dataset.original_encoding[1] else ">"
        data = np.frombuffer(data, np.uint8 if len(data) < 2 * count else f"{order}u2")
    table = np.atleast_1d(data).astype(np.int64)[:count]
    if len(table) < count or not 1 <= bits <= 16:
        raise Refused("its lookup table is shorter than it says, or not of 1 to 16 bits")
    places = np.clip(np.rint(values) - first, 0, count - 1).astype(np.int64)
    return table[places], 2**bits - 1
