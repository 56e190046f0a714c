"""A run remembers what it was called with: profile and parameters, of the last stage executed."""

import pytest

from cxr_mtl.base.errors import InputError
from cxr_mtl.runs.run import Run
from cxr_mtl.runs.settings import Settings, settings_of

OWN = Settings("paper", {"dataset": "pairs", "weights": [0, 0.5, 1], "temperature": None})


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path / "own")


def test_a_run_that_is_not_there_or_has_no_stage_was_called_with_nothing(run):
    assert settings_of(run) is None
    run.path.mkdir()
    (run / "manifest.json").write_text("{}")
    assert settings_of(run) is None


def test_what_a_stage_was_called_with_comes_back_as_it_was(run):
    run.write_stage("01_data", {"settings": OWN.record()})
    assert settings_of(run) == OWN


def test_of_several_stages_the_one_that_was_written_last_counts_wherever_it_stands(run):
    for stage, epochs in (("01_data", 1), ("02_model", 2), ("01_data", 3)):
        run.write_stage(stage, {"settings": Settings("demo", {"epochs": epochs}).record()})
        assert settings_of(run).parameters == {"epochs": epochs}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", r"is not valid JSON .*: delete it and run again with the --profile and the -p that"),
        ("[]", r"is no manifest: delete it and run again with the --profile and the -p that the"),
        ('{"01_data": {}}', r"does not tell what the run was called with: repeat the command with"),
        ('{"01_data": 3}', "does not tell what"),
        ('{"01_data": {"settings": {"profile": 3, "parameters": {}}}}', "does not tell what"),
        ('{"01_data": {"settings": {"profile": "demo", "parameters": []}}}', "does not tell what"),
        ('{"01_data": {"settings": {}}}', "does not tell what"),
        ('{"01_data": {"settings": {}}, "02_model": {}}', "does not tell what"),
    ],
)
def test_a_manifest_that_does_not_tell_is_refused_never_guessed(run, text, said):
    run.path.mkdir()
    (run / "manifest.json").write_text(text)
    with pytest.raises(InputError, match=r"own/manifest\.json " + said):
        settings_of(run)


def test_what_is_kept_is_told_in_one_line_with_the_way_back(run):
    said = OWN.kept_notice(run, ["dataset"])
    assert said == (
        f"{run.path} goes on as it was made: profile paper, weights=[0, 0.5, 1], temperature=null "
        "(--profile paper returns to what the profile says)"
    )
    assert OWN.kept_notice(run, OWN.parameters).endswith("as it was made: profile paper")
    assert (
        Settings("my own.yml", {"k": 1})
        .kept_notice(run, [])
        .endswith("k=1 (--profile 'my own.yml' returns to what the profile says)")
    )


def test_nothing_is_told_where_nothing_but_the_profile_of_every_new_run_is_kept(run):
    assert Settings("demo", {}).kept_notice(run, []) is None
    assert Settings("demo", {"epochs": 2}).kept_notice(run, ["epochs"]) is None
