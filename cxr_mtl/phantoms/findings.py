"""The registry of findings: which headings are drawn, and drawing a study's codes.

A heading outside `DRAWN_HEADINGS` draws nothing, and so does a code such as `normal`.
"""

import zlib
from collections.abc import Sequence

import numpy as np

from cxr_mtl.phantoms import heart, implants, lesions, pleura, skeleton
from cxr_mtl.phantoms.anatomy import Anatomy
from cxr_mtl.phantoms.canvas import Canvas
from cxr_mtl.phantoms.mesh_codes import PAINTS, REFORMS, parse_code, settle

# Importing a module of findings registers its headings.
FINDINGS = (pleura, heart, lesions, skeleton, implants)
DRAWN_HEADINGS = frozenset(REFORMS) | frozenset(PAINTS)
"""Headings of which at least one code draws something."""


def apply_findings(anatomy: Anatomy, canvas: Canvas, codes: Sequence[str], seed: int) -> None:
    """Reform the anatomy and paint the canvas by a study's codes.

    Each code has its own random numbers, so one finding never moves another.
    """
    findings = []
    for text in codes:
        code = parse_code(text)
        rng = np.random.default_rng((seed, zlib.crc32(str(code).encode())))
        findings.append(settle(code, rng))
    for finding in findings:
        if finding.code.heading in REFORMS:
            REFORMS[finding.code.heading](anatomy, finding)
    for finding in findings:
        if finding.code.heading in PAINTS:
            PAINTS[finding.code.heading](anatomy, canvas, finding)
