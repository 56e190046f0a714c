"""Imaginary studies: their codes, the words that tell them and the target made of them."""

import collections

import numpy as np
import pytest

from cxr_mtl.data.mesh_codes import SEVERITY, parse_code
from cxr_mtl.phantoms.captions import CODE_VECTOR_NAMES, code_vector, describe, random_codes
from cxr_mtl.phantoms.phantom import DRAWN_HEADINGS
from cxr_mtl.phantoms.vocabulary import GROUPS, TERMS


@pytest.fixture(scope="module")
def many_codes() -> list[list[str]]:
    rng = np.random.default_rng(0)
    return [random_codes(rng) for _ in range(3000)]


def set_names(codes: list[str]) -> set[str]:
    return {name for name, on in zip(CODE_VECTOR_NAMES, code_vector(codes), strict=True) if on}


def test_equal_seeds_give_equal_studies():
    studies = [random_codes(np.random.default_rng(5)) for _ in range(2)]
    assert studies[0] == studies[1]
    reports = [describe(studies[0], np.random.default_rng(6)) for _ in range(2)]
    assert reports[0] == reports[1]


def test_two_of_five_are_normal_and_the_rest_have_one_to_four_findings(many_codes):
    normal = [codes == ["normal"] for codes in many_codes]
    assert np.mean(normal) == pytest.approx(0.4, abs=0.03)
    assert collections.Counter(map(len, many_codes)).keys() == {1, 2, 3, 4}
    assert not any("normal" in codes for codes in many_codes if len(codes) > 1)


def test_every_heading_is_drawn_and_comes_up(many_codes):
    assert set(TERMS) <= DRAWN_HEADINGS
    assert len(TERMS) >= 40
    headings = {parse_code(text).heading for codes in many_codes for text in codes}
    assert headings == set(TERMS) | {"normal"}


def test_frequent_headings_come_up_more_often(many_codes):
    counts = collections.Counter(parse_code(t).heading for codes in many_codes for t in codes)
    assert counts["Opacity"] > counts["Pleural Effusion"] > counts["Pulmonary Edema"] > 0


def test_a_middle_lobe_is_right_and_a_lingula_left(many_codes):
    for code in (parse_code(text) for codes in many_codes for text in codes):
        assert not (code.has("middle lobe") and code.has("left", "bilateral"))
        assert not (code.has("lingula") and code.has("right", "bilateral"))


def test_the_report_names_each_side_severity_and_place(many_codes):
    rng = np.random.default_rng(1)
    places = ("upper lobe", "lower lobe", "middle lobe", "lingula", "base", "apex", "hilum")
    words = {*SEVERITY, "right", "left", "bilateral", "streaky", "patchy", "multiple", *places}
    for codes in many_codes[:1500]:
        report = describe(codes, rng).lower()
        for code in map(parse_code, codes):
            missing = [w for w in code.qualifiers if w in words and w not in report]
            assert not missing, (codes, report)


def test_a_normal_report_denies_and_an_effusion_is_never_denied(many_codes):
    rng = np.random.default_rng(2)
    for _ in range(50):
        assert any(w in describe(["normal"], rng).lower() for w in ("no ", "normal", "clear"))
    for codes in many_codes:
        if any(name in set_names(codes) for name in ("effusion", "pneumothorax")):
            report = describe(codes, rng)
            assert "No pleural effusion" not in report
            assert "No effusion" not in report
            assert "There is no" not in report


def test_a_report_of_a_large_heart_does_not_call_it_normal():
    rng = np.random.default_rng(3)
    reports = [describe(["Cardiomegaly/mild"], rng) for _ in range(40)]
    assert not any("normal" in report for report in reports)
    assert len(set(reports)) > 15


def test_a_heading_without_wording_is_named_by_itself():
    report = describe(["Pectus Carinatum"], np.random.default_rng(0))
    assert "pectus carinatum" in report.lower()


def test_the_target_of_a_normal_study_is_zero():
    for codes in (["normal"], ["No Indexing"], []):
        vector = code_vector(codes)
        assert vector.dtype == np.float32
        assert vector.shape == (len(CODE_VECTOR_NAMES),)
        assert not vector.any()


@pytest.mark.parametrize(
    ("codes", "names"),
    [
        (["Pleural Effusion/right/small"], {"effusion", "effusion right", "effusion mild"}),
        (["Pleural Effusion/bilateral"], {"effusion", "effusion right", "effusion left"}),
        (["Cardiomegaly/severe"], {"cardiomegaly", "cardiomegaly severe"}),
        (["Cardiomegaly"], {"cardiomegaly"}),
        (["Opacity/lung/lingula"], {"opacity", "opacity left"}),
        (["Lung/hypoinflation"], {"hypoinflation"}),
        (["Lung/hyperdistention", "Aorta/tortuous"], {"hyperinflation", "aorta"}),
        (["Cardiac Shadow/enlarged/mild"], {"cardiomegaly", "cardiomegaly mild"}),
        (["Cholelithiasis"], set()),
    ],
)
def test_the_target_names_group_side_and_severity(codes, names):
    assert set_names(codes) == names | {"abnormal"}


def test_every_target_is_reached_by_random_codes(many_codes):
    reached = np.max([code_vector(codes) for codes in many_codes], axis=0)
    assert [n for n, on in zip(CODE_VECTOR_NAMES, reached, strict=True) if not on] == []


def test_every_group_consists_of_drawn_headings():
    for group in GROUPS.values():
        assert {member.split("/")[0] for member in group.members} <= DRAWN_HEADINGS
