"""The paper's differences: whole queries, bounds in order, adjusted together."""

from cxr_mtl.paper_scale import QUERIES, paper_differences
from cxr_mtl.significance import holm, most_favourable_p


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
