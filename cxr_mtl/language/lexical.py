"""Scores of texts that share words: the baselines that need no training."""

from collections.abc import Sequence

import bm25s
import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer


def tfidf_scores(
    known: Sequence[str], queries: Sequence[str], items: Sequence[str]
) -> NDArray[np.float64]:
    """Cosines of TF-IDF vectors of words and pairs of words, weighted by the texts `known`.

    Shapes: -> [queries, items].
    """
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True).fit(known)
    return (vectorizer.transform(queries) @ vectorizer.transform(items).T).toarray()


def bm25_scores(queries: Sequence[str], items: Sequence[str]) -> NDArray[np.float64]:
    """BM25 (k₁ 1.5, b 0.75, Lucene's form) of each item for each query, all words kept.

    Robertson, Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009.

    Shapes: -> [queries, items].
    """
    options = {"stopwords": [], "show_progress": False, "return_ids": False}
    index = bm25s.BM25()
    index.index(bm25s.tokenize(list(items), **options), show_progress=False)
    return np.stack(
        [
            np.asarray(index.get_scores(words) if words else np.zeros(len(items)), np.float64)
            for words in bm25s.tokenize(list(queries), **options)
        ]
    )
