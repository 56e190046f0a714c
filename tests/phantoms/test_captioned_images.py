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
    captioned_mixture,
    captioned_phantom,
    captioned_shapes,
)
from cxr_mtl.phantoms.captions import CODE_VECTOR_NAMES

PHRASE = re.compile(r"a (\w+) (\w+) (\w+) at the (\w+) (\w+)")


def drawn_here(draw_one, numbers, size, seed):
    drawn = [draw_one(np.random.default_rng([seed, n]), size) for n in numbers]
    images, captions, targets = zip(*drawn, strict=True)
    return CaptionedImages(np.stack(images), list(captions), np.stack(targets))


def test_images_drawn_by_many_processes_are_those_of_one():
    given = (captioned_shapes, range(3, 8), 32, 7)
    pooled, alone = captioned_images(*given), drawn_here(*given)
    assert np.array_equal(pooled.images, alone.images)
    assert pooled.captions == alone.captions
    assert np.array_equal(pooled.targets, alone.targets)


@pytest.mark.parametrize(
    ("draw_one", "codes"),
    [
        (captioned_phantom, len(CODE_VECTOR_NAMES)),
        (captioned_shapes, len(WORDS)),
        (captioned_mixture, len(WORDS) + len(CODE_VECTOR_NAMES)),
    ],
)
def test_images_depend_on_the_seed_alone(draw_one, codes):
    one, again, other = (drawn_here(draw_one, range(2), 32, seed) for seed in (5, 5, 6))
    assert np.array_equal(one.images, again.images)
    assert one.captions == again.captions
    assert not np.array_equal(one.images, other.images)
    assert (one.images.shape, one.images.dtype) == ((2, 32, 32, 3), np.uint8)
    assert one.targets.shape == (2, codes)


@pytest.mark.parametrize("seed", range(25))
def test_a_caption_of_shapes_names_exactly_what_is_drawn_and_where(seed):
    image, caption, targets = captioned_shapes(np.random.default_rng(seed), 120)
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


def test_once_in_ten_the_mixture_is_a_phantom_and_its_targets_say_which():
    phantoms = 0
    for seed in range(300):
        image, caption, targets = captioned_mixture(np.random.default_rng(seed), 16)
        words, codes = np.split(targets, [len(WORDS)])
        if words.any():
            assert PHRASE.search(caption)
            assert not codes.any()
        else:
            phantoms += 1
            assert not PHRASE.search(caption)
            assert (image[..., 0] == image[..., 2]).all()
    assert 15 <= phantoms <= 45  # 30 expected, its standard deviation 5
