"""Findings within the lungs: opacities, nodules, calcifications, scars, cavities."""

import numpy as np

from cxr_mtl.data.mesh_codes import Code
from cxr_mtl.phantoms.anatomy import Anatomy
from cxr_mtl.phantoms.canvas import Canvas, blob
from cxr_mtl.phantoms.heart import atherosclerosis
from cxr_mtl.phantoms.painters import ZONES, Finding, paints, reforms
from cxr_mtl.phantoms.pleura import pleural_rind, squeeze

_GAIN = {"Consolidation": 2.2, "Pneumonia": 1.7, "Airspace Disease": 1.35}


@paints(
    "Opacity",
    "Airspace Disease",
    "Infiltrate",
    "Pneumonia",
    "Consolidation",
    "Density",
    "Bronchiolitis",
    "Bronchitis",
    "Tuberculosis",
)
def _opacity(anatomy: Anatomy, canvas: Canvas, finding: Finding) -> None:
    gain = _GAIN.get(finding.code.heading, 1.1) * (0.55 + 0.55 * finding.severity)
    if finding.has("interstitial"):
        _net(anatomy, canvas, finding)
    elif finding.has("streaky"):
        _bands(anatomy, canvas, finding, count=3, thick=0.009)
    elif finding.has("round"):
        _nodules(anatomy, canvas, finding, 0.026, 200)
    else:
        parts = 4 if finding.has("patchy", "multiple", "scattered") else 2
        for _, x, y in finding.spots(anatomy, parts):
            wide, tall = finding.rng.uniform(0.05, 0.085, 2) * (0.75 + 0.3 * finding.severity)
            spread = 0.6 if parts == 4 else 1.0
            canvas.fluff += gain * blob(x, y, wide * spread, tall * spread)


def _bands(
    anatomy: Anatomy, canvas: Canvas, finding: Finding, count: int, thick: float, shade: int = 215
) -> None:
    """Linear shadows, nearly level and tapering, as of plate-like collapse or scarring."""
    taper = np.sin(np.linspace(0, np.pi, 9)) ** 0.7 * thick / 2
    for side, x, y in finding.spots(anatomy, count):
        length = finding.rng.uniform(0.055, 0.085) * (0.8 + 0.4 * finding.severity)
        lean = finding.rng.uniform(-0.55, 0.25) * side
        along = np.linspace(-length, length, 9)
        bow = finding.rng.uniform(-0.012, 0.012) * (1 - (along / length) ** 2)
        centre = np.column_stack([x + along, y + lean * along + bow])
        lens = np.concatenate(
            [centre + [0, 1] * taper[:, None], (centre - [0, 1] * taper[:, None])[::-1]]
        )
        canvas.layer("strand").shape(lens, shade)


def _net(anatomy: Anatomy, canvas: Canvas, finding: Finding) -> None:
    """Reticular shadows in each zone named, or over the whole lung."""
    zoned = any(q in ZONES for q in finding.code.qualifiers)
    radius = 0.11 if zoned else 0.20
    for side, x, y in finding.spots(anatomy):
        if not zoned:
            x, y = anatomy.place(side, 0.5, 0.55)
        gain = 0.5 + 0.5 * finding.severity
        canvas.net += gain * blob(x, y, radius * 0.75, radius, flat=True)
        canvas.haze += 0.20 * finding.severity * blob(x, y, radius, radius)


@reforms("Markings", both_sides=True)
def _markings(anatomy: Anatomy, finding: Finding) -> None:
    if not finding.has("interstitial"):
        anatomy.vessels *= 1.25 + 0.35 * finding.severity


@paints(
    "Markings",
    "Lung Diseases, Interstitial",
    "Pulmonary Fibrosis",
    "Fibrosis",
    "Sarcoidosis",
    "Cystic Fibrosis",
    both_sides=True,
)
def _interstitial(anatomy: Anatomy, canvas: Canvas, finding: Finding) -> None:
    # Bronchovascular markings are the vessels themselves.
    if not finding.has("bronchovascular") or finding.has("interstitial"):
        _net(anatomy, canvas, finding)


