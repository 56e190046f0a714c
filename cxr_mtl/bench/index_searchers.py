"""Ways of searching the same vectors exactly, for the retrieval benchmark."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import faiss
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from cxr_mtl.base.errors import InputError
from cxr_mtl.retrieval.index import Index

Vectors = NDArray[np.float32]
Found = tuple[Vectors, NDArray[np.int64]]
Search = Callable[[Vectors], Found]

DIMENSION, K = 512, 10
CHUNK_SCORES = 2**25  # held at once by PyTorch and NumPy: 0.5 GB with their positions


class Searcher(NamedTuple):
    """One way of searching the same vectors, and the bytes it reads per number."""

    name: str
    number_bytes: int
    search: Search


def searchers(vectors: Vectors, device: str) -> list[Searcher]:
    """All ways of exact search on a device, the baseline of the others first."""
    index = project_index(vectors, device)
    ways = [
        Searcher("PyTorch", 4, by_torch(vectors, device)),
        Searcher("FAISS float32", 4, lambda queries: index.search(queries, K)),
        Searcher("FAISS float16", 2, by_faiss_float16(vectors, device)),
    ]
    return ways if device == "cuda" else [*ways, Searcher("NumPy", 4, by_numpy(vectors))]


def project_index(vectors: Vectors, device: str) -> Index:
    """The project's own index of vectors [count, 512].

    Raises:
        InputError: it does not search on that device.
    """
    metadata = pd.DataFrame({"study": range(len(vectors)), "image": "", "label": 0, "text": ""})
    index = Index.build(vectors, metadata, "benchmark")
    if device == "cuda" and index.device == "cpu":
        raise InputError("device is cuda but FAISS sees no GPU: install faiss-gpu or give cpu")
    if device == "cpu" and index.device == "gpu":
        raise InputError(
            "device is cpu but FAISS searches on the GPU: hide it with CUDA_VISIBLE_DEVICES= or "
            "give cuda"
        )
    return index


def by_numpy(vectors: Vectors) -> Search:
    """Search by matrix product and argpartition, some vectors at a time."""

    def search(queries: Vectors) -> Found:
        scores, positions = [], []
        for start, chunk in _chunks(vectors, len(queries)):
            all_scores = queries @ chunk.T
            best = np.argpartition(all_scores, -min(K, len(chunk)), axis=1)[:, -K:]
            scores.append(np.take_along_axis(all_scores, best, 1))
            positions.append(best + start)
        scores, positions = np.concatenate(scores, 1), np.concatenate(positions, 1)
        order = np.argsort(-scores, axis=1)[:, :K]
        return np.take_along_axis(scores, order, 1), np.take_along_axis(positions, order, 1)

    return search


def by_torch(vectors: Vectors, device: str) -> Search:
    """Search by matrix product and topk on a device, some vectors at a time."""
    stored = torch.from_numpy(vectors).to(device)

    def search(queries: Vectors) -> Found:
        asked = torch.from_numpy(queries).to(device)
        scores, positions = [], []
        for start, chunk in _chunks(stored, len(queries)):
            best = (asked @ chunk.T).topk(min(K, len(chunk)), dim=1)
            scores.append(best.values)
            positions.append(best.indices + start)
        scores, positions = torch.cat(scores, 1), torch.cat(positions, 1)
        best = scores.topk(K, dim=1)
        return best.values.cpu().numpy(), positions.gather(1, best.indices).cpu().numpy()

    return search


def by_faiss_float16(vectors: Vectors, device: str) -> Search:
    """Search vectors kept in float16 by FAISS."""
    if device == "cuda":
        options = faiss.GpuClonerOptions()
        options.useFloat16 = True
        flat, resources = faiss.IndexFlatIP(DIMENSION), faiss.StandardGpuResources()
        index = faiss.index_cpu_to_gpu(resources, 0, flat, options)
    else:
        index = faiss.index_factory(DIMENSION, "SQfp16", faiss.METRIC_INNER_PRODUCT)
        index.train(vectors)
    index.add(vectors)
    return partial(index.search, k=K)


def _chunks(vectors: Any, queries: int) -> Iterator[tuple[int, Any]]:
    rows = max(K, CHUNK_SCORES // queries)
    for start in range(0, len(vectors), rows):
        yield start, vectors[start : start + rows]
