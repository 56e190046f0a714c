"""A clock that jumps between chapters: nothing is taken for fresh, or made anew, for its sake."""

import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from equal_runs import content_of
from PIL import Image
from tiny_study import CHAPTERS, finish

YEAR = 365 * 24 * 3600


def shift(folder: Path, seconds: float) -> None:
    """Give all files the times that a clock would have given that went wrong by `seconds`."""
    for path in [folder, *folder.rglob("*")]:
        if not path.is_symlink():
            times = path.stat()
            os.utime(path, (times.st_atime + seconds, times.st_mtime + seconds))


def fresh_chapters(said: str) -> list[str]:
    """Numbers of the chapters of which a line of the run says that they are fresh."""
    return re.findall(r"^(\d\d)_\w+  fresh$", said, flags=re.MULTILINE)


def test_a_run_made_while_the_clock_jumps_is_the_undisturbed_one(undisturbed, tmp_path):
    study = undisturbed.fresh_copy(tmp_path / "study")
    for number, chapter in enumerate(CHAPTERS):
        code, said = finish(study, chapter)
        assert code == 0, said
        shift(study / "runs", YEAR if number % 2 else -2 * YEAR)
    code, said = finish(study)
    assert code == 0, said
    assert fresh_chapters(said) == list(CHAPTERS), said
    assert content_of(study / "runs/tiny") == undisturbed.content


def test_pictures_and_runs_with_other_times_are_the_same(undisturbed, tmp_path):
    study = undisturbed.fresh_copy(tmp_path / "study")
    shutil.copytree(undisturbed.folder / "runs", study / "runs", copy_function=shutil.copyfile)
    shift(study, 2 * YEAR)
    for _ in range(2):
        code, said = finish(study)
        assert code == 0, said
        assert fresh_chapters(said) == list(CHAPTERS), said


@pytest.mark.parametrize("seconds", [-YEAR, 0, YEAR])
def test_a_picture_overwritten_under_a_wrong_clock_is_noticed(undisturbed, tmp_path, seconds):
    study = undisturbed.fresh_copy(tmp_path / "study")
    code, said = finish(study, "01")
    assert code == 0, said
    picture = study / "own/0.png"
    before = picture.stat()
    Image.fromarray(255 - np.asarray(Image.open(picture))).save(picture)
    os.utime(picture, (before.st_atime + seconds, before.st_mtime + seconds + 1))
    code, said = finish(study, "01")
    assert code == 0, said
    assert fresh_chapters(said) == []
    assert content_of(study / "runs/tiny") != undisturbed.content
