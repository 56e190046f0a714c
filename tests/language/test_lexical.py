"""BM25 and TF-IDF are their equations, by loops."""

from collections import Counter
from itertools import pairwise
from math import log

import numpy as np

from cxr_mtl.language.lexical import bm25_scores, tfidf_scores

ITEMS = ["lungs are clear", "heart is large and lungs are clear", "left effusion", "clear"]
QUERIES = ["clear lungs", "an effusion on the left left side", "zebra", ""]


def test_bm25_is_its_equation():
    documents = [item.split() for item in ITEMS]
    mean = np.mean([len(document) for document in documents])
    for row, query in zip(bm25_scores(QUERIES, ITEMS), QUERIES, strict=True):
        for score, document in zip(row, documents, strict=True):
            total = 0.0
            for word in query.split():
                having = sum(word in other for other in documents)
                count = document.count(word)
                idf = log(1 + (len(ITEMS) - having + 0.5) / (having + 0.5))
                total += idf * count / (count + 1.5 * (0.25 + 0.75 * len(document) / mean))
            np.testing.assert_allclose(score, total, atol=1e-5)


def test_tfidf_is_the_cosine_of_its_weights():
    known = [*ITEMS, "large effusion"]

    def terms(text):
        words = text.split()
        pairs = pairwise(words)
        return Counter([w for w in words if len(w) > 1] + [" ".join(pair) for pair in pairs])

    def weights(text):
        having = {t: sum(t in terms(k) for k in known) for t in terms(text)}
        return {
            t: (1 + log(n)) * (log((1 + len(known)) / (1 + having[t])) + 1)
            for t, n in terms(text).items()
            if having[t]
        }

    found = tfidf_scores(known, QUERIES, ITEMS)
    for row, query in zip(found, QUERIES, strict=True):
        for score, item in zip(row, ITEMS, strict=True):
            a, b = weights(query), weights(item)
            norm = (sum(x * x for x in a.values()) * sum(x * x for x in b.values())) ** 0.5
            expected = sum(a[t] * b.get(t, 0) for t in a) / norm if norm else 0
            np.testing.assert_allclose(score, expected, atol=1e-9)
