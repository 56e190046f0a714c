"""The chest a phantom is drawn from: a real lung outline and the measures sampled around it.

All positions are fractions of the square image: x to the viewer's right, y down. The patient's
right lies on the viewer's left, so `SIDES["right"]` is -1.
"""

import importlib.util
import io
import zipfile
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from cxr_mtl.base.errors import InputError

COLUMNS = 40
# Columns lie denser at the two ends of a lung, where its outline is steep.
ACROSS = (1 - np.cos(np.linspace(0, np.pi, COLUMNS))) / 2
_MASKS = "data/semantic_masks_v7labs_lungs.zip"
# The larger masks are no better and take ten times as long to decode.
_LARGEST_MASK = 1_500_000
_GRID = 192


@dataclass
class Lung:
    """One lung as columns from its medial to its lateral edge: x, top, bottom, each [COLUMNS]."""

    x: np.ndarray
    top: np.ndarray
    bottom: np.ndarray

    def outline(self) -> np.ndarray:
        """The closed outline as points [2 * COLUMNS, 2]."""
        above = np.column_stack([self.x, self.top])
        below = np.column_stack([self.x, self.bottom])
        return np.concatenate([above, below[::-1]])

    @property
    def apex(self) -> float:
        return float(self.top.min())

    @property
    def base(self) -> float:
        return float(self.bottom.max())

    @property
    def dome(self) -> float:
        """Height of the diaphragm's dome: the highest point of the middle of the lower edge."""
        return float(self.bottom[COLUMNS // 4 : -COLUMNS // 4].min())

    def lateral(self, y: np.ndarray | float) -> np.ndarray:
        """x of the lateral edge at height y, clamped to the lung's range."""
        outer = slice(COLUMNS // 2, None)
        xs = np.concatenate([self.x[outer], self.x[outer][::-1]])
        ys = np.concatenate([self.top[outer], self.bottom[outer][::-1]])
        return np.interp(y, np.maximum.accumulate(ys), xs)


@cache
def lung_outlines() -> tuple[tuple[Lung, Lung], ...]:
    """Outlines (right, left) of real lungs from the masks inside torchxrayvision.

    x is measured from the midline and y from the higher apex, both in thorax widths.

    Raises:
        InputError: the installed torchxrayvision carries no lung masks.
    """
    spec = importlib.util.find_spec("torchxrayvision")
    folder = Path(spec.submodule_search_locations[0]) if spec else Path("torchxrayvision")
    if not (folder / _MASKS).is_file():
        raise InputError(
            f"{folder / _MASKS} is missing: reinstall torchxrayvision 1.5 or later, "
            "which carries the lung masks"
        )
    outlines = []
    with zipfile.ZipFile(folder / _MASKS) as archive:
        for name in sorted(entry for entry in archive.namelist() if not entry.endswith("/")):
            mask = Image.open(io.BytesIO(archive.read(name)))
            if mask.width * mask.height <= _LARGEST_MASK:
                pair = _lungs_of_mask(mask)
                if pair is not None:
                    outlines.append(pair)
    return tuple(outlines)


def _lungs_of_mask(mask: Image.Image) -> tuple[Lung, Lung] | None:
    """Both lungs of a mask, or None where they are cut off, missing or implausible."""
    width = round(_GRID * mask.width / mask.height)
    pixels = np.asarray(mask.convert("L").resize((width, _GRID), Image.Resampling.BOX), np.float32)
    # 255 is lung; middle greys mark other structures. Smoothing evens the annotator's hand.
    inside = ndimage.gaussian_filter((pixels > 200).astype(np.float32), 1.5) > 0.5
    labels, count = ndimage.label(inside)
    if count < 2:
        return None
    areas = np.bincount(labels.ravel())[1:]
    two = np.argsort(areas)[-2:] + 1
    lungs = [ndimage.binary_fill_holes(labels == label) for label in two]
    boxes = [ndimage.find_objects(lung.astype(int))[0] for lung in lungs]
    if boxes[0][1].start > boxes[1][1].start:
        lungs, boxes = lungs[::-1], boxes[::-1]
    (right_y, right_x), (left_y, left_x) = boxes
    first, last = min(right_y.start, left_y.start), max(right_y.stop, left_y.stop)
    thorax = left_x.stop - right_x.start
    gap = left_x.start - right_x.stop
    level = abs(right_y.start - left_y.start) < 0.1 * thorax
    whole = first > 1 and last < _GRID - 1 and right_x.start > 0 and left_x.stop < width
    even = 0.5 < areas[two[0] - 1] / areas[two[1] - 1] < 2
    shaped = 0.78 < (last - first) / thorax < 1.2 and -0.05 * thorax < gap < 0.25 * thorax
    if not (level and whole and even and shaped):
        return None
    midline = (right_x.stop + left_x.start) / 2
    return tuple(
        _columns(lung, box[1], side, midline, first, thorax)
        for lung, box, side in zip(lungs, boxes, (-1, 1), strict=True)
    )


def _columns(
    lung: np.ndarray, span: slice, side: int, midline: float, first: int, thorax: int
) -> Lung:
    medial, lateral = (span.stop - 1, span.start) if side < 0 else (span.start, span.stop - 1)
    x = medial + ACROSS * (lateral - medial)
    columns = lung[:, np.round(x).astype(int)]
    top = columns.argmax(axis=0)
    bottom = _GRID - columns[::-1].argmax(axis=0)
    # Behind the heart the masks reach below the dome, where a film shows the liver and stomach.
    dome = bottom[COLUMNS // 4 : -COLUMNS // 4].min()
    bottom[: COLUMNS // 2] = np.minimum(bottom[: COLUMNS // 2], dome + 0.03 * thorax)
    top = np.minimum(top, bottom - 1)
    return Lung(
        (x + 0.5 - midline) / thorax,
        (ndimage.gaussian_filter1d(top.astype(float), 1.0) - first) / thorax,
        (ndimage.gaussian_filter1d(bottom.astype(float), 1.0) - first) / thorax,
    )


@dataclass
class Anatomy:
    """The measures of one chest; findings change them before anything is drawn."""

    lungs: dict[int, Lung]
    midline: float
    width: float
    shoulder: float = 0.08
    """Height of the lateral ends of the clavicles."""
    heart: float = 0.44
    """Cardiothoracic ratio: the heart's width over the thorax's."""
    heart_shift: float = 0.0
    globular: float = 0.0
    aorta: float = 0.0
    """How far the thoracic aorta unfolds beyond normal, 0-1."""
    mediastinum: float = 1.0
    pulmonary_trunk: float = 0.0
    hilum: dict[int, float] = field(default_factory=lambda: {-1: 1.0, 1: 1.0})
    air: dict[int, float] = field(default_factory=lambda: {-1: 1.0, 1: 1.0})
    vessels: float = 1.0
    upper_vessels: float = 1.0
    bone: float = 1.0
    scoliosis: float = 0.0
    """Sideways swing of the spine at its apex; positive towards the patient's left."""
    lumbar: bool = False
    exposure: float = 1.0
    grain: float = 1.0

    @property
    def apex(self) -> float:
        return min(lung.apex for lung in self.lungs.values())

    @property
    def base(self) -> float:
        """Mean height at which the mediastinum meets the diaphragm."""
        return (self.lungs[-1].dome + self.lungs[1].dome) / 2 + 0.03

    def spine(self, y: np.ndarray | float) -> np.ndarray:
        """x of the spine's axis at height y."""
        middle = 0.8 if self.lumbar else 0.45
        return self.midline + self.scoliosis * np.exp(-(((y - middle) / 0.2) ** 2))

    def hilum_of(self, side: int) -> tuple[float, float]:
        """Centre of a hilum; the left one lies higher."""
        lung = self.lungs[side]
        y = lung.apex + (0.42 if side > 0 else 0.46) * (lung.dome - lung.apex)
        return self.midline + side * 0.125 * self.width, y

    def place(self, side: int, across: float, down: float) -> tuple[float, float]:
        """A point of a lung: `across` 0 medial to 1 lateral, `down` 0 apex to 1 diaphragm."""
        lung = self.lungs[side]
        height = lung.apex + down * (lung.dome - lung.apex)
        lateral = float(lung.lateral(height))
        medial = float(lung.x[0])
        if side > 0 and down > 0.5:
            # Keep out of the heart's shadow, where a finding would hide.
            hidden = self.midline + 0.5 * self.heart * self.width * (down - 0.5) / 0.4
            medial = min(max(medial, hidden), lateral - 0.08)
        x = medial + across * (lateral - medial)
        order = np.argsort(lung.x)
        top, bottom = (np.interp(x, lung.x[order], edge[order]) for edge in (lung.top, lung.bottom))
        return float(x), float(top + down * (bottom - top))


def sample_anatomy(rng: np.random.Generator) -> Anatomy:
    """A normal chest: a real lung outline, slightly warped, and measures in their normal range."""
    outlines = lung_outlines()
    pair = outlines[int(rng.integers(len(outlines)))]
    width = rng.uniform(0.72, 0.84)
    height = max(lung.bottom.max() for lung in pair) * width
    stretch = np.clip(height, 0.62, 0.74) / height
    top = rng.uniform(0.09, 0.14)
    midline = 0.5 + 0.012 * rng.standard_normal()
    bow, lean = 0.012 * rng.standard_normal(2)
    lungs = {}
    for side, lung in zip((-1, 1), pair, strict=True):
        down = stretch * width
        spread = 1 + 0.03 * rng.standard_normal()
        x = midline + lung.x * width * spread + lean * (lung.top + lung.bottom)
        sag = bow * np.sin(np.pi * ACROSS)
        lungs[side] = Lung(x, top + lung.top * down, top + lung.bottom * down + sag)
    return Anatomy(
        lungs,
        midline,
        width,
        shoulder=top - rng.uniform(0.0, 0.05),
        heart=rng.uniform(0.41, 0.475),
        aorta=rng.uniform(0, 0.15),
        vessels=rng.uniform(0.85, 1.15),
        bone=rng.uniform(0.85, 1.2),
        exposure=rng.uniform(0.9, 1.12),
        grain=rng.uniform(0.7, 1.3),
    )
