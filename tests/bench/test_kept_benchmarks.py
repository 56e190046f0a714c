"""Benchmarks kept in files come back as they were measured, in words, each with its origin."""

import json
from dataclasses import asdict

import pytest

from cxr_mtl.base.errors import InputError
from cxr_mtl.bench import runner
from cxr_mtl.bench.kept_benchmarks import (
    measurement_frame,
    measurement_notes,
    measurement_table,
    read_benchmarks,
    search_time_table,
    shown_benchmarks,
)
from cxr_mtl.bench.timing import Measurement, Rates, Timing, compared

MEASURED = [
    compared("train", "plain", "step", Timing(0.5, 0.4, 0.75, 5)),
    compared("train", "peak", "memory", 3e9, "B", note="mapped files left out"),
]


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """Benchmarks of training on a CPU, and of a quick size that is not to be shown."""
    monkeypatch.setattr(runner, "measure_rates", lambda device: Rates(4.0, 3.0, 2.0, 1.0))
    for size in ("quick", "full"):
        kept = runner.document(MEASURED, size, "cpu", 0.0)
        kept["machine"] |= {"cpu": "Toy 1", "cores": 3, "gpu": "Toy 2"}
        kept |= {"date": "2026-01-02", "versions": {"python": "3.0", "numpy": "9", "torch": "4"}}
        (tmp_path / f"train-cpu-{size}.json").write_text(json.dumps(kept))
    return tmp_path


def test_a_kept_benchmark_gives_its_measurements_back_with_their_origin(folder):
    (kept,) = read_benchmarks(folder, "train")
    assert list(map(asdict, kept.measurements)) == list(map(asdict, MEASURED))
    assert (
        kept.origin == "Measured on 2026-01-02 on a CPU (Toy 1, 3 cores) with Python 3.0, torch 4."
    )


def test_a_run_on_a_gpu_is_named_after_the_gpu_and_comes_second(folder):
    kept = json.loads((folder / "train-cpu-full.json").read_text()) | {"device": "cuda"}
    (folder / "train-cuda-full.json").write_text(json.dumps(kept))
    by_cpu, by_gpu = read_benchmarks(folder, "train")
    assert (by_cpu.device, by_gpu.device) == ("cpu", "cuda")
    assert "on a GPU (Toy 2) with Python 3.0" in by_gpu.origin


def test_measurements_are_shown_in_words_without_empty_columns():
    slow, memory = MEASURED
    fast = compared("train", "fast", "step", Timing(0.05, 0.04, 0.06, 5), baseline=slow)
    skipped = Measurement("train", "huge", "step", None, "s")
    shown = measurement_frame([memory, slow, fast, skipped])
    assert shown.loc[3].to_dict() == {
        "case": "fast",
        "measured": "step",
        "value": "50 ms",
        "from – to": "40 ms – 60 ms",
        "times better": "10 × row 2",
    }
    assert list(shown["value"]) == ["3 GB", "500 ms", "50 ms", "skipped"]
    rate = compared("features", "images", "rate", 2e9, "FLOP/s", floor=5e9)
    assert measurement_frame([rate])["floor is better"].tolist() == ["2.5 ×"]


def test_a_note_names_the_rows_it_is_about():
    slow, memory = MEASURED
    found = measurement_notes([memory, slow, memory])
    assert found == ["Rows 1, 3: mapped files left out."]
    several = measurement_notes([memory, memory, memory, slow, memory])
    assert several[0] == "Rows 1 to 3, 5: mapped files left out."
    assert measurement_notes([memory, memory]) == ["All rows: mapped files left out."]


def test_a_benchmark_that_was_not_run_is_none(folder):
    assert read_benchmarks(folder, "search") == []


def test_a_wrong_folder_and_a_file_of_something_else_are_named(folder):
    with pytest.raises(InputError, match="nowhere is not a folder"):
        read_benchmarks(folder / "nowhere", "train")
    (folder / "search-cpu-full.json").write_text("{}")
    with pytest.raises(InputError, match=r"search-cpu-full\.json is not a benchmark's file"):
        read_benchmarks(folder, "search")


def test_the_columns_of_words_stand_to_the_left_and_numbers_stay_on_a_line():
    shown = measurement_table(MEASURED)
    assert shown.data.equals(measurement_frame(MEASURED))
    page = shown.to_html()
    assert page.count("text-align: left") == page.count("white-space: nowrap") == 1


def searched(way, size, seconds, metric="search time"):
    return Measurement("retrieval", f"{way}, {size}", metric, seconds, "s")


def test_search_times_stand_by_way_and_size_of_the_problem():
    shown = search_time_table(
        [
            searched("NumPy", "n=10, batch 1", 2.0),
            searched("FAISS", "n=10, batch 1", 0.5),
            searched("HNSW", "n=10, batch 1", 9.0, metric="one query"),
            searched("NumPy", "n=20, batch 1", None),
        ]
    )
    assert shown.data.fillna("").to_dict("index") == {
        "n=10, batch 1": {"NumPy": "2 s", "FAISS": "500 ms"},
        "n=20, batch 1": {"NumPy": "skipped", "FAISS": ""},
    }
    assert "nan" not in shown.to_html()


def test_every_kept_benchmark_is_shown_below_its_origin(folder):
    kept = json.loads((folder / "train-cpu-full.json").read_text())
    kept["measurements"] = [asdict(searched("NumPy", "n=10, batch 1", 2.0))]
    (folder / "retrieval-cpu-full.json").write_text(json.dumps(kept))
    no_gpu, training, measurements, search, times = shown_benchmarks(folder)
    assert no_gpu == f"No run on a GPU is kept in `{folder}`."
    (run,) = read_benchmarks(folder, "train")
    assert training == (
        f"**Training BiomedCLIP's last layer.** {run.origin} Row 2: mapped files left out."
    )
    assert measurements.data.equals(measurement_frame(MEASURED))
    assert search.startswith("**Exact search**")
    assert search.endswith(run.origin)
    assert times.data.to_numpy().tolist() == [["2 s"]]


def test_an_empty_folder_is_said_to_be_empty(tmp_path):
    assert shown_benchmarks(tmp_path) == [
        f"No run at full size is kept in `{tmp_path}`.",
        f"No run on a GPU is kept in `{tmp_path}`.",
    ]


def test_nothing_is_said_to_be_missing_where_a_gpu_was_measured(folder):
    kept = json.loads((folder / "train-cpu-full.json").read_text()) | {"device": "cuda"}
    (folder / "train-cuda-full.json").write_text(json.dumps(kept))
    shown = shown_benchmarks(folder)
    assert len(shown) == 4
    assert shown[0].startswith("**Training")
