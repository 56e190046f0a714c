"""Golden numbers: what is met, what is missed, and which files are refused."""

import json

import pytest
from golden_numbers import check_golden, load_golden

from cxr_mtl.base.errors import InputError
from cxr_mtl.runs.run import Run

COUNT = {
    "stage": "01_data",
    "key": {"metric": "reports"},
    "value": 7,
    "tolerance": 0,
    "reason": "counted",
}
BAND = {
    "stage": "05_retrieval",
    "key": {"model": "fine_tuned", "metric": "recall", "k": 10},
    "value": 0.5,
    "tolerance": 0.1,
    "reason": "spread over training seeds",
}
TEXT = COUNT | {"key": {"metric": "device"}, "value": "cpu"}


@pytest.fixture
def write(tmp_path):
    """Write entries to a file of golden numbers; returns its path."""

    def write(*entries):
        path = tmp_path / "golden.json"
        path.write_text(json.dumps(entries))
        return path

    return write


@pytest.fixture
def run(tmp_path):
    """A run that meets COUNT, BAND and TEXT."""
    run = Run(tmp_path / "run")
    run.write_results(
        "01_data", [{"metric": "reports", "value": 7}, {"metric": "device", "value": "cpu"}]
    )
    recall = BAND["key"] | {"table": None, "value": 0.45, "low": 0.4, "high": 0.5, "paper": None}
    run.write_results("05_retrieval", [recall, recall | {"k": 5, "value": 0.1}])
    return run


def test_a_run_within_all_tolerances_misses_nothing(run, write):
    assert check_golden(run, write(COUNT, BAND, TEXT)) == []


def test_an_empty_file_demands_nothing(run, write):
    assert load_golden(write()) == check_golden(run, write()) == []


@pytest.mark.parametrize(
    ("entry", "found"),
    [
        (COUNT | {"value": 8}, "reports: golden is 8, the run gives 7 (tolerance 0: counted)"),
        (COUNT | {"value": 7.0000001}, "golden is 7.0000001, the run gives 7"),
        (COUNT | {"value": "7"}, "golden is 7, the run gives 7"),
        (
            BAND | {"value": 0.56},
            "recall@10: golden is 0.56, the run gives 0.45 (tolerance 0.1: sp",
        ),
        (BAND | {"value": 0.34}, "golden is 0.34, the run gives 0.45"),
        (TEXT | {"value": "cuda"}, "device: golden is cuda, the run gives cpu"),
        (BAND | {"key": BAND["key"] | {"k": 1}}, "golden is 0.5, the run has no such record"),
        (BAND | {"key": {"metric": "recall", "k": 10}}, "the run has no such record"),
        (
            BAND | {"stage": "09_x"},
            "09_x, fine_tuned · recall@10: golden is 0.5, the run has no results",
        ),
    ],
)
def test_a_miss_names_the_number_the_old_and_the_new_value_and_the_tolerance(
    run, write, entry, found
):
    (miss,) = check_golden(run, write(entry))
    assert miss.golden.value == entry["value"]
    assert found in miss.message


@pytest.mark.parametrize("value", [None, True])
def test_what_is_undefined_or_no_number_meets_no_number(run, write, value):
    run.write_results("01_data", [{"metric": "reports", "value": value}])
    (miss,) = check_golden(run, write(COUNT | {"value": 1, "tolerance": 9}))
    assert f"the run gives {'undefined' if value is None else value}" in miss.message


def test_misses_keep_the_order_of_the_file(run, write):
    wrong = [BAND | {"value": 9}, TEXT | {"value": "cuda"}, COUNT | {"value": 8}]
    found = check_golden(run, write(wrong[0], COUNT | {"key": {"metric": "none"}}, *wrong[1:]))
    assert [miss.golden.value for miss in found] == [9, 7, "cuda", 8]


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        (COUNT | {"unit": "reports"}, "entry 2 is wrong in the field unit: extra inputs are not"),
        (COUNT | {"tolerance": -1}, "entry 2 is wrong in the field tolerance: input should be gr"),
        (COUNT | {"tolerance": "0"}, "entry 2 is wrong in the field tolerance"),
        (COUNT | {"value": None}, "entry 2 is wrong in the field value"),
        (COUNT | {"value": True}, "entry 2 is wrong in the field value"),
        (COUNT | {"reason": " "}, "entry 2 is wrong in the field reason"),
        ({k: v for k, v in COUNT.items() if k != "reason"}, "the field reason: field required"),
        ({k: v for k, v in COUNT.items() if k != "tolerance"}, "the field tolerance: field requir"),
        (COUNT | {"key": {"metric": "a", "low": 1}}, "entry 2: its key holds low, which is meas"),
        (COUNT | {"key": {"model": "a"}}, "entry 2: its key names no metric"),
        (BAND | {"value": 3}, r"entry 2: 05_retrieval, fine_tuned · recall@10 stands twice"),
        (BAND | {"key": BAND["key"] | {"table": None}}, "stands twice"),
        (3, "entry 2 is wrong: input should be"),
    ],
)
def test_a_wrong_entry_is_refused_by_its_number(run, write, entry, complaint):
    with pytest.raises(InputError, match=rf"golden.json, .*{complaint}"):
        check_golden(run, write(BAND, entry))


def test_one_key_in_two_stages_is_two_numbers(write):
    assert len(load_golden(write(BAND, BAND | {"stage": "08_evidence"}))) == 2


@pytest.mark.parametrize(
    ("text", "complaint"), [("{}", "is no list of golden numbers"), ("[", "is not valid JSON")]
)
def test_a_file_of_another_kind_is_refused(tmp_path, text, complaint):
    path = tmp_path / "golden.json"
    path.write_text(text)
    with pytest.raises(InputError, match=complaint):
        load_golden(path)
    with pytest.raises(InputError, match="is missing"):
        load_golden(tmp_path / "none.json")
