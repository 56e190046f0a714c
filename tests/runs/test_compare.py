"""Two runs compared: which numbers are the same one, and what each verdict takes."""

import math
import sys

import pytest
from lxml import html

from cxr_mtl import cli
from cxr_mtl.base.errors import InputError
from cxr_mtl.base.terminal import PlainConsole
from cxr_mtl.evidence.significance import seed_band
from cxr_mtl.runs.compare import (
    BEYOND,
    DIFFERS,
    EQUAL,
    ONLY_IN_A,
    ONLY_IN_B,
    OTHER_TESTS,
    SEEDS_STAGE,
    UNKNOWN,
    VERDICTS,
    WITHIN,
    compare_page,
    compare_runs,
    verdict_counts,
)
from cxr_mtl.runs.run import Run

SEEDS = {"seed_sd": 0.01, "seeds": 5}
RECALL = {
    "table": None,
    "direction": "image_to_text",
    "protocol": "cross_modal",
    "model": "fine_tuned",
    "metric": "recall",
    "k": 10,
}


@pytest.fixture
def make_run(tmp_path, monkeypatch):
    """Write a run `runs/<name>` with results by stage."""
    monkeypatch.chdir(tmp_path)

    def make(name, **results):
        run = Run(f"runs/{name}")
        run.path.mkdir(parents=True, exist_ok=True)
        for stage, records in results.items():
            run.write_results(stage, records)
        return run

    return make


@pytest.fixture
def compared(make_run):
    """The one row of two runs with one record each in 05_retrieval, and seed records in A."""

    def row(a, b, seeds=()):
        runs = (
            make_run("a", **{"05_retrieval": [a], SEEDS_STAGE: seeds}),
            make_run("b", **{"05_retrieval": [b]}),
        )
        table = compare_runs(*runs)
        rows = table[table["stage"] == "05_retrieval"]
        assert len(rows) == 1
        return rows.iloc[0]

    return row


def test_a_run_equals_itself(make_run):
    run = make_run(
        "a", **{"01_data": [{"metric": "reports", "value": 7}], "05_x": [RECALL | {"value": 0.5}]}
    )
    table = compare_runs(run, run)
    assert list(table["verdict"]) == [EQUAL, EQUAL]
    assert list(table["difference"]) == [0, 0]


def test_a_number_is_found_again_by_all_its_fields_but_the_measured_ones(compared):
    a = RECALL | {"value": 0.5, "low": 0.4, "high": 0.6, "p": 0.01, "paper": 0.9}
    b = {"value": 0.75, "low": 0.6, "p_raw": 0.2, "test_sd": 0.1, "undefined_queries": 3}
    row = compared(a, RECALL | b)
    assert row["key"] == "fine_tuned · cross_modal · image_to_text · recall@10"
    assert (row["a"], row["b"], row["difference"]) == (0.5, 0.75, 0.25)
    assert math.isnan(row["seed_sd"])
    assert row["verdict"] == UNKNOWN


def test_a_field_that_is_none_counts_as_absent(compared):
    without = {name: value for name, value in RECALL.items() if value is not None}
    assert compared(RECALL | {"value": 0.5}, without | {"value": 0.5})["verdict"] == EQUAL


@pytest.mark.parametrize(
    ("field", "other"), [("table", 1), ("model", "clip"), ("k", 5), ("group", "female")]
)
def test_numbers_that_differ_in_a_field_are_two(make_run, field, other):
    a = make_run("a", x=[RECALL | {"value": 0.5}])
    b = make_run("b", x=[RECALL | {field: other, "value": 0.5}])
    table = compare_runs(a, b)
    assert list(table["verdict"]) == [ONLY_IN_A, ONLY_IN_B]
    assert list(table["a"]) == [0.5, None]
    assert list(table["b"]) == [None, 0.5]
    assert table["key"].nunique() == 2


def test_a_stage_of_one_run_alone_is_listed(make_run):
    a = make_run("a", one=[{"metric": "m", "value": 1}])
    b = make_run("b", two=[{"metric": "m", "value": 1}])
    table = compare_runs(a, b)
    assert list(zip(table["stage"], table["verdict"], strict=True)) == [
        ("one", ONLY_IN_A),
        ("two", ONLY_IN_B),
    ]


@pytest.mark.parametrize(("factor", "verdict"), [(0.99, WITHIN), (1.01, BEYOND), (-0.99, WITHIN)])
@pytest.mark.parametrize("count", [2, 5])
def test_the_band_is_what_two_seeds_differ_by_in_95_of_100_cases(compared, factor, verdict, count):
    step = factor * seed_band(0.01, count)
    seeds = [RECALL | {"seeds": count, "value": 0.4, "seed_sd": 0.01, "test_sd": 0.02}]
    row = compared(RECALL | {"value": 0.5}, RECALL | {"value": 0.5 + step}, seeds)
    assert (row["seed_sd"], row["verdict"]) == (0.01, verdict)


