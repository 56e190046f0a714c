"""Files are whole or absent: what stood there survives every failure."""

import errno
import hashlib
import json
import os
import stat
import subprocess

import pandas as pd
import pytest
from pydantic import BaseModel
from safetensors import SafetensorError

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.files import (
    check_output,
    check_regular_file,
    check_writable,
    content_key,
    inside,
    read_json,
    read_json_as,
    read_table,
    sha256_of_file,
    sweep,
    write_beside,
    write_json,
    write_table,
)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_renamed_into_place_with_its_folders(tmp_path):
    target = tmp_path / "a" / "b" / "c.txt"
    with write_beside(target) as beside:
        beside.write_text("whole")
        assert not target.exists()
        assert beside.parent == target.parent
    assert target.read_text() == "whole"
    assert names(target.parent) == ["c.txt"]


@pytest.mark.parametrize("failure", [ValueError("broken"), KeyboardInterrupt()])
def test_a_failure_leaves_nothing_and_keeps_what_was_there(tmp_path, failure):
    target = tmp_path / "kept.txt"
    target.write_text("old")

    def write(path):
        with write_beside(path) as beside:
            beside.write_text("ha")
            raise failure

    for path in (target, tmp_path / "new.txt"):
        with pytest.raises(type(failure)):
            write(path)
    assert names(tmp_path) == ["kept.txt"]
    assert target.read_text() == "old"


def test_a_folder_replaces_a_folder_whole(tmp_path):
    target = tmp_path / "folder"
    for name in ("first", "second"):
        with write_beside(target) as beside:
            beside.mkdir()
            (beside / name).write_text(name)
    assert names(target) == ["second"]
    assert names(tmp_path) == ["folder"]


