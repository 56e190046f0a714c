"""The same models under every protocol, by what counts as relevant, as tidy records."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.records import Record
from cxr_mtl.evidence.bootstrap import Bootstrap, median_of, percentile_interval
from cxr_mtl.evidence.bounds import CEILING_METRICS, CHANCE, DUPLICATE_CEILING, ceiling_vectors
from cxr_mtl.evidence.table_rows import UNDEFINED, Row
from cxr_mtl.evidence.tables import checked_labels, make_record, study_count
from cxr_mtl.retrieval.metric_registry import (
    OWN_ITEM_MEASURES,
    RELEVANCE_MEASURES,
    Measure,
    values_per_query,
)
from cxr_mtl.retrieval.protocols import PROTOCOLS, Direction, Protocol, Search, searches
from cxr_mtl.retrieval.relevance import Relevance, mesh_overlap, own_study, same_label, same_text


def protocol_records(
    image_embeddings: ArrayLike,
    text_embeddings: ArrayLike,
    labels: ArrayLike,
    texts: Sequence[str],
    headings: Sequence[Sequence[str]] | None,
    model: str,
    bootstrap: Bootstrap | None,
    clinical: Relevance | None = None,
) -> list[Record]:
    """One model under every protocol and direction, by what counts as relevant.

    Takes what `tables.evaluate_tables` takes, and each study's report and MeSH headings;
    without headings there are no records by `mesh_overlap`, without `clinical` none by that, and
    without a bootstrap low and high are None. Where the query's own item is searched too,
    `OWN_ITEM_MEASURES` come first; then `RELEVANCE_MEASURES`.

    A record is one of those with table and paper None, and its `relevance`. Where some
    queries have no relevant item, `undefined_queries` says how many; the value is that of the
    others, None if there are none.

    Raises:
        InputError: as there, or another number of texts or headings than of studies.
    """
    found = {name: searches(name, image_embeddings, text_embeddings) for name in PROTOCOLS}
    n = study_count(found)
    labels = checked_labels(labels, n)
    relevances = _relevances(labels, texts, headings, clinical, n)
    return [
        record
        for protocol, directions in found.items()
        for direction, search in directions.items()
        for record in _search_records(protocol, direction, search, relevances, model, bootstrap)
    ]


def chance_records(
    labels: ArrayLike,
    texts: Sequence[str],
    headings: Sequence[Sequence[str]] | None,
    clinical: Relevance | None = None,
) -> list[Record]:
    """`protocol_records` of a random order, exactly: all embeddings are equal, so all items tie.

    Raises:
        InputError: as in `protocol_records`.
    """
    equal = np.ones((len(texts), 1))
    return protocol_records(equal, equal, labels, texts, headings, CHANCE, None, clinical)


def ceiling_records(
    texts: Sequence[str], drawn_codes: Sequence[Sequence[str]] | None
) -> list[Record]:
    """The own_study `protocol_records` of the ceilings of `bounds`, under the strict protocol.

    Args:
        drawn_codes: those that each study's picture is drawn from; None where it is no drawing.

    Raises:
        InputError: fewer than 10 texts, or of `ceiling_vectors`.
    """
    own = {"own_study": own_study(len(texts))}
    return [
        record
        for name, vectors in ceiling_vectors(texts, drawn_codes).items()
        for direction, search in searches("cross_modal", vectors, vectors).items()
        for record in _search_records("cross_modal", direction, search, own, name, None)
        if record["metric"] in CEILING_METRICS
    ]


def relevance_ceiling_records(
    labels: ArrayLike,
    texts: Sequence[str],
    headings: Sequence[Sequence[str]] | None,
    clinical: Relevance | None = None,
) -> list[Record]:
    """`protocol_records` of a strict search that knows all relevances, but not equal reports apart.

    It scores an image and a report by their mean relevance over the studies with that very report.
    No search can expect a higher precision@k, for the best order of groups of equal reports is that
    of their mean relevance; for the other metrics it is close to the best.

    Raises:
        InputError: as in `protocol_records`.
    """
    n = len(texts)
    relevances = _relevances(checked_labels(labels, n), texts, headings, clinical, n)
    del relevances["own_study"]
    shares = same_text(texts)(np.arange(n)).astype(np.float32)
    shares /= shares.sum(axis=1, keepdims=True)
    everyone = np.eye(n, dtype=np.float32)
    records = []
    for name, relevance in relevances.items():
        table = relevance(np.arange(n))
        of_reports = {"image_to_text": table @ shares, "text_to_image": shares @ table}
        for direction, scores in of_reports.items():
            search = Search(scores, everyone)
            known = {name: relevance}
            records += _search_records(
                "cross_modal", direction, search, known, DUPLICATE_CEILING, None
            )
    return records


def inflation_records(
    image_embeddings: ArrayLike, text_embeddings: ArrayLike, model: str, bootstrap: Bootstrap
) -> list[Record]:
    """How many times the strict mrr of the own study the fused protocol gives, by direction.

    The ratio of the means over queries under fused and cross_modal. The bootstrap draws the same
    queries for both, so that its interval is that of the paired ratio. A record is one of
    `protocol_records` with metric mrr_inflation, protocol fused and relevance own_study.

    Raises:
        InputError: as in `protocols.searches`, or a bootstrap of another number of studies.
    """
    protocols: tuple[Protocol, ...] = ("fused", "cross_modal")
    found = {name: searches(name, image_embeddings, text_embeddings) for name in protocols}
    n, drawn = study_count(found), bootstrap.counts.shape[1]
    if drawn != n:
        raise InputError(f"the bootstrap draws from {drawn} studies, not from {n}: make one of {n}")
    mrr, own = Measure("own_study", "mrr"), {"own_study": own_study(n)}
    records = []
    for direction in found["fused"]:
        fused, strict = (
            values_per_query(found[name][direction], [mrr], own)[mrr] for name in protocols
        )
        interval = percentile_interval((bootstrap.counts @ fused) / (bootstrap.counts @ strict))
        row = Row("mrr_inflation", None, float(fused.mean() / strict.mean()), interval)
        record = make_record(None, direction, "fused", model, row)
        records.append(record | {"relevance": "own_study"})
    return records


def _relevances(
    labels: NDArray[np.int64],
    texts: Sequence[str],
    headings: Sequence[Sequence[str]] | None,
    clinical: Relevance | None,
    n: int,
) -> dict[str, Relevance]:
    _check_count("reports", texts, n)
    relevances = {
        "own_study": own_study(n),
        "same_text": same_text(texts),
        "same_label": same_label(labels),
    }
    if headings is not None:
        _check_count("lists of headings", headings, n)
        relevances["mesh_overlap"] = mesh_overlap(headings)
    if clinical is not None:
        relevances["clinical"] = clinical
    return relevances


def _check_count(name: str, values: Sequence[Any], studies: int) -> None:
    if len(values) != studies:
        raise InputError(f"{studies} studies have {len(values)} {name}: give one per study")


def _search_records(
    protocol: Protocol,
    direction: Direction,
    search: Search,
    relevances: Mapping[str, Relevance],
    model: str,
    bootstrap: Bootstrap | None,
) -> list[Record]:
    """The records of one search by the relevances given."""
    measures = (() if search.excludes_query else OWN_ITEM_MEASURES) + RELEVANCE_MEASURES
    measures = [measure for measure in measures if measure.relevance in relevances]
    records = []
    for measure, values in values_per_query(search, measures, relevances).items():
        row = _summary(measure, values, bootstrap)
        record = make_record(None, direction, protocol, model, row)
        record["relevance"] = measure.relevance
        undefined = int(np.isnan(values).sum())
        if undefined:
            record["undefined_queries"] = undefined
        records.append(record)
    return records


def _summary(measure: Measure, values: NDArray[np.float64], bootstrap: Bootstrap | None) -> Row:
    """The mean or median over the queries that have a value."""
    is_median = measure.metric == "median_rank"
    defined = values[~np.isnan(values)]
    value, interval = float("nan"), UNDEFINED
    if len(defined):
        value = float(np.median(defined) if is_median else defined.mean())
    if bootstrap is not None:
        interval = bootstrap.of(median_of(values)) if is_median else bootstrap.mean(values)
    return Row(measure.metric, measure.k, value, interval)