@pytest.mark.parametrize("other", [{"model": "clip"}, {"against": "clip"}, {"k": 5}])
def test_the_seeds_of_one_number_say_nothing_of_another(compared, other):
    seeds = [RECALL | {"value": 0.4, "seed_sd": 0.01, "seeds": 5}]
    row = compared(RECALL | other | {"value": 0.5}, RECALL | other | {"value": 0.51}, seeds)
    assert row["verdict"] == UNKNOWN


def test_only_the_fine_tuned_model_has_seeds(compared):
    other = RECALL | {"model": "without CLIP loss"}
    row = compared(other | {"value": 1}, other | {"value": 2}, [other | {"value": 1} | SEEDS])
    assert row["verdict"] == UNKNOWN


def test_seeds_of_b_count_where_a_has_none(make_run):
    a = make_run("a", x=[RECALL | {"value": 0.50}])
    seeds = RECALL | {"value": 0, "seed_sd": 0.1, "seeds": 3}
    b = make_run("b", x=[RECALL | {"value": 0.51}], **{SEEDS_STAGE: [seeds]})
    assert compare_runs(a, b)["verdict"].iloc[-1] == WITHIN
    make_run("a", **{SEEDS_STAGE: [seeds | {"seed_sd": 0.001}]})
    assert compare_runs(a, b)["verdict"].iloc[-1] == BEYOND


def test_a_mean_over_seeds_is_not_judged_by_the_spread_of_one_run(make_run):
    runs = [
        make_run(n, **{SEEDS_STAGE: [RECALL | {"value": v} | SEEDS]})
        for n, v in (("a", 1), ("b", 2))
    ]
    assert list(compare_runs(*runs)["verdict"]) == [UNKNOWN]


@pytest.fixture
def moved_pair(make_run):
    """Runs with one number each that has seeds, moved, one without, moved, and one that stays."""
    still, other = RECALL | {"k": 1, "value": 0.5}, RECALL | {"k": 5}
    seeds = {SEEDS_STAGE: [RECALL | {"value": 0.5} | SEEDS, still | SEEDS]}
    a = make_run("a", x=[RECALL | {"value": 0.5}, other | {"value": 0.5}, still], **seeds)
    b = make_run("b", x=[RECALL | {"value": 0.51}, other | {"value": 0.6}, still])
    return a, b


SPLIT = "study,split\n1,train\n2,test\n3,test\n"


@pytest.mark.parametrize(
    ("split_a", "split_b", "verdict"),
    [
        (SPLIT, "study,split\n3,test\n1,validation\n2,test\n", WITHIN),
        (SPLIT, "study,split\n1,test\n2,test\n3,train\n", OTHER_TESTS),
        (SPLIT, "study,split\n1,train\n2,test\n3,train\n", OTHER_TESTS),
        (SPLIT, None, WITHIN),
        (None, SPLIT, WITHIN),
    ],
)
def test_seeds_do_not_judge_what_moved_with_other_test_studies(
    moved_pair, split_a, split_b, verdict
):
    for run, split in zip(moved_pair, (split_a, split_b), strict=True):
        if split is not None:
            (run / "split.csv").write_text(split)
    table = compare_runs(*moved_pair)
    table = table[table["stage"] == "x"]
    assert list(table["verdict"]) == [verdict, UNKNOWN, EQUAL]
    assert table["seed_sd"].iloc[0] == 0.01


def test_a_damaged_split_is_named(moved_pair):
    for run in moved_pair:
        (run / "split.csv").write_text("study,part\n1,test\n")
    with pytest.raises(InputError, match=r"a/split.csv lacks the column split"):
        compare_runs(*moved_pair)


def test_a_spread_of_unknown_seeds_is_refused(make_run):
    run = make_run("a", **{SEEDS_STAGE: [RECALL | {"value": 0.4, "seed_sd": 0.01}]})
    with pytest.raises(InputError, match=r"09_ablations.json does not say of how many seeds"):
        compare_runs(run, run)


def test_two_spreads_of_one_number_are_refused(make_run):
    seeds = [RECALL | SEEDS | {"variant": v, "value": 0.4, "seed_sd": v / 100} for v in (1, 2)]
    run = make_run("a", **{SEEDS_STAGE: seeds})
    with pytest.raises(InputError, match=r"09_ablations.json gives two values of seed_sd for fine"):
        compare_runs(run, run)


@pytest.mark.parametrize(
    ("a", "b", "verdict"),
    [
        ("cpu", "cpu", EQUAL),
        ("cpu", "cuda", DIFFERS),
        ("1", 1, DIFFERS),
        (None, None, EQUAL),
        (None, 0.0, DIFFERS),
        (True, False, DIFFERS),
    ],
)
def test_what_is_no_number_is_equal_or_differs(compared, a, b, verdict):
    row = compared(RECALL | {"value": a}, RECALL | {"value": b})
    assert row["verdict"] == verdict
    assert math.isnan(row["difference"])
    assert row["a"] == ("undefined" if a is None else a)


