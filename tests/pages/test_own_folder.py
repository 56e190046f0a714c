"""A folder is replaced as a whole only while it holds what was written there, as it was written."""

import pytest

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.files import write_json
from cxr_mtl.pages.own_folder import RECORD, write_own_folder


def write(folder, **files):
    with write_own_folder(folder) as beside:
        for name, text in files.items():
            (beside / "part").mkdir(exist_ok=True)
            (beside / "part" / name).write_text(text)


def content(folder):
    return {path.name: path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / "out", a="1", b="2")
    return tmp_path / "out"


def test_what_was_written_is_replaced_as_a_whole(folder):
    write(folder, c="3")
    found = content(folder)
    found.pop(RECORD)
    assert found == {"c": "3"}
    assert [path.name for path in folder.parent.iterdir()] == ["out"]


def test_an_empty_folder_is_taken(tmp_path):
    (tmp_path / "out").mkdir()
    write(tmp_path / "out", a="1")
    assert content(tmp_path / "out")["a"] == "1"


MINE = {
    "another file": (lambda f: (f / "part/mine.ipynb").write_text("x"), "part/mine.ipynb was not"),
    "a hidden file": (lambda f: (f / ".git").write_text("x"), ".git was not written there by this"),
    "a link": (lambda f: (f / "link").symlink_to(f / "part"), "link was not written there by this"),
    "worked on": (
        lambda f: (f / "part/a").write_text("my solution"),
        "part/a was changed since it",
    ),
    "no record": (lambda f: (f / RECORD).unlink(), "part/a was not written there by this command"),
}


@pytest.mark.parametrize(("bring", "said"), MINE.values(), ids=MINE)
def test_what_a_user_brought_or_changed_is_kept(folder, bring, said):
    bring(folder)
    before = content(folder)
    with pytest.raises(InputError) as error:
        write(folder, a="new")
    assert f"{folder} would be replaced as a whole and its {said}" in str(error.value)
    assert content(folder) == before


def test_a_record_of_another_kind_is_told(folder):
    write_json(folder / RECORD, ["part/a"])
    with pytest.raises(InputError, match=rf"{RECORD} is damaged .*: move .*out away"):
        write(folder, a="new")


def test_a_link_to_a_folder_stays_a_link(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "elsewhere")
    write(tmp_path / "out", a="1")
    assert (tmp_path / "out").is_symlink()
    assert content(tmp_path / "elsewhere")["a"] == "1"


def test_where_nothing_can_be_written_is_told_before_any_work(read_only_folder):
    with (
        pytest.raises(InputError, match="cannot be written"),
        write_own_folder(read_only_folder / "out"),
    ):
        pytest.fail("work was done for what cannot be written")
