"""The retrieval benchmark: exact search by FAISS, PyTorch and NumPy, approximate by FAISS.

The time of exact search does not depend on the vectors' values, so it takes random directions.
Approximate search lives from structure: it takes clusters, and random directions as the worst case.
"""

import time
from collections.abc import Sequence
from functools import partial
from itertools import cycle
from typing import NamedTuple

import faiss
import numpy as np
import psutil
import torch
from numpy.typing import NDArray

from cxr_mtl.bench.index_searchers import (
    DIMENSION,
    K,
    Search,
    Searcher,
    Vectors,
    by_numpy,
    project_index,
    searchers,
)
from cxr_mtl.bench.timing import (
    LARGE,
    Measurement,
    Rates,
    Report,
    Size,
    Timing,
    compared,
    measure,
    measure_rates,
    read_rate,
)

WHAT = "retrieval"
SEED = 0
# The largest public collections of chest radiographs hold about 1.6 million together.
COUNTS = {"quick": (400, 4_000, 40_000), "full": (400, 4_000, 40_000, 400_000, 1_600_000)}
BATCHES = {"quick": (1, 256), "full": (1, 16, 256, 4096)}
APPROXIMATE_COUNT = {"quick": 20_000, "full": 200_000}
NPROBES = {"quick": (1, 4, 16, 64), "full": (1, 2, 4, 8, 16, 32, 64, 128)}
EF_SEARCHES = {"quick": (10, 40, 160), "full": (10, 20, 40, 80, 160, 320)}
LINKS = 32
CENTRES, RANK = 256, 32
NOTES = {
    "clusters": f"{CENTRES} random centres plus noise of length 1 in {RANK} random directions, "
    f"then normalised; NumPy's default generator, seed {SEED}",
    "random": "uniform on the sphere, which has no structure: the worst case; NumPy's default "
    f"generator, seed {SEED}",
}
POINTS_PER_CELL = 39  # fewer, and FAISS warns that k-means has too few points

LIMIT_SECONDS, LONG_SECONDS, BUDGET_SECONDS = 60, 5, 1
RECALL_QUERIES, CURVE_QUERIES, SINGLE_QUERIES = 16, 256, 64


class Task(NamedTuple):
    """Vectors [count, 512] to search, queries [256, 512], the true positions [256, 10].

    `where` names the vectors, `exact` is the time of finding the truth.
    """

    where: str
    vectors: Vectors
    queries: Vectors
    truth: NDArray[np.int64]
    exact: Measurement
    device: str


def run(size: Size, device: str, report: Report) -> list[Measurement]:
    """Measure exact and approximate search.

    Raises:
        InputError: FAISS does not search on that device.
    """
    found = exact(COUNTS[size], BATCHES[size], device, report)
    count = APPROXIMATE_COUNT[size] + CURVE_QUERIES
    for name, draw in (("clusters", clusters), ("random", random_directions)):
        sweeps = NPROBES[size], EF_SEARCHES[size]
        found += approximate(name, draw(count), *sweeps, device, report)
    return found


def random_directions(count: int, seed: int = SEED) -> Vectors:
    """Vectors [count, 512] of length 1, uniform on the sphere."""
    vectors = np.random.default_rng(seed).standard_normal((count, DIMENSION), dtype=np.float32)
    return _unit(vectors)


def clusters(count: int, seed: int = SEED) -> Vectors:
    """Vectors [count, 512] of length 1 that lie, like embeddings, in clusters of few directions.

    Each is one of 256 centres on the sphere plus noise of length 1; the noise of all clusters
    lies in the same 32 random directions.
    """
    rng = np.random.default_rng(seed)
    centres = _unit(rng.standard_normal((CENTRES, DIMENSION), dtype=np.float32))
    directions = rng.standard_normal((RANK, DIMENSION), dtype=np.float32)
    noise = _unit(rng.standard_normal((count, RANK), dtype=np.float32) @ directions)
    return _unit(centres[rng.integers(CENTRES, size=count)] + noise)


def exact(
    counts: Sequence[int], batches: Sequence[int], device: str, report: Report
) -> list[Measurement]:
    """Time the exact search of batches of queries among ascending numbers of vectors.

    What memory does not hold or what would take more than a minute is recorded without a value.
    """
    found, seconds_per_vector = [], {}
    for count in counts:
        note = _too_large(count, device)
        if note:
            case = f"exact, n={count:,}"
            found.append(Measurement(WHAT, case, "search time", None, "s", note=note))
        else:
            found += _exact_at(count, batches, device, seconds_per_vector, report)
    return found


def _exact_at(
    count: int,
    batches: Sequence[int],
    device: str,
    seconds_per_vector: dict[tuple[str, int], float],
    report: Report,
) -> list[Measurement]:
    """Search `count` vectors in all ways; the seconds per vector foretell those of the next."""
    vectors = random_directions(count)
    queries = random_directions(max(*batches, RECALL_QUERIES), SEED + 1)
    ways, found = searchers(vectors, device), []
    for batch in batches:
        report(f"exact search among {count:,} vectors, batch {batch:,}")
        baseline = None
        for way in ways:
            expected = seconds_per_vector.get((way.name, batch), 0) * count
            record = _search_time(way, count, queries[:batch], expected, baseline, device)
            if record.value is not None:
                seconds_per_vector[way.name, batch] = record.value / count
            baseline = baseline or record
            found.append(record)
    asked = queries[:RECALL_QUERIES]
    truth = by_numpy(vectors)(asked)[1]
    for way in ways:
        share = recall(way.search(asked)[1], truth)
        found.append(compared(WHAT, f"{way.name}, n={count:,}", f"recall@{K}", share, ""))
    return found


