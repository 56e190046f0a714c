"""Result tables: every record in its place, with its interval, its mark and its name."""

import pytest

from cxr_mtl.base.errors import InputError
from cxr_mtl.evidence.bounds import CEILINGS, CHANCE
from cxr_mtl.evidence.controls import CONTROLS
from cxr_mtl.evidence.result_display import (
    NOT_TRAINED,
    cell,
    half_up,
    metric_name,
    model_name,
    p_text,
    results_table,
)


def record(**changes):
    return {
        "model": "fine_tuned",
        "metric": "recall",
        "k": 10,
        "value": 0.1212,
        "low": 0.09,
        "high": 0.15,
        "paper": None,
    } | changes


def test_a_cell_holds_value_and_interval():
    assert cell(record()) == '0.121 <span class="interval">[0.090, 0.150]</span>'


def test_a_cell_without_interval_holds_the_value_alone():
    assert cell(record(low=None, high=None)) == "0.121"


@pytest.mark.parametrize("value", [None, float("nan")])
def test_an_undefined_value_is_written_so_and_never_as_0(value):
    assert cell(record(value=value, low=None, high=None)) == (
        '<span class="undefined">undefined</span>'
    )


@pytest.mark.parametrize(("p", "marked"), [(0.049, True), (0.05, False), (None, False)])
def test_a_star_marks_what_is_below_the_level(p, marked):
    assert cell(record(p=p)).startswith("0.121*") is marked


@pytest.mark.parametrize("value", [0.0025, 0.0825, 0.1625, 0.0024999999999999])
def test_what_lies_half_way_is_rounded_up_whatever_its_last_bits(value):
    exact = cell(record(value=value, low=None, high=None))
    assert exact in ("0.003", "0.083", "0.163")


def shown(records):
    return dict(results_table(records, {"metric": metric_name}).data.iloc[0])


def test_a_small_number_keeps_its_digits():
    assert f"{half_up(2.5e-15):.1e}" == "2.5e-15"


def test_an_arrow_says_on_which_side_of_the_fine_tuned_model_a_tested_value_lies():
    cells = shown(
        [
            record(value=0.5),
            record(model="lower", value=0.4, p=0.01),
            record(model="higher", value=0.6, p=0.01),
            record(model="untested", value=0.7),
        ]
    )
    assert "below fine-tuned" in cells["lower"]
    assert "▼" in cells["lower"]
    assert "▲" in cells["higher"]
    assert "against" not in cells["untested"] + cells["fine-tuned"]


@pytest.mark.parametrize(("metric", "best"), [("recall", "high"), ("mean_rank", "low")])
def test_the_best_trained_model_is_bold_and_controls_do_not_count(metric, best):
    cells = shown(
        [
            record(metric=metric, model="low", value=0.4),
            record(metric=metric, model="high", value=0.6),
            record(metric=metric, model="random", value=1.0),
            record(metric=metric, model="chance", value=0.0),
        ]
    )
    assert [name for name, text in cells.items() if "<b>" in text] == [best]


def test_the_best_are_bold_together_unless_all_are_equal():
    equal = [record(value=0.5), record(model="other", value=0.5)]
    assert not any("<b>" in text for text in shown(equal).values())
    cells = shown([*equal, record(model="worse", value=0.4)])
    assert [name for name, text in cells.items() if "<b>" in text] == ["fine-tuned", "other"]


@pytest.mark.parametrize("metric", ["similarity", "recall"])
def test_no_value_is_bold_without_a_contest(metric):
    records = [record(metric=metric), record(metric=metric, model="other", value=0.2)]
    cells = shown(records if metric == "similarity" else records[:1])
    assert not any("<b>" in text for text in cells.values())


def test_what_is_not_trained_are_the_controls_and_the_bounds():
    assert set(NOT_TRAINED) == {*CONTROLS, CHANCE, *CEILINGS}


def test_ranks_have_one_digit():
    assert cell(record(metric="median_rank", value=80.25, low=70, high=90)).startswith("80.3 ")


@pytest.mark.parametrize(("p", "text"), [(0.0004, "< 0.001"), (0.001, "0.001"), (1.0, "1.000")])
def test_a_p_value_is_never_written_as_0(p, text):
    assert p_text(p) == text


def test_a_metric_is_named_with_its_k():
    assert metric_name(record()) == "recall@10"
    assert metric_name(record(metric="mrr", k=None)) == "MRR"
    assert metric_name(record(metric="roc_auc", k=float("nan"))) == "ROC AUC"


def test_rows_and_columns_stand_in_the_order_of_the_records_with_the_paper_beside():
    records = [
        record(model=model, k=k, paper=paper)
        for model, paper in (("fine_tuned", 0.5), ("baseline", None))
        for k in (1, 10)
    ]
    table = results_table(
        records, {"metric": metric_name}, (model_name, lambda r: "ours"), paper=True
    ).data
    assert list(table.index) == ["recall@1", "recall@10"]
    assert list(table.columns) == [
        ("fine-tuned", "ours"),
        ("fine-tuned", "paper"),
        ("baseline", "ours"),
    ]
    assert table.iloc[0, 1] == "0.500"


def test_what_no_record_fills_stays_empty():
    records = [record(k=1), record(model="baseline")]
    table = results_table(records, {"metric": metric_name}).data
    assert (table == "").sum().sum() == 2


def test_names_cannot_smuggle_markup_in():
    html = results_table([record(model="<script>")], {"metric": metric_name}).to_html()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html


def test_two_records_for_one_place_are_refused():
    with pytest.raises(InputError, match="two records fall on recall@10 under fine-tuned"):
        results_table([record(), record()], {"metric": metric_name})


def test_no_record_is_refused():
    with pytest.raises(InputError, match="no record to show"):
        results_table([], {"metric": metric_name})
