"""Retrieval: an exact index, protocols that say what is searched, metrics of what is found, maps.

Under the strict protocol an image is searched among reports alone:

>>> import numpy as np
>>> from cxr_mtl.retrieval import searches
>>> images, reports = np.eye(3), np.array([[0, 1, 0], [1, 0, 0], [0, 0, 1]])
>>> search = searches("cross_modal", images, reports)["image_to_text"]
>>> search.scores(np.arange(3)).argmax(axis=1)
array([1, 0, 2])
"""

from cxr_mtl.retrieval.embeddings import store_embeddings, stored_embeddings
from cxr_mtl.retrieval.index import Index, fused_vectors, normalised
from cxr_mtl.retrieval.protocols import searches
from cxr_mtl.retrieval.tsne_maps import embedding_map

__all__ = [
    "Index",
    "embedding_map",
    "fused_vectors",
    "normalised",
    "searches",
    "store_embeddings",
    "stored_embeddings",
]
