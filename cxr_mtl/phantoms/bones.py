"""The bones of the chest: where they lie and how they are drawn."""

import numpy as np

from cxr_mtl.phantoms.anatomy import Anatomy
from cxr_mtl.phantoms.canvas import Layer, smooth_curve

RIBS = 10
POSTERIOR = 12
"""Points along a posterior rib."""


def bones(anatomy: Anatomy, rng: np.random.Generator, size: int) -> np.ndarray:
    """Attenuation of the bones, float32 [size, size]."""
    behind, before, limbs = Layer(size), Layer(size), Layer(size)
    _ribs(anatomy, rng, behind, before)
    _spine(anatomy, behind, limbs)
    _shoulders(anatomy, rng, limbs)
    attenuation = 0.22 * behind.pixels() + 0.13 * before.pixels() + 0.24 * limbs.pixels()
    return attenuation * anatomy.bone


def _bands(layer: Layer, centres: np.ndarray, widths: np.ndarray, fill: int, edge: int) -> None:
    """Flat bones: filled bands [n, points, 2] with brighter cortical edges."""
    along = np.diff(centres, axis=1, append=2 * centres[:, -1:] - centres[:, -2:-1])
    normal = along[..., ::-1] * np.array([-1, 1])
    normal /= np.hypot(normal[..., :1], normal[..., 1:])
    for value, half in ((edge, widths / 2 + 0.0015), (fill, widths / 2 - 0.0025)):
        offset = normal * half
        layer.shapes(np.concatenate([centres + offset, (centres - offset)[:, ::-1]], axis=1), value)


def ribs(anatomy: Anatomy, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Centre lines of one side's ribs from above: posterior [RIBS, 12, 2], anterior [8, 8, 2]."""
    lung = anatomy.lungs[side]
    number = np.arange(RIBS)
    origin = anatomy.apex + (number - 0.45) * (anatomy.base - anatomy.apex) / (RIBS - 1.6)
    fall = 0.045 + 0.095 * np.minimum(1, (number + 1) / 4)
    wall = lung.lateral(np.maximum(origin + fall, lung.apex + 0.02)) + side * 0.006
    foot = anatomy.spine(origin)
    turn = np.linspace(0.06, 1.0, POSTERIOR)[:, None] * np.pi / 2
    x = foot + (wall - foot) * np.sin(turn)
    y = origin - 0.018 * np.sin(2 * turn) + fall * (1 - np.cos(turn))
    posterior = np.stack([x, y], axis=-1).swapaxes(0, 1)
    back = np.linspace(0, 0.72, 8)[:, None] * np.pi / 2
    sink = 0.07 + 0.075 * np.minimum(1, (number + 1) / 5)
    sternal = anatomy.midline + side * 0.10
    x = sternal + (wall - sternal) * np.cos(back)
    y = origin + fall + sink * np.sin(back)
    anterior = np.stack([x, y], axis=-1).swapaxes(0, 1)
    return posterior, anterior[:8]


def _ribs(anatomy: Anatomy, rng: np.random.Generator, behind: Layer, before: Layer) -> None:
    thick = rng.uniform(0.023, 0.029)
    for side in anatomy.lungs:
        posterior, anterior = ribs(anatomy, side)
        _bands(behind, posterior, np.full((POSTERIOR, 1), thick), 100, 170)
        _bands(before, anterior, np.linspace(thick * 0.8, thick * 1.15, 8)[:, None], 90, 130)


def vertebrae(anatomy: Anatomy) -> np.ndarray:
    """Centres of the vertebral bodies [n, 2], from the neck to below the diaphragm."""
    height = (anatomy.base - anatomy.apex) / 11.5
    y = np.arange(anatomy.apex - 2.5 * height, 1.0, height)
    return np.column_stack([anatomy.spine(y), y])


def _spine(anatomy: Anatomy, bodies: Layer, processes: Layer) -> None:
    height = (anatomy.base - anatomy.apex) / 11.5
    axis = np.linspace(-0.02, 1.02, 24)
    bodies.stroke(np.column_stack([anatomy.spine(axis), axis]), 0.066, 70)
    centres = vertebrae(anatomy)[:, None]
    number = np.arange(len(centres))[:, None, None]
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], float)
    outlines = centres + corners * np.array([1, 0.41 * height]) * [0.031, 1]
    outlines[..., 0] += (corners * 0.0009 * number)[..., 0]
    bodies.shapes(outlines, 110)
    plates = np.concatenate([outlines[:, :2], outlines[:, 2:]])
    bodies.strokes(plates, np.full(len(plates), 0.004), np.full(len(plates), 165))
    # Spinous processes in the middle, pedicles at both sides.
    dots = np.array([(0, 0.2), (-0.019, -0.1), (0.019, -0.1)]) * [1, height]
    processes.shapes((centres + dots).reshape(-1, 1, 2) + _OVAL, 85)


_OVAL = np.array([(-0.006, 0), (-0.004, -0.008), (0.004, -0.008), (0.006, 0), (0.004, 0.008),
                  (-0.004, 0.008)])  # fmt: skip


def _shoulders(anatomy: Anatomy, rng: np.random.Generator, layer: Layer) -> None:
    """Clavicles, the scapulae's edges and the heads of the humeri."""
    for side, lung in anatomy.lungs.items():
        line = clavicle(anatomy, side)
        _bands(layer, line[None], np.linspace(0.034, 0.024, len(line))[:, None], 150, 215)
        x, y = humeral_head(anatomy, side)
        wall = float(lung.lateral(lung.apex + 0.22))
        blade = smooth_curve(
            [
                (x - side * 0.03, y - 0.045),
                (wall - side * 0.01, lung.apex + 0.10),
                (wall - side * rng.uniform(-0.02, 0.03), lung.apex + 0.27),
                (wall + side * 0.035, lung.apex + 0.36),
                (x - side * 0.02, y + 0.05),
            ]
        )
        layer.shape(blade, 42)
        layer.stroke(blade, 0.006, 95)
        layer.disc(x, y, 0.048, 120)
        layer.stroke([(x, y), (x + side * 0.05, y + 0.22)], 0.05, 105)


def humeral_head(anatomy: Anatomy, side: int) -> tuple[float, float]:
    """Centre of the head of a humerus."""
    return 0.5 + side * 0.475, anatomy.shoulder + 0.085


def clavicle(anatomy: Anatomy, side: int) -> np.ndarray:
    """Centre line of a clavicle [25, 2], from the sternum to the shoulder."""
    medial_y = anatomy.lungs[side].apex + 0.065
    lateral, tip_y = 0.5 + side * 0.45, anatomy.shoulder
    medial = anatomy.midline + side * 0.032
    span = lateral - medial
    return smooth_curve(
        [
            (medial, medial_y),
            (medial + 0.3 * span, medial_y - 0.012),
            (medial + 0.65 * span, (medial_y + tip_y) / 2 - 0.022),
            (lateral, tip_y),
        ]
    )