@paints("Bronchiectasis")
def _bronchiectasis(anatomy: Anatomy, canvas: Canvas, finding: Finding) -> None:
    for _, x, y in finding.spots(anatomy, 5):
        canvas.layer("strand").ring(x, y, 0.012, 0.004, 220)
        canvas.layer("strand").stroke([(x, y), (x + 0.02, y + 0.04)], 0.004, 180)


@reforms("Pulmonary Atelectasis")
def _collapse(anatomy: Anatomy, finding: Finding) -> None:
    if not finding.has("upper lobe", "hilum"):
        for side in finding.sides:
            squeeze(anatomy, side, 0.035 * finding.severity)


@paints("Pulmonary Atelectasis")
def _atelectasis(anatomy: Anatomy, canvas: Canvas, finding: Finding) -> None:
    if not any(q in ZONES for q in finding.code.qualifiers):
        base = Code(finding.code.heading, (*finding.code.qualifiers, "base"))
        finding = Finding(base, finding.sides, finding.rng)
    count = 1 if finding.has("focal") else 2
    _bands(anatomy, canvas, finding, count, thick=0.014, shade=235)
    for _, x, y in finding.spots(anatomy):
        canvas.fluff += 0.5 * finding.severity * blob(x, y, 0.08, 0.035)


@paints("Cicatrix")
def _cicatrix(anatomy: Anatomy, canvas: Canvas, finding: Finding) -> None:
    if finding.has("pleura"):
        pleural_rind(anatomy, canvas, finding)
    elif finding.has("apex", "upper lobe"):
        for side, x, y in finding.spots(anatomy, 2):
            hx, hy = anatomy.hilum_of(side)
            for lean in (-0.03, 0.0, 0.03):
                reach = finding.rng.uniform(0.2, 0.45)
                bend = (x + lean * 0.6, y + 0.4 * reach * (hy - y))
                end = (x + reach * (hx - x) + lean, y + reach * (hy - y))
                shade = int(finding.rng.integers(130, 210))
                canvas.layer("strand").stroke([(x + lean * 0.2, y - 0.02), bend, end], 0.005, shade)
            canvas.fluff += 0.35 * blob(x, y, 0.035, 0.03)
    else:
        _bands(anatomy, canvas, finding, count=2, thick=0.007)


@paints("Nodule", "Granuloma", "Mass")
def _nodule(anatomy: Anatomy, canvas: Canvas, finding: Finding) -> None:
    if finding.code.heading == "Mass":
        for _, x, y in finding.spots(anatomy, finding.number):
            radius = 0.055 * (0.6 + 0.5 * finding.severity)
            canvas.haze += 3.0 * blob(x, y, radius, radius * 0.9, flat=True)
    else:
        size = 0.019 if finding.code.heading == "Nodule" else 0.014
        _nodules(anatomy, canvas, finding, size, 205)


@paints("Nipple Shadow", both_sides=True)
def _nipples(anatomy: Anatomy, canvas: Canvas, finding: Finding) -> None:
    for side in finding.sides:
        canvas.layer("strand").disc(*anatomy.place(side, 0.5, 0.84), 0.016, 150)


def _nodules(anatomy: Anatomy, canvas: Canvas, finding: Finding, radius: float, shade: int) -> None:
    for _, x, y in finding.spots(anatomy, finding.number):
        grown = radius * (0.7 + 0.35 * finding.severity) * finding.rng.uniform(0.9, 1.15)
        canvas.layer("strand").disc(x, y, grown, shade, grown * finding.rng.uniform(0.85, 1.0))


@paints("Granulomatous Disease", both_sides=True)
def _granulomatous(anatomy: Anatomy, canvas: Canvas, finding: Finding) -> None:
    _calcified_nodes(anatomy, canvas, finding)
    _grains(anatomy, canvas, finding, 2)


