"""Captioned phantoms and shapes: the same for the same seed, captions that say what is drawn."""

import re

import numpy as np
import pytest

from cxr_mtl.phantoms.captioned_images import (
    COLOURS,
    COLUMNS,
    ROWS,
    SIZES,
    WORDS,
    CaptionedImages,
    captioned_images,
    captioned_phantom,
    captioned_shapes,
    captions,
)
from cxr_mtl.phantoms.captions import CODE_VECTOR_NAMES

PHRASE = re.compile(r"a (\w+) (\w+) (\w+) at the (\w+) (\w+)")


def drawn_here(draw_one, count, size, seed):
    drawn = [draw_one(np.random.default_rng([seed, n]), size) for n in range(count)]
    drawings, captions, targets = zip(*drawn, strict=True)
    images = [drawing() for drawing in drawings]
    return CaptionedImages(np.stack(images), list(captions), np.stack(targets))


def test_images_drawn_by_many_processes_are_those_of_one():
    given = (captioned_shapes, 5, 32, 7)
    pooled, alone = captioned_images(*given), drawn_here(*given)
    assert np.array_equal(pooled.images, alone.images)
    assert pooled.captions == alone.captions
    assert np.array_equal(pooled.targets, alone.targets)


@pytest.mark.parametrize("draw_one", [captioned_phantom, captioned_shapes])
def test_images_depend_on_the_seed_alone(draw_one):
    one, again, other = (drawn_here(draw_one, 2, 32, seed) for seed in (5, 5, 6))
    assert np.array_equal(one.images, again.images)
    assert one.captions == again.captions
    assert not np.array_equal(one.images, other.images)
    assert (one.images.shape, one.images.dtype) == ((2, 32, 32, 3), np.uint8)
    codes = len(CODE_VECTOR_NAMES) if draw_one is captioned_phantom else len(WORDS)
    assert one.targets.shape == (2, codes)


@pytest.mark.parametrize("draw_one", [captioned_phantom, captioned_shapes])
def test_captions_alone_are_those_of_the_pictures(draw_one):
    assert captions(draw_one, 6, 32, 3) == drawn_here(draw_one, 6, 32, 3).captions


@pytest.mark.parametrize("seed", range(25))
def test_a_caption_of_shapes_names_exactly_what_is_drawn_and_where(seed):
    drawing, caption, targets = captioned_shapes(np.random.default_rng(seed), 120)
    image = drawing()
    phrases = PHRASE.findall(caption)
    assert len(phrases) == caption.count(" and ") + 1
    for size, colour, shape, row, column in phrases:
        half = 1.3 * SIZES[size] + 0.06
        y, x = (np.mgrid[:120, :120] + 0.5) / 120
        near = (abs(y - ROWS[row]) < half) & (abs(x - COLUMNS[column]) < half)
        distance = np.abs(image.astype(int) - COLOURS[colour]).max(axis=2)
        assert (near & (distance < 40)).sum() > 12, (size, colour, shape)
    named = {word for phrase in phrases for word in phrase}
    assert {word for word, there in zip(WORDS, targets, strict=True) if there} == named
