"""What the tables' numbers are to be read against: chance, and what duplicate reports allow."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cxr_mtl.evaluation import Record, evaluate_tables
from cxr_mtl.splits import normalise_text

CHANCE, CEILING = "chance", "duplicate ceiling"
CEILING_METRICS = ("accuracy", "recall", "mrr", "mean_rank")
"""Own-study metrics that the ceiling bounds: means, not the median rank, since an order among equal
reports can have a lower median than their tie."""


def bound_records(labels: ArrayLike, texts: Sequence[str]) -> list[Record]:
    """The records of Tables I to III for a random order and for the duplicate ceiling.

    Chance ties all items, so every number is its exact expectation; its similarities mean nothing
    and are left out. The ceiling puts the studies of the query's report first and ties them: as
    nothing parts equal reports, no cross-modal search can expect more in `CEILING_METRICS`. Under
    the fused protocol it is none, since there images part equal reports.

    Raises:
        InputError: as in `evaluation.evaluate_tables`.
    """
    equal = np.ones((len(texts), 1))
    chance = evaluate_tables(equal, equal, labels, CHANCE, None, None)[0]
    by_report = report_vectors(texts)
    ceiling = evaluate_tables(by_report, by_report, labels, CEILING, None, None)[0]
    return [record for record in chance if record["metric"] != "similarity"] + [
        record
        for record in ceiling
        if record["protocol"] == "cross_modal" and record["metric"] in CEILING_METRICS
    ]


def report_vectors(texts: Sequence[str]) -> NDArray[np.float32]:
    """Vectors [studies, 64]: equal for equal normalised texts, in random directions for others."""
    reports, report = np.unique([normalise_text(text) for text in texts], return_inverse=True)
    directions = np.random.default_rng(0).standard_normal((len(reports), 64), dtype=np.float32)
    return directions[report]
