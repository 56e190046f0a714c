"""Findings of the heart, the great vessels and the pulmonary circulation."""

import numpy as np

from cxr_mtl.phantoms.anatomy import Anatomy
from cxr_mtl.phantoms.canvas import Canvas, blob
from cxr_mtl.phantoms.painters import Finding, paints, reforms
from cxr_mtl.phantoms.pleura import fluid


@reforms("Cardiomegaly", "Cardiac Shadow", "Heart", "Heart Ventricles", "Heart Atria")
def _large_heart(anatomy: Anatomy, finding: Finding) -> None:
    if finding.code.heading == "Cardiomegaly" or finding.has("enlarged", "prominent"):
        anatomy.heart = max(anatomy.heart, 0.48 + 0.13 * finding.severity)


@reforms("Pericardial Effusion")
def _pericardial_effusion(anatomy: Anatomy, finding: Finding) -> None:
    anatomy.heart = 0.54 + 0.13 * finding.severity
    anatomy.globular = 1.0


@reforms("Aorta", "Aorta, Thoracic", "Aortic Aneurysm")
def _aorta(anatomy: Anatomy, finding: Finding) -> None:
    aneurysm = finding.code.heading == "Aortic Aneurysm"
    if aneurysm or finding.has("tortuous", "enlarged", "prominent"):
        anatomy.aorta = 0.45 + 0.75 * finding.severity + 0.8 * aneurysm


@paints("Aorta", "Aorta, Thoracic")
def _descending_aorta(anatomy: Anatomy, canvas: Canvas, finding: Finding) -> None:
    """The tortuous aorta's left edge swings out beside the spine."""
    if not finding.has("tortuous", "enlarged", "prominent"):
        return
    y = np.linspace(anatomy.apex + 0.30 * (anatomy.base - anatomy.apex), anatomy.base, 12)
    swing = 0.055 + (0.02 + 0.03 * finding.severity) * np.sin(np.linspace(0.6, 2.9, 12))
    edge = np.column_stack([anatomy.spine(y) + swing, y])
    axis = np.column_stack([anatomy.spine(y), y])
    canvas.layer("cover").shape(np.concatenate([edge, axis[::-1]]), 95)


def knob(anatomy: Anatomy) -> tuple[float, float, float]:
    """Centre and radius of the aortic knob."""
    y = anatomy.apex + 0.27 * (anatomy.base - anatomy.apex)
    reach = 0.085 + 0.055 * anatomy.aorta
    return float(anatomy.spine(y)) + reach - 0.042, y, 0.036


@paints("Atherosclerosis")
def atherosclerosis(anatomy: Anatomy, canvas: Canvas, finding: Finding) -> None:
    x, y, radius = knob(anatomy)
    turn = np.linspace(-1.4, 1.2 + 0.4 * finding.severity, 12)
    arc = np.column_stack([x + radius * np.cos(turn), y + radius * np.sin(turn)])
    canvas.layer("dense").stroke(arc, 0.009, 165)


@reforms("Mediastinum")
def _mediastinum(anatomy: Anatomy, finding: Finding) -> None:
    if finding.has("prominent", "enlarged", "paratracheal", "lymph nodes"):
        mild = finding.has("mild")
        anatomy.mediastinum = 1.35 if mild else 1.8


@reforms("Shift")
def _shift(anatomy: Anatomy, finding: Finding) -> None:
    anatomy.heart_shift += 0.08 * finding.severity * sum(finding.sides)


@reforms("Pulmonary Artery", "Hypertension, Pulmonary", both_sides=True)
def _pulmonary_artery(anatomy: Anatomy, finding: Finding) -> None:
    anatomy.pulmonary_trunk = 0.9
    for side in finding.sides:
        anatomy.hilum[side] += 1.1 * finding.severity


@reforms("Pulmonary Congestion", "Pulmonary Edema", "Heart Failure", both_sides=True)
def _congestion(anatomy: Anatomy, finding: Finding) -> None:
    for side in finding.sides:
        anatomy.hilum[side] += 0.6 * finding.severity
    anatomy.vessels *= 1.2 + 0.25 * finding.severity
    anatomy.upper_vessels = 1.5
    if finding.code.heading == "Heart Failure":
        anatomy.heart = max(anatomy.heart, 0.50 + 0.10 * finding.severity)


@paints("Pulmonary Congestion", "Pulmonary Edema", "Heart Failure")
def _congestion_haze(anatomy: Anatomy, canvas: Canvas, finding: Finding) -> None:
    gain = 0.45 if finding.code.heading == "Pulmonary Congestion" else 0.9
    for side in finding.sides:
        x, y = anatomy.hilum_of(side)
        canvas.fluff += gain * finding.severity * blob(x + side * 0.06, y + 0.05, 0.12, 0.17)
        if finding.code.heading != "Pulmonary Congestion":
            _septal_lines(anatomy, canvas, finding, side)
        if finding.code.heading == "Heart Failure":
            fluid(anatomy, canvas, side, 0.35)


def _septal_lines(anatomy: Anatomy, canvas: Canvas, finding: Finding, side: int) -> None:
    """Kerley's B lines: short and level, at the lateral base."""
    for down in np.linspace(0.62, 0.92, 8):
        x, y = anatomy.place(side, 0.98, float(down))
        length = finding.rng.uniform(0.025, 0.045)
        shade = int(finding.rng.integers(110, 190))
        tilt = finding.rng.uniform(-0.006, 0.006)
        canvas.layer("strand").stroke([(x, y), (x - side * length, y + tilt)], 0.004, shade)


@paints("Epicardial Fat")
def _epicardial_fat(anatomy: Anatomy, canvas: Canvas, finding: Finding) -> None:
    for side in finding.sides:
        edge = anatomy.heart * anatomy.width * (0.62 if side > 0 else 0.34)
        x, y = anatomy.midline + side * edge, anatomy.base - 0.03
        canvas.haze += 1.6 * blob(x, y, 0.06, 0.055, flat=True)
