"""Embeddings of pairs that agree more or less, and records chosen by their fields."""

import numpy as np


def pairs(seed, n=40, d=8, agreement=1.0):
    """Image and report embeddings that agree more or less, with balanced labels."""
    rng = np.random.default_rng(seed)
    shared = agreement * rng.standard_normal((n, d))
    images, texts = (shared + rng.standard_normal((n, d)) for _ in range(2))
    return images, texts, np.arange(n) % 2


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def chosen(records, **wanted):
    return [record for record in records if wanted.items() <= record.items()]


def only(records, **wanted):
    (found,) = chosen(records, **wanted)
    return found
