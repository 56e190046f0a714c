"""Things that are not of the body: catheters, pacemakers, tubes, wires, clips and fragments."""

import numpy as np

from cxr_mtl.phantoms.anatomy import Anatomy
from cxr_mtl.phantoms.bones import humeral_head, vertebrae
from cxr_mtl.phantoms.canvas import Canvas, Layer, smooth_curve
from cxr_mtl.phantoms.painters import Finding, paints


def _atrium(anatomy: Anatomy) -> tuple[float, float]:
    """Where the superior vena cava enters the right atrium."""
    y = anatomy.apex + 0.60 * (anatomy.base - anatomy.apex)
    return anatomy.midline - 0.055, y


@paints("Catheters, Indwelling")
def _catheter(anatomy: Anatomy, canvas: Canvas, finding: Finding) -> None:
    """A central line from a port below the clavicle, through the vena cava to the atrium."""
    x, y = _atrium(anatomy)
    top = anatomy.apex
    port = 0.021 * (0.6 + 0.5 * finding.severity)
    for side in finding.sides:
        start = (anatomy.midline + side * 0.29, top + 0.15)
        crossing = (anatomy.midline + side * 0.06, top + 0.07)
        tip = (x, top + 0.40 * (anatomy.base - top)) if finding.has("thorax") else (x, y)
        route = [start, (start[0] - side * 0.08, top + 0.07), crossing, (x, top + 0.15), tip]
        canvas.layer("dense").stroke(smooth_curve(route), 0.0075, 165)
        canvas.layer("dense").ring(*start, port, 0.010, 230)


@paints("Implanted Medical Device", "Medical Device")
def _implant(anatomy: Anatomy, canvas: Canvas, finding: Finding) -> None:
    if finding.has("aortic valve", "mitral valve", "heart atria", "pulmonary artery"):
        x, y = _atrium(anatomy)
        canvas.layer("dense").ring(x + 0.085, y + 0.03, 0.026, 0.009, 235)
    elif finding.has("humerus", "shoulder"):
        for side in finding.sides:
            x, y = humeral_head(anatomy, side)
            canvas.layer("dense").disc(x, y, 0.043, 245)
            canvas.layer("dense").stroke([(x, y), (x + side * 0.04, y + 0.16)], 0.022, 245)
    elif finding.has("thoracic vertebrae", "cervical vertebrae", "lumbar vertebrae", "spine"):
        _rods(anatomy, canvas, finding)
    elif finding.has("breast"):
        _breast_implants(anatomy, canvas, finding)
    else:
        for side in finding.sides:
            _pacemaker(anatomy, canvas.layer("dense"), side)


def _pacemaker(anatomy: Anatomy, layer: Layer, side: int) -> None:
    """A generator below the clavicle with leads to the right atrium and ventricle."""
    x, y = anatomy.midline + side * 0.29, anatomy.apex + 0.17
    atrium = _atrium(anatomy)
    ventricle = (anatomy.midline + 0.09, anatomy.base - 0.035)
    vein = (anatomy.midline + side * 0.08, anatomy.apex + 0.06)
    for end in (atrium, ventricle):
        route = [(x, y - 0.03), vein, (anatomy.midline - 0.05, anatomy.apex + 0.15)]
        route += [(atrium[0], atrium[1] - 0.05), end]
        layer.stroke(smooth_curve(route), 0.0075, 180)
        layer.disc(*end, 0.008, 245)
    box = [(-0.035, -0.026), (0.0, -0.036), (0.036, -0.024), (0.036, 0.018), (0.0, 0.034),
           (-0.034, 0.022)]  # fmt: skip
    layer.shape(smooth_curve(np.add(box, (x, y)), closed=True), 245)


@paints("Breast Implants", both_sides=True)
def _breast_implants(anatomy: Anatomy, canvas: Canvas, finding: Finding) -> None:
    for side in finding.sides:
        x, y = anatomy.place(side, 0.55, 0.80)
        canvas.layer("cover").disc(x, y, 0.115, 150, 0.105)


@paints("Mastectomy")
def _mastectomy(anatomy: Anatomy, canvas: Canvas, finding: Finding) -> None:
    """The breast's shadow is missing on one side."""
    for side in finding.sides:
        x, y = anatomy.place(side, 0.55, 0.90)
        canvas.layer("gas").disc(x, y, 0.13, 60, 0.10)


