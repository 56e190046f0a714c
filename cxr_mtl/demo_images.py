"""Pretraining pairs of the demo models, drawn by all cores without importing PyTorch."""

import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from typing import Literal

import numpy as np

from cxr_mtl.captions import code_vector, describe, random_codes
from cxr_mtl.phantom import draw
from cxr_mtl.shapes import draw_shapes
from cxr_mtl.workers import end_with_parent

DemoName = Literal["demo-biomed", "demo-general"]
CaptionedImage = tuple[np.ndarray, str, np.ndarray]


@dataclass(frozen=True)
class CaptionedImages:
    """Images uint8 [n, size, size, 3], their captions, and what is drawn float32 [n, codes]."""

    images: np.ndarray
    captions: list[str]
    targets: np.ndarray


def captioned_images(name: DemoName, count: int, size: int, seed: int) -> CaptionedImages:
    """Draw `count` captioned phantoms (`demo-biomed`) or shapes (`demo-general`)."""
    draw_one = _captioned_phantom if name == "demo-biomed" else draw_shapes
    seeds = [[seed, number] for number in range(count)]
    with ProcessPoolExecutor(
        os.cpu_count(), mp_context=get_context("spawn"), initializer=end_with_parent
    ) as pool:
        drawn = list(pool.map(partial(_seeded, draw_one, size), seeds, chunksize=100))
    images, captions, targets = zip(*drawn, strict=True)
    return CaptionedImages(np.stack(images), list(captions), np.stack(targets))


def _seeded(
    draw_one: Callable[[np.random.Generator, int], CaptionedImage], size: int, seed: list[int]
) -> CaptionedImage:
    return draw_one(np.random.default_rng(seed), size)


def _captioned_phantom(rng: np.random.Generator, size: int) -> CaptionedImage:
    codes = random_codes(rng)
    image = draw(codes, int(rng.integers(2**31)), size)
    return np.repeat(image[..., None], 3, axis=2), describe(codes, rng), code_vector(codes)
