"""The driver: runs what is stale and nothing else, in order and side by side; says what failed."""

import errno
import io
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import nbformat
import papermill
import psutil
import pytest

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.file_hashes import digest
from cxr_mtl.base.terminal import PlainConsole
from cxr_mtl.runs import driver, freshness, stage_runner, stages
from cxr_mtl.runs.driver import run_chapters
from cxr_mtl.runs.planning import plan
from cxr_mtl.runs.run import Run
from cxr_mtl.runs.stage_runner import ChapterError, StageRunner
from cxr_mtl.runs.status import chapter_states

HEADER = """\
# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
#   cxr_mtl: {needs: [%s], leaves: [%s]}
# ---
# %%%% [markdown]
# # A chapter
# %%%% tags=["parameters"]
run_dir: str = "runs/demo"  # folder of the run
"""
DATA = (
    HEADER % ("", "studies.txt")
    + """\
dataset: str = "phantom"  # which data
count: int = 3  # how many studies
# %%
import sys
from pathlib import Path

Path(run_dir, "studies.txt").write_text("s" * count)
sys.executable
"""
)
MODEL = (
    HEADER % ("studies.txt", "model")
    + """\
lr: float = 1e-4  # learning rate
how: str = "well"  # how it ends
# %%
import os
from pathlib import Path

class InputError(ValueError): ...

print("begun")
# %%
if how == "bad input":
    raise InputError("pairs.csv: row 3 has label 7: labels are 0 or 1")
if how == "bug":
    1 / 0
if how == "killed" and not Path(run_dir, "checkpoint").exists():
    Path(run_dir, "checkpoint").write_text("1")
    os.kill(os.getpid(), 9)
if how != "empty-handed":
    Path(run_dir, "model").mkdir(exist_ok=True)
    Path(run_dir, "model", "weights").write_text(f"{lr}")
"""
)
QUIET = PlainConsole(quiet=True)


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """A repository of two chapters, both executed with `lr` from the profile."""
    root = tmp_path_factory.mktemp("a study")
    (root / "book/profiles").mkdir(parents=True)
    (root / "book/01_data.py").write_text(DATA)
    (root / "book/02_model.py").write_text(MODEL)
    (root / "book/profiles/demo.yml").write_text("lr: 1.0e-3\n")
    (root / "requirements.lock").write_text("numpy==1\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        run_chapters(console=QUIET)
    return root


@pytest.fixture
def study(executed, tmp_path, monkeypatch):
    """A copy of that repository, and the current directory."""
    root = tmp_path / "a study"
    shutil.copytree(executed, root)
    monkeypatch.chdir(root)
    return root


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_an_executed_copy_shows_the_values_it_was_run_with(study):
    notebook = nbformat.read("runs/demo/02_model.ipynb", as_version=4)
    cell = next(cell for cell in notebook.cells if cell.metadata.get("tags") == ["parameters"])
    assert "lr: float = 0.001  # learning rate" in cell.source
    assert (study / "runs/demo/model/weights").read_text() == "0.001"


def test_chapters_run_in_this_python(study):
    notebook = nbformat.read("runs/demo/01_data.ipynb", as_version=4)
    assert notebook.cells[-1].outputs[0].data["text/plain"] == repr(sys.executable)


def test_the_manifest_tells_how_a_stage_was_run(study):
    record = Run("runs/demo").manifest["02_model"]
    assert record["parameters"] == {"run_dir": "runs/demo", "lr": 0.001, "how": "well"}
    assert record["parts"]["needs"] == {"studies.txt": digest(study / "runs/demo/studies.txt")}
    assert record["left"] == {"model": digest(study / "runs/demo/model")}
    assert record["wall_seconds"] > 0
    assert record["versions"]["python"]
    assert record["hardware"]["cores"]
    assert record["started"] <= record["finished"]


def test_nothing_changed_nothing_executed(study, monkeypatch):
    monkeypatch.setattr(papermill, "execute_notebook", None)
    assert [outcome.reason for outcome in run_chapters(console=QUIET)] == [None, None]


@pytest.mark.parametrize(
    ("old", "new"),
    [("# # A chapter", "# # Better prose"), ("import os", "# why\nimport os"), ("# how", "# So")],
)
def test_prose_and_comments_leave_a_chapter_fresh(study, old, new):
    edit(study / "book/02_model.py", old, new)
    assert chapter_states() == {"01_data": None, "02_model": None}


def test_a_code_edit_makes_its_chapter_stale(study):
    edit(study / "book/02_model.py", '"begun"', '"started"')
    assert chapter_states() == {"01_data": None, "02_model": "its code changed"}


def test_a_parameter_makes_the_chapters_that_take_it_stale(study):
    assert chapter_states(overrides=["lr=5e-4"])["02_model"] == "the parameter lr changed"
    edit(study / "book/profiles/demo.yml", "lr", "count: 4\nlr")
    assert chapter_states()["01_data"] == "the parameter count changed"


def test_a_default_that_the_profile_replaces_leaves_a_chapter_fresh(study):
    edit(study / "book/02_model.py", "lr: float = 1e-4", "lr: float = 1e-5")
    assert chapter_states()["02_model"] is None


def test_a_needed_file_makes_its_user_stale_and_a_left_file_its_maker(study):
    (study / "runs/demo/studies.txt").write_text("other")
    assert chapter_states() == {
        "01_data": "studies.txt was changed since",
        "02_model": "studies.txt changed",
    }


@pytest.mark.parametrize(
    ("lost", "reason"),
    [
        ("model/weights", "model was changed since"),
        ("model", "model is missing"),
        ("02_model.ipynb", "not run yet"),
    ],
)
def test_a_lost_output_makes_its_chapter_stale(study, lost, reason):
    path = study / "runs/demo" / lost
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert chapter_states() == {"01_data": None, "02_model": reason}


def test_the_lock_file_makes_every_chapter_stale(study):
    (study / "requirements.lock").write_text("numpy==2\n")
    assert set(chapter_states().values()) == {"requirements.lock changed"}


def test_the_library_makes_the_chapters_that_import_it_stale(study, monkeypatch):
    def imports(notebook):
        return {"cxr_mtl/training/trainer.py": "other"} if "lr" in str(notebook) else {}

    monkeypatch.setattr(freshness, "library_sources", imports)
    assert chapter_states() == {"01_data": None, "02_model": "cxr_mtl/training/trainer.py changed"}


def test_bad_input_met_in_a_chapter_is_one_sentence_and_its_copy_is_kept(study):
    with pytest.raises(InputError) as error:
        run_chapters(overrides=["how=bad input"], console=QUIET)
    assert str(error.value) == "02_model: pairs.csv: row 3 has label 7: labels are 0 or 1"
    failed = nbformat.read("runs/demo/02_model.failed.ipynb", as_version=4)
    assert "begun" in str(failed)
    assert chapter_states() == {"01_data": None, "02_model": None}


def test_a_fault_of_a_chapter_is_told_with_its_cell_and_traceback(study):
    with pytest.raises(ChapterError) as error:
        run_chapters(overrides=["how=bug"], console=QUIET)
    told = str(error.value)
    assert told.startswith("02_model failed in cell [3] with ZeroDivisionError: division by zero")
    assert "----> 4     1 / 0" in told
    assert "\x1b" not in told


def test_a_full_disk_is_one_sentence(study, monkeypatch):
    def fail(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(papermill, "execute_notebook", fail)
    with pytest.raises(InputError, match="the disk is full at 01_data: free some space"):
        run_chapters(overrides=["count=9"], console=QUIET)


def test_a_killed_kernel_is_named_and_the_same_command_resumes_there(study):
    with pytest.raises(ChapterError, match=r"the kernel of 02_model died .* resumes at 02_model"):
        run_chapters(overrides=["how=killed"], console=QUIET)
    assert (study / "runs/demo/02_model.failed.ipynb").exists()
    outcomes = run_chapters(overrides=["how=killed"], console=QUIET)
    assert [outcome.reason for outcome in outcomes] == [None, "the parameter how changed"]
    left = {path.name for path in (study / "runs/demo").iterdir()}
    assert "02_model.failed.ipynb" not in left
    assert not [name for name in left if "partial" in name]


def test_a_chapter_that_leaves_not_what_it_declares_has_failed(study):
    shutil.rmtree(study / "runs/demo/model")
    with pytest.raises(ChapterError, match="02_model ran, but did not leave runs/demo/model"):
        run_chapters(only=["02"], overrides=["how=empty-handed"], console=QUIET)


def test_an_unusable_parameter_is_refused_before_any_work(study, monkeypatch):
    monkeypatch.setattr(papermill, "execute_notebook", None)
    edit(study / "book/02_model.py", "how: str", "epochs: int = 3  # passes\nhow: str")
    for bad in (["conut=5"], ["run_dir=x"], ["lr=fast"], ["epochs=-3"]):
        with pytest.raises(InputError):
            run_chapters(run_name="new", overrides=bad, console=QUIET)
    assert not (study / "runs/new").exists()


def test_a_run_refused_before_its_first_chapter_leaves_nothing(study):
    with pytest.raises(InputError, match="02_model would rest on chapters that are not fresh"):
        run_chapters(run_name="new", only=["02"], console=QUIET)
    assert [path.name for path in (study / "runs").iterdir()] == ["demo"]
    shutil.rmtree(study / "runs")
    with pytest.raises(InputError, match="02_model would rest on"):
        run_chapters(only=["02"], console=QUIET)
    assert not (study / "runs").exists()


@pytest.mark.parametrize(
    ("bring", "said"),
    [
        (
            lambda: Path("runs/new").write_text("x"),
            "cannot be written (Not a directory): give a pa",
        ),
        (
            lambda: Path("runs/new").symlink_to("/proc"),
            "runs/new is there and is no run",
        ),
        (
            lambda: Path("shared").write_text("x"),
            "shared/cache/manifest.json cannot be written (Not",
        ),
        (
            lambda: (Path("runs/new").mkdir(), Path("runs/new/films.txt").write_text("x")),
            "runs/new is there and is no run: take another --run name, or move it",
        ),
    ],
)
def test_where_no_run_can_lie_is_told_before_any_work(study, monkeypatch, bring, said):
    edit(study / "book/01_data.py", "count: int", 'cache_dir: str = "shared/cache"\ncount: int')
    monkeypatch.setattr(StageRunner, "run", lambda *_: pytest.fail("it ran"))
    bring()
    before = {path: path.is_file() and path.read_text() for path in study.rglob("*")}
    with pytest.raises(InputError) as error:
        run_chapters(run_name="new", console=QUIET)
    assert said in str(error.value)
    assert before == {path: path.is_file() and path.read_text() for path in study.rglob("*")}


def test_a_folder_within_a_run_that_cannot_be_written_is_told_before_any_work(study, monkeypatch):
    monkeypatch.setattr(StageRunner, "run", lambda *_: pytest.fail("it ran"))
    (study / "runs/demo/studies.txt").unlink()
    (study / "runs/demo/results").symlink_to("/proc")
    with pytest.raises(InputError, match=r"runs/demo/results/manifest\.json cannot be written"):
        run_chapters(console=QUIET)


def test_a_refusal_takes_nothing_from_a_run_that_was_there(study):
    (study / "runs/demo/studies.txt").unlink()
    before = sorted((study / "runs/demo").iterdir())
    with pytest.raises(InputError, match="02_model would rest on"):
        run_chapters(only=["02"], console=QUIET)
    assert sorted((study / "runs/demo").iterdir()) == before


def test_a_run_that_is_not_there_has_no_states(study):
    with pytest.raises(InputError, match="there is no run runs/new: make it with"):
        chapter_states(run_name="new")
    assert not (study / "runs/new").exists()


def test_an_executed_copy_runs_under_papermill_with_the_other_values_kept(study):
    papermill.execute_notebook(
        "runs/demo/02_model.ipynb", "out.ipynb", parameters={"how": "other"}, progress_bar=False
    )
    assert (study / "runs/demo/model/weights").read_text() == "0.001"


def test_a_chapter_that_papermill_overwrote_is_named_with_what_did_it_and_made_again(study):
    papermill.execute_notebook(
        "runs/demo/02_model.ipynb",
        "runs/demo/02_model.ipynb",
        parameters={"lr": 0.5},
        progress_bar=False,
    )
    said = "02_model.ipynb was changed since, by papermill with -p lr"
    assert chapter_states() == {"01_data": None, "02_model": said}
    assert run_chapters(console=QUIET)[1].reason == said
    assert set(chapter_states().values()) == {None}
    assert (study / "runs/demo/model/weights").read_text() == "0.001"


def test_what_papermill_wrote_into_the_run_under_another_output_is_noticed(study):
    papermill.execute_notebook(
        "runs/demo/02_model.ipynb", "out.ipynb", parameters={"lr": 0.5}, progress_bar=False
    )
    assert chapter_states() == {"01_data": None, "02_model": "model was changed since"}


def test_chapters_are_chosen_by_number_name_or_file(study, monkeypatch):
    monkeypatch.setattr(papermill, "execute_notebook", None)
    for word in ("02", "02_model", "model", "book/02_model.py"):
        outcomes = run_chapters(only=[word], console=QUIET)
        assert [outcome.step for outcome in outcomes] == ["02_model"]
    with pytest.raises(InputError, match="no chapter is called modle: take one of 01_data"):
        run_chapters(only=["modle"], console=QUIET)


def waiting_chapter(leaf, until, megabytes=1):
    """A chapter that holds so much memory and leaves `leaf` when `until` is there."""
    return (
        HEADER % ("", leaf)
        + f"""\
# %%
import os, time
from pathlib import Path

block = b"x" * ({megabytes} * 1_000_000)
Path(run_dir, "{leaf}").write_text(str(os.getpid()))
end = time.monotonic() + 60
while not Path(run_dir, "{until}").exists() and time.monotonic() < end:
    time.sleep(0.05)
assert Path(run_dir, "{until}").exists(), "waited in vain"
time.sleep(1.2)  # two samples of the memory
"""
    )


def test_chapters_that_need_not_wait_run_side_by_side_each_with_its_own_memory(study):
    (study / "book/03_cat.py").write_text(waiting_chapter("cat", until="dog"))
    (study / "book/04_dog.py").write_text(waiting_chapter("dog", until="cat", megabytes=400))
    outcomes = run_chapters(only=["03", "04"], console=QUIET)
    small, large = (outcome.peak_bytes for outcome in outcomes)
    assert [outcome.step for outcome in outcomes] == ["03_cat", "04_dog"]
    assert 300e6 < large - small < 500e6
    assert {"03_cat", "04_dog"} <= Run("runs/demo").manifest.keys()


def test_sources_are_parsed_by_one_thread_at_a_time(study, monkeypatch):
    (study / "book/03_cat.py").write_text(waiting_chapter("cat", until="cat"))
    (study / "book/04_dog.py").write_text(waiting_chapter("dog", until="dog"))
    parsing, parsed = threading.Lock(), []

    def parts_of(chapter, *others):
        assert parsing.acquire(blocking=False)
        parsed.append(chapter.name)
        time.sleep(0.3)  # long enough for the other thread to come
        parsing.release()
        raise InputError("seen enough")

    monkeypatch.setattr(stage_runner, "stage_parts", parts_of)
    with pytest.raises(InputError, match="seen enough"):
        run_chapters(only=["03", "04"], console=QUIET)
    assert parsed == ["03_cat", "04_dog"]


@pytest.mark.parametrize(
    "said", ["Kernel died before replying to kernel_info", "Kernel didn't respond in 60 seconds"]
)
def test_a_kernel_that_never_came_up_has_died(study, monkeypatch, said):
    def fail(*_, **__):
        raise RuntimeError(said)

    monkeypatch.setattr(papermill, "execute_notebook", fail)
    with pytest.raises(
        ChapterError, match=r"the kernel of 01_data died \(killed, or out of memory"
    ):
        run_chapters(only=["01"], force=True, console=QUIET)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_ends_the_kernels(study):
    (study / "book/03_cat.py").write_text(waiting_chapter("cat", until="never"))
    command = [sys.executable, "-m", "cxr_mtl", "run", "03"]
    environment = os.environ | {"PYTHONPATH": str(Path(stages.__file__).parents[2])}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        begun = study / "runs/demo/cat"
        wait_until(lambda: begun.exists() and begun.read_text())
        kernel = int(begun.read_text())
        process.send_signal(signal.SIGINT)
        said, complained = process.communicate(timeout=120)
    assert (process.returncode, complained) == (130, "")
    assert said.endswith("interrupted: what was finished is kept, and the same command goes on\n")
    wait_until(lambda: not psutil.pid_exists(kernel))
    assert "03_cat" not in Run("runs/demo").manifest


def test_a_failure_beside_another_chapter_is_told_at_once_and_the_other_is_kept(study):
    failed = "04_dog.failed.ipynb"
    (study / "book/03_cat.py").write_text(waiting_chapter("cat", until=failed))
    (study / "book/04_dog.py").write_text(
        waiting_chapter("dog", until="cat").replace("time.sleep(1.2)", "1 / 0")
    )
    said = PlainConsole(record=True, quiet=False, file=io.StringIO(), width=200)
    with pytest.raises(ChapterError, match="04_dog failed in cell"):
        run_chapters(only=["03", "04"], console=said)
    told = said.export_text()
    assert "04_dog  failed: 04_dog failed in cell" in told
    assert told.index("04_dog") < told.index("03_cat")
    assert Run("runs/demo").manifest.keys() >= {"03_cat"}
    assert "04_dog" not in Run("runs/demo").manifest


def test_a_stopped_runner_begins_nothing(study, monkeypatch):
    monkeypatch.setattr(papermill, "execute_notebook", lambda *_, **__: pytest.fail("it began"))
    stages = plan("demo", "demo").stages
    runner = StageRunner(stages, Run("runs/demo"), stages.keys(), QUIET)
    runner.stop()
    with pytest.raises(ChapterError, match="01_data was stopped before it began"):
        runner.run("01_data")


@pytest.mark.parametrize("value", ["0", "-1", "two", ""])
def test_an_unusable_number_of_chapters_at_once_is_refused(study, monkeypatch, value):
    monkeypatch.setenv(driver.AT_ONCE_VARIABLE, value)
    with pytest.raises(InputError, match=f"CXR_MTL_AT_ONCE is '{value}': give a number from 1"):
        run_chapters(console=QUIET)


def test_a_kernel_that_does_not_come_up_is_named(study, monkeypatch):
    def execute_notebook(*_, **__):
        raise RuntimeError("Kernel didn't respond in 60 seconds")

    monkeypatch.setattr(papermill, "execute_notebook", execute_notebook)
    with pytest.raises(ChapterError, match=r"the kernel of 01_data died .* it resumes at 01_data"):
        run_chapters(only=["01"], force=True, console=QUIET)


def wait_until(happened, seconds=30):
    until = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.05)


@pytest.mark.parametrize("value", ["yes please", "1", "[true]"])
def test_a_chapter_that_says_neither_true_nor_false_of_being_alone_is_refused(study, value):
    edit(study / "book/01_data.py", "cxr_mtl: {", f"cxr_mtl: {{alone: {value}, ")
    with pytest.raises(InputError, match=r"01_data\.py: `alone` .* give true or false"):
        run_chapters(console=QUIET)


def test_a_run_that_another_process_writes_is_refused(study):
    with Run("runs/demo").locked(), pytest.raises(InputError, match="another process is writing"):
        run_chapters(console=QUIET)


def test_a_kernel_of_another_python_is_refused(study, monkeypatch):
    kernel = study / "jupyter/kernels/python3"
    kernel.mkdir(parents=True)
    (kernel / "kernel.json").write_text(
        '{"argv": ["/usr/bin/other", "-m", "x"], "display_name": "Python 3", "language": "python"}'
    )
    monkeypatch.setenv("JUPYTER_PATH", os.fspath(study / "jupyter"))
    with pytest.raises(InputError, match="starts /usr/bin/other, not"):
        run_chapters(console=QUIET)


FEW = """\
# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
#   cxr_mtl: {leaves: [studies.parquet, results/01_data.json]}
# ---
# %% tags=["parameters"]
run_dir: str = "runs/demo"  # folder of the run
# %%
import json
from pathlib import Path

import pandas as pd

pd.DataFrame({"study": ["1", "2"], "label": [0, 1], "split": "test"}).to_parquet(
    Path(run_dir, "studies.parquet")
)
notice = {"metric": "notice", "about": "dropped", "value": "3 of 5 rows dropped: 3 x no text"}
Path(run_dir, "results").mkdir(exist_ok=True)
Path(run_dir, "results/01_data.json").write_text(json.dumps([notice]))
"""


def test_what_the_data_cannot_give_is_refused_once_they_are_there_and_notices_are_told(study):
    """At once, before a chapter runs that would come between, and again when the data are fresh."""
    shutil.rmtree("runs")
    Path("book/01_data.py").write_text(FEW)
    edit(Path("book/02_model.py"), "needs: [studies.txt]", "needs: [studies.parquet]")
    header = HEADER.replace("cxr_mtl: {", "cxr_mtl: {asks: {test: 10}, ") % ("model", "map")
    Path("book/03_map.py").write_text(header + "# %%\nprint(1)\n")
    for _ in range(2):
        said = io.StringIO()
        with pytest.raises(InputError, match=r"^03_map needs at least 10 test .* has 2"):
            run_chapters(console=PlainConsole(file=said, width=200))
        assert not Path("runs/demo/model").exists()
    with pytest.raises(InputError, match="03_map needs at least 10"):
        run_chapters(only=["02", "03"], console=QUIET)
    said = io.StringIO()
    run_chapters(only=["01"], console=PlainConsole(file=said, width=200))
    assert "3 of 5 rows dropped: 3 x no text" in said.getvalue()


WATCHING = """
from cxr_mtl.base.file_hashes import file_state, folder_states
from cxr_mtl.runs import Run, watch

"""


def test_a_file_that_a_chapter_has_read_makes_it_stale_until_it_runs_again(study):
    film = Path("film.png")
    film.write_bytes(b"pixels")
    with Path("book/01_data.py").open("a") as chapter:
        chapter.write(WATCHING + "watch(Run(run_dir), '01_data', [file_state('film.png')])\n")
    run_chapters(console=QUIET)
    for change, said in (
        (lambda: film.write_bytes(b"other pixels"), "film.png changed"),
        (film.unlink, "film.png is missing"),
        (lambda: film.write_bytes(b"pixels"), "film.png is new"),
    ):
        assert set(chapter_states().values()) == {None}
        change()
        assert chapter_states()["01_data"].endswith(said)
        assert run_chapters(console=QUIET)[0].reason.endswith(said)


def test_a_deleted_cache_makes_the_chapter_that_fills_it_stale_and_is_made_again(study):
    edit(study / "book/02_model.py", "how: str", 'cache_dir: str = "runs/cache"\nhow: str')
    with Path("book/02_model.py").open("a") as chapter:
        chapter.write(
            WATCHING + "kept = Path(cache_dir, 'model')\n"
            "kept.mkdir(parents=True, exist_ok=True)\n"
            "(kept / 'weights').touch()\n"
            "watch(Run(run_dir), '02_model', folder_states(kept))\n"
        )
    run_chapters(console=QUIET)
    assert set(chapter_states().values()) == {None}
    shutil.rmtree("runs/cache")
    assert chapter_states()["02_model"].endswith("runs/cache/model/weights is missing")
    run_chapters(console=QUIET)
    assert Path("runs/cache/model/weights").exists()
    assert set(chapter_states().values()) == {None}


def give_new_times(folder):
    for path in folder.rglob("*"):
        os.utime(path, ns=(0, 0))


def test_a_run_that_was_handed_over_is_fresh_whatever_the_times_of_its_files(
    study, tmp_path, monkeypatch
):
    """As by `git clone` and `cp -r`: pictures, a folder of inputs, models in the cache, the run."""
    Path("films").mkdir()
    Path("films/film.png").write_bytes(b"pixels")
    Path("benchmarks").mkdir()
    Path("benchmarks/train.json").write_text("{}")
    edit(study / "book/02_model.py", "how: str", 'kept: Path = "benchmarks"\nhow: str')
    edit(study / "book/02_model.py", "# %% tags", "# %%\nfrom pathlib import Path\n# %% tags")
    with Path("book/01_data.py").open("a") as chapter:
        chapter.write(WATCHING + "watch(Run(run_dir), '01_data', folder_states(Path('films')))\n")
    run_chapters(console=QUIET)
    clone = tmp_path / "clone"
    shutil.copytree(study, clone, copy_function=shutil.copyfile)
    give_new_times(clone)
    monkeypatch.chdir(clone)
    now = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: now() + 10**10)  # ten seconds later
    assert chapter_states() == {"01_data": None, "02_model": None}
    assert [outcome.reason for outcome in run_chapters(console=QUIET)] == [None, None]
    read = Path("runs/demo/watched/hashes.parquet").read_bytes()
    run_chapters(only=["02"], console=QUIET)
    assert Path("runs/demo/watched/hashes.parquet").read_bytes() == read
    Path("benchmarks/train.json").write_text("[]")
    Path("films/film.png").write_bytes(b"Pixels")
    assert chapter_states() == {
        "01_data": "films/film.png changed",
        "02_model": "what the parameter kept points to changed",
    }


