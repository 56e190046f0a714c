"""A stage is stale as soon as a file that it has read outside of the run is another, or gone."""

import os

import pandas as pd
import pytest

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.fingerprints import file_state
from cxr_mtl.runs.run import Run
from cxr_mtl.runs.watched_files import watch, watched_file, what_changed


@pytest.fixture
def watched(tmp_path):
    """A run that has read three pictures, of which one was not there."""
    run = Run(tmp_path / "run")
    films = [tmp_path / f"{name}.png" for name in ("one", "two", "absent")]
    for film in films[:2]:
        film.write_bytes(b"pixels")
    watch(run, "01_data", map(file_state, films))
    return run, films


def test_files_that_are_as_they_were_change_nothing(watched):
    run, _ = watched
    assert what_changed(run, "01_data") is None
    assert what_changed(run, "02_model") is None


@pytest.mark.parametrize(
    ("do", "which", "said"),
    [
        (lambda film: film.write_bytes(b"other pixels"), 0, "changed"),
        (lambda film: os.utime(film, ns=(0, 0)), 1, "changed"),
        (lambda film: film.unlink(), 1, "is missing"),
        (lambda film: film.write_bytes(b"late"), 2, "is new"),
    ],
    ids=["overwritten", "of another time", "deleted", "came later"],
)
def test_a_file_that_is_not_as_it_was_is_named(watched, do, which, said):
    run, films = watched
    do(films[which])
    assert what_changed(run, "01_data") == f"{films[which]} {said}"


def test_a_link_is_the_file_it_leads_to(tmp_path):
    run, film, link = Run(tmp_path / "run"), tmp_path / "film.png", tmp_path / "link.png"
    film.write_bytes(b"pixels")
    link.symlink_to(film)
    watch(run, "01_data", [file_state(link)])
    film.write_bytes(b"other pixels")
    assert what_changed(run, "01_data") == f"{link} changed"


def test_a_foreign_table_is_refused(watched):
    run, _ = watched
    pd.DataFrame({"path": ["x"]}).to_parquet(run / watched_file("01_data"))
    with pytest.raises(InputError, match="no list of watched files: delete it and run 01_data"):
        what_changed(run, "01_data")