@paints("Calcified Granuloma", "Calcinosis")
def _calcification(anatomy: Anatomy, canvas: Canvas, finding: Finding) -> None:
    if finding.has("aorta", "aorta, thoracic", "blood vessels", "aortic valve", "mitral valve"):
        atherosclerosis(anatomy, canvas, finding)
    elif finding.has("pleura"):
        pleural_rind(anatomy, canvas, finding)
    elif finding.has("hilum", "lymph nodes", *_CENTRAL):
        _calcified_nodes(anatomy, canvas, finding)
    else:
        _grains(anatomy, canvas, finding, finding.number)


def _grains(anatomy: Anatomy, canvas: Canvas, finding: Finding, count: int) -> None:
    """Calcified granulomas: small, sharp and dense."""
    for _, x, y in finding.spots(anatomy, count):
        radius = 0.0115 * (0.65 + 0.4 * finding.severity) * finding.rng.uniform(0.9, 1.1)
        canvas.layer("dense").disc(x, y, radius, 180)


_CENTRAL = ("mediastinum", "paratracheal", "trachea", "trachea, carina")


def _calcified_nodes(anatomy: Anatomy, canvas: Canvas, finding: Finding) -> None:
    """Clustered calcified lymph nodes at the hila, or beside the trachea."""
    for side in finding.sides:
        x, y = anatomy.hilum_of(side)
        if finding.has(*_CENTRAL):
            x, y = anatomy.midline + side * 0.045, y - 0.06
        for _ in range(4):
            dx, dy = finding.rng.uniform(-0.028, 0.028, 2)
            radius = finding.rng.uniform(0.008, 0.013)
            canvas.layer("dense").disc(x + dx, y + dy, radius, 165, radius * 0.8)


@paints("Lung")
def _lung_signs(anatomy: Anatomy, canvas: Canvas, finding: Finding) -> None:
    if finding.has("interstitial"):
        _net(anatomy, canvas, finding)
    if finding.has("obscured"):
        for _, x, y in finding.spots(anatomy):
            canvas.haze += 1.2 * blob(x, y, 0.10, 0.06)
    if finding.has("azygos lobe"):
        x, y = anatomy.place(-1, 0.25, 0.06)
        end = anatomy.midline - 0.075
        canvas.layer("strand").stroke([(x, y), (x + 0.01, y + 0.07), (end, y + 0.14)], 0.006, 230)


@reforms("Lung, Hyperlucent")
def _hyperlucent(anatomy: Anatomy, finding: Finding) -> None:
    for side in finding.sides:
        anatomy.air[side] += 0.25 * finding.severity


@paints("Lucency", "Bullous Emphysema", "Blister", "Cysts", "Cavitation")
def _lucency(anatomy: Anatomy, canvas: Canvas, finding: Finding) -> None:
    wall = {"Cavitation": 235, "Cysts": 150, "Blister": 110, "Bullous Emphysema": 110}
    for _, x, y in finding.spots(anatomy, finding.number):
        radius = finding.rng.uniform(0.040, 0.055) * (0.6 + 0.5 * finding.severity)
        canvas.layer("gas").disc(x, y, radius, 210)
        if finding.code.heading in wall:
            thick = 0.011 if finding.code.heading == "Cavitation" else 0.004
            canvas.layer("strand").ring(x, y, radius, thick, wall[finding.code.heading])


@paints("Thickening", both_sides=True)
def _thickening(anatomy: Anatomy, canvas: Canvas, finding: Finding) -> None:
    if finding.has("bronchi", "bronchovascular", "interstitial"):
        _net(anatomy, canvas, finding)
    else:
        pleural_rind(anatomy, canvas, finding)


@reforms("Technical Quality of Image Unsatisfactory")
def _poor_film(anatomy: Anatomy, finding: Finding) -> None:
    """A grainy film, over- or underexposed."""
    anatomy.exposure = float(finding.rng.choice([0.6, 1.7]))
    anatomy.grain = 2.8