def test_a_run_without_results_is_refused(make_run):
    full = make_run("full", x=[{"metric": "m", "value": 1}])
    for pair in ((full, make_run("bare")), (make_run("bare"), full)):
        with pytest.raises(InputError, match="runs/bare has no results: make them with"):
            compare_runs(*pair)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('{"metric": "m"}', "is no list of records"),
        ('[{"metric": "m"}]', "no flat record with metric and value"),
        ('[{"metric": null, "value": 1}]', "no flat record with metric and value"),
        ('[{"metric": "m", "value": [1]}]', "no flat record with metric and value"),
        ("[3]", "no flat record with metric and value"),
        ('[{"metric": "m", "value": 1}, {"metric": "m", "value": 2}]', "holds two records of m:"),
        ("[", "is not valid JSON"),
    ],
)
def test_a_damaged_results_file_is_named(make_run, text, complaint):
    run = make_run("a", x=[])
    (run / "results/x.json").write_text(text)
    with pytest.raises(InputError, match=f"x.json.* {complaint}|x.json {complaint}"):
        compare_runs(run, run)


@pytest.fixture
def pair(make_run):
    """Runs with a row of every verdict that one split allows, and names that would break a page."""
    number = {"metric": "<b>&\"'", "value": 0.25}
    reports = {"metric": "reports", "value": 1234567}
    seeds = {SEEDS_STAGE: [RECALL | {"value": 0.5} | SEEDS]}
    a = make_run("a", **{"01": [reports, number], **seeds})
    b = make_run("b", **{"01": [reports, number | {"value": 0.5}], **seeds})
    fused = RECALL | {"protocol": "fused"}
    wide = {"value": 0, "seed_sd": 0.1, "seeds": 5}
    a.write_results(SEEDS_STAGE, [RECALL | {"value": 0.5} | SEEDS, fused | wide])
    a.write_results(
        "05", [RECALL | {"value": 0.5}, fused | {"value": 0.5}, {"metric": "old", "value": 1}]
    )
    b.write_results(
        "05", [RECALL | {"value": 0.125}, fused | {"value": 0.51}, {"metric": "new", "value": 1}]
    )
    a.write_results("06", [{"metric": "device", "value": "cpu"}])
    b.write_results("06", [{"metric": "device", "value": "cuda"}])
    return a, b


def test_the_page_counts_verdicts_then_shows_every_row_moved_ones_first(pair):
    table = compare_runs(*pair)
    counts = verdict_counts(table)
    assert list(counts) == list(VERDICTS)
    assert {verdict for verdict, count in counts.items() if not count} == {OTHER_TESTS}
    page = html.fromstring(compare_page(table, *pair))
    summary, *stages = page.xpath("//table")
    assert [row.xpath("td/text()") for row in summary.xpath("tbody/tr")] == [
        [verdict, str(count)] for verdict, count in counts.items()
    ]
    assert page.xpath("//h2/text()") == ["01", "05", "06", SEEDS_STAGE]
    shown = [
        [row.xpath("string(td[last()])") for row in stage.xpath("tbody/tr")] for stage in stages
    ]
    assert shown[1] == [BEYOND, ONLY_IN_A, ONLY_IN_B, WITHIN]
    assert sum(map(len, shown)) == len(table)
    moved = stages[1].xpath("string(tbody/tr[1])")
    assert (
        moved == "fine_tuned · cross_modal · image_to_text · recall@100.50.125-0.3750.01" + BEYOND
    )
    assert "1234567" in stages[0].text_content()


def test_the_page_escapes_what_it_shows_and_fetches_nothing(pair):
    text = compare_page(compare_runs(*pair), *pair)
    assert "&lt;b&gt;&amp;&quot;&#x27;" in text
    page = html.fromstring(text)
    assert not page.xpath("//b | //script | //link | //img | //@src | //@href")
    assert "url(" not in text
    assert "@import" not in text
    assert "prefers-color-scheme: dark" in text


def call(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["cxr-mtl", "compare", *words])
    with pytest.raises(SystemExit) as exit_:
        cli.main()
    return exit_.value.code or 0


def test_the_command_prints_what_moved_and_writes_the_page(pair, monkeypatch, capsys):
    monkeypatch.setattr(cli, "console", PlainConsole(width=120))
    assert call(monkeypatch, "a", "b", "--html", "pages/of [a].html") == 0
    out = capsys.readouterr().out
    for word in (*VERDICTS, "recall@10", "-0.375", "cuda", "<b>&\"'", "pages/of [a].html"):
        assert word in out
    assert "reports" not in out
    page = (pair[0].path.parents[1] / "pages/of [a].html").read_text(encoding="utf-8")
    assert page == compare_page(compare_runs(*pair), *pair)


def test_the_command_names_a_run_that_is_missing_or_empty(pair, make_run, monkeypatch, capsys):
    make_run("bare")
    assert call(monkeypatch, "a", "typo") == 2
    assert "there is no run runs/typo" in capsys.readouterr().err
    assert call(monkeypatch, "bare", "a", "--html", "x.html") == 2
    printed = capsys.readouterr()
    assert "runs/bare has no results" in printed.err
    assert printed.out == ""
