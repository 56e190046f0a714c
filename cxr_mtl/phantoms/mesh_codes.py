"""Open-I's MeSH codes (`Heading/qualifier/qualifier…`): what they say, and who draws them.

A heading may reform the anatomy before it is drawn (a larger heart), paint on the canvas (a
nodule), or both; the functions that do so register here.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cxr_mtl.phantoms.anatomy import SIDES, Anatomy
from cxr_mtl.phantoms.canvas import Canvas

SEVERITY = {
    "borderline": 0.35,
    "small": 0.55,
    "mild": 0.6,
    "moderate": 1.1,
    "prominent": 1.1,
    "large": 1.5,
    "severe": 1.6,
}
UNQUALIFIED = 0.85
"""Severity of a finding whose code names none: between mild and moderate."""


@dataclass(frozen=True)
class Code:
    """One code of a study: its heading and its qualifiers in lower case."""

    heading: str
    qualifiers: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "/".join((self.heading, *self.qualifiers))

    def has(self, *qualifiers: str) -> bool:
        """Whether any of these qualifiers is given."""
        return any(qualifier in self.qualifiers for qualifier in qualifiers)

    @property
    def severity(self) -> float:
        """Severity as a number, 0.35 (borderline) to 1.6 (severe)."""
        named = [SEVERITY[q] for q in self.qualifiers if q in SEVERITY]
        return max(named, default=UNQUALIFIED)

    @property
    def sides(self) -> tuple[int, ...]:
        """The sides the code names, or implies by a lobe only one lung has; may be empty."""
        named = {SIDES[q] for q in self.qualifiers if q in SIDES}
        if self.has("bilateral"):
            return (-1, 1)
        if not named:
            named = {-1} if self.has("middle lobe") else set()
            named |= {1} if self.has("lingula") else set()
        return tuple(sorted(named))


def parse_code(text: str) -> Code:
    """The code of an entry such as `Calcified Granuloma/lung/upper lobe/right`.

    Stray blanks are dropped; a heading whose capitals differ from the usual keeps its own.
    """
    heading, *qualifiers = (" ".join(part.split()) for part in text.split("/"))
    return Code(heading, tuple(q.lower() for q in qualifiers if q))


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