def test_weights_of_other_settings_are_not_used_unless_they_are_made_anew_first(study, monkeypatch):
    before = {path: path.read_bytes() for path in Path("runs").rglob("*") if path.is_file()}
    with pytest.raises(InputError) as error:
        run_chapters(only=["02"], overrides=["count=5"], console=QUIET)
    assert str(error.value) == (
        "02_model would rest on chapters that are not fresh (01_data: the parameter count "
        "changed): `cxr-mtl run 02 --upstream -p count=5` runs those first"
    )
    assert before == {path: path.read_bytes() for path in Path("runs").rglob("*") if path.is_file()}
    outcomes = run_chapters(only=["02"], overrides=["count=5"], console=QUIET, upstream_too=True)
    assert [outcome.step for outcome in outcomes] == ["01_data", "02_model"]
    assert Path("runs/demo/studies.txt").read_text() == "sssss"
    monkeypatch.setattr(papermill, "execute_notebook", None)
    outcomes = run_chapters(only=["02"], overrides=["count=5"], console=QUIET, upstream_too=True)
    assert [outcome.reason for outcome in outcomes] == [None, None]


def test_of_what_is_run_upstream_only_the_stale_is_not_what_is_forced(study):
    outcomes = run_chapters(only=["02"], force=True, console=QUIET, upstream_too=True)
    assert [outcome.reason for outcome in outcomes] == [None, "forced"]


