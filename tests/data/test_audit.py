"""Counts of the data: each agrees with a loop over the studies, and with the known counts."""

import pandas as pd
import pytest

from cxr_mtl.base.errors import InputError
from cxr_mtl.data.audit import (
    count_records,
    counts_table,
    duplicate_pictures,
    duplicate_reports,
    evidence_counts,
    label_and_impression,
    missing_sections,
)
from cxr_mtl.data.openi import collection_counts, read_reports
from cxr_mtl.data.splits import duplicate_ceiling, duplicates_across_parts
from cxr_mtl.data.studies import label_of

ROWS = [
    # study, split, label, findings, impression
    ("1", "train", 0, "Clear.", "No acute disease."),
    ("2", "train", 0, "", "No acute disease"),
    ("3", "train", 1, "Opacity.", "NO ACTIVE disease."),
    ("4", "validation", 0, "clear.", "no acute DISEASE."),
    ("5", "validation", 1, "", "Mass."),
    ("6", "test", 0, "Clear.", "No acute disease."),
    ("7", "test", 0, "Clear.", "No acute   disease."),
    ("8", "test", 1, "Large mass in the left lung.", ""),
    ("9", "test", 1, "", "Mass."),
]


@pytest.fixture
def studies() -> pd.DataFrame:
    table = pd.DataFrame(ROWS, columns=["study", "split", "label", "findings", "impression"])
    return table.assign(
        text=(table["findings"] + " " + table["impression"]).str.strip(),
        pixels_sha256=list("abcacddde"),
    )


def counts(table: pd.DataFrame) -> dict[tuple, tuple[int, int]]:
    """(count, of) by the key columns before them."""
    keys = list(table.columns[: list(table).index("count")])
    return {
        tuple(row[key] for key in keys): (row["count"], row["of"])
        for row in table.to_dict("records")
    }


def test_duplicates_are_counted_within_and_across_the_parts(studies):
    table = duplicate_reports(studies)
    found = counts(table)
    assert {key[1]: value for key, value in found.items() if key[0] == "test"} == {
        "also in train": (2, 4),
        "also in validation": (3, 4),
        "also in test": (2, 4),
        "distinct texts": (3, 4),
        "largest group": (2, 4),
    }
    assert found["train", "also in train"] == (0, 3)
    assert found["validation", "also in test"] == (2, 2)
    assert list(table["split"].drop_duplicates()) == ["train", "validation", "test"]


def test_equal_pictures_are_counted_as_equal_reports_are(studies):
    found = counts(duplicate_pictures(studies))
    assert {key[1]: value for key, value in found.items() if key[0] == "test"} == {
        "also in train": (0, 4),
        "also in validation": (0, 4),
        "also in test": (3, 4),
        "distinct pictures": (2, 4),
        "largest group": (3, 4),
    }
    assert found["train", "also in validation"] == (2, 3)


def test_the_duplicates_agree_with_those_of_the_splits(studies):
    shares = duplicate_reports(studies).set_index(["split", "measure"])["share"]
    test = studies[studies["split"] == "test"]
    assert shares["test", "distinct texts"] == duplicate_ceiling(test["text"])
    merged = studies.replace({"split": {"validation": "train"}})
    shares = duplicate_reports(merged).set_index(["split", "measure"])["share"]
    assert shares["test", "also in train"] == duplicates_across_parts(studies)


def test_studies_outside_the_three_parts_are_not_counted(studies):
    unused = studies.assign(split=studies["split"].replace("validation", "unused"))
    assert set(duplicate_reports(unused)["split"]) == {"train", "test"}
    assert missing_sections(unused)["of"].sum() == 2 * 7


def test_labels_are_counted_against_the_impression(studies):
    assert counts(label_and_impression(studies)) == {
        (0, "no acute"): (5, 5),
        (0, "other"): (0, 5),
        (0, "missing"): (0, 5),
        (1, "no acute"): (1, 4),
        (1, "other"): (2, 4),
        (1, "missing"): (1, 4),
    }


def test_the_real_archive_has_the_known_abnormal_studies_without_acute_disease():
    reports, _ = read_reports()
    labels = [label_of(headings, "mesh-normal+no-indexing") for headings in reports["mesh_major"]]
    imaged = reports.assign(label=labels)[reports["image_ids"].str.len() > 0]
    found = counts(label_and_impression(imaged))
    assert found[1, "no acute"][0] == 1093 == collection_counts(reports)["imaged_abnormal_no_acute"]
    assert found[1, "no acute"][1] + found[0, "no acute"][1] == 3851


def test_missing_sections_are_counted_by_split_and_label(studies):
    found = counts(missing_sections(studies))
    assert found["train", 0, "findings"] == (1, 2)
    assert found["test", 1, "findings"] == (1, 2)
    assert found["test", 1, "impression"] == (1, 2)
    assert found["test", 0, "findings"] == (0, 2)
    assert len(found) == 3 * 2 * 2


def test_pairs_without_labels_or_sections_keep_the_counts_they_allow(studies):
    pairs = studies.drop(columns=["findings", "impression"]).assign(label=-1)
    assert len(duplicate_reports(pairs)) == 3 * 5
    with pytest.raises(InputError, match="no column impression: only Open-I reports"):
        label_and_impression(pairs)
    with pytest.raises(InputError, match="no column findings, impression"):
        missing_sections(pairs)


@pytest.mark.parametrize("count", [duplicate_reports, label_and_impression, missing_sections])
def test_counts_are_whole_and_shares_are_their_quotients(studies, count):
    table = count(studies)
    assert table["count"].dtype == table["of"].dtype == "int64"
    assert (table["share"] == table["count"] / table["of"]).all()


def test_all_counts_come_with_labels_in_words(studies):
    found = evidence_counts(studies, {0: "normal", 1: "abnormal"})
    assert list(found) == ["duplicates", "pictures", "impression", "missing"]
    assert counts(found["impression"])["abnormal", "no acute"] == (1, 4)
    assert counts(found["missing"])["train", "normal", "no findings"] == (1, 2)


def test_reports_without_sections_have_their_duplicates_counted_alone(studies):
    pairs = studies.drop(columns=["findings", "impression"])
    kinds = ["duplicates", "pictures"]
    assert list(evidence_counts(pairs, {0: "normal", 1: "abnormal"})) == kinds


def test_a_table_of_counts_keeps_their_order_and_shows_their_shares(studies):
    shown = counts_table(label_and_impression(studies), "label", "impression")
    assert list(shown.columns) == ["no acute", "other", "missing"]
    assert shown.loc[1].tolist() == ["1 (25.0%)", "2 (50.0%)", "1 (25.0%)"]


def test_counts_are_kept_as_a_record_of_the_count_and_one_of_the_share(studies):
    records = count_records({"impression": label_and_impression(studies)})
    assert len(records) == 2 * 6
    assert records[:2] == [
        {"data": "impression", "label": 0, "impression": "no acute", "metric": "count", "value": 5},
        {"data": "impression", "label": 0, "impression": "no acute", "metric": "share", "value": 1},
    ]
