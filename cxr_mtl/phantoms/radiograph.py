"""The normal chest film: an anatomy drawn as attenuation and developed into grey values.

Attenuation adds up along the beam: soft tissue and bone add, air in the lungs takes away, and
whatever fills the air (fluid, consolidation, the heart before it) brings it back.
"""

import numpy as np
from PIL import Image
from scipy import ndimage

from cxr_mtl.data.mesh_codes import SIDES
from cxr_mtl.phantoms.anatomy import Anatomy
from cxr_mtl.phantoms.bones import bones
from cxr_mtl.phantoms.canvas import (
    COARSE,
    COARSE_X,
    COARSE_Y,
    Canvas,
    Layer,
    blob,
    clouds,
    enlarge,
    grain,
    meshes,
    smooth_curve,
)


def develop(anatomy: Anatomy, canvas: Canvas, rng: np.random.Generator) -> np.ndarray:
    """The film of an anatomy with the findings on the canvas, uint8 [size, size]."""
    size = canvas.size
    lungs = Layer(size)
    for lung in anatomy.lungs.values():
        lungs.shape(lung.outline(), 255)
    lung = lungs.pixels(0.003)
    heart = _mediastinum(anatomy, size).pixels(0.004)
    body = _body(anatomy, rng, size).pixels(0.006)
    cloudy = clouds(rng, size)
    depth = _lung_depth(anatomy, lungs)
    vessels = _vessels(anatomy, rng, size).pixels()
    skeleton = bones(anatomy, rng, size)
    trachea = _trachea(anatomy, size).pixels(0.005)

    haze = enlarge(canvas.haze + _hila(anatomy), size)
    if canvas.fluff.any():
        haze = haze + enlarge(canvas.fluff, size) * np.clip(1 + 0.35 * cloudy, 0.25, 2.0)
    haze = haze + canvas.pixels("water", 0.008) * 4
    filled = 1 - np.exp(-haze)
    air = lung * enlarge(depth, size) * (1 + 0.05 * cloudy)
    cleared = np.clip(1 - canvas.pixels("gas", 0.0015) * 1.2, 0, 1)

    above = 1 - 0.8 * _below(anatomy, size)
    film = body * enlarge(_soft_tissue(anatomy, rng), size)
    film += heart * above * (0.09 + 0.04 * lung)
    film += 0.05 * filled * lung
    film -= 0.45 * air * (1 - filled) * (1 - 0.85 * heart)
    film += vessels * lung * cleared * (1 - 0.6 * heart) * (1 - 0.8 * filled) * 0.20
    film += skeleton * body * above * (1 - 0.35 * heart)
    film -= trachea * 0.10
    film -= canvas.pixels("gas", 0.0015) * (0.16 + 0.1 * (1 - lung)) * body
    if canvas.net.any():
        net = np.minimum(enlarge(canvas.net, size), 1.5) * meshes(size)
        film += 0.24 * net * lung * (1 - 0.7 * heart)
    film += canvas.pixels("cover", 0.004) * 0.22
    film += canvas.pixels("line", 0.0015) * 0.34
    film += canvas.pixels("spur", 0.002) * 0.19
    film += canvas.pixels("strand", 0.0015) * lung * (1 - 0.5 * heart) * 0.36
    _marker(canvas, rng)
    film += canvas.pixels("dense") * 0.75
    film += (0.006 * cloudy + 0.016 * anatomy.grain * grain(rng, size)) * (0.4 + body)
    return _tone(film, anatomy.exposure)


def _marker(canvas: Canvas, rng: np.random.Generator) -> None:
    """The lead letter L that marks the patient's left."""
    x, y = rng.uniform(0.90, 0.95), rng.uniform(0.04, 0.10)
    canvas.layer("dense").stroke([(x, y), (x, y + 0.04), (x + 0.022, y + 0.04)], 0.008, 255)


def _tone(film: np.ndarray, exposure: float) -> np.ndarray:
    """Grey values of attenuation: a soft toe and shoulder around a nearly straight middle."""
    attenuation = np.linspace(-0.1, 1.4, 2048)
    grey = 1 / (1 + np.exp(-4.4 * (attenuation - 0.52)))
    low, high = 1 / (1 + np.exp(4.4 * 0.50)), 1 / (1 + np.exp(-4.4 * 0.52))
    grey = np.clip((grey - low) / (high - low), 0, 1) ** exposure
    table = (grey * 250 + 3).astype(np.uint8)
    index = np.clip((film + 0.1) * (2047 / 1.5), 0, 2047).astype(np.int16)
    return table[index]


