"""Findings of the pleura, the diaphragm and the lungs' volume."""

import numpy as np

from cxr_mtl.data.mesh_codes import SIDES
from cxr_mtl.phantoms.anatomy import ACROSS, Anatomy
from cxr_mtl.phantoms.canvas import Canvas, blob
from cxr_mtl.phantoms.painters import Finding, paints, reforms


def squeeze(anatomy: Anatomy, side: int, rise: float) -> None:
    """Lift the lower end of a lung by `rise` (negative lowers it), the apex staying in place."""
    lung = anatomy.lungs[side]
    tall = lung.base - lung.apex

    def moved(y: np.ndarray) -> np.ndarray:
        return y - rise * np.clip((y - lung.apex) / tall, 0, 1) ** 1.5

    lung.top, lung.bottom = moved(lung.top), moved(lung.bottom)


def _flatten(anatomy: Anatomy, side: int, amount: float) -> None:
    lung = anatomy.lungs[side]
    inner = ACROSS < 0.9
    flat = np.median(lung.bottom) + 0.025
    lung.bottom[inner] += amount * (np.maximum(flat, lung.bottom) - lung.bottom)[inner]


def _inflate(anatomy: Anatomy, side: int, severity: float) -> None:
    """Overinflation: a longer, flatter, darker lung with sparse vessels."""
    squeeze(anatomy, side, -0.055 * severity)
    _flatten(anatomy, side, min(1.0, 0.9 * severity))
    anatomy.air[side] += 0.12 * severity


@reforms("Lung", both_sides=True)
def _lung(anatomy: Anatomy, finding: Finding) -> None:
    for side in finding.sides:
        if finding.has("hypoinflation"):
            squeeze(anatomy, side, 0.10 + 0.06 * finding.severity)
            anatomy.air[side] -= 0.12
        if finding.has("hyperdistention"):
            _inflate(anatomy, side, finding.severity)
        if finding.has("hilum", "lymph nodes"):
            anatomy.hilum[side] += 1.3 * finding.severity
    if finding.has("hypoinflation"):
        anatomy.heart += 0.03
        anatomy.vessels *= 1.25


@reforms(
    "Emphysema",
    "Pulmonary Emphysema",
    "Pulmonary Disease, Chronic Obstructive",
    "Bullous Emphysema",
    both_sides=True,
)
def _emphysema(anatomy: Anatomy, finding: Finding) -> None:
    for side in finding.sides:
        _inflate(anatomy, side, finding.severity)
        anatomy.air[side] += 0.10 * finding.severity
    anatomy.vessels *= 0.6
    anatomy.heart *= 0.9


@reforms("Diaphragm", "Diaphragmatic Eventration", "Volume Loss", "Pneumonectomy")
def _diaphragm(anatomy: Anatomy, finding: Finding) -> None:
    for side in finding.sides:
        if finding.has("flattened"):
            squeeze(anatomy, side, -0.03 * finding.severity)
            _flatten(anatomy, side, 1.0)
        elif finding.code.heading == "Diaphragmatic Eventration":
            hump = np.exp(-(((ACROSS - 0.35) / 0.20) ** 2))
            lung = anatomy.lungs[side]
            lung.bottom = lung.bottom - 0.085 * finding.severity * hump
        else:
            squeeze(anatomy, side, 0.04 + 0.085 * finding.severity)
    if finding.code.heading in ("Volume Loss", "Pneumonectomy"):
        anatomy.heart_shift += 0.05 * sum(finding.sides)


def fluid(anatomy: Anatomy, canvas: Canvas, side: int, severity: float) -> None:
    """Free fluid: blunts the angle, then climbs the lateral wall with a meniscus."""
    lung = anatomy.lungs[side]
    lateral, medial = float(lung.x[-1]) + side * 0.02, float(lung.x[0])
    edge = lung.base - 0.07 - 0.18 * severity
    inner = lung.dome + 0.06 - 0.16 * max(severity - 0.5, 0)
    across = np.linspace(0, 1, 16)
    level = edge + (inner - edge) * (1 - (1 - across) ** 2.2)
    surface = np.column_stack([lateral + (medial - lateral) * across, level])
    canvas.layer("water").shape([*surface.tolist(), (medial, 1.0), (lateral, 1.0)], 255)


