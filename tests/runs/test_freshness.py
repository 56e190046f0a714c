"""What is fresh: what a stage's key covers, and every way in which a run is not what it says."""

import json
import shutil

import jupytext
import pytest
from nbformat.v4 import new_output

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.file_hashes import digest
from cxr_mtl.base.files import content_key
from cxr_mtl.runs import freshness
from cxr_mtl.runs.freshness import (
    StageState,
    mending_command,
    read_states,
    recorded,
    stage_parts,
    why_stale,
)
from cxr_mtl.runs.run import Run
from cxr_mtl.runs.stages import executed_copy, read_chapter, read_chapters

SOURCE = """\
# ---
# jupyter:
#   cxr_mtl: {{needs: [{needs}], leaves: [{leaves}]}}
# ---
# %% [markdown]
# # A chapter
# %% tags=["parameters"]
run_dir: str = "runs/demo"
count: int = 3
# %%
print({what!r})
"""
HARDWARE = {"cpu": "Some CPU", "cores": 2, "memory_gib": 23.5, "gpu": None}


def record_of(chapter, run, lock):
    """A stage's entry in the manifest, as the driver would write it now."""
    values = {name: parameter.default for name, parameter in chapter.parameters.items()}
    return {
        "parts": stage_parts(chapter, values, run, lock=lock),
        "parameters": values,
        "left": {leaf: digest(run / leaf) for leaf in chapter.leaves},
        "executed": digest(executed_copy(run, chapter.name)),
        "started": "2026-01-01T00:00:00+00:00",
        "wall_seconds": 1.5,
        "peak_memory_bytes": 2**30,
        "git": None,
        "versions": {},
        "hardware": HARDWARE,
        "settings": {"profile": "demo", "parameters": {}},
    }


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A repository whose two chapters have run, the second on what the first leaves."""
    root = tmp_path_factory.mktemp("a study")
    (root / "book").mkdir()
    (root / "requirements.lock").write_text("numpy==1\n")
    run = Run(root / "runs/demo")
    run.path.mkdir(parents=True)
    (run / "studies.txt").write_text("s")
    run.write_results("02_model", [{"metric": "x", "value": 1}])
    for name, needs, leaves in (
        ("01_data", "", "studies.txt"),
        ("02_model", "studies.txt", "results/02_model.json"),
    ):
        text = SOURCE.format(needs=needs, leaves=leaves, what=name)
        (root / f"book/{name}.py").write_text(text)
        notebook = jupytext.reads(text, fmt="py:percent")
        notebook.cells[-1].outputs = [new_output("stream", name="stdout", text=name)]
        jupytext.write(notebook, executed_copy(run, name))
    for chapter in read_chapters(root / "book"):
        run.write_stage(chapter.name, record_of(chapter, run, root / "requirements.lock"))
    return root


@pytest.fixture
def study(finished, tmp_path):
    """A copy of that repository."""
    return shutil.copytree(finished, tmp_path / "a study")


def reasons(root):
    states = read_states("demo", read_chapters(root / "book"), root)
    return [state.reason for state in states.values()]


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def set_field(root, stage, field, value):
    path = root / "runs/demo/manifest.json"
    manifest = json.loads(path.read_text())
    if value is None:
        del manifest[stage][field]
    else:
        manifest[stage][field] = value
    path.write_text(json.dumps(manifest))


def test_another_version_of_a_package_makes_stale_what_was_computed_with_it(study, monkeypatch):
    now = freshness.package_versions()
    monkeypatch.setattr(freshness, "package_versions", lambda: now | {"torch": "0.1"})
    assert reasons(study) == ["another version of torch is installed"] * 2


def test_a_whole_run_may_be_shown(study):
    states = read_states("demo", read_chapters(study / "book"), study)
    assert [state.reason for state in states.values()] == [None, None]
    assert states["02_model"].record.hardware.cores == 2
    assert states["02_model"].record.parts.needs == {
        "studies.txt": digest(study / "runs/demo/studies.txt")
    }


def test_the_states_are_told_for_the_values_of_the_run_not_for_the_defaults(study):
    parts = json.loads((study / "runs/demo/manifest.json").read_text())["01_data"]["parts"]
    set_field(study, "01_data", "parameters", {"run_dir": "runs/demo", "count": 5})
    set_field(study, "01_data", "parts", {**parts, "parameters": {"count": 5}})
    assert reasons(study) == [None, None]


@pytest.mark.parametrize(
    ("file", "old", "new", "expected"),
    [
        ("book/02_model.py", "print(", "repr(", [None, "its code changed"]),
        ("requirements.lock", "1", "2", ["requirements.lock changed"] * 2),
        (
            "runs/demo/studies.txt",
            "s",
            "t",
            ["studies.txt was changed since", "studies.txt changed"],
        ),
        (
            "runs/demo/results/02_model.json",
            "1",
            "2",
            [None, "results/02_model.json was changed since"],
        ),
        (
            "runs/demo/02_model.ipynb",
            "stdout",
            "stderr",
            [None, "02_model.ipynb was changed since"],
        ),
    ],
)
def test_a_file_that_changed_is_named(study, file, old, new, expected):
    edit(study / file, old, new)
    assert reasons(study) == expected


def test_a_file_that_is_gone_is_named(study):
    (study / "runs/demo/results/02_model.json").unlink()
    assert reasons(study) == [None, "results/02_model.json is missing"]
    (study / "runs/demo/studies.txt").unlink()
    first, second = reasons(study)
    assert first == "studies.txt is missing"
    assert second.startswith("02_model needs runs/demo/studies.txt, which is missing")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "runs/demo/manifest.json is not valid JSON"),
        ("[]", "runs/demo/manifest.json is no manifest: delete it"),
        ("{}", "not run yet"),
        ('{"01_data": {}, "02_model": 3}', "runs/demo/manifest.json is damaged or of another"),
    ],
)
def test_a_damaged_manifest_is_named_and_shows_nothing(study, text, words):
    (study / "runs/demo/manifest.json").write_text(text)
    assert all(words in reason for reason in reasons(study))


def test_an_entry_of_another_version_is_named_with_what_it_lacks(study):
    set_field(study, "01_data", "wall_seconds", None)
    set_field(study, "02_model", "hardware", {"cpu": "Some CPU", "cores": 2})
    first, second = reasons(study)
    assert "manifest.json is damaged or of another version (wall_seconds)" in first
    assert "(hardware.memory_gib)" in second


@pytest.mark.parametrize(
    ("field", "value"),
    [("started", "yesterday"), ("started", "2026-01-01T00:00:00"), ("wall_seconds", "long")],
)
def test_a_time_that_the_pages_could_not_write_is_damage(study, field, value):
    set_field(study, "02_model", field, value)
    assert f"is damaged or of another version ({field})" in reasons(study)[1]


def test_a_value_of_another_type_is_named(study):
    set_field(study, "02_model", "parameters", {"count": "three"})
    assert reasons(study)[1].startswith("runs/demo/manifest.json: count = 'three' is not of type")
    assert read_states("demo", read_chapters(study / "book"), study)["02_model"].record is None


def test_a_record_that_does_not_know_its_notebook_is_believed(study):
    set_field(study, "02_model", "executed", None)
    assert reasons(study) == [None, None]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"cells"', '"cels"', "is not a readable notebook"),
        ('"cells"', "cells", "is not a readable notebook"),
        ("print(", "repr(", "holds other code"),
    ],
)
def test_a_damaged_notebook_is_named(study, old, new, words):
    set_field(study, "02_model", "executed", None)
    edit(study / "runs/demo/02_model.ipynb", old, new)
    assert reasons(study) == [None, f"runs/demo/02_model.ipynb {words}"]


def test_damaged_results_are_named_although_the_manifest_knows_them(study):
    path = study / "runs/demo/results/02_model.json"
    path.write_text("[{")
    set_field(study, "02_model", "left", {"results/02_model.json": digest(path)})
    assert "results/02_model.json is not valid JSON" in reasons(study)[1]


def test_a_run_that_is_not_there_is_not_made(study):
    states = read_states("other", read_chapters(study / "book"), study)
    assert [state.reason for state in states.values()] == ["not run yet"] * 2
    assert not (study / "runs/other").exists()


def test_the_remedy_names_no_profile_unless_the_manifest_does_not_tell_it(study):
    assert mending_command("demo", study) == "cxr-mtl book --run demo"
    for text in ("{", '{"01_data": {"parameters": {"seed": 1}}}'):
        (study / "runs/demo/manifest.json").write_text(text)
        assert mending_command("demo", study) == "cxr-mtl book --profile PROFILE --run demo"
    assert mending_command("other", study) == "cxr-mtl book --run other"


def test_chapters_that_were_run_and_are_stale_are_told_where_there_is_a_book(tmp_path, monkeypatch):
    found = {
        "01_data": StageState("01_data", object(), None),
        "02_model": StageState("02_model", object(), "its code changed"),
        "03_search": StageState("03_search", None, "not run yet"),
    }
    monkeypatch.setattr(freshness, "read_states", lambda *_: found)
    monkeypatch.setattr(freshness, "read_chapters", list)
    monkeypatch.chdir(tmp_path)
    assert freshness.stale_chapters("mine") == {}
    (tmp_path / "book").mkdir()
    assert freshness.stale_chapters("mine") == {"02_model": "its code changed"}


def write_chapter(folder, name, needs="", leaves="", parameters=""):
    text = SOURCE.format(needs=needs, leaves=leaves, what=1)
    (folder / f"{name}.py").write_text(text.replace("count: int = 3", parameters))


def test_the_key_follows_what_path_parameters_point_to_and_not_the_runs_folder(tmp_path):
    write_chapter(
        tmp_path, "01_a", parameters="csv: Optional[Path] = None\nfolder: Optional[Path] = None"
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
    run.path.mkdir()
    (run / "01_a.ipynb").touch()
    run.write_stage("01_a", entry)
    parts = stage_parts(chapter, {"run_dir": "x"}, run)
    reason = why_stale(chapter, parts, recorded(run, "01_a"), run)
    assert reason == "its entry in the manifest is damaged"


def test_a_manifest_that_is_none_is_named(tmp_path):
    run = Run(tmp_path / "run")
    assert recorded(run, "01_a") is None
    run.path.mkdir()
    (run / "manifest.json").write_text("[]")
    with pytest.raises(InputError, match=r"manifest\.json is no manifest: delete it"):
        recorded(run, "01_a")


def test_a_needed_file_that_is_missing_is_named(tmp_path):
    write_chapter(tmp_path, "01_a", leaves="studies.parquet")
    write_chapter(tmp_path, "02_b", needs="studies.parquet")
    chapter = read_chapters(tmp_path)[1]
    with pytest.raises(InputError, match=r"02_b needs .*studies\.parquet, which is missing: run"):
        stage_parts(chapter, {"run_dir": "x"}, Run(tmp_path / "run"))
