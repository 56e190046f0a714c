"""Tasks without images: to find a report's answer, the right one of a few, or reports like it.

Their texts are those of test studies. Whatever gives scores can be asked: an encoder by its
cosines, TF-IDF or BM25 by theirs.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from cxr_mtl.base.errors import InputError
from cxr_mtl.data.splits import normalise_text
from cxr_mtl.evidence.bootstrap import Bootstrap
from cxr_mtl.retrieval.graded_metrics import ndcg, rank_items
from cxr_mtl.retrieval.metrics import TIE_TOLERANCE, recall_at_k, reciprocal_rank

Scores = Callable[[Sequence[str], Sequence[str]], NDArray[np.floating]]
"""Scores [queries, items] of texts, higher is better."""
Key = tuple[str, str | None, str, str, int | None]
"""Task, variant, encoder, metric and k of what is measured."""

CUTS = (1, 5, 10)


@dataclass(frozen=True)
class AnswerSearch:
    """Queries that look for their own answer among all distinct ones.

    Shapes: own [queries], the place of each query's answer among the items.
    """

    task: str
    queries: Sequence[str]
    items: Sequence[str]
    own: NDArray[np.integer]
    variant: str | None = None

    @classmethod
    def of(
        cls,
        task: str,
        queries: Sequence[str],
        answers: Sequence[str],
        variant: str | None = None,
    ) -> "AnswerSearch":
        """Answers whose normalised texts are equal are one item, and right for all their queries.

        Raises:
            InputError: other numbers of queries and answers, or an empty text.
        """
        if len(queries) != len(answers):
            raise InputError(
                f"{len(queries)} queries and {len(answers)} answers: give as many of each"
            )
        for place, text in enumerate([*queries, *answers]):
            if not text.strip():
                raise InputError(f"text {place % len(queries)} is empty: leave such studies out")
        texts = np.array([normalise_text(answer) for answer in answers])
        _, first, own = np.unique(texts, return_index=True, return_inverse=True)
        return cls(task, list(queries), [answers[place] for place in first], own, variant)

    def values(self, scores: Scores) -> dict[tuple[str, int | None], NDArray[np.floating]]:
        """Recall at 1, 5 and 10 and the reciprocal rank of each query's answer, [queries]."""
        found = np.asarray(scores(self.queries, self.items), np.float64)
        values = {
            ("recall", k): recall_at_k(found, self.own, k, TIE_TOLERANCE)
            for k in CUTS
            if k <= len(self.items)
        }
        return values | {("mrr", None): reciprocal_rank(found, self.own, TIE_TOLERANCE)}

    def chance(self) -> dict[tuple[str, int | None], float]:
        """What each of the values is in the mean for items in random order."""
        count = len(self.items)
        values = {("recall", k): k / count for k in CUTS if k <= count}
        return values | {("mrr", None): float(np.mean(1 / np.arange(1, count + 1)))}


@dataclass(frozen=True)
class Choice:
    """Queries of which each has as many candidates, the first of them the right one."""

    task: str
    queries: Sequence[str]
    candidates: Sequence[Sequence[str]]
    variant: str | None = None

    def __post_init__(self) -> None:
        if len(self.queries) != len(self.candidates) or len({*map(len, self.candidates)}) != 1:
            raise InputError(
                f"{self.task}: give every query as many candidates, and each query some"
            )

    def values(self, scores: Scores) -> dict[tuple[str, int | None], NDArray[np.floating]]:
        """Whether the right candidate is first, and its rank, [queries].

        `accuracy` counts a tie for the first place as wrong, `accuracy_of_ties` as its share;
        `mean_rank` gives ties the mean of their places.
        """
        found = self._own_scores(scores)
        right, others = found[:, :1], found[:, 1:]
        tied = np.abs(others - right) <= TIE_TOLERANCE
        ahead = ((others > right) & ~tied).sum(1)
        tied = tied.sum(1)
        return {
            ("accuracy", None): ((ahead == 0) & (tied == 0)).astype(float),
            ("accuracy_of_ties", None): (ahead == 0) / (1 + tied),
            ("mean_rank", None): 1 + ahead + tied / 2,
        }

    def chance(self) -> dict[tuple[str, int | None], float]:
        """What each of the values is in the mean for candidates in random order."""
        count = len(self.candidates[0])
        shares = {("accuracy", None): 1 / count, ("accuracy_of_ties", None): 1 / count}
        return shares | {("mean_rank", None): (count + 1) / 2}

    def _own_scores(self, scores: Scores) -> NDArray[np.floating]:
        """Scores of each query's own candidates, [queries, candidates]; each text scored once."""
        items = list(dict.fromkeys(text for row in self.candidates for text in row))
        place = {text: number for number, text in enumerate(items)}
        columns = np.array([[place[text] for text in row] for row in self.candidates])
        found = np.asarray(scores(self.queries, items), np.float64)
        return np.take_along_axis(found, columns, axis=1)


