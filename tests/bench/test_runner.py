"""The benchmarks' frame, on toy measurements: tables, files and refusals."""

import io
import json
import os
import sys
import types
from dataclasses import asdict
from importlib.util import find_spec
from typing import Literal, get_args

import pytest
import torch

from cxr_mtl import cli
from cxr_mtl.base.errors import InputError
from cxr_mtl.base.terminal import PlainConsole
from cxr_mtl.bench import runner
from cxr_mtl.bench.runner import chapter_measurements, measurement_table, run_benchmarks
from cxr_mtl.bench.timing import Measurement, Rates, Timing, compared
from cxr_mtl.runs.run import Run

SLOW = compared("toy", "loop, n=10", "time", Timing(0.5, 0.4, 0.75, 5))
FAST = compared(
    "toy", "matrix, n=10", "time", Timing(0.002, 0.001, 0.004, 5), baseline=SLOW, floor=0.001
)
SKIPPED = Measurement("toy", "loop, n=1,000", "time", None, "s", note="would take [long]")
TOYS = [SLOW, FAST, SKIPPED]


@pytest.fixture
def frame(monkeypatch, tmp_path):
    """An empty current folder, an idle processor, known rates, and a toy benchmark."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runner.psutil, "cpu_percent", lambda interval: 3.0)
    monkeypatch.setattr(runner, "measure_rates", lambda device: Rates(4.0, 3.0, 2.0, 1.0))
    monkeypatch.setattr(runner, "What", Literal["book", "toy"])
    monkeypatch.setattr(runner, "MODULES", {"toy": "toy_bench"})
    calls = []
    toy = types.SimpleNamespace(run=lambda *words: calls.append(words[:2]) or TOYS)
    monkeypatch.setitem(sys.modules, "toy_bench", toy)
    return calls


def run(what=("toy",), size="quick", device="cpu", run_name="demo", out=None, report=print):
    console = PlainConsole(file=io.StringIO(), width=200)
    return run_benchmarks(what, size, device, run_name, out, console, report)


def written_run(name="mine"):
    folder = Run(f"runs/{name}")
    for number, seconds in ((1, 20.0), (2, 400.0)):
        folder.write_stage(
            f"0{number}_x",
            {
                "wall_seconds": seconds,
                "peak_memory_bytes": 1_500_000_000,
                "started": "2026-01-02T03:04:05+00:00",
                "hardware": {"cpu": "Toy 1", "cores": 3},
            },
        )
    return folder


@pytest.mark.usefixtures("frame")
def test_the_file_gives_the_measurements_back():
    (path,) = run(size="full")
    assert path.as_posix() == "benchmarks/toy-cpu-full.json"
    found = json.loads(path.read_text())
    assert [Measurement(**record) for record in found["measurements"]] == TOYS
    assert list(found) == ["machine", "versions", "date", "git", "size", "device", "measurements"]
    assert (found["size"], found["device"]) == ("full", "cpu")
    assert found["machine"]["busy_percent"] == 3.0
    assert found["machine"]["rates"] == asdict(Rates(4.0, 3.0, 2.0, 1.0))


def test_a_file_without_floors_needs_no_rates(frame, monkeypatch):
    monkeypatch.setattr(runner, "measure_rates", None)
    written_run()
    (path,) = run(what=["book"], size="full", run_name="mine")
    assert path.as_posix() == "benchmarks/book-mine.json"
    assert "rates" not in json.loads(path.read_text())["machine"]


def test_size_and_device_are_passed_on_and_name_the_file(frame, monkeypatch):
    monkeypatch.setattr(runner, "pick_device", lambda device: device)
    (path,) = run(size="full", device="cuda")
    assert frame == [("full", "cuda")]
    assert path.name == "toy-cuda-full.json"


def test_a_quick_run_shows_its_table_and_writes_nothing(frame, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["cxr-mtl", "bench", "--what", "toy"])
    with pytest.raises(SystemExit) as exit_:
        cli.main()
    assert not exit_.value.code
    assert frame == [("quick", "cpu")]
    assert "250 loop" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_all_benchmarks_go_into_the_one_file_that_is_asked_for(frame, tmp_path):
    written_run()
    out = tmp_path / "new folder" / "all.json"
    assert run(what=[], run_name="mine", out=out) == [out]
    records = json.loads(out.read_text())["measurements"]
    assert [record["what"] for record in records] == ["book"] * 5 + ["toy"] * 3
    assert not (tmp_path / "benchmarks").exists()


def test_the_cheap_book_comes_first_so_that_a_missing_run_costs_no_time(frame, tmp_path):
    with pytest.raises(InputError, match="there is no run runs/demo"):
        run(what=["toy", "book"])
    assert frame == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("frame")
def test_chapters_are_measured_by_the_manifest_of_their_run():
    first, memory, second, _, total = chapter_measurements(written_run())
    assert (first.case, first.metric, first.value, first.unit) == ("01_x", "wall time", 20.0, "s")
    assert (memory.case, memory.metric, memory.unit) == ("01_x", "peak memory", "B")
    assert memory.value == 1_500_000_000
    assert first.note == "executed on 2026-01-02, Toy 1, 3 cores"
    assert total.value == first.value + second.value == 420.0


@pytest.mark.usefixtures("frame")
def test_a_run_without_executed_chapters_is_refused():
    with pytest.raises(InputError, match="no chapter of runs/empty was executed yet"):
        chapter_measurements(Run("runs/empty"))


def test_other_programs_at_work_are_told_and_recorded(frame, monkeypatch):
    monkeypatch.setattr(runner.psutil, "cpu_percent", lambda interval: 60.4)
    lines = []
    (path,) = run(size="full", report=lines.append)
    assert "processor 60 % busy" in lines[0]
    assert json.loads(path.read_text())["machine"]["busy_percent"] == 60.4


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--what", "toys"], "what='toys' is no choice: write one of book, "),
        (["--size", "huge"], "size='huge' is no choice: write one of quick, full"),
        (["--device", "gpu"], "device='gpu' is no choice: write one of cpu, cuda"),
        (["--out", "."], ". is a folder: give the name of a file"),
        (["--what", "book", "--run", "mine"], "there is no run runs/mine"),
    ],
)
def test_what_cannot_be_measured_ends_with_2_and_leaves_nothing(
    words, sentence, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["cxr-mtl", "bench", *words])
    with pytest.raises(SystemExit) as exit_:
        cli.main()
    assert exit_.value.code == 2
    assert sentence in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written_or_is_another_is_told_before_anything_is_measured(
    frame, tmp_path, read_only_folder
):
    with pytest.raises(InputError, match=r"all\.json cannot be written \(Permission denied\)"):
        run(out=read_only_folder / "all.json")
    os.seteuid(os.getuid())
    (tmp_path / "pairs.csv").write_text("image,text\n")
    with pytest.raises(InputError, match=r"pairs\.csv is there and is no file of `cxr-mtl bench`"):
        run(out=tmp_path / "pairs.csv")
    (tmp_path / "benchmarks").write_text("mine")
    with pytest.raises(InputError, match=r"toy-cpu-full\.json cannot be written \(Not a directory"):
        run(size="full")
    assert frame == []


@pytest.mark.usefixtures("frame")
def test_an_earlier_file_is_replaced(tmp_path):
    for _ in range(2):
        assert run(out=tmp_path / "all.json") == [tmp_path / "all.json"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_cuda_without_a_gpu_is_refused(frame):
    with pytest.raises(InputError, match="device is cuda but PyTorch sees no GPU"):
        run(device="cuda")
    assert frame == []


def test_the_command_prints_the_table_and_where_the_file_is(frame, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["cxr-mtl", "bench", "--what", "toy", "--size", "full"])
    with pytest.raises(SystemExit) as exit_:
        cli.main()
    assert not exit_.value.code
    printed = capsys.readouterr().out
    assert "250 loop" in printed
    assert "Written: benchmarks/toy-cpu-full.json" in printed


def test_every_benchmark_has_a_module_or_is_the_book():
    assert {"book", *runner.MODULES} == set(get_args(runner.What))
    assert all(find_spec(module) for module in runner.MODULES.values())


def lines_of(measurements):
    console = PlainConsole(file=io.StringIO(), width=200)
    console.print(measurement_table("toy", measurements))
    return [" ".join(line.split()) for line in console.file.getvalue().splitlines()]


def test_the_table_shows_value_spread_ratio_and_floor_under_what_cases_share():
    lines = lines_of(TOYS)
    heading = lines.index("n=10")
    assert lines[heading + 1] == "loop time 500 ms 400 – 750 ms"
    assert lines[heading + 2] == "matrix time 2 ms 1 – 4 ms 250 loop 1 ms 2"
    assert "n=1,000" in lines


def test_what_was_skipped_is_shown_with_its_reason():
    lines = lines_of(TOYS)
    assert "loop time skipped [1]" in lines
    assert "[1] would take [long]" in lines


def test_columns_without_content_are_left_out():
    header = next(line for line in lines_of([SKIPPED]) if line.startswith("case"))
    assert header == "case metric value"


def test_a_second_metric_of_a_case_stands_below_the_first():
    recall = compared("toy", "matrix, n=10", "recall@10", 0.5, "")
    lines = lines_of([FAST, recall])
    assert lines[lines.index("n=10") + 2] == "recall@10 0.5"


def test_a_baseline_is_named_by_what_differs():
    other = compared("toy", "a, n=10", "time", 1.0, baseline=SLOW)
    same_words = compared("toy", "loop, n=10, twice", "time", 1.0, baseline=SLOW)
    lines = lines_of([other, same_words])
    assert "a time 1 s 0.5 loop" in lines
    assert "loop time 1 s 0.5 loop, n=10" in lines
