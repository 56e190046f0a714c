"""The paper's numbers: each in its cell, differences in whole queries, bounds in order."""

import pandas as pd
import pytest

from cxr_mtl.base.errors import InputError
from cxr_mtl.evidence.paper import (
    CLAIMS,
    PAPER_TABLES,
    QUERIES,
    claim_counts,
    claims_table,
    differences_table,
    paper_differences,
    paper_value,
)
from cxr_mtl.evidence.significance import holm, most_favourable_p


def test_paper_value_reads_the_right_cell():
    assert paper_value(1, "text_to_image", "accuracy", 10, "fine_tuned") == 0.925
    assert paper_value(2, "image_to_text", "f1", None, "clip") == 0.9112
    assert paper_value(2, "text_to_image", "f1", None, "clip") is None
    assert "Liang" in PAPER_TABLES["source"]


def test_a_model_the_paper_has_not_is_refused():
    with pytest.raises(InputError, match="no model demo-biomed"):
        paper_value(1, "text_to_image", "accuracy", 10, "demo-biomed")


def test_every_share_of_the_tables_is_compared_once():
    found = paper_differences("biomedclip")
    assert len(found) == 16
    assert not found.duplicated(["table", "direction", "metric"]).any()


def test_a_difference_of_four_queries_cannot_be_significant():
    found = paper_differences("biomedclip").set_index(["table", "direction", "metric"])
    row = found.loc[1, "image_to_text", "accuracy@1"]
    assert row["queries"] == -4  # .938 and .948 of 400
    assert row["surest"] == 2 * 0.5**4


def test_the_bound_is_the_adjusted_smallest_p_of_each_row():
    found = paper_differences("clip")
    alone = [most_favourable_p(r.fine_tuned, r.other, QUERIES) for r in found.itertuples()]
    assert found["surest"].tolist() == alone
    assert found["surest_holm"].tolist() == holm(alone).tolist()


def test_the_table_shows_the_rows_with_both_p_values():
    rows = paper_differences("biomedclip").query("table == 1")
    shown = differences_table(rows, "biomedclip").data
    assert list(shown.columns[:4]) == [
        "metric",
        "fine-tuned",
        "BiomedCLIP",
        "difference in queries",
    ]
    first = shown.iloc[0]
    assert (first["metric"], first["fine-tuned"]) == ("image → report, accuracy@1", "0.938")
    assert (first["BiomedCLIP"], first["difference in queries"]) == ("0.948", -4)
    assert first["p at best"].startswith("0.125 (")


def test_the_claims_count_the_rows():
    rows = pd.DataFrame(
        {
            "queries": [3, -40, 40, 5],
            "surest": [0.25, 0.001, 0.001, 0.05],
            "surest_holm": [0.5, 0.004, 0.06, 0.1],
            "independent": [0.9, 0.01, 0.02, 0.8],
        }
    )
    counts = claim_counts({"clip": rows})
    assert [r["value"] for r in counts] == [4, 2, 3, 1, 1]
    assert {(r["against"], r["metric"]) for r in counts} == {("clip", "rows")}
    table = claims_table(counts)
    assert list(table.columns) == ["CLIP"]
    assert table.loc["rows", "CLIP"] == 4
    assert list(table.index) == list(CLAIMS.values())