def _lung_depth(anatomy: Anatomy, lungs: Layer) -> np.ndarray:
    """How much air lies along the beam, [COARSE, COARSE]: less towards the lungs' edges."""
    image = lungs.image.resize((COARSE, COARSE), Image.Resampling.BOX)
    inside = np.asarray(image, dtype=np.float32) / 255
    depth = 0.55 + 0.55 * ndimage.gaussian_filter(inside, 3.5, truncate=2.5)
    right = 1 / (1 + np.exp((COARSE_X[:1] - anatomy.midline) * 60))
    return depth * (right * anatomy.air[-1] + (1 - right) * anatomy.air[1])


def _soft_tissue(anatomy: Anatomy, rng: np.random.Generator) -> np.ndarray:
    """Attenuation of the trunk without its lungs, [COARSE, COARSE]."""
    across = (COARSE_X - anatomy.midline) / (0.62 * anatomy.width + 0.12)
    trunk = 0.44 + 0.20 * np.sqrt(np.clip(1 - across**2, 0, 1))
    trunk += 0.12 * _below(anatomy, COARSE)
    spine = anatomy.spine(COARSE_Y[:, :1]).astype(np.float32)
    trunk += 0.09 * np.exp(-(((COARSE_X - spine) / 0.05) ** 2))
    breasts = rng.uniform(0, 0.11)
    for side in SIDES.values():
        x, y = anatomy.place(side, 0.55, 0.9)
        wide, tall = rng.uniform(0.13, 0.17), rng.uniform(0.13, 0.17)
        trunk += breasts * blob(x, y, wide, tall, flat=True)
    x, y = anatomy.place(1, 0.45, 1.0)
    bubble = blob(x, y + rng.uniform(0.05, 0.08), rng.uniform(0.04, 0.07), 0.028, flat=True)
    trunk -= rng.uniform(0.05, 0.28) * bubble
    slope = rng.uniform(-0.06, 0.06, size=2)
    trunk += slope[0] * (COARSE_X - 0.5) + slope[1] * (COARSE_Y - 0.5)
    # The neck is thinner than the trunk.
    return trunk - 0.14 * np.exp(-((COARSE_Y / 0.10) ** 2))


def _below(anatomy: Anatomy, size: int) -> np.ndarray:
    """1 below the diaphragm, 0 above it, [size, 1]."""
    y = (np.arange(size, dtype=np.float32)[:, None] + 0.5) / size
    return 1 / (1 + np.exp((anatomy.base + 0.01 - y) * 28))


def _body(anatomy: Anatomy, rng: np.random.Generator, size: int) -> Layer:
    layer = Layer(size)
    wall = rng.uniform(0.05, 0.10)
    neck = rng.uniform(0.085, 0.115)
    shoulder = rng.uniform(0.10, 0.17)
    armpit = anatomy.apex + rng.uniform(0.26, 0.36)
    sides = []
    for side, lung in anatomy.lungs.items():
        edge = float(lung.lateral(lung.dome)) + side * wall
        sides.append(
            [
                (anatomy.midline + side * neck, -0.05),
                (anatomy.midline + side * neck * 1.05, 0.03),
                (anatomy.midline + side * 0.26, shoulder * 0.75),
                (0.5 + side * 0.52, shoulder + 0.05),
                (0.5 + side * 0.62, shoulder + 0.2),
                (0.5 + side * 0.52, armpit + 0.08),
                (edge + side * 0.02, armpit + 0.04),
                (edge, armpit + 0.2),
                (edge + side * 0.005, 0.85),
                (edge + side * 0.02, 1.08),
            ]
        )
    layer.shape(smooth_curve(sides[0] + sides[1][::-1], closed=True), 255)
    return layer


