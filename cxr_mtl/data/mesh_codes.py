"""Open-I's MeSH codes (`Heading/qualifier/qualifier…`): what they say."""

from dataclasses import dataclass

SIDES = {"right": -1, "left": 1}
"""The patient's sides; the patient's right lies on the viewer's left."""

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
