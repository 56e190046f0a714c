"""What variants of the training come to, beside the baseline and beside other seeds."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cxr_mtl.ablations.training_runs import Outcome
from cxr_mtl.base.records import Record
from cxr_mtl.evidence.bootstrap import Bootstrap
from cxr_mtl.evidence.significance import compare_models, seed_and_test_spread
from cxr_mtl.evidence.tables import cell_of, evaluate_tables, reciprocal_ranks
from cxr_mtl.retrieval.embeddings import Pair
from cxr_mtl.retrieval.metrics import TIE_TOLERANCE, recall_at_k
from cxr_mtl.retrieval.protocols import searches

BASELINE = "baseline"
K = 10


def study_mrr(image_embeddings: ArrayLike, text_embeddings: ArrayLike) -> NDArray[np.float64]:
    """Mean of a study's reciprocal ranks as image and as report query, strict protocol, [n]."""
    directions = ("image_to_text", "text_to_image")
    ranks = [reciprocal_ranks(image_embeddings, text_embeddings, d) for d in directions]
    return np.mean(ranks, axis=0)


def variant_records(
    baseline: Pair, outcomes: Sequence[Outcome], bootstrap: Bootstrap, *, seed: int
) -> list[Record]:
    """The strict protocol for the baseline and every variant, as tidy records.

    For each: recall@10 by direction, mrr of both directions together, and for a variant
    `mrr_difference`, the variant's less the baseline's, with `p_raw` of the paired randomisation
    test and `p` adjusted by Holm over the variants. Another seed is no hypothesis: its differences
    are not tested. `baseline` are its image and text embeddings of the same test studies.
    """
    embeddings = {BASELINE: baseline} | {o.variant.name: (o.images, o.texts) for o in outcomes}
    groups = {BASELINE: BASELINE} | {o.variant.name: o.variant.group for o in outcomes}
    mrr = {name: study_mrr(*pair) for name, pair in embeddings.items()}
    records = []
    for name, pair in embeddings.items():
        about = {"group": groups[name], "variant": name, "protocol": "cross_modal"}
        for direction, search in searches("cross_modal", *pair).items():
            own = np.arange(len(search.queries))
            found = recall_at_k(search.scores(own), own, K, TIE_TOLERANCE)
            cell = {"direction": direction, "metric": "recall", "k": K}
            records.append(about | cell | bootstrap.mean_record(found))
        both = {"direction": "both", "metric": "mrr", "k": None}
        records.append(about | both | bootstrap.mean_record(mrr[name]))
    tested = {name: ranks for name, ranks in mrr.items() if groups[name] != "seed"}
    if len(tested) > 1:
        tests = compare_models(tested, BASELINE, bootstrap, seed=seed).set_index("against")
    for name in list(mrr)[1:]:
        about = {"group": groups[name], "variant": name, "protocol": "cross_modal"}
        record = about | {"direction": "both", "metric": "mrr_difference", "k": None}
        record |= bootstrap.mean_record(mrr[name] - mrr[BASELINE])
        if name in tested:
            record |= tests.loc[name, ["p_raw", "p"]].to_dict()
        records.append(record)
    return records


def spread_records(
    by_seed: Mapping[int, Pair], labels: ArrayLike, bootstrap: Bootstrap
) -> list[Record]:
    """Every number of Tables I to III over training seeds, as tidy records of the fine-tuned model.

    `value` is the mean over the seeds, `seed_sd` the standard deviation between them, and
    `test_sd` that of drawing test studies, None where the number is no mean over queries.
    """
    found = [
        evaluate_tables(*pair, labels, "fine_tuned", None, bootstrap) for pair in by_seed.values()
    ]
    records = []
    for same in zip(*(records for records, _ in found), strict=True):
        numbers = [record["value"] for record in same]
        cell = cell_of(same[0])
        test_sd = None
        if cell in found[0][1]:
            test_sd = seed_and_test_spread([values[cell] for _, values in found]).test_sd
        records.append(
            {"model": same[0]["model"]}
            | cell._asdict()
            | {
                "seeds": len(numbers),
                "value": float(np.mean(numbers)),
                "seed_sd": float(np.std(numbers, ddof=1)),
                "test_sd": test_sd,
            }
        )
    return records