def _mediastinum(anatomy: Anatomy, size: int) -> Layer:
    """The heart with the great vessels: its left border bulges at aorta, trunk and apex."""
    layer = Layer(size)
    top, base = anatomy.apex, anatomy.base
    tall = base - top
    ratio = anatomy.heart * anatomy.width
    right = (0.36 + 0.06 * anatomy.globular) * ratio
    left = (0.64 + 0.02 * anatomy.globular) * ratio
    wide = anatomy.mediastinum
    knob = (0.085 + 0.055 * anatomy.aorta) * (0.6 + 0.4 * wide)
    trunk = 0.075 + 0.05 * anatomy.pulmonary_trunk
    # A large or fluid-wrapped heart fills the waist below the trunk.
    waist = max(0.58 * left + 0.12 * anatomy.globular * left, trunk)
    unfolded = 0.03 * anatomy.aorta
    border = [
        (-0.045 * wide, -0.12),
        (-0.050 * wide, 0.06),
        (-0.066 * wide - unfolded, 0.24),
        (-0.068 * wide - unfolded * 0.8, 0.42),
        (-0.86 * right, 0.60),
        (-1.00 * right, 0.76),
        (-0.86 * right, 0.95),
        (-0.30 * right, 1.06),
        (0.45 * left, 1.06),
        (0.93 * left, 0.99),
        (1.00 * left, 0.90),
        (0.86 * left, 0.74),
        (waist, 0.58),
        (trunk, 0.45),
        (0.062 * wide + unfolded, 0.37),
        (knob, 0.27),
        (knob * 0.86, 0.19),
        (0.050 * wide, 0.11),
        (0.045 * wide, -0.12),
    ]
    points = np.array(border)
    low = np.clip((points[:, 1] - 0.3) / 0.5, 0, 1)
    points[:, 1] = top + points[:, 1] * tall
    points[:, 0] += anatomy.spine(points[:, 1]) * 0.5 + anatomy.midline * 0.5
    points[:, 0] += anatomy.heart_shift * (0.4 + 0.6 * low)
    layer.shape(smooth_curve(points, closed=True), 255)
    return layer


def _hila(anatomy: Anatomy) -> np.ndarray:
    field = np.zeros((COARSE, COARSE), np.float32)
    for side, gain in anatomy.hilum.items():
        x, y = anatomy.hilum_of(side)
        x -= side * 0.025
        grown = 0.75 + 0.25 * gain
        field += 0.46 * gain * blob(x, y, 0.040 * grown, 0.070 * grown)
        field += 0.16 * blob(x, y + 0.06, 0.05, 0.12)
    return field


def _trachea(anatomy: Anatomy, size: int) -> Layer:
    layer = Layer(size)
    carina = anatomy.apex + 0.36 * (anatomy.base - anatomy.apex)
    x = anatomy.midline - 0.006 - 0.012 * anatomy.aorta
    shift = anatomy.heart_shift * 0.6
    layer.stroke(
        [(anatomy.midline, -0.02), (x + shift * 0.5, 0.12), (x + shift, carina)], 0.034, 200
    )
    for side in SIDES.values():
        hx, hy = anatomy.hilum_of(side)
        layer.stroke([(x + shift, carina - 0.01), (hx - side * 0.02, hy)], 0.021, 120)
    return layer


def _vessels(anatomy: Anatomy, rng: np.random.Generator, size: int) -> Layer:
    """Three generations of branches from each hilum, thinner and fainter as they go."""
    layer = Layer(size)
    generations = []
    for side, lung in anatomy.lungs.items():
        x, y = anatomy.hilum_of(side)
        angles = np.linspace(-1.25, 1.40, 8) + 0.13 * rng.standard_normal(8)
        up = angles < 0
        reach = np.where(up, y - lung.apex, lung.base - y) * np.abs(np.sin(angles))
        reach += abs(float(lung.lateral(y)) - x) * np.cos(angles)
        reach *= rng.uniform(0.36, 0.55, 8)
        start = np.column_stack([np.full(8, x - side * 0.02), y + 0.05 * np.sin(angles)])
        width = rng.uniform(0.008, 0.014, 8) * np.where(up, anatomy.upper_vessels, 1.0)
        shade = 200.0
        for _ in range(3):
            step = np.column_stack([side * np.cos(angles), np.sin(angles)])
            bend = 0.16 * rng.standard_normal(len(angles))
            normal = step[:, ::-1] * np.array([-1, 1])
            middle = start + (0.5 * step + bend[:, None] * normal) * reach[:, None]
            end = start + step * reach[:, None]
            shades = shade * rng.uniform(0.7, 1.0, len(angles))
            generations.append((np.stack([start, middle, end], axis=1), width, shades))
            fork = rng.uniform(0.25, 0.7, len(angles))
            start = np.concatenate([end, middle])
            angles = np.concatenate(
                [angles + 0.5 * fork, angles + np.where(fork > 0.47, 1, -1) * fork]
            )
            reach = np.tile(reach * rng.uniform(0.5, 0.75, len(reach)), 2)
            width = np.tile(width * 0.64, 2)
            shade *= 0.66
    for lines, widths, shades in generations[::-1]:
        widths = widths * (0.6 + 0.4 * anatomy.vessels)
        layer.strokes(lines, widths, np.minimum(shades * anatomy.vessels, 255))
    return layer