@paints("Pleural Effusion", "Hemothorax", "Hydropneumothorax", "Hemopneumothorax")
def _effusion(anatomy: Anatomy, canvas: Canvas, finding: Finding) -> None:
    for side in finding.sides:
        fluid(anatomy, canvas, side, finding.severity)
        if "pneumothorax" in finding.code.heading.lower():
            _free_air(anatomy, canvas, finding, side)


@paints("Costophrenic Angle", "Sulcus", "Pleura")
def _blunted_angle(anatomy: Anatomy, canvas: Canvas, finding: Finding) -> None:
    for side in finding.sides:
        fluid(anatomy, canvas, side, 0.30 * finding.severity)


@paints("Pneumothorax")
def _pneumothorax(anatomy: Anatomy, canvas: Canvas, finding: Finding) -> None:
    for side in finding.sides:
        _free_air(anatomy, canvas, finding, side)


def _free_air(anatomy: Anatomy, canvas: Canvas, finding: Finding, side: int) -> None:
    """Air between chest wall and lung, bounded by the thin line of the visceral pleura."""
    lung = anatomy.lungs[side]
    gap = 0.028 + 0.040 * finding.severity
    outline = lung.outline()[: 2 * len(ACROSS) - len(ACROSS) // 2]
    floor = lung.apex + (0.35 + 0.25 * finding.severity) * (lung.base - lung.apex)
    rim = outline[(outline[:, 1] < floor) & (np.abs(outline[:, 0] - anatomy.midline) > 0.06)]
    hilum = np.array(anatomy.hilum_of(side))
    inward = hilum - rim
    inward /= np.linalg.norm(inward, axis=1, keepdims=True)
    # The rim narrows to nothing at its lower end.
    taper = np.clip((floor - rim[:, 1]) / (0.3 * (floor - lung.apex)), 0, 1)
    pleura = rim + inward * gap * taper[:, None]
    canvas.layer("gas").shape(np.concatenate([rim, pleura[::-1]]), 255)
    canvas.layer("strand").stroke(pleura, 0.005, 255)
    if finding.severity > 1.3:
        x, y = hilum
        canvas.haze += 0.6 * blob(x + side * 0.05, y + 0.05, 0.12, 0.2)


def pleural_rind(anatomy: Anatomy, canvas: Canvas, finding: Finding) -> None:
    """Thickened pleura: a cap over the apex, or a rind along the lower lateral wall."""
    for side in finding.sides:
        lung = anatomy.lungs[side]
        tall = lung.base - lung.apex
        if finding.has("apex", "upper lobe"):
            near = (lung.top < lung.apex + 0.10 * tall) & (ACROSS < 0.8)
            points = np.column_stack([lung.x, lung.top])[near]
        else:
            y = np.linspace(lung.apex + 0.45 * tall, lung.apex + 0.9 * tall, 10)
            points = np.column_stack([lung.lateral(y), y])
        width = 0.030 * (0.6 + 0.5 * finding.severity)
        canvas.layer("water").stroke(points, width, 235)


@paints("Hernia, Hiatal", "Hernia, Diaphragmatic")
def _hernia(anatomy: Anatomy, canvas: Canvas, finding: Finding) -> None:
    """A round retrocardiac stomach with air over a fluid level."""
    radius = 0.062 * (0.65 + 0.4 * finding.severity)
    x, y = anatomy.midline + 0.035, anatomy.base - 0.9 * radius
    canvas.layer("cover").disc(x, y, radius, 100)
    level = np.linspace(np.pi, 2 * np.pi, 16)
    bubble = np.column_stack([x + 0.82 * radius * np.cos(level), y + 0.80 * radius * np.sin(level)])
    canvas.layer("gas").shape(bubble, 255)


@paints("Pneumoperitoneum")
def _free_abdominal_air(anatomy: Anatomy, canvas: Canvas, finding: Finding) -> None:
    lung = anatomy.lungs[SIDES["right"]]
    inner = slice(8, -6)
    under = np.column_stack([lung.x, lung.bottom + 0.012])[inner]
    canvas.layer("gas").shape(np.concatenate([under, np.add(under, (0, 0.014))[::-1]]), 255)
