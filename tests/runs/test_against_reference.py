"""This run against the reference: what is compared, what is shown, what is only counted."""

import pytest

from cxr_mtl.runs.against_reference import (
    ROWS,
    compare_with_reference,
    reference_section,
    reference_summary,
    write_compare_page,
)
from cxr_mtl.runs.compare import BEYOND, EQUAL, UNKNOWN
from cxr_mtl.runs.freshness import StageState
from cxr_mtl.runs.manifest import Record
from cxr_mtl.runs.run import Run
from cxr_mtl.runs.stages import Chapter

CHAPTERS = [
    Chapter("04_training", None, {}, [], ["model"]),
    Chapter("05_retrieval", None, {}, ["model"], []),
    Chapter("09_ablations", None, {}, ["model"], []),
]
PARTS = ("parameters", "inputs", "library", "needs")
FIELDS = {
    "parts": {**{name: {} for name in PARTS}, "code": "c", "lock": None, "python": "3.11"},
    "left": {},
    "started": "2026-01-02T03:04:05+00:00",
    "wall_seconds": 1.0,
    "peak_memory_bytes": 1,
    "git": None,
    "versions": {},
    "hardware": {"cpu": "Some CPU", "cores": 2, "memory_gib": 23.5, "gpu": None},
}
METRICS = [f"m{n}" for n in range(20)]


def state(name, reason=None, **parameters):
    record = Record.model_validate({**FIELDS, "parameters": parameters})
    return StageState(name, record, reason)


def states(reason=None, epochs=40):
    return {
        "04_training": state("04_training", epochs=epochs, run_dir="x", rate=0.1),
        "05_retrieval": state("05_retrieval", reason, k=4),
        "09_ablations": state("09_ablations", seeds=5),
    }


@pytest.fixture
def study(tmp_path, monkeypatch):
    """Two runs of which metric m<n> moved by n / 100, its seed sd being 0.01."""
    for name, step in {"demo": 0.0, "mine": 0.01}.items():
        run = Run(tmp_path / "runs" / name)
        model = {"model": "fine_tuned"}
        run.write_results(
            "05_retrieval",
            [{**model, "metric": m, "value": 0.5 + step * n} for n, m in enumerate(METRICS)]
            + [{"metric": "queries", "value": 3}],
        )
        spread = {"value": 0.5, "seed_sd": 0.01, "seeds": 5}
        run.write_results("09_ablations", [{**model, "metric": m, **spread} for m in METRICS])
    # The reference's own states: whole, unless a test says otherwise.
    monkeypatch.setattr("cxr_mtl.runs.against_reference.read_states", lambda *_: states())
    return tmp_path


def compared(root, mine=None, reference="demo"):
    return compare_with_reference("mine", reference, mine or states(epochs=5), CHAPTERS, root)


def test_what_moved_beyond_seed_variance_stands_first_to_last_and_the_rest_is_counted(study):
    comparison = compared(study)
    beyond = (comparison.numbers["verdict"] == BEYOND).sum()
    assert beyond > 15  # the seed band of sd 0.01 is about 0.04
    text = reference_section(comparison, "05_retrieval", "../x.html")
    assert text.startswith("## This run against *demo*\n")
    rows = [line for line in text.splitlines() if line.startswith("| fine_tuned · m")]
    assert [row.split("|")[1].split()[-1] for row in rows] == METRICS[: -ROWS - 1 : -1]
    assert f"And {beyond - ROWS} more" in text
    assert f"| {BEYOND} | {beyond} |" in text
    assert '<a href="../x.html">' in text


def test_parameters_that_differ_are_named_also_those_of_chapters_below(study):
    text = reference_section(compared(study), "05_retrieval", "")
    assert "| parameter | demo | mine |" in text
    assert "| `epochs` | `40` | `5` |" in text
    assert "run_dir" not in text
    same = reference_section(compared(study, states()), "05_retrieval", "")
    assert "No parameter of this chapter or of those it rests on differs." in same


def test_a_chapter_without_numbers_says_so(study):
    text = reference_section(compared(study), "04_training", "")
    assert "This chapter leaves no numbers to compare." in text


def test_stale_stages_of_either_run_are_not_compared(study, monkeypatch):
    mine = compared(study, states(reason="its code changed"))
    assert set(mine.numbers["stage"]) == {"09_ablations"}
    monkeypatch.setattr(
        "cxr_mtl.runs.against_reference.read_states", lambda *_: states("its code changed")
    )
    text = reference_section(compared(study), "05_retrieval", "")
    assert "this chapter of *demo* is stale (its code changed)" in text
    assert "`cxr-mtl book --run demo` runs it." in text
    assert "m19" not in text


def test_seeds_measured_by_a_stale_stage_are_not_known(study):
    mine = states(epochs=5)
    mine["09_ablations"] = state("09_ablations", "its code changed")
    comparison = compared(study, mine)
    assert set(comparison.numbers["stage"]) == {"05_retrieval"}
    assert set(comparison.numbers["verdict"]) == {EQUAL, UNKNOWN}
    assert comparison.numbers["seed_sd"].isna().all()
    assert BEYOND not in reference_section(comparison, "05_retrieval", "")


def test_a_reference_that_is_not_there_is_one_sentence(study):
    comparison = compared(study, reference="other")
    sentence = "There is no run *other* to compare with: `cxr-mtl book --run other` makes it."
    assert reference_summary(comparison, "") == sentence
    assert reference_section(comparison, "05_retrieval", "").endswith(sentence)
    assert not (study / "runs/other").exists()
    write_compare_page(comparison, study)
    assert not (study / "_static").exists()


def test_damaged_results_of_a_stale_stage_cost_only_its_own_comparison(study):
    (study / "runs/mine/results/09_ablations.json").write_text("[{")
    mine = states(epochs=5)
    mine["09_ablations"] = state("09_ablations", "results/09_ablations.json was changed since")
    comparison = compared(study, mine)
    assert comparison.reason is None
    assert set(comparison.numbers["stage"]) == {"05_retrieval"}


def test_damaged_results_of_either_run_are_one_sentence(study):
    (study / "runs/demo/results/05_retrieval.json").write_text("[{")
    sentence = reference_summary(compared(study), "")
    assert sentence.startswith("Nothing is compared: runs/demo/results/05_retrieval.json is not")


def test_the_page_of_an_earlier_build_goes_where_nothing_is_compared(study):
    (study / "_static").mkdir()
    page = study / "_static/compare.html"
    for comparison in (None, compared(study, reference="other")):
        page.write_text("old numbers")
        write_compare_page(comparison, study)
        assert not page.exists()


def test_the_summary_counts_and_the_page_holds_every_number(study):
    comparison = compared(study)
    beyond = (comparison.numbers["verdict"] == BEYOND).sum()
    summary = reference_summary(comparison, "_static/compare.html")
    assert f"41 numbers in 2 chapters: {beyond} moved beyond seed variance, " in summary
    assert f"{(comparison.numbers['verdict'] == EQUAL).sum()} equal (<a" in summary
    assert "Not compared" not in summary
    mine = states("its code changed", epochs=5)
    without = reference_summary(compared(study, mine), "_static/compare.html")
    assert without.endswith("Not compared, for they are stale: 05_retrieval.")
    (study / "_static").mkdir()
    write_compare_page(comparison, study)
    page = (study / "_static/compare.html").read_text()
    assert all(f"fine_tuned · {metric}<" in page for metric in METRICS)
    assert str(study) not in page
