"""Honesty over real reports: equal variants are read alike, wrong impressions otherwise."""

import pytest
from drawn_reports import real_reports

from cxr_mtl.base.errors import InputError
from cxr_mtl.report_variants.equal_variants import EQUAL_VARIANTS
from cxr_mtl.report_variants.error_variants import ERROR_CLASSES
from cxr_mtl.report_variants.honesty import agrees, honesty_records


@pytest.fixture(scope="module")
def records():
    findings, impressions = zip(*real_reports(12), strict=True)
    return honesty_records(findings, impressions, seed=0)


def test_equal_variants_of_real_reports_are_read_alike(records):
    shares = {r["variant"]: r["value"] for r in records if r["metric"] == "agreement"}
    assert set(shares) == set(EQUAL_VARIANTS)
    assert min(shares.values()) >= 0.97, shares


def test_wrong_impressions_of_real_reports_are_read_otherwise(records):
    shares = {r["error_class"]: r["value"] for r in records if r["metric"] == "contradiction"}
    assert set(shares) == set(ERROR_CLASSES)
    assert min(shares.values()) >= 0.9, shares


def test_a_seed_gives_the_same_records():
    findings, impressions = zip(*real_reports(200), strict=True)
    assert honesty_records(findings, impressions, 1) == honesty_records(findings, impressions, 1)


def test_a_changed_text_does_not_agree():
    report = "Lungs clear. Small left effusion."
    assert agrees("telegraphic", report, "The lungs are clear. Small left effusion.")
    assert not agrees("telegraphic", report, "Lungs clear. Large left effusion.")
    assert agrees("normal-omitted", report, "Small left effusion.")
    assert not agrees("normal-omitted", report, "Lungs clear.")
    assert agrees("half", report, "Lungs clear.")
    assert not agrees("half", report, "Small right effusion.")


def test_reports_without_text_and_unequal_lists_are_refused():
    with pytest.raises(InputError, match="no report has text"):
        honesty_records(["", " "], ["", ""], seed=0)
    with pytest.raises(InputError, match="there are 2 findings and 1 impressions"):
        honesty_records(["a", "b"], ["c"], seed=0)