def test_a_folder_that_fails_is_removed_and_the_old_one_kept(tmp_path):
    target = tmp_path / "folder"
    target.mkdir()
    (target / "old").write_text("old")

    def write():
        with write_beside(target) as beside:
            beside.mkdir()
            (beside / "half").write_text("ha")
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        write()
    assert names(tmp_path) == ["folder"]
    assert names(target) == ["old"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told_in_one_sentence_and_loses_nothing(tmp_path, monkeypatch, number):
    target = tmp_path / "results.json"
    write_json(target, [1])

    def full(self, *_, **__):
        self.write_bytes(b"[2")
        raise OSError(number, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_text", full)
    with pytest.raises(InputError, match=r"disk is full while writing .*results\.json: free"):
        write_json(target, [2])
    assert read_json(target) == [1]
    assert names(tmp_path) == ["results.json"]


def test_other_errors_of_the_system_are_not_called_a_full_disk(tmp_path):
    def write():
        with write_beside(tmp_path / "x"):
            raise PermissionError(errno.EACCES, "denied")

    with pytest.raises(PermissionError):
        write()


def assert_refused_before_and_during(target, message):
    """Both `check_writable` and `write_beside`, which yields nothing, say the same."""
    with pytest.raises(InputError, match=message):
        check_writable(target)
    with pytest.raises(InputError, match=message), write_beside(target):
        pytest.fail("work was done for what cannot be written")


@pytest.mark.parametrize("name", ["x.json", "new/folder/x.json"])
def test_a_read_only_folder_is_told_before_any_work(read_only_folder, name):
    message = rf"{name} cannot be written \(Permission denied\): make it writable for you, or"
    assert_refused_before_and_during(read_only_folder / name, message)


def test_a_read_only_disk_is_told_before_any_work(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    assert_refused_before_and_during(
        tmp_path / "x", r"x cannot be written \(Read-only file system\)"
    )


def test_a_place_where_nothing_can_lie_is_told_before_any_work(tmp_path):
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    for name in ("file/x.json", "file/deep/x.json"):
        message = r"cannot be written \(Not a directory\): give a path on which every folder is one"
        assert_refused_before_and_during(tmp_path / name, message)
    assert_refused_before_and_during(tmp_path / ("x" * 300), "too long.*: choose a shorter name")
    assert_refused_before_and_during(tmp_path / "pipe", "pipe is a named pipe: give another name")
    assert_refused_before_and_during("/dev/null", "/dev/null is a device: give another name")
    assert names(tmp_path) == ["file", "pipe"]


def test_a_folder_in_the_place_of_a_file_is_kept_and_told(tmp_path):
    (tmp_path / "taken/inside").mkdir(parents=True)
    with pytest.raises(
        InputError, match=r"taken cannot be written \(.*directory\): give the name of"
    ):
        write_json(tmp_path / "taken", 1)
    assert names(tmp_path / "taken") == ["inside"]
    assert names(tmp_path) == ["taken"]


def test_looking_whether_a_file_can_be_written_leaves_no_trace(tmp_path):
    (tmp_path / "old").write_text("old")
    for name in ("old", "new", "new/er/file"):
        check_writable(tmp_path / name)
    assert names(tmp_path) == ["old"]
    assert (tmp_path / "old").read_text() == "old"


def test_a_disk_that_fills_while_safetensors_writes_is_told(tmp_path):
    said = "Error while serializing: I/O error: No space left on device (os error 28)"
    with pytest.raises(InputError, match="disk is full"), write_beside(tmp_path / "x"):
        raise SafetensorError(said)


def test_json_comes_back_and_nan_is_refused(tmp_path):
    path = tmp_path / "value.json"
    value = {"λ": [0.1, None, True], "text": "œdème"}
    write_json(path, value)
    assert read_json(path) == value
    assert "œdème" in path.read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(path, {"loss": float("nan")})
    assert read_json(path) == value
    assert names(tmp_path) == ["value.json"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{half", "Expecting property name"),
        (b"", "Expecting value"),
        (b"\xff\xfe", "can't decode byte 0xff"),
        (b"[" * 100_000, "it is nested too deeply"),
        (b"[NaN]", "NaN is no number"),
        (b"[-Infinity]", "-Infinity is no number"),
        (b"9" * 5000, "Exceeds the limit"),
    ],
)
def test_a_damaged_json_file_is_named(tmp_path, content, reason):
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(InputError, match=rf"x\.json is not valid JSON \(.*{reason}.*\): delete it"):
        read_json(tmp_path / "x.json")
    with pytest.raises(InputError, match=r"\): fetch it anew$"):
        read_json(tmp_path / "x.json", "fetch it anew")


def test_what_is_no_file_is_never_read_as_json(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="pipe is a named pipe, not a file"):
        read_json(tmp_path / "pipe")
    with pytest.raises(InputError, match="is a folder, not a file"):
        read_json(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is missing: run the step"):
        read_json(tmp_path / "file/x.json")


def test_json_that_may_not_be_read_is_told(read_only_folder):
    with pytest.raises(
        InputError, match=r"closed\.json cannot be read \(Permission denied\): give"
    ):
        read_json(read_only_folder / "closed.json")


class Card(BaseModel):
    name: str
    counts: dict[str, int]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([1], "x.json is damaged (Input should be"),
        (None, "x.json is damaged (Input should be"),
        ({"counts": {}}, "x.json is damaged at name (Field required): delete it and run again"),
        ({"name": 3, "counts": {}}, "x.json is damaged at name (Input should be a valid string)"),
        ({"name": "a", "counts": {"b": "2"}}, "x.json is damaged at counts.b ("),
        ({"name": "a", "counts": {"b": True}}, "x.json is damaged at counts.b ("),
    ],
)
def test_json_of_another_kind_is_told_with_the_place(tmp_path, content, said):
    write_json(tmp_path / "x.json", content)
    with pytest.raises(InputError) as error:
        read_json_as(Card, tmp_path / "x.json")
    assert str(error.value).startswith(f"{tmp_path}/{said}")


def test_json_of_the_right_kind_comes_back_as_that_kind(tmp_path):
    write_json(tmp_path / "x.json", {"name": "a", "counts": {"b": 2}, "more": 1})
    assert read_json_as(Card, tmp_path / "x.json") == Card(name="a", counts={"b": 2})


def test_a_missing_file_is_named_with_its_remedy(tmp_path):
    with pytest.raises(InputError, match=r"x\.json is missing: run the step"):
        read_json(tmp_path / "x.json")
    with pytest.raises(InputError, match=r"x\.parquet is missing: run the chapter"):
        read_table(tmp_path / "x.parquet")


def test_a_table_comes_back_and_a_truncated_one_is_refused(tmp_path):
    path = tmp_path / "studies.parquet"
    table = pd.DataFrame({"study": ["1", "007"], "label": [0, 1], "codes": [["a"], []]})
    write_table(path, table.iloc[::-1])
    again = read_table(path)
    assert again["study"].tolist() == ["007", "1"]
    assert list(map(list, again["codes"])) == [[], ["a"]]
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"studies\.parquet is not a readable Parquet file"):
        read_table(path)


def test_a_files_hash_is_its_bytes_sha256(tmp_path):
    content = bytes(range(256)) * 5000
    (tmp_path / "x").write_bytes(content)
    assert sha256_of_file(tmp_path / "x") == hashlib.sha256(content).hexdigest()


def test_equal_content_has_an_equal_key_whatever_the_order_of_its_names():
    key = content_key("x", {"a": 1, "b": [2.5]})
    assert key == content_key("x", json.loads('{"b": [2.5], "a": 1}'))
    assert len(key) == 16
    others = [content_key("x", {"a": 1, "b": [2]}), content_key(["x", {"a": 1, "b": [2.5]}])]
    assert key not in others
    assert content_key("ab", "c") != content_key("a", "bc")


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (os.mkdir, "is a folder, not a file"),
        (os.mkfifo, "is a named pipe, not a file"),
        (lambda path: os.mknod(path, stat.S_IFSOCK | 0o600), "is a socket, not a file"),
        (lambda path: path.symlink_to("/dev/zero"), "is a device, not a file"),
        (lambda path: path.symlink_to("/proc/cpuinfo"), "is empty"),
        (lambda path: path.touch(), "is empty"),
        (lambda path: path.symlink_to(path), "cannot be reached"),
        (lambda path: path.symlink_to("gone"), "is a link to gone, which is missing: mend"),
        (lambda path: None, "is missing: put the image there"),
    ],
)
def test_what_is_no_file_with_content_is_named_without_opening_it(tmp_path, make, kind):
    path = tmp_path / "x"
    make(path)
    with pytest.raises(InputError, match=f"{path} {kind}"):
        check_regular_file(path, "image")


