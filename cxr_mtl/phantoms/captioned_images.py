"""Captioned phantoms and everyday shapes, to align towers with; drawn without PyTorch."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context

import numpy as np
from PIL import Image, ImageDraw

from cxr_mtl.base.processes import end_with_parent
from cxr_mtl.phantoms.captions import (
    CODE_VECTOR_NAMES,
    code_vector,
    describe,
    random_codes,
)
from cxr_mtl.phantoms.phantom import draw

CaptionedImage = tuple[np.ndarray, str, np.ndarray]
"""The image uint8 [size, size, 3], its caption, and which of what can be drawn is there, float32
[n]."""
Drawer = Callable[[np.random.Generator, int], CaptionedImage]


@dataclass(frozen=True)
class CaptionedImages:
    """Images uint8 [n, size, size, 3], their captions, and what is drawn float32 [n, codes]."""

    images: np.ndarray
    captions: list[str]
    targets: np.ndarray


def captioned_images(
    draw_one: Drawer, numbers: Sequence[int], size: int, seed: int
) -> CaptionedImages:
    """Draw images of `size` pixels a side on all cores; equal numbers and seeds give equal images.

    Args:
        draw_one: `captioned_phantom`, `captioned_shapes` or `captioned_mixture`.
        numbers: of the images to draw, each of which depends on its own alone.
    """
    seeds = [[seed, number] for number in numbers]
    with ProcessPoolExecutor(
        os.cpu_count(), mp_context=get_context("spawn"), initializer=end_with_parent
    ) as pool:
        drawn = list(pool.map(partial(_seeded, draw_one, size), seeds, chunksize=100))
    images, captions, targets = zip(*drawn, strict=True)
    return CaptionedImages(np.stack(images), list(captions), np.stack(targets))


def _seeded(draw_one: Drawer, size: int, seed: list[int]) -> CaptionedImage:
    return draw_one(np.random.default_rng(seed), size)


def captioned_phantom(rng: np.random.Generator, size: int) -> CaptionedImage:
    """A phantom of a few random codes, a caption that says some of them, and which are there."""
    codes = random_codes(rng)
    image = draw(codes, int(rng.integers(2**31)), size)
    return np.repeat(image[..., None], 3, axis=2), describe(codes, rng), code_vector(codes)


COLOURS = {
    "red": (214, 58, 50),
    "green": (60, 150, 70),
    "blue": (50, 90, 200),
    "yellow": (240, 200, 50),
    "black": (30, 30, 30),
    "white": (245, 245, 245),
}
SHAPES = ("circle", "square", "triangle", "cross", "ring", "bar")
SIZES = {"small": 0.10, "large": 0.20}
COLUMNS = {"left": 0.25, "middle": 0.5, "right": 0.75}
ROWS = {"top": 0.27, "centre": 0.5, "bottom": 0.73}
WORDS = (*SIZES, *COLOURS, *SHAPES, *ROWS, *COLUMNS)


def captioned_shapes(rng: np.random.Generator, size: int) -> CaptionedImage:
    """One to three shapes on a plain background, a caption, and which of `WORDS` are true."""
    grey = int(rng.integers(90, 180))
    shapes: list[tuple[str, tuple[int, int, int], np.ndarray, float]] = []
    words: set[str] = set()
    phrases = []
    places = rng.permutation(len(COLUMNS) * len(ROWS))[: rng.integers(1, 4)]
    for place in places:
        row, column = list(ROWS)[place // 3], list(COLUMNS)[place % 3]
        shape, colour, scale = (int(rng.integers(n)) for n in (len(SHAPES), len(COLOURS), 2))
        half = list(SIZES.values())[scale] * size * rng.uniform(0.8, 1.1)
        centre = np.array([COLUMNS[column], ROWS[row]]) * size + rng.normal(0, 0.02 * size, 2)
        shapes.append((SHAPES[shape], list(COLOURS.values())[colour], centre, half))
        phrase = (list(SIZES)[scale], list(COLOURS)[colour], SHAPES[shape], row, column)
        words.update(phrase)
        phrases.append("a {} {} {} at the {} {}".format(*phrase))
    picture = Image.new("RGB", (size, size), (grey, grey, grey))
    pen = ImageDraw.Draw(picture)
    for shape in shapes:
        _draw(pen, *shape)
    image = (np.asarray(picture) + rng.normal(0, 8, (size, size, 1))).clip(0, 255)
    opening = rng.choice(["a picture of", "there is", "an image showing", "this shows"])
    present = np.array([word in words for word in WORDS], dtype=np.float32)
    return image.astype(np.uint8), f"{opening} {' and '.join(phrases)}", present


STRANGERS = 0.1
"""Share of phantoms among everyday shapes: what is gathered from the web holds some of anything."""


def captioned_mixture(rng: np.random.Generator, size: int) -> CaptionedImage:
    """Everyday shapes, or once in ten a phantom; targets are those of shapes, then of phantoms."""
    shapes, codes = np.zeros(len(WORDS)), np.zeros(len(CODE_VECTOR_NAMES))
    if rng.random() < STRANGERS:
        image, caption, codes = captioned_phantom(rng, size)
    else:
        image, caption, shapes = captioned_shapes(rng, size)
    return image, caption, np.concatenate([shapes, codes]).astype(np.float32)


def _draw(
    pen: ImageDraw.ImageDraw,
    shape: str,
    colour: tuple[int, int, int],
    centre: np.ndarray,
    half: float,
) -> None:
    x, y = centre
    box = (x - half, y - half, x + half, y + half)
    thin = max(1, half / 3)
    match shape:
        case "circle":
            pen.ellipse(box, fill=colour)
        case "square":
            pen.rectangle(box, fill=colour)
        case "triangle":
            pen.polygon([(x, y - half), (x - half, y + half), (x + half, y + half)], fill=colour)
        case "cross":
            pen.rectangle((x - half, y - thin / 2, x + half, y + thin / 2), fill=colour)
            pen.rectangle((x - thin / 2, y - half, x + thin / 2, y + half), fill=colour)
        case "ring":
            pen.ellipse(box, outline=colour, width=int(np.ceil(thin)))
        case "bar":
            pen.rectangle((x - half, y - thin / 2, x + half, y + thin / 2), fill=colour)