@dataclass(frozen=True)
class Similarity:
    """Reports of which each asks for those like it.

    Shapes: relevance [reports, reports], 0 … 1, as a `Relevance` gives it for all rows.
    """

    task: str
    queries: Sequence[str]
    relevance: NDArray[np.floating]
    variant: str | None = None

    def values(self, scores: Scores) -> dict[tuple[str, int | None], NDArray[np.floating]]:
        """nDCG of the top 10, and Spearman's correlation of scores and relevance, [reports].

        The report itself is no item. NaN where all others are equally relevant.
        """
        return self._values(np.asarray(scores(self.queries, self.queries), np.float64))

    def chance(self) -> dict[tuple[str, int | None], float]:
        """What each of the values is in the mean for items in random order."""
        found = self._values(np.zeros_like(self.relevance, dtype=np.float64))
        return {("ndcg", 10): float(np.nanmean(found["ndcg", 10])), ("spearman", None): 0.0}

    def _values(self, found: NDArray[np.floating]) -> dict[tuple[str, int | None], NDArray]:
        count = len(self.queries)
        others = ~np.eye(count, dtype=bool)
        found, relevant = (
            table[others].reshape(count, -1) for table in (found, np.asarray(self.relevance))
        )
        ranked = rank_items(found, relevant, TIE_TOLERANCE)
        ranks = [rankdata(table, axis=1) for table in (found, relevant)]
        ranks = [table - table.mean(1, keepdims=True) for table in ranks]
        norms = [np.sqrt((table**2).sum(1)) for table in ranks]
        product = norms[0] * norms[1]
        correlation = np.divide(
            (ranks[0] * ranks[1]).sum(1),
            product,
            out=np.full(count, np.nan),
            where=product > 0,
        )
        return {("ndcg", 10): ndcg(ranked, 10), ("spearman", None): correlation}


Task = AnswerSearch | Choice | Similarity


def cosine_scores(embed: Callable[[Sequence[str]], ArrayLike]) -> Scores:
    """Scores by the cosines of embeddings, which `embed` gives L2-normalised, [texts, dim]."""
    return lambda queries, items: np.asarray(embed(queries)) @ np.asarray(embed(items)).T


def task_records(
    tasks: Iterable[Task], scores: Mapping[str, Scores], *, seed: int, resamples: int = 2000
) -> tuple[list[dict[str, Any]], dict[Key, NDArray[np.floating]]]:
    """Tidy records of each task and encoder, chance among them, and the values of each query.

    Records hold task, variant, encoder, metric, k, value, low and high (a 95 % bootstrap over
    queries; chance has none) and queries, their number. A query whose value is NaN is left out.
    """
    records: list[dict[str, Any]] = []
    values_of = {}
    for task in tasks:
        bootstrap = Bootstrap(len(task.queries), seed=seed, resamples=resamples)
        about = {"task": task.task, "variant": task.variant, "queries": len(task.queries)}
        for (metric, k), value in task.chance().items():
            measure = {"encoder": "chance", "metric": metric, "k": k}
            records.append(about | measure | {"value": value, "low": None, "high": None})
        for encoder, of in scores.items():
            for (metric, k), values in task.values(of).items():
                measure = {"encoder": encoder, "metric": metric, "k": k}
                low, high = bootstrap.mean(values)
                found = {"value": float(np.nanmean(values)), "low": low, "high": high}
                records.append(about | measure | found)
                values_of[task.task, task.variant, encoder, metric, k] = values
    return records, values_of
