"""A phantom: a rendered frontal chest radiograph, drawn from a study's own MeSH codes.

No phantom is a radiograph. Each is built over a real lung outline, with anatomy, exposure and
noise that vary with the seed and with the findings its codes name. A heading outside
`DRAWN_HEADINGS` draws nothing, and so does a code such as `normal`.
"""

import zlib
from collections.abc import Sequence

import numpy as np

from cxr_mtl.data.mesh_codes import Code, parse_code
from cxr_mtl.phantoms import heart, implants, lesions, pleura, skeleton
from cxr_mtl.phantoms.anatomy import Anatomy, sample_anatomy
from cxr_mtl.phantoms.canvas import Canvas
from cxr_mtl.phantoms.painters import PAINTS, REFORMS, settle
from cxr_mtl.phantoms.radiograph import develop

# Importing a module of painters registers its headings.
PAINTERS = (pleura, heart, lesions, skeleton, implants)
DRAWN_HEADINGS = frozenset(REFORMS) | frozenset(PAINTS)
"""Headings of which at least one code draws something."""


def draw(codes: Sequence[str], seed: int, size: int = 256) -> np.ndarray:
    """The phantom of a list of MeSH codes, uint8 [size, size].

    Patient's right on the viewer's left. Equal arguments give equal pixels; another size gives
    the same scene. Without a drawn finding the chest is normal, and the same seed with a finding
    is the same chest with that finding.
    """
    rng = np.random.default_rng(seed)
    anatomy = sample_anatomy(rng)
    canvas = Canvas(size)
    _apply_findings(anatomy, canvas, codes, seed)
    return develop(anatomy, canvas, rng)


def drawn_codes(codes: Sequence[str]) -> list[str]:
    """The codes that a phantom shows, in the order of drawing: those of a drawn heading.

    Phantoms of equal drawn codes differ by their seeds alone.
    """
    return [str(code) for code in _drawn(codes)]


def _drawn(codes: Sequence[str]) -> list[Code]:
    return [code for code in map(parse_code, codes) if code.heading in DRAWN_HEADINGS]


def _apply_findings(anatomy: Anatomy, canvas: Canvas, codes: Sequence[str], seed: int) -> None:
    """Reform the anatomy and paint the canvas by a study's codes.

    Each code has its own random numbers, so one finding never moves another.
    """
    findings = []
    for code in _drawn(codes):
        rng = np.random.default_rng((seed, zlib.crc32(str(code).encode())))
        findings.append(settle(code, rng))
    for finding in findings:
        if finding.code.heading in REFORMS:
            REFORMS[finding.code.heading](anatomy, finding)
    for finding in findings:
        if finding.code.heading in PAINTS:
            PAINTS[finding.code.heading](anatomy, canvas, finding)
