"""What chapters ask of the data is asked when there are data, before any of them runs."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.files import write_json, write_table
from cxr_mtl.retrieval.chexbert import OBSERVATIONS
from cxr_mtl.runs.parameters import read_parameters
from cxr_mtl.runs.run import Run
from cxr_mtl.runs.stages import Chapter, read_stages
from cxr_mtl.runs.study_checks import check_blocks, check_files, check_studies

BOOK = Path(__file__).parents[2] / "book"
COUNTS = {"train": 10, "validation": 4, "test": 30}
CHAPTER = Chapter("05_retrieval", None, {}, (), ())


@pytest.fixture
def run(tmp_path):
    """A run whose parts hold as many normal as abnormal studies."""
    rows = [
        (f"{part}{number}", number % 2, part)
        for part, count in COUNTS.items()
        for number in range(count)
    ]
    run = Run(tmp_path / "run")
    write_table(run / "studies.parquet", pd.DataFrame(rows, columns=["study", "label", "split"]))
    return run


def check(run, asks=None, **values):
    check_studies([(replace(CHAPTER, asks=asks or {}), values)], run)


def test_nothing_is_asked_before_there_are_studies(tmp_path):
    check(Run(tmp_path / "run"), {"test": 10**6}, batch_size=10**6)


def test_as_many_studies_as_are_asked_for_are_enough(run):
    check(run, {**COUNTS, "train_per_label": 5, "test_per_label": 15})
    check(run, batch_size=10, example_k=30, exact_pairs=10, tsne_perplexity=29.5)


@pytest.mark.parametrize("what", ["train", "train_per_label", "validation", "test"])
def test_one_study_too_few_is_refused_with_both_numbers(run, what):
    have = {**COUNTS, "train_per_label": 5}[what]
    said = f"05_retrieval needs at least {have + 1} .* studies.*, and .* has {have}: use more"
    with pytest.raises(InputError, match=said):
        check(run, {what: have + 1})


def test_pairs_without_labels_are_told_so(run):
    studies = pd.read_parquet(run / "studies.parquet").assign(label=-1)
    write_table(run / "studies.parquet", studies)
    with pytest.raises(InputError, match="the pairs have no labels, so add a column label"):
        check(run, {"train_per_label": 4})


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"batch_size": 11}, "batch_size = 11 exceeds the 10 training studies: give at most 10"),
        ({"example_k": 31}, "example_k = 31 exceeds the 30 test studies: give at most 30"),
        ({"tsne_perplexity": 30.0}, "tsne_perplexity = 30 is too high for a map of 30 test"),
        ({"exact_pairs": 9, "batch_size": 8}, "exact_pairs = 9 exceeds batch_size = 8"),
    ],
)
def test_a_parameter_beyond_the_data_is_refused_with_what_is_possible(run, values, said):
    with pytest.raises(InputError, match=said):
        check(run, **values)


def test_a_map_of_few_studies_asks_for_more_of_them_not_for_another_perplexity(run):
    studies = pd.read_parquet(run / "studies.parquet")
    write_table(run / "studies.parquet", studies[studies["study"] != "test0"][:34])
    with pytest.raises(InputError, match="a map of 20 test studies is not possible: give at least"):
        check(run, tsne_perplexity=5.0)


def test_chexberts_labels_are_checked_against_the_test_studies(run, tmp_path):
    table = pd.DataFrame({"study": ["test0"], **dict.fromkeys(OBSERVATIONS, "1.0")})
    table.to_csv(tmp_path / "labeled.csv", index=False)
    with pytest.raises(InputError, match=r"lacks 29 of 30 studies \(the first is 'test1'\)"):
        check(run, chexbert_csv=str(tmp_path / "labeled.csv"))
    check(run, chexbert_csv=None)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s[s["split"] != "train"], "02_model needs at least 4 training studies of each"),
        (lambda s: s.drop(s.index[-22:]), "05_retrieval needs at least 10 test .* has 8: .* raise"),
        (lambda s: s.drop(s.index[-10:]), "06_embedding_maps needs at least 21 test .* has 20"),
        (lambda s: s.assign(label=1), "02_model needs at least 4 .* has 0"),
    ],
)
def test_the_books_chapters_ask_for_what_they_fail_without(run, change, said):
    stages = [(chapter, {}) for chapter in read_stages(BOOK)]
    check_studies(stages, run)
    write_table(run / "studies.parquet", change(pd.read_parquet(run / "studies.parquet")))
    with pytest.raises(InputError, match=said):
        check_studies(stages, run)


@pytest.mark.parametrize("values", [{"unfrozen_blocks": 4}, {"depths": [0, 4]}])
def test_more_blocks_than_the_model_has_are_refused(run, values):
    check_blocks([(CHAPTER, values)], run)  # no model yet
    write_json(run / "models.json", {"blocks": 3})
    check_blocks([(CHAPTER, {"unfrozen_blocks": 3, "depths": []})], run)
    with pytest.raises(InputError, match=r"asks for 4 unfrozen blocks, .* has 3: give at most 3"):
        check_blocks([(CHAPTER, values)], run)


def test_a_path_that_is_not_there_is_refused_by_its_parameters_name(tmp_path):
    chapter = replace(
        CHAPTER, parameters=read_parameters("split_csv: Optional[Path] = None", "01_data")
    )
    check_files([(chapter, {"split_csv": None})])
    check_files([(chapter, {"split_csv": str(tmp_path)})])
    with pytest.raises(InputError, match=r"^split_csv = 'spilt\.csv': there is no such file"):
        check_files([(chapter, {"split_csv": "spilt.csv"})])
