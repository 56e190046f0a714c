"""Painters of findings: which heading reforms the anatomy, which paints on the canvas, and where.

A heading may reform the anatomy before it is drawn (a larger heart), paint on the canvas (a
nodule), or both; the functions that do so register here.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cxr_mtl.data.mesh_codes import Code
from cxr_mtl.phantoms.anatomy import Anatomy
from cxr_mtl.phantoms.canvas import Canvas

# Where a qualifier lies in a lung: across (0 medial, 1 lateral) and down (0 apex, 1 diaphragm).
ZONES = {
    "apex": (0.40, 0.60, 0.06, 0.12),
    "upper lobe": (0.35, 0.65, 0.20, 0.34),
    "middle lobe": (0.30, 0.55, 0.64, 0.76),
    "lingula": (0.25, 0.60, 0.62, 0.76),
    "lower lobe": (0.35, 0.70, 0.76, 0.88),
    "base": (0.35, 0.70, 0.86, 0.95),
    "hilum": (0.15, 0.28, 0.40, 0.50),
    "paratracheal": (0.0, 0.05, 0.18, 0.25),
    "retrocardiac": (0.0, 0.05, 0.74, 0.88),
    "costophrenic angle": (0.82, 0.90, 0.90, 0.95),
}
_ANYWHERE = (0.30, 0.75, 0.22, 0.80)


@dataclass
class Finding:
    """A code with its sides settled and its own random numbers."""

    code: Code
    sides: tuple[int, ...]
    rng: np.random.Generator

    def has(self, *qualifiers: str) -> bool:
        return self.code.has(*qualifiers)

    @property
    def severity(self) -> float:
        return self.code.severity

    def spots(self, anatomy: Anatomy, count: int = 1) -> list[tuple[int, float, float]]:
        """`count` random points (side, x, y) in each zone and side that the code names."""
        zones = [ZONES[q] for q in self.code.qualifiers if q in ZONES] or [_ANYWHERE]
        points = []
        for side in self.sides:
            for left, right, top, bottom in zones:
                for _ in range(count):
                    across, down = self.rng.uniform(left, right), self.rng.uniform(top, bottom)
                    points.append((side, *anatomy.place(side, across, down)))
        return points

    @property
    def number(self) -> int:
        """How many lesions the code speaks of in each place."""
        return 5 if self.has("scattered", "diffuse") else 3 if self.has("multiple") else 1


Reform = Callable[[Anatomy, Finding], None]
Paint = Callable[[Anatomy, Canvas, Finding], None]
REFORMS: dict[str, Reform] = {}
PAINTS: dict[str, Paint] = {}
_BOTH_SIDES: set[str] = set()


def reforms(*headings: str, both_sides: bool = False) -> Callable[[Reform], Reform]:
    """Register a change of the anatomy; `both_sides` is meant where the code names none."""

    def register(function: Reform) -> Reform:
        REFORMS.update(dict.fromkeys(headings, function))
        _BOTH_SIDES.update(headings if both_sides else ())
        return function

    return register


def paints(*headings: str, both_sides: bool = False) -> Callable[[Paint], Paint]:
    """Register strokes and clouds; `both_sides` is meant where the code names none."""

    def register(function: Paint) -> Paint:
        PAINTS.update(dict.fromkeys(headings, function))
        _BOTH_SIDES.update(headings if both_sides else ())
        return function

    return register


def settle(code: Code, rng: np.random.Generator) -> Finding:
    """The finding of a code: where it names no side, both or one at random."""
    sides = code.sides
    if not sides:
        spread = code.heading in _BOTH_SIDES or code.has("diffuse", "multiple", "scattered")
        sides = (-1, 1) if spread else (int(rng.choice([-1, 1])),)
    if code.has("retrocardiac"):
        sides = (1,)
    return Finding(code, sides, rng)
