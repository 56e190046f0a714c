"""The retrieval benchmark on a few hundred vectors: what it finds must be the nearest."""

import types

import faiss
import numpy as np
import pytest
import torch

from cxr_mtl.base.errors import InputError
from cxr_mtl.bench import index_searchers
from cxr_mtl.bench import retrieval as bench_retrieval
from cxr_mtl.bench.index_searchers import by_faiss_float16, by_numpy, by_torch, project_index
from cxr_mtl.bench.retrieval import (
    CURVE_QUERIES,
    approximate,
    cells,
    clusters,
    exact,
    floor_seconds,
    random_directions,
    recall,
)
from cxr_mtl.bench.timing import Rates
from cxr_mtl.retrieval.index import Index

RATES = Rates(float32_flops=1e9, bfloat16_flops=4e9, read_bytes=1e6, copy_bytes=1e6)
NEEDS_GPU = pytest.mark.skipif(
    not torch.cuda.is_available() or faiss.get_num_gpus() == 0, reason="FAISS sees no GPU"
)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Known rates and few repeats."""
    monkeypatch.setattr(bench_retrieval, "measure_rates", lambda device: RATES)
    monkeypatch.setattr(bench_retrieval, "read_rate", lambda size, device: RATES.read_bytes)
    monkeypatch.setattr(bench_retrieval, "SINGLE_QUERIES", 3)


def ignore(line):
    pass


def of_metric(measurements, metric):
    return {m.case: m for m in measurements if m.metric == metric}


def by_sorting(vectors, queries):
    scores = queries.astype(np.float64) @ vectors.astype(np.float64).T
    return np.argsort(-scores, axis=1)[:, :10]


WAYS = {
    "numpy": by_numpy,
    "torch": lambda vectors: by_torch(vectors, "cpu"),
    "float16": lambda vectors: by_faiss_float16(vectors, "cpu"),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("chunk", [2**25, 7 * 100])
def test_every_way_finds_the_nearest_in_whatever_chunks(way, chunk, monkeypatch):
    monkeypatch.setattr(index_searchers, "CHUNK_SCORES", chunk)
    vectors, queries = random_directions(303), random_directions(7, seed=1)
    scores, positions = WAYS[way](vectors)(queries)
    expected = by_sorting(vectors, queries)
    if way == "float16":
        assert recall(positions, expected) > 0.95
    else:
        np.testing.assert_array_equal(positions, expected)
    exact_scores = np.take_along_axis(queries @ vectors.T, positions, 1)
    np.testing.assert_allclose(scores, exact_scores, atol=1e-3 if way == "float16" else 1e-6)


def test_exact_search_records_every_way_batch_and_count():
    found = exact((40, 80), (1, 3), "cpu", ignore)
    ways = ("PyTorch", "FAISS float32", "FAISS float16", "NumPy")
    times = of_metric(found, "search time")
    assert set(times) == {
        f"{way}, n={count}, batch {batch}" for way in ways for count in (40, 80) for batch in (1, 3)
    }
    recalls = of_metric(found, "recall@10")
    assert set(recalls) == {f"{way}, n={count}" for way in ways for count in (40, 80)}
    assert len(found) == len(times) + len(recalls)
    assert all(m.value == 1.0 for case, m in recalls.items() if "float16" not in case)
    assert all(0.9 < m.value <= 1.0 for m in recalls.values())


def test_exact_times_stand_against_pytorch_and_the_floor():
    times = of_metric(exact((40,), (3,), "cpu", ignore), "search time")
    torch_time = times["PyTorch, n=40, batch 3"]
    faiss_time = times["FAISS float32, n=40, batch 3"]
    assert (torch_time.baseline, torch_time.ratio) == (None, None)
    assert faiss_time.baseline == "PyTorch, n=40, batch 3"
    assert faiss_time.ratio == pytest.approx(torch_time.value / faiss_time.value)
    assert faiss_time.of_floor == pytest.approx(faiss_time.value / (40 * 512 * 4 / 1e6))
    assert times["FAISS float16, n=40, batch 3"].floor == pytest.approx(40 * 512 * 2 / 1e6)


def test_the_floor_is_reading_for_few_queries_and_arithmetic_for_many():
    assert floor_seconds(100, 1, 4, RATES, "cpu") == pytest.approx(100 * 512 * 4 / 1e6)
    many = 10**5
    arithmetic = 2 * 100 * 512 * many / 1e9
    assert floor_seconds(100, many, 4, RATES, "cpu") == pytest.approx(arithmetic)
    assert floor_seconds(100, many, 2, RATES, "cpu") == pytest.approx(arithmetic / 4)


def test_what_would_take_too_long_is_recorded_with_the_reason(monkeypatch):
    monkeypatch.setattr(bench_retrieval, "LIMIT_SECONDS", 0)
    times = of_metric(exact((40, 80), (1,), "cpu", ignore), "search time")
    assert times["PyTorch, n=40, batch 1"].value > 0
    skipped = times["PyTorch, n=80, batch 1"]
    assert (skipped.value, skipped.ratio) == (None, None)
    assert skipped.note.startswith("would take about ")


def test_a_skipped_baseline_is_not_replaced_by_another(monkeypatch):
    slow_torch = {("PyTorch", 1): 100.0}
    found = bench_retrieval._exact_at(40, (1,), "cpu", slow_torch, ignore)
    times = of_metric(found, "search time")
    assert times["PyTorch, n=40, batch 1"].value is None
    assert times["FAISS float32, n=40, batch 1"].value > 0
    assert all(m.ratio is None for m in times.values())


def test_what_memory_does_not_hold_is_recorded_with_the_reason(monkeypatch):
    little = types.SimpleNamespace(available=16 * 512 * 40)
    monkeypatch.setattr(bench_retrieval.psutil, "virtual_memory", lambda: little)
    found = exact((40, 10**6), (1,), "cpu", ignore)
    assert found[-1].case == "exact, n=1,000,000"
    assert found[-1].value is None
    assert found[-1].note == "needs 8.2 GB of memory, 0.0 GB are free"
    assert found[0].value > 0


@pytest.mark.parametrize(("expected", "calls"), [(0, 21), (0.1, 11), (1, 4), (10, 1)])
def test_long_searches_are_repeated_less(expected, calls):
    made = []
    bench_retrieval._timed(lambda queries: made.append(1), None, expected, "cpu")
    assert len(made) == calls


def test_approximate_search_is_held_against_exact_search():
    lists = cells(400)
    vectors = clusters(400 + CURVE_QUERIES)
    found = approximate("clusters", vectors, (1, lists), (10, 400), "cpu", ignore)
    recalls = {m.case: m.value for m in found if m.metric == "recall@10"}
    assert list(recalls) == [
        "IVF10 nprobe 1, clusters, n=400",
        "IVF10 nprobe 10, clusters, n=400",
        "HNSW32 efSearch 10, clusters, n=400",
        "HNSW32 efSearch 400, clusters, n=400",
    ]
    one_cell, all_cells, few, all_nodes = recalls.values()
    assert 0 < one_cell < all_cells == 1.0
    assert 0 < few <= all_nodes <= 1.0
    times = of_metric(found, "one query")
    assert set(times) == {"exact, clusters, n=400", *recalls}
    ivf, exactly = times["IVF10 nprobe 1, clusters, n=400"], times["exact, clusters, n=400"]
    assert ivf.baseline == exactly.case
    assert ivf.ratio == pytest.approx(exactly.value / ivf.value)
    assert "seed 0" in exactly.note
    assert set(of_metric(found, "build time")) == {
        "IVF10, clusters, n=400",
        "HNSW32, clusters, n=400",
    }


def test_recall_is_the_share_of_the_true_neighbours():
    found = np.array([[1, 2, 3], [4, 5, -1]])
    truth = np.array([[3, 2, 9], [4, 5, 6]])
    shares = [len(set(f) & set(t)) / 3 for f, t in zip(found, truth, strict=True)]
    assert recall(found, truth) == pytest.approx(np.mean(shares)) == pytest.approx(4 / 6)


def test_an_ivf_index_has_4_sqrt_n_cells_of_enough_vectors():
    assert [cells(count) for count in (10, 400, 40_000, 1_000_000)] == [1, 10, 800, 4000]


def test_the_data_are_unit_vectors_of_a_seed_and_clusters_have_neighbours():
    for draw in (clusters, random_directions):
        vectors = draw(2000)
        assert vectors.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
        np.testing.assert_array_equal(vectors, draw(2000))
        assert not np.allclose(vectors, draw(2000, seed=1))

    def nearest(vectors):
        return np.sort(vectors @ vectors.T, axis=1)[:, -2].mean()

    assert nearest(clusters(2000)) > 0.5 > nearest(random_directions(2000))


def test_a_run_covers_exact_and_approximate_search_on_both_data(monkeypatch):
    sizes = {"COUNTS": (40,), "BATCHES": (1,), "APPROXIMATE_COUNT": 60}
    for name, value in {**sizes, "NPROBES": (1,), "EF_SEARCHES": (10,)}.items():
        monkeypatch.setattr(bench_retrieval, name, {"quick": value})
    lines = []
    found = bench_retrieval.run("quick", "cpu", lines.append)
    assert {m.what for m in found} == {"retrieval"}
    assert {m.case for m in found if m.case.startswith("exact")} == {
        "exact, clusters, n=60",
        "exact, random, n=60",
    }
    assert len({(m.case, m.metric) for m in found}) == len(found)
    assert all(0 <= m.value <= 1 for m in found if m.metric == "recall@10")
    assert lines[0] == "exact search among 40 vectors, batch 1"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_cuda_is_refused_where_faiss_has_none():
    with pytest.raises(InputError, match="device is cuda but FAISS sees no GPU"):
        project_index(random_directions(10), "cuda")


def test_the_gpu_is_not_measured_in_the_processors_name(monkeypatch):
    monkeypatch.setattr(Index, "device", property(lambda index: "gpu"))
    with pytest.raises(InputError, match="device is cpu but FAISS searches on the GPU"):
        project_index(random_directions(10), "cpu")


@NEEDS_GPU
def test_on_the_gpu_exact_search_finds_the_nearest():
    vectors, queries = random_directions(3000), random_directions(20, seed=1)
    expected = by_sorting(vectors, queries)
    for way in index_searchers.searchers(vectors, "cuda"):
        least = 0.95 if "float16" in way.name else 0.999
        assert recall(way.search(queries)[1], expected) >= least


@NEEDS_GPU
def test_on_the_gpu_ivf_with_all_cells_is_exact_and_hnsw_is_absent():
    vectors = clusters(400 + CURVE_QUERIES)
    found = approximate("clusters", vectors, (1, cells(400)), (10,), "cuda", ignore)
    assert [m.value for m in found if m.metric == "recall@10"][-1] > 0.999
    assert found[-1].note == "FAISS has no HNSW on the GPU"
