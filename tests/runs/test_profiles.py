"""Profiles are read as their writers mean them; what is damaged or means something else is told."""

import pytest

from cxr_mtl.base.errors import InputError
from cxr_mtl.runs.profiles import read_profile


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("lr: 1.0e-4\nlr: 2.0e-4\n", "lr is given twice"),
        ("- lr\n", "must hold lines `name: value`"),
        ("1: 2\n", "must hold lines `name: value`"),
        ("lr: [1\n", "is not readable YAML"),
        ("lr: !!python/object/apply:os.getcwd []\n", "is not readable YAML"),
        ("lr: \xff", "is not readable YAML"),
        ("lr: " + "[" * 3000, "is not readable YAML: it is nested too deeply"),
        ("lr: 2026-13-45\n", "this is no timestamp in"),
        ("lr: !!bool perhaps\n", "this is no bool in"),
        ("lr: !!int ''\n", "this is no int in"),
        ("lr: !!set words\n", "is not readable YAML"),
        (f"lr: {'9' * 5000}\n", "this is no int"),
        ("epochs: 010\n", "YAML reads 010 to another base: write it to the base 10"),
        ("epochs: 1:30\n", "YAML reads 1:30 to another base: write it to the base 10"),
        ("lr: -1:30.5\n", "YAML reads -1:30.5 to another base"),
    ],
)
def test_a_damaged_profile_is_refused(tmp_path, text, sentence):
    profile = tmp_path / "mine.yml"
    profile.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError) as error:
        read_profile(profile)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_profile_is_refused_and_an_empty_one_changes_nothing(tmp_path):
    with pytest.raises(InputError, match=r"none\.yml does not exist"):
        read_profile(tmp_path / "none.yml")
    (tmp_path / "empty.yml").write_text("# nothing\n")
    assert read_profile(tmp_path / "empty.yml") == {}


@pytest.mark.parametrize(
    ("text", "value"),
    [("0", 0), ("-30", -30), ("0.5", 0.5), ("1.0e-4", 1e-4), ("0x1F", 31), ("'010'", "010")],
)
def test_other_numbers_are_what_they_look_like(tmp_path, text, value):
    (tmp_path / "mine.yml").write_text(f"x: {text}\n")
    assert read_profile(tmp_path / "mine.yml") == {"x": value}
