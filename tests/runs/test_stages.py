"""Chapters in their order, and the key of a stage."""

import pytest

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.files import content_key
from cxr_mtl.runs.run import Run
from cxr_mtl.runs.stages import (
    chosen_stages,
    read_chapter,
    read_chapters,
    read_exercises,
    read_stages,
    recorded,
    stage_parts,
    why_stale,
)

HEADER = """\
# ---
# jupyter:
#   kernelspec: {{display_name: Python 3, language: python, name: python3}}
#   cxr_mtl: {{needs: {needs}, leaves: {leaves}}}
# ---
# %% [markdown]
# # A chapter
# %% tags=["parameters"]
run_dir: str = "runs/demo"
"""


def chapter_text(needs=(), leaves=(), parameters="", code=""):
    header = HEADER.format(needs=list(needs), leaves=list(leaves))
    return f"{header}{parameters}\n# %%\n{code}\n"


def write_chapter(folder, name, **parts):
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.py").write_text(chapter_text(**parts))


def test_chapters_come_after_those_whose_files_they_need(tmp_path):
    book = tmp_path / "book"
    write_chapter(book, "01_maps", needs=["index/vectors.bin"])
    write_chapter(book, "02_index", needs=["studies"], leaves=["index"])
    write_chapter(book, "03_data", leaves=["studies"])
    write_chapter(book, "04_free")
    names = [chapter.name for chapter in read_chapters(book)]
    assert names == ["03_data", "02_index", "01_maps", "04_free"]


def test_exercises_come_after_the_chapters_and_are_no_chapters(tmp_path):
    write_chapter(tmp_path, "02_index", needs=["studies"], leaves=["index"])
    write_chapter(tmp_path, "01_data", leaves=["studies"])
    write_chapter(tmp_path / "exercises", "02_index", needs=["index"])
    write_chapter(tmp_path / "exercises", "01_data", needs=["studies"])
    chapters, exercises = ["01_data", "02_index"], ["exercises/01_data", "exercises/02_index"]
    assert [stage.name for stage in read_chapters(tmp_path)] == chapters
    assert [stage.name for stage in read_exercises(tmp_path)] == exercises
    assert [stage.name for stage in read_stages(tmp_path)] == chapters + exercises


def test_exercises_may_not_leave_files(tmp_path):
    write_chapter(tmp_path / "exercises", "01_data", leaves=["studies"])
    with pytest.raises(InputError, match="leaves studies: exercises leave no files"):
        read_stages(tmp_path)


@pytest.mark.parametrize(
    ("words", "chosen"),
    [
        (["05"], ["05_maps"]),
        (["maps"], ["05_maps"]),
        (["book/05_maps.py"], ["05_maps"]),
        (["exercises/05"], ["exercises/05_maps"]),
        (["exercises/05_maps"], ["exercises/05_maps"]),
        (["book/exercises/05_maps.py"], ["exercises/05_maps"]),
        (["exercises"], ["exercises/01_data", "exercises/05_maps"]),
        (["chapters"], ["01_data", "05_maps"]),
        (["exercises/", "01"], ["01_data", "exercises/01_data", "exercises/05_maps"]),
        ([], ["01_data", "05_maps", "exercises/01_data", "exercises/05_maps"]),
    ],
)
def test_a_number_means_the_chapter_and_exercises_are_asked_for_by_that_word(words, chosen):
    names = ["01_data", "05_maps", "exercises/01_data", "exercises/05_maps"]
    assert sorted(chosen_stages(words, names)) == chosen


@pytest.mark.parametrize("word", ["06", "exercises/06", "data/exercise", "01_dat"])
def test_a_word_that_means_no_stage_is_refused_with_those_there_are(word):
    with pytest.raises(InputError, match=f"no chapter is called {word}: take one of 01_data, ex"):
        chosen_stages([word], ["01_data", "exercises/01_data"])


