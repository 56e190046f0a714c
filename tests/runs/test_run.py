"""A run's folder: tidy results, the manifest, the lock."""

import multiprocessing
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from cxr_mtl.base.errors import InputError
from cxr_mtl.runs.run import Run, existing_run, named_run, open_run


@pytest.fixture
def run(tmp_path) -> Run:
    return Run(tmp_path / "a run")


def test_results_read_back_as_they_were_written(run):
    records = [{"metric": "accuracy", "k": 1, "value": 0.5, "paper": None, "model": "clip"}]
    run.write_results("05_retrieval", records)
    assert (run / "results/05_retrieval.json").is_file()
    assert run.results("05_retrieval") == records


def test_numpy_numbers_become_plain_ones(run):
    records = [{"metric": "a", "k": np.int64(3), "value": np.float32(0.25), "ok": np.True_}]
    run.write_results("x", records)
    assert run.results("x") == [{"metric": "a", "k": 3, "value": 0.25, "ok": True}]


@pytest.mark.parametrize("bad", [float("nan"), np.nan, np.float32("inf"), -np.inf])
@pytest.mark.parametrize("field", ["value", "paper"])
def test_nan_and_infinity_are_refused_and_the_old_results_stand(run, bad, field):
    run.write_results("x", [{"metric": "a", "value": 1}])
    with pytest.raises(InputError, match=f"a record of x has {field} = "):
        run.write_results("x", [{"metric": "a", "value": 2, field: bad}])
    assert run.results("x") == [{"metric": "a", "value": 1}]


@pytest.mark.parametrize("record", [{"metric": "a"}, {"value": 1}])
def test_a_record_needs_metric_and_value(run, record):
    with pytest.raises(InputError, match="a record of x lacks"):
        run.write_results("x", [record])


def test_results_not_written_yet_are_an_input_error(run):
    with pytest.raises(InputError, match="is missing"):
        run.results("05_retrieval")


def test_the_manifest_keeps_the_other_stages(run):
    assert run.manifest == {}
    run.write_stage("01_data", {"key": "a"})
    run.write_stage("02_model", {"key": "b"})
    run.write_stage("01_data", {"key": "c"})
    assert run.manifest == {"01_data": {"key": "c"}, "02_model": {"key": "b"}}


@pytest.mark.parametrize("name", ["..", "a/b", "", ".hidden", "-p", "cache", "a\n", "ä", "x" * 65])
def test_a_run_name_is_a_plain_folder_name(name):
    with pytest.raises(InputError, match="is not usable"):
        named_run(name)


def test_looking_at_a_run_makes_no_folder_and_writing_into_it_does(tmp_path):
    run = Run(tmp_path / "runs/new")
    assert run.manifest == {}
    with pytest.raises(InputError, match="is missing"):
        run.results("05_retrieval")
    assert list(tmp_path.iterdir()) == []
    run.write_results("05_retrieval", [])
    assert run.results("05_retrieval") == []


def test_a_run_that_is_not_there_is_an_input_error(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="no run runs/mine: run this from the repository's root"):
        existing_run("mine")
    (tmp_path / "book").mkdir()
    with pytest.raises(InputError, match="there is no run runs/mine: make it with"):
        existing_run("mine")
    (tmp_path / "runs/mine").mkdir(parents=True)
    assert existing_run("mine").path == named_run("mine")


def test_a_folder_without_a_run_is_named_with_a_remedy_that_works(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "book").mkdir()
    said = "there is no run runs/mine: make it with `cxr-mtl run --run mine`"
    with pytest.raises(InputError, match=said):
        open_run("runs/mine")
    with pytest.raises(InputError, match=f"there is no run {tmp_path}/mine: correct its path"):
        open_run(tmp_path / "mine")
    assert [path.name for path in tmp_path.iterdir()] == ["book"]
    (tmp_path / "runs/mine").mkdir(parents=True)
    assert open_run("runs/mine").path == Path("runs/mine")


def _hold(path, held):
    with Run(path).locked():
        held.set()
        time.sleep(30)


def test_a_run_has_one_writer_and_a_dead_writers_lock_is_free(run):
    context = multiprocessing.get_context("spawn")
    held = context.Event()
    holder = context.Process(target=_hold, args=(run.path, held))
    holder.start()
    assert held.wait(20)
    with pytest.raises(InputError, match="another process is writing"), run.locked():
        pass
    holder.kill()
    holder.join()
    with run.locked():
        pass


def test_a_run_that_cannot_be_locked_is_told_in_a_sentence(tmp_path):
    run = Run(tmp_path / "demo")
    run.path.touch()
    with pytest.raises(InputError, match=r"demo/\.lock cannot be written"), run.locked():
        pass


def test_importing_runs_leaves_torch_alone():
    code = "import sys, cxr_mtl.runs.run, cxr_mtl.runs.stages; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("content", ["3", '{"a": 1}', "[3]", '["a"]'])
def test_results_of_another_kind_are_told(tmp_path, content):
    run = Run(tmp_path)
    (tmp_path / "results").mkdir()
    (tmp_path / "results/01_data.json").write_text(content)
    with pytest.raises(InputError, match=r"01_data\.json is damaged .*: delete it and run again"):
        run.results("01_data")
