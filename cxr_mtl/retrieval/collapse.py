"""A collapse: embeddings that point all one way, so that a search has nothing to tell items by."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.records import NOTICE, Record
from cxr_mtl.base.resources import in_chunks
from cxr_mtl.retrieval.index import normalised
from cxr_mtl.retrieval.metrics import TIE_TOLERANCE
from cxr_mtl.retrieval.protocols import Direction, Search, searches

MODALITIES = ("images", "reports")
DIRECTION_WORDS: dict[Direction, tuple[str, str]] = {
    "image_to_text": ("images", "reports"),
    "text_to_image": ("reports", "images"),
}
ALIKE = 0.999
"""Mean cosine above which embeddings count as collapsed: two lie less than 3 degrees apart, so that
at a temperature of 0.07 the softmax can hardly prefer one to another."""
BYTES_PER_SCORE = 16
TRAIN = (
    "try more epochs, a higher learning_rate, a lower temperature, a larger weight of the CLIP "
    "loss, or a backbone that was pretrained on such images and reports"
)
"""What to try with a model that was trained here."""
CHOOSE = "as {} give a model that was pretrained on such images and reports"
"""What to try with a model that was taken as it is, by the parameter that named it."""


def mean_cosine(embeddings: ArrayLike) -> float:
    """Mean cosine of the embeddings of two different studies, [n, d] of any length: 1 if all equal.

    Raises:
        InputError: fewer than 2 studies, or a row that is NaN, infinite or zero.
    """
    vectors = normalised(embeddings).astype(np.float64)
    n = len(vectors)
    if n < 2:
        raise InputError(f"{n} embeddings have no cosine between two: give at least 2 studies")
    # |Σ v|² counts every pair twice and each vector with itself.
    squares = float((vectors**2).sum())
    return (float((vectors.sum(axis=0) ** 2).sum()) - squares) / (n * (n - 1))


def is_alike(cosine: float) -> bool:
    """Whether embeddings of this mean cosine count as collapsed."""
    return cosine > ALIKE


def alike_words(model: str, modality: str, cosine: float) -> str:
    """What a collapse means, to go before the remedy."""
    return (
        f"to {model} all {modality} look alike (mean cosine of two embeddings {cosine:.4f}, 1 were "
        "all equal)"
    )


def tied_queries(search: Search) -> int:
    """Queries to which all items have one score, up to rounding: their order is chance."""

    def values(rows: NDArray[np.intp]) -> dict[str, NDArray[np.bool_]]:
        scores = search.scores(rows)
        return {"tied": np.ptp(scores, axis=1) <= TIE_TOLERANCE}

    studies = len(search.queries)
    return int(in_chunks(studies, values, bytes_per_row=BYTES_PER_SCORE * studies)["tied"].sum())


def collapse_records(
    embeddings: Mapping[str, tuple[ArrayLike, ArrayLike]], remedies: Mapping[str, str]
) -> list[Record]:
    """Tidy records of what each model's images and reports have in common, and notices of collapse.

    A record holds metric mean_cosine, model and modality; or tied_queries, model and direction, of
    the strict protocol. A notice stands where a mean cosine is above `ALIKE`, else where a query
    has all its scores equal.

    Args:
        embeddings: image and report embeddings by model, [n, d] of any length.
        remedies: what to try, by model.

    Raises:
        InputError: of `protocols.searches`.
    """
    records: list[Record] = []
    for model, pair in embeddings.items():
        collapsed = False
        for modality, vectors in zip(MODALITIES, pair, strict=True):
            cosine = mean_cosine(vectors)
            about = {"model": model, "modality": modality}
            records.append({"metric": "mean_cosine", **about, "value": cosine})
            if is_alike(cosine):
                sentence = f"{alike_words(model, modality, cosine)}: {remedies[model]}"
                records.append({"metric": NOTICE, "about": "collapse", **about, "value": sentence})
                collapsed = True
        for direction, search in searches("cross_modal", *pair).items():
            tied, of = tied_queries(search), len(search.queries)
            about = {"model": model, "direction": direction}
            records.append({"metric": "tied_queries", **about, "value": tied})
            if tied and not collapsed:
                queries, items = DIRECTION_WORDS[direction]
                sentence = (
                    f"to {model} all {items} have one score for {tied:,} of {of:,} {queries} as "
                    f"queries, whose order is chance: {remedies[model]}"
                )
                records.append({"metric": NOTICE, "about": "collapse", **about, "value": sentence})
    return records