@paints("Surgical Instruments", "Sutures")
def _surgical(anatomy: Anatomy, canvas: Canvas, finding: Finding) -> None:
    """Sternal wires where the mediastinum or no place is named, else clips at the place named."""
    places = []
    for side in finding.sides:
        if finding.has("abdomen"):
            places.append((anatomy.midline + side * 0.15, min(anatomy.base + 0.10, 0.93)))
        elif finding.has("breast"):
            places.append(anatomy.place(side, 0.75, 0.80))
        elif finding.has("neck", "cervical vertebrae"):
            places.append((anatomy.midline + side * 0.05, 0.05))
        elif finding.has("shoulder"):
            places.append(humeral_head(anatomy, side))
        elif finding.has("lung", "hilum", "apex", "upper lobe") or finding.code.sides:
            places += [(x, y) for _, x, y in finding.spots(anatomy)]
    if not places:
        _sternal_wires(anatomy, canvas)
    for x, y in places:
        _clips(canvas.layer("dense"), x, y, finding.rng)


def _sternal_wires(anatomy: Anatomy, canvas: Canvas) -> None:
    for down in np.linspace(0.14, 0.82, 6):
        y = anatomy.apex + down * (anatomy.base - anatomy.apex)
        canvas.layer("dense").ring(anatomy.midline, y, 0.015, 0.007, 235)


def _clips(layer: Layer, x: float, y: float, rng: np.random.Generator) -> None:
    for _ in range(5):
        dx, dy = rng.uniform(-0.035, 0.035, 2)
        turn = rng.uniform(0, np.pi)
        arm = 0.011 * np.array([np.cos(turn), np.sin(turn)])
        centre = np.array([x + dx, y + dy])
        layer.stroke([centre - arm, centre + arm], 0.008, 245)


@paints("Tube, Inserted")
def _tube(anatomy: Anatomy, canvas: Canvas, finding: Finding) -> None:
    """A chest tube, a gastric tube or, by default, a tracheal tube."""
    x = anatomy.midline
    if finding.has("abdomen"):
        route = [(x, 0.0), (x, 0.4), (x + 0.02, anatomy.base), (x + 0.10, anatomy.base + 0.08)]
    elif finding.has("thorax") or finding.code.sides:
        side = finding.sides[0]
        wall = anatomy.place(side, 1.0, 0.72)
        route = [(wall[0] + side * 0.06, wall[1] + 0.05), wall, anatomy.place(side, 0.6, 0.18)]
    else:
        carina = anatomy.apex + 0.36 * (anatomy.base - anatomy.apex)
        route = [(x, 0.0), (x - 0.004, carina - 0.06)]
    canvas.layer("dense").stroke(smooth_curve(route), 0.012, 160)


@paints("Spinal Fusion")
def _rods(anatomy: Anatomy, canvas: Canvas, finding: Finding) -> None:
    """Two rods with screws along the region of the spine named; cervical by default."""
    centres = vertebrae(anatomy)
    low, high = 0.0, anatomy.apex + 0.02
    if finding.has("thoracic vertebrae", "spine"):
        low, high = anatomy.apex + 0.25, anatomy.base - 0.1
    elif finding.has("lumbar vertebrae"):
        low, high = anatomy.base - 0.02, 0.98
    region = centres[(centres[:, 1] >= low) & (centres[:, 1] <= high)]
    for side in (-1, 1):
        rod = np.add(region, (side * 0.018, 0))
        canvas.layer("dense").stroke(rod, 0.009, 240)
        for x, y in rod:
            canvas.layer("dense").stroke([(x - 0.010, y), (x + 0.010, y)], 0.009, 245)


@paints("Stents")
def _stent(anatomy: Anatomy, canvas: Canvas, finding: Finding) -> None:
    """A short mesh tube: coronary unless another vessel or the abdomen is named."""
    x, y = anatomy.midline + 0.07, anatomy.apex + 0.62 * (anatomy.base - anatomy.apex)
    if finding.has("abdomen"):
        x, y = anatomy.midline - 0.09, min(anatomy.base + 0.10, 0.93)
    elif finding.has("aorta"):
        x, y = anatomy.midline + 0.055, anatomy.apex + 0.42 * (anatomy.base - anatomy.apex)
    for offset in (-0.007, 0.007):
        canvas.layer("dense").stroke([(x + offset, y - 0.03), (x + offset + 0.02, y + 0.03)],
                                     0.005, 230)  # fmt: skip


@paints("Foreign Bodies", "Contrast Media")
def _foreign_body(anatomy: Anatomy, canvas: Canvas, finding: Finding) -> None:
    """A dense fragment: a ring at the breast, a disc in the abdomen, else a bar."""
    layer = canvas.layer("dense")
    for side in finding.sides:
        x, y = anatomy.place(side, 0.7, 0.55)
        if finding.has("breast"):
            layer.ring(*anatomy.place(side, 0.6, 0.85), 0.020, 0.008, 245)
        elif finding.has("abdomen", "esophagus"):
            layer.disc(anatomy.midline + side * 0.12, min(anatomy.base + 0.12, 0.93), 0.03, 240)
        else:
            turn = finding.rng.uniform(0, np.pi)
            arm = 0.022 * np.array([np.cos(turn), np.sin(turn)])
            layer.stroke([np.subtract((x, y), arm), np.add((x, y), arm)], 0.014, 250)