def _search_time(
    way: Searcher,
    count: int,
    queries: Vectors,
    expected: float,
    baseline: Measurement | None,
    device: str,
) -> Measurement:
    case, metric = f"{way.name}, n={count:,}, batch {len(queries):,}", "search time"
    if expected > LIMIT_SECONDS:
        note = f"would take about {expected:.0f} s, the limit is {LIMIT_SECONDS} s"
        return Measurement(WHAT, case, metric, None, "s", note=note)
    timing = _timed(way.search, queries, expected, device)
    floor = floor_seconds(count, len(queries), way.number_bytes, measure_rates(device), device)
    return compared(WHAT, case, metric, timing, baseline=baseline, floor=floor)


def approximate(
    name: str,
    vectors: Vectors,
    nprobes: Sequence[int],
    ef_searches: Sequence[int],
    device: str,
    report: Report,
) -> list[Measurement]:
    """Time one query, and its recall@10, by IVF-Flat and HNSW-Flat; exact search is the truth.

    Args:
        name: of the vectors, `clusters` or `random`.
        vectors: the last 256 are the queries, the others are searched.
    """
    stored, queries = vectors[:-CURVE_QUERIES], vectors[-CURVE_QUERIES:]
    where = f"{name}, n={len(stored):,}"
    report(f"approximate search: {where}, IVF")
    index = project_index(stored, device)
    truth = index.search(queries, K)[1]
    timing = _one_by_one(lambda query: index.search(query, K), queries, device)
    floor = floor_seconds(len(stored), 1, 4, measure_rates(device), device)
    exactly = compared(WHAT, f"exact, {where}", "one query", timing, floor=floor, note=NOTES[name])
    task = Task(where, stored, queries, truth, exactly, device)
    lists = {f"nprobe {n}": faiss.SearchParametersIVF(nprobe=n) for n in nprobes}
    found = [exactly, *_curve(task, f"IVF{cells(len(stored))},Flat", lists)]
    if device == "cuda":
        note = "FAISS has no HNSW on the GPU"
        skipped = Measurement(WHAT, f"HNSW, {where}", "one query", None, "s", note=note)
        return [*found, skipped]
    report(f"approximate search: {where}, HNSW")
    graphs = {f"efSearch {n}": faiss.SearchParametersHNSW(efSearch=n) for n in ef_searches}
    return [*found, *_curve(task, f"HNSW{LINKS},Flat", graphs)]


def _curve(
    task: Task, factory: str, settings: dict[str, faiss.SearchParameters]
) -> list[Measurement]:
    """Build the index that FAISS calls `factory`; its time and recall at each setting."""
    name = factory.partition(",")[0]
    started = time.perf_counter()
    index = faiss.index_factory(DIMENSION, factory, faiss.METRIC_INNER_PRODUCT)
    if task.device == "cuda":
        index = faiss.index_cpu_to_gpu(faiss.StandardGpuResources(), 0, index)
    index.train(task.vectors)
    index.add(task.vectors)
    seconds = time.perf_counter() - started
    found = [compared(WHAT, f"{name}, {task.where}", "build time", seconds)]
    for setting, parameters in settings.items():
        case = f"{name} {setting}, {task.where}"
        search = partial(index.search, k=K, params=parameters)
        timing = _one_by_one(search, task.queries, task.device)
        hits = recall(search(task.queries)[1], task.truth)
        found.append(compared(WHAT, case, "one query", timing, baseline=task.exact))
        found.append(compared(WHAT, case, f"recall@{K}", hits, ""))
    return found


def cells(count: int) -> int:
    """How many cells an IVF index of `count` vectors gets: 4 √count, if they fill so many."""
    return max(1, min(round(4 * count**0.5), count // POINTS_PER_CELL))


def recall(found: NDArray[np.int64], truth: NDArray[np.int64]) -> float:
    """The share of the true positions [queries, k] that are among those found [queries, k]."""
    hits = (found[:, :, None] == truth[:, None, :]).any(axis=2)
    return float(hits.mean())


def floor_seconds(count: int, batch: int, number_bytes: int, rates: Rates, device: str) -> float:
    """The least time of an exact search: reading every vector once, or all scores' arithmetic.

    Numbers of 2 bytes may be multiplied at the rate of bfloat16, where that is the faster one.
    """
    size = count * DIMENSION * number_bytes
    faster = max(rates.float32_flops, rates.bfloat16_flops)
    flops = rates.float32_flops if number_bytes == 4 else faster
    reading = size / read_rate(min(size, LARGE), device)
    return max(reading, 2 * batch * count * DIMENSION / flops)


def _timed(search: Search, queries: Vectors, expected: float, device: str) -> Timing:
    """Time a search once when it is long, else as often as a second allows, 3 to 20 times."""
    if expected > LONG_SECONDS:
        return measure(lambda: search(queries), 1, warmup=0, device=device)
    repeats = 20 if expected == 0 else int(min(20, max(3, BUDGET_SECONDS / expected)))
    return measure(lambda: search(queries), repeats, device=device)


def _one_by_one(search: Search, queries: Vectors, device: str) -> Timing:
    """Time single queries, another one each time."""
    single = cycle(queries[:, None])
    return measure(lambda: search(next(single)), SINGLE_QUERIES, warmup=8, device=device)


def _too_large(count: int, device: str) -> str | None:
    """Why so many vectors cannot be searched: four float32 copies must fit the free memory."""
    needed, free = 16 * count * DIMENSION, psutil.virtual_memory().available
    if device == "cuda":
        free = min(free, torch.cuda.mem_get_info()[0])
    if needed <= free:
        return None
    return f"needs {needed / 1e9:.1f} GB of memory, {free / 1e9:.1f} GB are free"


def _unit(vectors: Vectors) -> Vectors:
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors
