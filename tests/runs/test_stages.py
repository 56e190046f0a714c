"""Chapters and exercises as they are read, and their order."""

import pytest

from cxr_mtl.base.errors import InputError
from cxr_mtl.runs.stages import (
    chosen_stages,
    read_chapter,
    read_chapters,
    read_exercises,
    read_stages,
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