@pytest.mark.parametrize(
    ("chapters", "sentence"),
    [
        ({"01_a": {"needs": ["x"]}}, "01_a needs x, which is left by no chapter"),
        ({"01_a": {"needs": ["x"], "leaves": ["x"]}}, "left by no chapter"),
        ({"01_a": {"leaves": ["x"]}, "02_b": {"leaves": ["x"]}}, "two chapters leave x"),
        (
            {"01_a": {"needs": ["y"], "leaves": ["x"]}, "02_b": {"needs": ["x"], "leaves": ["y"]}},
            "need each other's files",
        ),
        ({"01_a": {"leaves": ["../x"]}}, "must lie inside the run's folder"),
        ({"01_a": {"leaves": ["/x"]}}, "must lie inside the run's folder"),
        ({}, "no chapter NN_name.py"),
    ],
)
def test_headers_that_do_not_fit_together_are_refused(tmp_path, chapters, sentence):
    for name, parts in chapters.items():
        write_chapter(tmp_path, name, **parts)
    with pytest.raises(InputError) as error:
        read_chapters(tmp_path)
    assert sentence in str(error.value)


@pytest.mark.parametrize(
    ("code", "nearest"),
    [
        ("from cxr_mtl.base.files import red_json", "the nearest is `read_json`"),
        ("from cxr_mtl.trainers import TrainingConfig", "`TrainingConfig` is in "),
    ],
)
def test_an_import_of_what_the_library_lacks_is_told_before_anything_runs(tmp_path, code, nearest):
    write_chapter(tmp_path, "01_a", code=code)
    with pytest.raises(InputError, match=rf"01_a\.py: .*{nearest}"):
        read_chapters(tmp_path)


def test_a_chapter_needs_one_parameters_cell_with_the_runs_folder(tmp_path):
    path = tmp_path / "01_a.py"
    path.write_text("# %%\nx = 1\n")
    with pytest.raises(InputError, match="exactly one cell tagged `parameters`, it has 0"):
        read_chapter(path)
    path.write_text('# %% tags=["parameters"]\nx: int = 1\n')
    with pytest.raises(InputError, match="lacks `run_dir"):
        read_chapter(path)


def test_the_key_follows_what_path_parameters_point_to_and_not_the_runs_folder(tmp_path):
    write_chapter(
        tmp_path, "01_a", parameters="csv: Path | None = None\nfolder: Path | None = None"
    )
    chapter = read_chapter(tmp_path / "01_a.py")
    (tmp_path / "pairs.csv").write_text("a")
    (tmp_path / "images").mkdir()

    def key(run="one"):
        values = {
            "run_dir": run,
            "csv": str(tmp_path / "pairs.csv"),
            "folder": str(tmp_path / "images"),
        }
        return content_key(stage_parts(chapter, values, Run(tmp_path / "run")))

    first = key()
    assert key("another") == first
    (tmp_path / "pairs.csv").write_text("bb")
    second = key()
    (tmp_path / "images/1.png").write_text("x")
    assert len({first, second, key()}) == 3


@pytest.mark.parametrize(
    "entry",
    [
        3,
        [],
        {},
        {"parts": {}},
        {"parts": [], "left": {}},
        {"parts": {"code": None, "library": None}, "left": {}},
    ],
)
def test_a_damaged_entry_of_the_manifest_is_a_reason_to_run_again(tmp_path, entry):
    write_chapter(tmp_path, "01_a")
    chapter = read_chapter(tmp_path / "01_a.py")
    run = Run(tmp_path / "run")
    (run / "01_a.ipynb").touch()
    run.write_stage("01_a", entry)
    parts = stage_parts(chapter, {"run_dir": "x"}, run)
    reason = why_stale(chapter, parts, recorded(run, "01_a"), run)
    assert reason == "its entry in the manifest is damaged"


def test_a_manifest_that_is_none_is_named(tmp_path):
    run = Run(tmp_path / "run")
    assert recorded(run, "01_a") is None
    (run / "manifest.json").write_text("[]")
    with pytest.raises(InputError, match=r"manifest\.json is no manifest: delete it"):
        recorded(run, "01_a")


def test_a_needed_file_that_is_missing_is_named(tmp_path):
    write_chapter(tmp_path, "01_a", leaves=["studies.parquet"])
    write_chapter(tmp_path, "02_b", needs=["studies.parquet"])
    chapter = read_chapters(tmp_path)[1]
    with pytest.raises(InputError, match=r"02_b needs .*studies\.parquet, which is missing: run"):
        stage_parts(chapter, {"run_dir": "x"}, Run(tmp_path / "run"))
