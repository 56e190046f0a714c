"""A stage is stale as soon as a file that it has read outside of the run is another, or gone."""

import os

import pandas as pd
import pytest

from cxr_mtl.base import file_hashes
from cxr_mtl.base.errors import InputError
from cxr_mtl.base.file_hashes import file_state
from cxr_mtl.base.files import sha256_of_file
from cxr_mtl.runs.run import Run
from cxr_mtl.runs.watched_files import (
    keep_hashes,
    recall_hashes,
    watch,
    watched_file,
    watched_states,
    what_changed,
)

OTHER = {"path": ["x"], "bytes": [1], "modified": [1], "changed": [1], "sha256": ["x"]}


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
        (lambda film: film.write_bytes(b"Pixels"), 0, "changed"),
        (lambda film: film.unlink(), 1, "is missing"),
        (lambda film: film.write_bytes(b"late"), 2, "is new"),
    ],
    ids=["overwritten", "by as many bytes", "deleted", "came later"],
)
def test_a_file_that_is_not_as_it_was_is_named(watched, do, which, said):
    run, films = watched
    do(films[which])
    assert what_changed(run, "01_data") == f"{films[which]} {said}"


def test_a_byte_that_changed_without_a_change_of_size_or_time_is_noticed(watched):
    run, films = watched
    before = films[0].stat()
    films[0].write_bytes(b"Pixels")
    os.utime(films[0], ns=(before.st_atime_ns, before.st_mtime_ns))
    assert what_changed(run, "01_data") == f"{films[0]} changed"


def test_other_times_are_no_change(watched):
    run, films = watched
    for film in films[:2]:
        os.utime(film, ns=(0, 0))
    assert what_changed(run, "01_data") is None


def test_a_file_that_changed_while_the_stage_read_it_is_not_believed(tmp_path):
    run, film = Run(tmp_path / "run"), tmp_path / "film.png"
    film.write_bytes(b"pixels")
    before = file_state(film)
    film.write_bytes(b"other pixels")
    watch(run, "01_data", [before])
    assert what_changed(run, "01_data") == f"{film} changed"
    film.write_bytes(b"pixels")
    assert what_changed(run, "01_data") == f"{film} changed"


def test_of_a_file_watched_twice_the_first_state_counts(tmp_path):
    run, film = Run(tmp_path / "run"), tmp_path / "film.png"
    absent = file_state(film)
    film.write_bytes(b"pixels")
    watch(run, "01_data", [absent, file_state(film)])
    assert what_changed(run, "01_data") == f"{film} is new"


@pytest.fixture
def copied(watched, monkeypatch):
    """That run, its pictures with other times, and the list of those that are read from now on."""
    run, films = watched
    for film in films[:2]:
        os.utime(film, ns=(0, 0))
    now, reads = file_hashes.time.time_ns, []
    monkeypatch.setattr(file_hashes.time, "time_ns", lambda: now() + 10**13)
    monkeypatch.setattr(
        file_hashes, "sha256_of_file", lambda path: reads.append(path) or sha256_of_file(path)
    )
    return run, films, reads


def test_of_a_copied_run_each_file_is_read_once(copied, monkeypatch):
    run, films, reads = copied
    assert what_changed(run, "01_data") is None
    keep_hashes(run, watched_states(run, "01_data"))
    monkeypatch.setattr(file_hashes, "_known", {})
    recall_hashes(run)
    assert what_changed(run, "01_data") is None
    assert reads == [str(film) for film in films[:2]]
    films[0].write_bytes(b"Pixels")
    assert what_changed(run, "01_data") == f"{films[0]} changed"


def test_hashes_are_written_where_they_are_others_and_not_touched_else(copied):
    run, _, _ = copied
    assert what_changed(run, "01_data") is None
    keep_hashes(run, watched_states(run, "01_data"))
    kept = (run / "watched/hashes.parquet").stat()
    keep_hashes(run, watched_states(run, "01_data"))
    assert (run / "watched/hashes.parquet").stat().st_ino == kept.st_ino


@pytest.mark.parametrize("rows", [None, {"path": ["x"]}, OTHER | {"path": [["x"]]}])
def test_damaged_hashes_are_made_anew(copied, rows):
    run, _, reads = copied
    path = run / "watched/hashes.parquet"
    pd.DataFrame(rows).to_parquet(path)
    if rows is None:
        path.write_bytes(b"x")
    recall_hashes(run)
    assert what_changed(run, "01_data") is None
    assert len(reads) == 2
    keep_hashes(run, watched_states(run, "01_data"))
    assert len(pd.read_parquet(path)) == 2


def test_a_link_is_the_file_it_leads_to(tmp_path):
    run, film, link = Run(tmp_path / "run"), tmp_path / "film.png", tmp_path / "link.png"
    film.write_bytes(b"pixels")
    link.symlink_to(film)
    watch(run, "01_data", [file_state(link)])
    film.write_bytes(b"other pixels")
    assert what_changed(run, "01_data") == f"{link} changed"


@pytest.mark.parametrize(
    "rows", [{"path": ["x"]}, OTHER | {"path": [["x"]]}, OTHER | {"bytes": ["1"]}, {"path": [3]}]
)
def test_a_foreign_table_is_refused(watched, rows):
    run, _ = watched
    pd.DataFrame(rows).to_parquet(run / watched_file("01_data"))
    with pytest.raises(InputError, match="no list of watched files: delete it and run 01_data"):
        what_changed(run, "01_data")
