"""Which items are relevant to a query: the own study, the same text, the same label, like findings.

A `Relevance` takes rows [r] of the studies that ask and returns float32 [r, n]: how relevant each
of the n studies is to each of them, 0 not at all to 1 fully. Only the rows asked for are made;
`mesh_overlap` also keeps a table of all studies.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.preprocessing import MultiLabelBinarizer

from cxr_mtl.base.errors import InputError
from cxr_mtl.data.splits import normalise_text

Relevance = Callable[[NDArray[np.integer]], NDArray[np.float32]]


def own_study(n: int) -> Relevance:
    """Only the query's own study, of n, is relevant."""
    return _same(np.arange(n))


def same_text(texts: Sequence[str]) -> Relevance:
    """Studies whose report is word for word the query's are relevant, by `splits.normalise_text`.

    The own study is among them.
    """
    return _same(np.array([normalise_text(text) for text in texts]))


def same_label(labels: ArrayLike) -> Relevance:
    """Studies with the query's label, 1 abnormal or 0 normal, are relevant; labels are [n].

    Raises:
        InputError: a label is neither 0 nor 1.
    """
    return _same(binary_labels(labels))


def binary_labels(labels: ArrayLike) -> NDArray[np.int64]:
    """Labels, [n], as integers.

    Raises:
        InputError: a label is neither 0 nor 1.
    """
    labels = np.asarray(labels)
    wrong = labels[~np.isin(labels, (0, 1))]
    if len(wrong):
        raise InputError(
            f"{len(wrong)} of {len(labels)} labels are neither 0 nor 1 (the first is {wrong[0]}): "
            "label every study"
        )
    return labels.astype(np.int64)


def mesh_overlap(headings: Sequence[Sequence[str]]) -> Relevance:
    """How alike the MeSH indexing of two studies is, 0 … 1, from each study's terms, [n] lists.

    A term is `Heading/qualifier/qualifier…`; `normal` and `No Indexing` are terms like others.
    Two terms of different headings have similarity 0. Two of one heading have
    (1 + shared qualifiers) / (1 + qualifiers of either), the Jaccard index with the heading as one
    element. The similarity of studies A and B is the symmetric best-match average: the mean, over
    the terms of both, of each term's greatest similarity to a term of the other study,
    (Σ_{a∈A} max_b s(a, b) + Σ_{b∈B} max_a s(a, b)) / (|A| + |B|). A term written twice is one, in
    whatever order its qualifiers stand. A study without terms has similarity 0 to all, itself
    included.

    Whatever rows are asked for, a dense float32 table of terms × studies is kept, and to make it
    one of terms × (the terms of all studies, counted in each) is held besides. With 3 terms a study
    that is 16 bytes times terms times studies, and further tables of terms × terms: 1000 terms of
    10 000 studies take 0.2 GB, 10 000 terms of 100 000 studies 16 GB, too much for most machines.

    Raises:
        InputError: the headings of a study are one text instead of a list.
    """
    for row, entries in enumerate(headings):
        if isinstance(entries, str):
            raise InputError(
                f"the headings of row {row} are the text '{entries}': give a list of MeSH headings"
            )
    binarizer = MultiLabelBinarizer(sparse_output=True)
    has_term = sparse.csr_array(
        binarizer.fit_transform([_terms(entries) for entries in headings]), dtype=np.float32
    )
    terms = np.diff(has_term.indptr)
    best = _best_matches(_term_similarity(list(binarizer.classes_)), has_term)

    def relevance(rows: NDArray[np.integer]) -> NDArray[np.float32]:
        matched = has_term[rows] @ best + (has_term @ best[:, rows]).T
        both = terms[rows][:, None] + terms
        return (matched / np.maximum(both, 1)).astype(np.float32)

    return relevance


def _same(values: NDArray) -> Relevance:
    _, codes = np.unique(values, return_inverse=True)

    def relevance(rows: NDArray[np.integer]) -> NDArray[np.float32]:
        return (codes[rows][:, None] == codes).astype(np.float32)

    return relevance


def _terms(entries: Sequence[str]) -> list[str]:
    """The terms of a study, each with its qualifiers sorted and none twice.

    In order, or sums over them would depend on the interpreter's hash seed.
    """
    parts = [[part.strip() for part in entry.split("/")] for entry in entries]
    return sorted({"/".join([heading, *sorted(set(rest))]) for heading, *rest in parts if heading})


def _term_similarity(terms: list[str]) -> NDArray[np.float32]:
    """Similarity of every term to every other, [terms, terms]."""
    heading = np.array([term.split("/")[0] for term in terms])
    qualifiers = MultiLabelBinarizer().fit_transform([term.split("/")[1:] for term in terms])
    qualifiers = qualifiers.astype(np.float32)
    shared = qualifiers @ qualifiers.T
    count = qualifiers.sum(axis=1)
    jaccard = (1 + shared) / (1 + count[:, None] + count - shared)
    return np.where(heading[:, None] == heading, jaccard, 0).astype(np.float32)


def _best_matches(
    similarity: NDArray[np.float32], has_term: sparse.csr_array
) -> NDArray[np.float32]:
    """Each term's greatest similarity to a term of each study, [terms, studies]; 0 without any."""
    best = np.zeros(has_term.shape[::-1], dtype=np.float32)
    starts = has_term.indptr[:-1]
    # reduceat would give a study without terms the first term of the next one.
    filled = np.diff(has_term.indptr) > 0
    if filled.any():
        best[:, filled] = np.maximum.reduceat(
            similarity[:, has_term.indices], starts[filled], axis=1
        )
    return best
