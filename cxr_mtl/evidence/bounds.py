"""Rankings that no model makes: a random order, and the best that equal studies allow.

Studies that nothing parts stand in a random order. So no cross-modal search can expect more in
`CEILING_METRICS` than one that puts the query's own study and those equal to it first and ties
them: of m equal ones each stands at each of the first m places in 1 of m orders. The *duplicate
ceiling* takes studies of equal reports for equal. The *code ceiling* takes those whose pictures are
drawn from the same codes for equal: such pictures differ by the numbers of chance alone that they
were drawn with, and no report knows those.
"""

from collections.abc import Hashable, Iterable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxr_mtl.base.errors import InputError
from cxr_mtl.data.splits import normalise_text

CHANCE = "chance"
DUPLICATE_CEILING, CODE_CEILING = "duplicate ceiling", "code ceiling"
CEILINGS = (DUPLICATE_CEILING, CODE_CEILING)
CEILING_METRICS = ("accuracy", "recall", "mrr", "mean_rank")
"""Own-study metrics that a ceiling bounds: means, not the median rank, since an order among equal
studies can have a lower median than their tie."""


def ceiling_vectors(
    texts: Sequence[str], drawn_codes: Sequence[Sequence[str]] | None
) -> dict[str, NDArray[np.float32]]:
    """Embeddings of either modality, [studies, 64], whose strict search is a ceiling, by its name.

    Without `drawn_codes`, those that each study's picture is drawn from, there is no code ceiling:
    nobody can say which real images are equal.

    Raises:
        InputError: another number of lists of codes than of texts.
    """
    found = {DUPLICATE_CEILING: group_vectors(map(normalise_text, texts))}
    if drawn_codes is not None:
        if len(drawn_codes) != len(texts):
            raise InputError(
                f"{len(texts)} studies have {len(drawn_codes)} lists of drawn codes: give one per "
                "study"
            )
        found[CODE_CEILING] = group_vectors(map(tuple, drawn_codes))
    return found


def group_vectors(groups: Iterable[Hashable]) -> NDArray[np.float32]:
    """Vectors [studies, 64]: equal for equal groups, in random directions for others."""
    group, names = pd.factorize(pd.Series(list(groups), dtype=object))
    directions = np.random.default_rng(0).standard_normal((len(names), 64), dtype=np.float32)
    return directions[group]
