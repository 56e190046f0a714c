"""Values of records as prose writes them, and the tables on prose pages."""

import pytest

from cxr_mtl.base.errors import InputError
from cxr_mtl.pages.directives import model_table, number_in_words, parameter_table
from cxr_mtl.runs.stages import read_chapter

CHAPTER = """\
# %% tags=["parameters"]
run_dir: str = "runs/demo"  # folder
count: int = 3  # studies
"""


@pytest.mark.parametrize(
    ("record", "spec", "expected"),
    [
        ({"value": 0.12345}, ".3f", ("0.123", "")),
        ({"value": 0.0625}, ".3f", ("0.063", "")),  # half way: up
        ({"value": 3}, "", ("3", "")),
        ({"value": 1234}, ",", ("1,234", "")),
        ({"value": "ViT-B"}, "", ("ViT-B", "")),
        ({"value": 0.5, "low": 0.4, "high": 0.6}, ".0%", ("50%", " [40%, 60%]")),
        ({"value": 0.5, "low": None, "high": None}, ".1f", ("0.5", "")),
        ({"value": None, "low": None, "high": None}, ".3f", ("undefined", "")),
    ],
)
def test_a_value_is_written_by_its_format_with_its_interval(record, spec, expected):
    assert number_in_words(record, spec) == expected


@pytest.mark.parametrize(("value", "spec"), [("ViT-B", ".3f"), (0.5, "nonsense"), ([1], ".2f")])
def test_a_format_that_does_not_suit_the_value_is_refused(value, spec):
    with pytest.raises(InputError, match=f"cannot be written by the format {spec}"):
        number_in_words({"value": value}, spec)


def test_a_table_by_model_has_a_column_for_each_model_of_the_run():
    records = [
        {"metric": "count", "value": 3},
        {"model": "tuned", "metric": "accuracy", "k": 5, "value": 0.75},
        {"model": "base", "metric": "accuracy", "k": 5, "value": 0.5},
        {"model": "tuned", "metric": "accuracy", "k": 1, "value": 0.25},
    ]
    assert model_table("05_x", records, ["hits, k = 5 | metric=accuracy&k=5:.2f"]) == [
        "|  | tuned | base |",
        "| :-- | :-- | :-- |",
        "| hits, k = 5 | {num}`05_x?model=tuned&metric=accuracy&k=5:.2f` | "
        "{num}`05_x?model=base&metric=accuracy&k=5:.2f` |",
    ]


def test_a_model_without_the_record_has_an_empty_cell():
    records = [{"model": "tuned", "k": 5, "value": 1}, {"model": "base", "k": 1, "value": 0}]
    assert (
        model_table("05_x", records, ["hits | k=5"])[2]
        == "| hits | {num}`05_x?model=tuned&k=5` |  |"
    )


def test_a_row_that_no_model_has_is_refused():
    with pytest.raises(InputError, match="no record has k=3"):
        model_table("05_x", [{"model": "tuned", "k": 5, "value": 1}], ["hits | k=3"])


def test_the_table_of_parameters_names_meaning_type_unit_default_range_and_every_chapter(tmp_path):
    first = CHAPTER.replace("count: int = 3", "epochs: int = 3")
    depths = list(range(10, 60))  # wider than YAML's lines
    first += f"depths: list[int] = {depths}  # studies\n"
    second = CHAPTER.replace("count: int = 3", 'rule: Duplicates = "ignore"')
    second += "lr: Optional[float] = 0.1  # rate\n"
    for name, source in {"01_one": first, "02_two": second}.items():
        (tmp_path / f"{name}.py").write_text(source)
    table = parameter_table(read_chapter(tmp_path / f"{n}.py") for n in ("01_one", "02_two"))
    assert table[2:] == [
        "| `run_dir`: folder | str | – | `runs/demo` | – | [1](01_one), [2](02_two) |",
        "| `epochs`: studies | int | epochs | `3` | at least 1 and at most 10,000 | [1](01_one) |",
        f"| `depths`: studies | list[int] | blocks per tower | `{depths}` | numbers from 0 to 64, "
        "none of them twice | [1](01_one) |",
        "| `rule`: studies | `ignore` or `together` | – | `ignore` | – | [2](02_two) |",
        "| `lr`: rate | float or None | – | `0.1` | – | [2](02_two) |",
    ]
