"""Tables I to III under the paper's protocol and the strict one, as tidy records.

Of models with their intervals, `low` and `high`, the 95 % bootstrap interval over the queries (the
searched collection stays as it is), and the p-values of their differences; of a random order and
of the best that equal reports, or equal codes of drawn pictures, allow.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.records import Record
from cxr_mtl.base.resources import in_chunks
from cxr_mtl.evidence.bootstrap import Bootstrap
from cxr_mtl.evidence.bounds import CEILING_METRICS, CHANCE, ceiling_vectors
from cxr_mtl.evidence.paper import paper_value
from cxr_mtl.evidence.significance import holm, paired_tests
from cxr_mtl.evidence.table_rows import (
    BYTES_PER_SCORE,
    KS,
    Floats,
    Labels,
    Row,
    label_rows,
    own_study_rows,
    query_values,
    strict_rows,
)
from cxr_mtl.retrieval import metrics
from cxr_mtl.retrieval.protocols import Direction, Protocol, Search, searches
from cxr_mtl.retrieval.relevance import binary_labels

LABEL_TABLE: dict[Direction, int] = {"image_to_text": 2, "text_to_image": 3}
TABLE_PROTOCOLS: tuple[Protocol, ...] = ("fused", "cross_modal")
TESTED = ("accuracy", "precision", "recall", "mrr", "mean_rank")
SAME = {"accuracy": "recall"}
"""Two names of one quantity, where both are in the tables; it is tested once."""


class Cell(NamedTuple):
    """The place of a number in the tables, by the keys that its record has too."""

    table: int | None
    direction: Direction
    protocol: Protocol
    metric: str
    k: int | None


def cell_of(record: Record) -> Cell:
    """The place of a record of `evaluate_tables`."""
    return Cell(*(record[key] for key in Cell._fields))


def evaluate_tables(
    image_embeddings: ArrayLike,
    text_embeddings: ArrayLike,
    labels: ArrayLike,
    model: str,
    paper: Mapping[str, str] | None,
    bootstrap: Bootstrap | None,
) -> tuple[list[Record], dict[Cell, Floats]]:
    """Tables I to III of one model, under the paper's and the strict protocol, as tidy records.

    Row i of the two embeddings, [n, d] of any length, and labels[i], 1 abnormal and 0 normal, are
    one test study; every study is a query in both directions. A record holds table (1, 2, 3, or
    None for the strict protocol's recall, mrr, median_rank and mean_rank), direction, protocol,
    model, metric, k, value, low, high and paper. `paper` maps models to the paper's: fine_tuned,
    biomedclip or clip; without it, for a model it does not name and outside the fused protocol, the
    record's paper is None. Without a bootstrap low and high are None.

    Returns:
        The records; and, of each that is a mean over queries, the value of every query, [n].

    Raises:
        InputError: embeddings or labels of different lengths, NaN, infinity or zero vectors, labels
            other than 0 and 1, all labels equal, fewer studies than the largest k, or a bootstrap
            of another number of studies.
    """
    found = {name: searches(name, image_embeddings, text_embeddings) for name in TABLE_PROTOCOLS}
    labels = checked_labels(labels, study_count(found))
    role = (paper or {}).get(model)
    records, values = [], {}
    for protocol, directions in found.items():
        for direction, search in directions.items():
            of_queries = query_values(search, labels)
            in_tables = {
                1: own_study_rows(of_queries, bootstrap),
                LABEL_TABLE[direction]: label_rows(of_queries, labels, bootstrap),
                None: strict_rows(of_queries, bootstrap) if protocol == "cross_modal" else [],
            }
            for table, rows in in_tables.items():
                for row in rows:
                    record = make_record(table, direction, protocol, model, row, role)
                    records.append(record)
                    if row.values is not None:
                        values[cell_of(record)] = row.values
    return sorted(records, key=lambda r: (r["protocol"] != "fused", r["table"] or 4)), values


def reciprocal_ranks(
    image_embeddings: ArrayLike, text_embeddings: ArrayLike, direction: Direction
) -> NDArray[np.float64]:
    """Expected reciprocal rank of each query's own study, [n], under the strict protocol.

    Takes the two embeddings, [n, d] of any length, row by row one study.

    Raises:
        InputError: embeddings of two shapes, with NaN, infinity or zero vectors.
    """
    search = searches("cross_modal", image_embeddings, text_embeddings)[direction]

    def ranks(rows: NDArray[np.intp]) -> dict[str, Floats]:
        return {"mrr": metrics.reciprocal_rank(search.scores(rows), rows, metrics.TIE_TOLERANCE)}

    studies = len(search.queries)
    return in_chunks(studies, ranks, bytes_per_row=BYTES_PER_SCORE * studies)["mrr"]


def mark_differences(
    records: Sequence[Record],
    values: Mapping[str, Mapping[Cell, Floats]],
    reference: str,
    *,
    seed: int,
) -> list[Record]:
    """The records with `p_raw` and `p`, where they have values of each query to be compared.

    A record of another model than `reference` gets the p-value of the paired randomisation test
    between the two models' values of the same cell, and Holm's adjustment for all tests under its
    protocol. Similarities are not tested: their level says nothing of how well a model retrieves.
    `values` are those of `evaluate_tables`, by model.
    """
    tests: dict[tuple[str, ...], Floats] = {}
    for record in records:
        model, cell = record["model"], cell_of(record)
        if model != reference and cell in values[reference] and cell.metric in TESTED:
            tests[_test(record)] = values[reference][cell] - values[model][cell]
    raw = dict(zip(tests, paired_tests(np.stack(list(tests.values()), 1), seed=seed), strict=True))
    found = {}
    for protocol in {record["protocol"] for record in records}:
        family = [test for test in tests if test[0] == protocol]
        for test, p in zip(family, holm([raw[test] for test in family]), strict=True):
            found[test] = {"p_raw": float(raw[test]), "p": float(p)}
    return [record | found.get(_test(record), {}) for record in records]


def bound_records(
    labels: ArrayLike, texts: Sequence[str], drawn_codes: Sequence[Sequence[str]] | None
) -> list[Record]:
    """The records of Tables I to III for a random order and for the ceilings of `bounds`.

    Chance ties all items, so every number is its exact expectation; its similarities mean nothing
    and are left out. A ceiling bounds `CEILING_METRICS` of the strict protocol. Under the fused one
    it is none, since there the query is half of its own target, which nothing else is.

    Args:
        drawn_codes: those that each study's picture is drawn from; None where it is no drawing.

    Raises:
        InputError: as in `evaluate_tables` and `ceiling_vectors`.
    """
    equal = np.ones((len(texts), 1))
    chance = evaluate_tables(equal, equal, labels, CHANCE, None, None)[0]
    records = [record for record in chance if record["metric"] != "similarity"]
    for name, vectors in ceiling_vectors(texts, drawn_codes).items():
        records += [
            record
            for record in evaluate_tables(vectors, vectors, labels, name, None, None)[0]
            if record["protocol"] == "cross_modal" and record["metric"] in CEILING_METRICS
        ]
    return records


def study_count(found: Mapping[Protocol, Mapping[Direction, Search]]) -> int:
    """How many studies the searches of all protocols have."""
    return len(found["fused"]["image_to_text"].queries)


def checked_labels(labels: ArrayLike, studies: int) -> Labels:
    """The labels as integers.

    Raises:
        InputError: not one label per study, labels other than 0 and 1, all equal, or fewer studies
            than the largest k.
    """
    labels = np.asarray(labels)
    if labels.shape != (studies,):
        raise InputError(
            f"{studies} studies have labels of shape {list(labels.shape)}: give one label per study"
        )
    labels = binary_labels(labels)
    if len(np.unique(labels)) < 2:
        raise InputError(
            f"all {studies} test studies have the label {labels[0]}: the tables by label need "
            "normal and abnormal studies, choose another split"
        )
    if studies < max(KS):
        raise InputError(
            f"the test set holds {studies} studies and the tables go to k = {max(KS)}: give at "
            f"least {max(KS)}"
        )
    return labels


def make_record(
    table: int | None,
    direction: Direction,
    protocol: Protocol,
    model: str,
    row: Row,
    role: str | None = None,
) -> Record:
    """A row as a tidy record; what is undefined is None.

    `role` says whose number of the paper, if it prints one, stands beside (`paper_value`).
    """
    value, low, high = (None if np.isnan(x) else x for x in (row.value, *row.interval))
    in_paper = table is not None and protocol == "fused" and role is not None
    return {
        "table": table,
        "direction": direction,
        "protocol": protocol,
        "model": model,
        "metric": row.metric,
        "k": row.k,
        "value": value,
        "low": low,
        "high": high,
        "paper": paper_value(table, direction, row.metric, row.k, role) if in_paper else None,
    }


def _test(record: Record) -> tuple[str, ...]:
    """What a record's difference is a test of; records of one quantity share it."""
    metric = SAME.get(record["metric"], record["metric"])
    return record["protocol"], record["direction"], record["model"], metric, str(record["k"])
