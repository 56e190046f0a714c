"""Who is searched for whom: five protocols, each the scores of every query against every item.

Row i of the image and of the report embeddings is one study, and every study is a query. The
vectors are L2-normalised, v an image, t a report, f = normalise((v + t)/2) the two fused; a score
is their inner product, a cosine. With one study's query and another's item side by side:

- `fused`, the paper's (Algorithm 2): v or t against f. The query is half of its own target.
- `fused_excluding_query`: as `fused`, but in the target of the query's own study the query's own
  modality is left out. For an image query the own item is the report t alone, for a report query
  the image v alone, and all other items stay fused. The query no longer meets itself, yet one leak
  is left: the own item is of another kind than all the others. Where images and reports lie apart
  (the modality gap) it is recognised, or pushed back, by its kind, whatever it shows.
- `cross_modal`, the strict one: v against t, and t against v.
- `image_to_image` and `text_to_text`: v against v, t against t, the query's own item removed.
"""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cxr_mtl.base.errors import InputError, check_choice
from cxr_mtl.retrieval.index import Vectors, fused_vectors, normalised

Protocol = Literal[
    "fused", "fused_excluding_query", "cross_modal", "image_to_image", "text_to_text"
]
Direction = Literal["image_to_text", "text_to_image", "image_to_image", "text_to_text"]

PROTOCOLS: tuple[Protocol, ...] = get_args(Protocol)


@dataclass(frozen=True)
class Search:
    """One direction of a protocol.

    Attributes:
        queries: a query per study, [n, d], L2-normalised.
        items: an item per study, [n, d], L2-normalised.
        own_items: [n, d], what a query meets in place of its own study's item; None: that item.
        excludes_query: the query's own study is removed from the items.
    """

    queries: Vectors
    items: Vectors
    own_items: Vectors | None = None
    excludes_query: bool = False

    def scores(self, rows: NDArray[np.integer]) -> Vectors:
        """Cosines of the queries `rows` [r] with the items, float32 [r, n] or [r, n − 1]."""
        scores = self.queries[rows] @ self.items.T
        if self.own_items is not None:
            own = np.einsum("rd,rd->r", self.queries[rows], self.own_items[rows])
            scores[np.arange(len(rows)), rows] = own
        return self.columns(scores, rows)

    def columns(self, matrix: NDArray[Any], rows: NDArray[np.integer]) -> NDArray[Any]:
        """The columns [r, n − 1] of `matrix` [r, n] that `scores` keeps; all where it keeps all."""
        if not self.excludes_query:
            return matrix
        kept = np.arange(matrix.shape[1]) != np.asarray(rows)[:, None]
        return matrix[kept].reshape(len(matrix), -1)


def unit_pair(image_embeddings: ArrayLike, text_embeddings: ArrayLike) -> tuple[Vectors, Vectors]:
    """Image and report embeddings, both [n, d] of any length, L2-normalised, float32.

    Raises:
        InputError: two shapes, fewer than 2 studies, or a row that is NaN, infinite or zero.
    """
    images, texts = normalised(image_embeddings), normalised(text_embeddings)
    if images.shape != texts.shape:
        raise InputError(
            f"image embeddings {list(images.shape)} and text embeddings {list(texts.shape)} "
            "differ in shape: give one of each per study"
        )
    if len(images) < 2:
        raise InputError("there is 1 study and nothing else to find: give at least 2")
    return images, texts


def searches(
    protocol: Protocol, image_embeddings: ArrayLike, text_embeddings: ArrayLike
) -> dict[Direction, Search]:
    """The searches of a protocol by direction: two, or one within a modality.

    Takes the two embeddings, [n, d] of any length, row by row one study.

    Raises:
        InputError: an unknown protocol, two shapes, fewer than 2 studies, a row that is NaN,
            infinite or zero, or, where vectors are fused, an image and a report that point in
            opposite directions.
    """
    check_choice("protocol", protocol, Protocol)
    images, texts = unit_pair(image_embeddings, text_embeddings)
    if protocol == "image_to_image":
        return {"image_to_image": Search(images, images, excludes_query=True)}
    if protocol == "text_to_text":
        return {"text_to_text": Search(texts, texts, excludes_query=True)}
    if protocol == "cross_modal":
        return {"image_to_text": Search(images, texts), "text_to_image": Search(texts, images)}
    fused = fused_vectors(images, texts)
    others = (texts, images) if protocol == "fused_excluding_query" else (None, None)
    return {
        "image_to_text": Search(images, fused, own_items=others[0]),
        "text_to_image": Search(texts, fused, own_items=others[1]),
    }
