"""Embeddings that carry no cross-modal knowledge: what a protocol still finds in them, it leaks."""

from collections.abc import Mapping
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from cxr_mtl.base.errors import check_choice
from cxr_mtl.base.records import Record
from cxr_mtl.evidence.bootstrap import Bootstrap
from cxr_mtl.retrieval.index import Vectors, normalised
from cxr_mtl.retrieval.protocols import unit_pair

Control = Literal["random", "shuffled", "image_only", "text_only"]

CONTROLS: tuple[Control, ...] = get_args(Control)


def control_embeddings(
    name: Control, image_embeddings: ArrayLike, text_embeddings: ArrayLike, seed: int
) -> tuple[Vectors, Vectors]:
    """Image and report embeddings of a control, both [n, d], L2-normalised.

    random: both are Gaussian vectors. shuffled: each study gets the report of another one.
    image_only: the reports are Gaussian vectors. text_only: the images are Gaussian vectors. What
    is not replaced is kept as given, [n, d] of any length.

    Raises:
        InputError: an unknown control, two shapes, fewer than 2 studies, or a row that is NaN,
            infinite or zero.
    """
    check_choice("control", name, Control)
    images, texts = unit_pair(image_embeddings, text_embeddings)
    rng = np.random.default_rng(seed)
    if name == "shuffled":
        return images, texts[_derangement(len(texts), rng)]
    if name in ("random", "text_only"):
        images = normalised(rng.standard_normal(images.shape))
    if name in ("random", "image_only"):
        texts = normalised(rng.standard_normal(texts.shape))
    return images, texts


def leak_records(found: Mapping[str, ArrayLike], bootstrap: Bootstrap) -> list[Record]:
    """The accuracy@1 of random vectors by protocol, with its interval, as tidy records.

    `found` maps a protocol to whether each query finds its own study first, [n] bool.

    Raises:
        InputError: a bootstrap of another number of queries.
    """
    about = {"control": "ten_lines", "metric": "accuracy", "k": 1}
    return [
        about | {"protocol": protocol} | bootstrap.mean_record(hits)
        for protocol, hits in found.items()
    ]


def _derangement(n: int, rng: np.random.Generator) -> np.ndarray:
    """A permutation of n without fixed point, uniform among them: e draws on average."""
    while True:
        order = rng.permutation(n)
        if (order != np.arange(n)).all():
            return order