def test_what_was_too_little_is_forgotten_as_soon_as_it_is_mended(study):
    """Once data and model are to be made anew, nothing is refused for what they were."""
    shutil.rmtree("runs")
    Path("book/01_data.py").write_text(FEW)
    edit(Path("book/02_model.py"), "leaves: [", "leaves: [models.json, ")
    edit(Path("book/02_model.py"), "needs: [studies.txt]", "needs: [studies.parquet]")
    blocks = 'Path(run_dir, "models.json").write_text(\'{"blocks": 1}\')\n'
    edit(Path("book/02_model.py"), "how: str", "unfrozen_blocks: int = 2  # blocks\nhow: str")
    Path("book/02_model.py").write_text(Path("book/02_model.py").read_text() + blocks)
    header = HEADER.replace("cxr_mtl: {", "cxr_mtl: {asks: {test: 10}, ") % ("models.json", "map")
    Path("book/03_map.py").write_text(header + "# %%\nopen(f'{run_dir}/map', 'w').close()\n")
    with pytest.raises(InputError, match="03_map needs at least 10 test"):
        run_chapters(console=QUIET)
    edit(Path("book/01_data.py"), '["1", "2"], "label": [0, 1]', 'range(20), "label": [0, 1] * 10')
    with pytest.raises(InputError, match=r"unfrozen_blocks = 2 .* has 1: give at most 1"):
        run_chapters(console=QUIET)
    edit(Path("book/02_model.py"), '{"blocks": 1}', '{"blocks": 2}')
    run_chapters(console=QUIET)
    assert set(chapter_states().values()) == {None}


def test_a_path_that_is_not_there_is_refused_before_any_work_and_leaves_no_folder(study):
    shutil.rmtree("runs")
    edit(
        Path("book/02_model.py"),
        'how: str = "well"',
        'own: Optional[Path] = None  # a file\nhow: str = "well"',
    )
    with pytest.raises(InputError, match=r"^own = 'spilt\.csv': there is no such file or folder"):
        run_chapters(overrides=["own=spilt.csv"], console=QUIET)
    assert not Path("runs").exists()
