"""Status: what is fresh, why the rest is not, for which values, and what mends it."""

import io

import pytest

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.terminal import PlainConsole
from cxr_mtl.runs import status
from cxr_mtl.runs.run import Run
from cxr_mtl.runs.settings import Settings
from cxr_mtl.runs.status import print_status

CHAPTER = """\
# %% tags=["parameters"]
run_dir: str = "runs/demo"
epochs: int = 20  # passes
"""


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A book of two chapters, as current directory, and the run `own` of which nothing is made."""
    (tmp_path / "book/profiles").mkdir(parents=True)
    for name in ("01_data", "02_model"):
        (tmp_path / f"book/{name}.py").write_text(CHAPTER)
    (tmp_path / "book/profiles/demo.yml").write_text("epochs: 40\n")
    (tmp_path / "runs/own").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def told(*words):
    file = io.StringIO()
    print_status(*words, PlainConsole(file=file, width=200))
    return file.getvalue()


def states(monkeypatch, **reasons):
    monkeypatch.setattr(status, "why_run", lambda chapter, *_: reasons.get(f"_{chapter.name}"))


def test_each_chapter_is_fresh_or_stale_for_a_reason(study, monkeypatch):
    states(monkeypatch, _02_model="parameter [x] changed")
    lines = told(None, "own", ()).splitlines()
    assert any("01_data" in line and "fresh" in line for line in lines)
    assert any("02_model" in line and "stale: parameter [x] changed" in line for line in lines)


def test_it_is_said_first_for_which_values_of_the_run(study, monkeypatch):
    states(monkeypatch)
    Run("runs/own").write_stage("01_data", {"settings": Settings("demo", {"epochs": 2}).record()})
    assert told(None, "own", ()).startswith(
        "runs/own goes on as it was made: profile demo, epochs=2 (--profile demo returns"
    )
    assert "as it was made" not in told("demo", "own", ())


WRITTEN = (
    "Something else than cxr-mtl wrote into runs/own, as papermill and Jupyter do with its "
    "notebooks; `cxr-mtl run --run own -p epochs=2` makes those chapters again"
)


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("its code changed", "`cxr-mtl run --run own -p epochs=2` makes again what is stale"),
        ("fine_tuned was changed since", WRITTEN),
        ("02_model.ipynb was changed since, by papermill", WRITTEN),
    ],
)
def test_the_last_line_says_what_mends_the_run(study, monkeypatch, reason, said):
    states(monkeypatch, _02_model=reason)
    assert told(None, "own", ["epochs=2"]).splitlines()[-1] == said


def test_of_a_fresh_run_nothing_is_to_be_mended(study, monkeypatch):
    states(monkeypatch)
    assert "cxr-mtl" not in told(None, "own", ())


def test_a_run_that_is_not_there_is_not_made(study):
    with pytest.raises(InputError, match="there is no run runs/typo: make it with"):
        told(None, "typo", ())
    assert not (study / "runs/typo").exists()
