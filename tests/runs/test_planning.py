"""Which value each chapter gets: default, profile, what the run keeps, and what is given anew."""

from pathlib import Path

import pytest

from cxr_mtl.base.errors import InputError
from cxr_mtl.runs.planning import command_text, plan
from cxr_mtl.runs.run import Run
from cxr_mtl.runs.settings import Settings

CHAPTER = """\
# %% tags=["parameters"]
run_dir: str = "runs/demo"
dataset: str = "openi"  # which data
pairs_csv: Optional[Path] = None  # own data
epochs: int = 20  # passes
temperature: Optional[float] = 0.07  # of the losses
"""


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A book of one chapter and three profiles, as current directory."""
    (tmp_path / "book/profiles").mkdir(parents=True)
    (tmp_path / "book/01_data.py").write_text(CHAPTER)
    (tmp_path / "book/profiles/demo.yml").write_text("dataset: phantom\nepochs: 40\n")
    (tmp_path / "book/profiles/paper.yml").write_text("epochs: 30\n")
    (tmp_path / "book/profiles/pairs.yml").write_text("dataset: pairs\nepochs: 50\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def made(name, profile, overrides=()):
    """The plan of a command, after which its chapter was executed."""
    planned = plan(profile, name, overrides)
    planned.run.write_stage("01_data", {"settings": planned.settings.record()})
    return planned


def values(name, profile=None, overrides=()):
    found = dict(plan(profile, name, overrides).stages["01_data"][1])
    del found["run_dir"]
    return found


def test_a_new_run_takes_the_profile_demo_and_one_that_is_there_what_it_was_made_with(study):
    demo = {"dataset": "phantom", "pairs_csv": None, "epochs": 40, "temperature": 0.07}
    own = demo | {"dataset": "pairs", "pairs_csv": "own/pairs.csv", "epochs": 50}
    assert values("own") == demo
    assert plan(None, "own").notice is None
    made("own", None, ["dataset=pairs", "pairs_csv=own/pairs.csv"])
    assert values("own") == own
    assert values("other") == demo
    made("own", None)
    assert values("own") == own
    assert plan(None, "own").notice.startswith(
        "runs/own goes on as it was made: profile pairs, dataset=pairs, pairs_csv=own/pairs.csv ("
    )


def test_what_is_given_anew_wins_and_is_kept_with_the_rest(study):
    made("own", "paper", ["dataset=pairs", "epochs=2"])
    assert values("own", overrides=["tau=0.1", "epochs=3"]) == {
        "dataset": "pairs",
        "pairs_csv": None,
        "epochs": 3,
        "temperature": 0.1,
    }
    again = made("own", None, ["tau=0.1", "epochs=3"])
    assert again.settings == Settings(
        "paper", {"dataset": "pairs", "epochs": 3, "temperature": 0.1}
    )
    assert "epochs" not in again.notice
    assert values("own")["epochs"] == 3


def test_a_profile_that_is_named_leaves_what_the_run_kept(study):
    made("demo", None, ["epochs=2"])
    assert values("demo")["epochs"] == 2
    assert "epochs=2 (--profile demo returns to what the profile says)" in plan(None, "demo").notice
    assert values("demo", "demo")["epochs"] == 40
    assert plan("demo", "demo").notice is None
    made("demo", "demo")
    assert values("demo")["epochs"] == 40
    assert plan(None, "demo").notice is None


def test_a_profile_that_was_edited_reaches_the_runs_that_were_made_with_it(study):
    made("demo", None, ["temperature=null"])
    Path("book/profiles/demo.yml").write_text("epochs: 50\n")
    expected = {"dataset": "openi", "pairs_csv": None, "epochs": 50, "temperature": None}
    assert values("demo") == expected


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        ({"epoch": 2}, r"manifest\.json: no chapter has a parameter epoch: did you mean epochs"),
        ({"epochs": "two"}, r"manifest\.json: epochs = 'two' is not of type int"),
        ({"epochs": -1}, r"manifest\.json: epochs = -1 is out of range"),
    ],
)
def test_what_a_run_kept_and_no_chapter_takes_is_refused_with_its_place(study, kept, said):
    Run("runs/own").write_stage("01_data", {"settings": Settings("demo", kept).record()})
    with pytest.raises(InputError, match=said):
        plan(None, "own")
    assert values("own", "demo")["epochs"] == 40


@pytest.mark.parametrize(
    ("call", "text"),
    [
        ((None, "demo", []), "cxr-mtl run 04 05 --upstream"),
        (("demo", "demo", []), "cxr-mtl run 04 05 --upstream --profile demo"),
        ((None, "own", ["k=a b"]), "cxr-mtl run 04 05 --upstream --run own -p 'k=a b'"),
    ],
)
def test_a_command_is_told_as_a_user_types_it(call, text):
    assert command_text("run", *call, "04", "05", "--upstream") == text
