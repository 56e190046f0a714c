"""Files are told apart by their content: other times are nothing, a changed byte is everything."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxr_mtl.base import file_hashes
from cxr_mtl.base.errors import InputError
from cxr_mtl.base.file_hashes import (
    digest,
    file_state,
    folder_states,
    hash_of,
    known_hashes,
    remember,
)
from cxr_mtl.base.files import sha256_of_file

HOUR = 3600 * 10**9
NAMES = st.sampled_from(["a.json", "b.png", "deep/a.json", "deep/er/c"])
FOLDERS = st.dictionaries(NAMES, st.binary(min_size=1, max_size=40), min_size=1)


def lay(folder, contents):
    for name, content in contents.items():
        path = Path(folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


@given(FOLDERS, st.integers(-(10**18), 10**18))
def test_a_touch_or_a_copy_never_changes_a_digest(contents, shift):
    with tempfile.TemporaryDirectory() as place:
        first, copy = Path(place, "first"), Path(place, "copy")
        lay(first, contents)
        before = digest(first)
        for name in contents:
            times = (first / name).stat()
            os.utime(first / name, ns=(times.st_atime_ns, times.st_mtime_ns + shift))
        assert digest(first) == before
        shutil.copytree(first, copy, copy_function=shutil.copyfile)
        assert digest(copy) == before


@given(FOLDERS, st.data())
def test_a_changed_byte_always_changes_a_digest_even_where_size_and_time_stay(contents, data):
    name = data.draw(st.sampled_from(sorted(contents)))
    place = data.draw(st.integers(0, len(contents[name]) - 1))
    flip = data.draw(st.integers(1, 255))
    with tempfile.TemporaryDirectory() as folder:
        lay(folder, contents)
        before, path = digest(Path(folder)), Path(folder, name)
        times = path.stat()
        changed = bytearray(contents[name])
        changed[place] ^= flip
        path.write_bytes(changed)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        assert digest(Path(folder)) != before


@pytest.fixture
def reads(monkeypatch):
    """The paths of the files that are read."""
    paths = []
    monkeypatch.setattr(
        file_hashes, "sha256_of_file", lambda path: paths.append(path) or sha256_of_file(path)
    )
    return paths


@pytest.fixture
def clock(monkeypatch):
    """Let an hour pass, in which nothing changes."""
    now = file_hashes.time.time_ns
    return lambda: monkeypatch.setattr(file_hashes.time, "time_ns", lambda: now() + HOUR)


def test_a_file_is_read_once_until_its_state_is_another(tmp_path, reads, clock):
    path = tmp_path / "film.png"
    path.write_bytes(b"pixels")
    clock()
    assert len({digest(path) for _ in range(3)}) == 1
    assert reads == [str(path)]
    os.utime(path, ns=(0, 0))
    digest(path)
    assert reads == [str(path)] * 2


def test_a_file_that_was_just_written_may_change_without_its_times(tmp_path, reads):
    path = tmp_path / "film.png"
    path.write_bytes(b"pixels")
    digest(path)
    digest(path)
    assert reads == [str(path)] * 2


def test_what_another_process_has_read_need_not_be_read_again(tmp_path, reads, clock, monkeypatch):
    path = tmp_path / "film.png"
    path.write_bytes(b"pixels")
    clock()
    found, state = digest(path), file_state(path)
    kept = known_hashes([state, file_state(tmp_path / "other")])
    assert kept == {state: found}
    monkeypatch.setattr(file_hashes, "_known", {})
    remember(kept)
    assert digest(path) == found
    assert reads == [str(path)]


def test_what_is_no_regular_file_is_not_opened(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert hash_of(file_state(pipe)) is None
    assert len(digest(tmp_path)) == 16
    with pytest.raises(InputError, match="pipe is no regular file: put the file in its place"):
        digest(pipe)


def test_a_file_that_may_not_be_read_is_told(read_only_folder):
    with pytest.raises(InputError, match=r"closed\.json cannot be read \(Permission denied\)"):
        digest(read_only_folder)


def test_a_folders_digest_follows_its_files_names_and_contents(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/x").write_text("1")
    first = digest(tmp_path / "a")
    (tmp_path / "a/x").write_text("22")
    second = digest(tmp_path / "a")
    (tmp_path / "a/x").rename(tmp_path / "a/y")
    assert len({first, second, digest(tmp_path / "a")}) == 3


def test_a_folders_files_are_found_behind_links_and_once_in_a_circle(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "film.png").write_bytes(b"pixels")
    folder = tmp_path / "folder"
    (folder / "deep").mkdir(parents=True)
    (folder / "films").symlink_to(elsewhere)
    (folder / "deep/above").symlink_to(folder)
    assert [state[0] for state in folder_states(folder)] == [str(folder / "films/film.png")]
    before = digest(folder)
    (elsewhere / "film.png").unlink()
    assert digest(folder) != before


def test_the_state_of_what_is_no_file_is_that_of_an_absent_one(tmp_path):
    for path in (tmp_path / "absent", "with\0null", "long" * 2000):
        assert file_state(path)[1:] == (-1, -1, -1)