@pytest.mark.parametrize("name", ["with\0zero", "long" * 100])
def test_a_name_no_file_can_have_is_refused(tmp_path, name):
    with pytest.raises(InputError, match="cannot be reached"):
        check_regular_file(tmp_path / name, "image")


def test_only_what_is_missing_has_a_missing_file_as_its_cause(tmp_path):
    (tmp_path / "file").write_text("text")
    for path in (tmp_path / "gone", tmp_path / "file" / "below"):
        with pytest.raises(InputError) as refused:
            check_regular_file(path, "image")
        assert isinstance(refused.value.__cause__, FileNotFoundError)
    with pytest.raises(InputError) as refused:
        check_regular_file(tmp_path, "image")
    assert not isinstance(refused.value.__cause__, FileNotFoundError)


def test_a_file_and_a_link_to_one_are_taken(tmp_path):
    (tmp_path / "file").write_text("text")
    (tmp_path / "link").symlink_to("file")
    check_regular_file(tmp_path / "file", "text")
    check_regular_file(tmp_path / "link", "text")


def test_an_output_replaces_an_earlier_one_and_nothing_else(tmp_path):
    contents = {"new.html": None, "old.html": b"<ours> 1", "empty.html": b"", "notes.txt": b"mine"}
    for name, content in contents.items():
        if content is not None:
            (tmp_path / name).write_bytes(content)
    for name in ("new.html", "old.html", "empty.html"):
        check_output(tmp_path / name, b"<ours>", "page of ours")
    with pytest.raises(
        InputError, match=r"notes\.txt is there and is no page of ours, so it is not"
    ):
        check_output(tmp_path / "notes.txt", b"<ours>", "page of ours")
    with pytest.raises(InputError, match="is a folder: give the name of a file"):
        check_output(tmp_path, b"<ours>", "page of ours")


def test_an_output_that_cannot_be_written_is_told(read_only_folder):
    with pytest.raises(InputError, match=r"x\.html cannot be written \(Permission denied\)"):
        check_output(read_only_folder / "x.html", b"<ours>", "page of ours")


def test_what_is_no_table_or_may_not_be_read_is_told(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="pipe is a named pipe, not a file"):
        read_table(tmp_path / "pipe")
    (tmp_path / "x.parquet").write_bytes(b"PAR1 noise PAR1")
    with pytest.raises(InputError, match=r"x\.parquet is not a readable Parquet file .*: make it"):
        read_table(tmp_path / "x.parquet", "make it again")
    with pytest.raises(InputError, match="none is missing: make it again"):
        read_table(tmp_path / "none", "make it again")


@pytest.mark.parametrize("column", [["lungs clear"] * 3, [["lungs clear"], [], ["lungs clear"]]])
def test_a_text_that_is_no_text_is_met_when_the_table_is_read(tmp_path, column):
    path = tmp_path / "x.parquet"
    pd.DataFrame({"text": column}).to_parquet(path)
    assert path.read_bytes().count(b"lungs") >= 1
    path.write_bytes(path.read_bytes().replace(b"lungs", b"\xff\xfengs"))
    with pytest.raises(InputError, match=r"x\.parquet is not a readable Parquet file"):
        read_table(path)


def test_a_table_that_may_not_be_read_is_told(read_only_folder):
    with pytest.raises(InputError, match=r"closed\.json cannot be read \(Permission denied\)"):
        read_table(read_only_folder / "closed.json")


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "link", "deep/link"])
def test_nothing_leads_out_of_a_folder(tmp_path, name):
    folder = tmp_path / "folder"
    (folder / "deep").mkdir(parents=True)
    for link in ("link", "deep/link"):
        (folder / link).symlink_to("/etc/hostname")
    with pytest.raises(InputError, match=r"leads out of .*folder, to /"):
        inside(folder, name)


def test_what_lies_in_a_folder_is_found_there_and_through_a_link_to_the_folder(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "other").symlink_to(tmp_path / "folder")
    assert inside(tmp_path / "other", "x") == tmp_path / "other/x"


def test_what_a_killed_process_had_begun_is_swept_and_nothing_else(tmp_path):
    killed = subprocess.Popen(["true"])
    killed.wait()
    own, dead = os.getpid(), killed.pid
    kept = ["a.json", f".a.json.{own}.partial", ".lock", f"a.{dead}.partial", ".notes.partial"]
    begun = [f".a.json.{dead}.partial", f"inner/.b.parquet.{dead}.partial", f".index.{dead}.old/x"]
    begun += [f".search.db.{dead}.partial-journal"]
    for name in [*kept, *begun, "inner/b.parquet"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    sweep(tmp_path)
    left = sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*"))
    assert left == sorted([*kept, "inner", "inner/b.parquet"])
