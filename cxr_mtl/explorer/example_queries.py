"""Queries that show what typed reports find: twelve with their reasons, and fifty to test with."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from cxr_mtl.data.mesh_codes import parse_code


@dataclass(frozen=True)
class ExampleQuery:
    """A text to type, why, and codes of which a study that answers it has one or, negated, none.

    A code counts for a finding when it has its heading and all its qualifiers.
    """

    text: str
    reason: str
    findings: tuple[str, ...] = ()
    negated: bool = False

    def is_answered_by(self, codes: Sequence[str]) -> bool:
        """Whether a study with these codes is one that the query asks for."""
        return any(_names(code, self.findings) for code in codes) != self.negated


def _names(code: str, findings: Sequence[str]) -> bool:
    found = parse_code(code)
    return any(
        found.heading == asked.heading and set(asked.qualifiers) <= set(found.qualifiers)
        for asked in map(parse_code, findings)
    )


RIGHT_FLUID = ("Pleural Effusion/right", "Pleural Effusion/bilateral")
LEFT_FLUID = ("Pleural Effusion/left", "Pleural Effusion/bilateral")
HYPERINFLATED = ("Lung/hyperdistention", "Emphysema", "Pulmonary Disease, Chronic Obstructive")
EXAMPLE_QUERIES = (
    ExampleQuery("right pleural effusion", "a finding in the reports' own words", RIGHT_FLUID),
    ExampleQuery("left pleural effusion", "the other side: one word differs", LEFT_FLUID),
    ExampleQuery("fluid around the right lung", "in words that no report uses", RIGHT_FLUID),
    ExampleQuery("no pleural effusion", "one word denies it", ("Pleural Effusion",), negated=True),
    ExampleQuery("cardiomegaly", "one frequent word, a large shape", ("Cardiomegaly",)),
    ExampleQuery(
        "the heart is not enlarged", "denied within the sentence", ("Cardiomegaly",), negated=True
    ),
    ExampleQuery("cardiomegly", "misspelt", ("Cardiomegaly",)),
    ExampleQuery("pacemaker", "bright, and rare", ("Implanted Medical Device",)),
    ExampleQuery("sternotomy wires", "thin, and rare", ("Surgical Instruments/mediastinum",)),
    ExampleQuery("hyperexpanded lungs", "a change of the whole shape", HYPERINFLATED),
    ExampleQuery(
        "calcified granuloma in the left upper lobe",
        "a few pixels in a given place",
        ("Calcified Granuloma/upper lobe/left",),
    ),
    ExampleQuery("pneumonia", "what a picture alone seldom decides", ("Pneumonia",)),
)
"""Twelve queries for a reader to judge the model by: what was expected hard stands beside easy."""

ODD = (
    "CARDIOMEGALY, with pulmonary edema (moderate)!",
    "The lungs are clear \u2603 no snowman is seen.",
    "Opacité in the left upper lobe; 2.5cm nodule",
    "The heart is normal in size and the lungs are clear. " * 30,
    "nor\u00admal chest \u2014 \u201cno acute disease\u201d",
)
"""Capitals, an unknown sign, an accent, a text that is cut, a soft hyphen, curly quotes."""

_FINDINGS = (
    "pleural effusion",
    "pneumothorax",
    "lower lobe opacity",
    "upper lobe nodule",
    "basilar atelectasis",
    "apical scarring",
    "hilar calcification",
    "rib fracture",
    "pneumonia",
    "hemidiaphragm elevation",
    "port catheter",
)
TRIED = (
    *(query.text for query in EXAMPLE_QUERIES),
    *ODD,
    *(" ".join(words) for words in product(("mild right", "large left", "both"), _FINDINGS)),
)
"""Fifty different texts on which a page must find what Python finds."""
