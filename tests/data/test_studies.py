"""The study table: labels, text and views as named choices, every drop with its reason."""

import os
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from cxr_mtl.data.openi import read_reports
from cxr_mtl.data.studies import label_of, report_text, says_nothing, select_studies
from cxr_mtl.data.views import read_views


def report(study: str, **fields) -> dict:
    empty = {"pmcid": "1", "indication": "", "comparison": "", "mesh_automatic": []}
    usual = {"findings": "Clear.", "impression": "Normal.", "mesh_major": ["normal"]}
    images = fields.get("image_ids", [f"CXR{study}_A"])
    return {"study": study, "image_ids": images, "captions": [""] * len(images)} | (
        empty | usual | fields
    )


@pytest.fixture
def folder(tmp_path) -> Path:
    folder = tmp_path / "Open I" / "NLMCXR_png"
    folder.mkdir(parents=True)
    return folder


def tables(reports: pd.DataFrame, views: pd.DataFrame, folder: Path, **choices):
    loaded = select_studies(reports, views, folder, **choices)
    return loaded.studies, loaded.dropped


def select(reports: list[dict], folder: Path, frontal: list[str], **choices):
    for image_id in frontal:
        path = folder / f"{image_id}.png"
        if not path.exists():
            Image.new("L", (8, 8), 50).save(path)
    views = pd.DataFrame({"image_id": frontal, "view": "frontal", "tag": "PA"})
    return tables(pd.DataFrame(reports), views, folder, **choices)


def test_a_usable_study_becomes_one_row_in_the_shared_columns(folder):
    studies, dropped = select(
        [report("1"), report("2", mesh_major=["Nodule"])], folder, ["CXR1_A", "CXR2_A"]
    )
    assert list(studies) == [
        "study", "image", "text", "label", "image_sha256", "pixels_sha256", "pmcid", "indication",
        "comparison", "findings", "impression", "mesh_major", "mesh_automatic", "image_id",
    ]  # fmt: skip
    assert studies.label.tolist() == [0, 1]
    assert studies.label.dtype == "int64"
    assert studies.image[0] == str(folder / "CXR1_A.png")
    assert studies.text[0] == "Clear. Normal."
    assert len(dropped) == 0


def test_of_several_frontal_images_the_first_by_id_is_taken(folder):
    reports = [report("1", image_ids=["CXR1_C", "CXR1_B", "CXR1_A"])]
    studies, _ = select(reports, folder, ["CXR1_C", "CXR1_B"])
    assert studies.image_id.tolist() == ["CXR1_B"]


def test_a_lateral_never_replaces_a_missing_frontal(folder):
    views = pd.DataFrame({"image_id": ["CXR1_A"], "view": ["lateral"], "tag": ["LL"]})
    studies, dropped = tables(pd.DataFrame([report("1")]), views, folder)
    assert len(studies) == 0
    assert dropped.to_dict("records") == [
        {
            "study": "1",
            "reason": "no frontal image",
            "detail": "none of CXR1_A is known to be frontal",
        }
    ]


def test_every_drop_keeps_its_reason(folder):
    (folder / "CXR5_A.png").write_bytes(b"broken")
    reports = [
        report("1", image_ids=[]),
        report("2", image_ids=["CXR2_Z"]),
        report("3", findings="", impression=""),
        report("4", mesh_major=["No Indexing"]),
        report("5"),
        report("6", image_ids=["CXR6_A"], mesh_major=[]),
        report("7"),
    ]
    frontal = [f"CXR{n}_A" for n in (3, 4, 5, 6, 7)]
    studies, dropped = select(reports, folder, frontal, label_rule="drop-no-indexing")
    assert studies.study.tolist() == ["7"]
    assert dropped.set_index("study").reason.to_dict() == {
        "1": "no image",
        "2": "no frontal image",
        "3": "no text",
        "4": "not indexed",
        "5": "image unreadable",
        "6": "not indexed",
    }
    assert (dropped.detail != "").all()


def test_a_missing_file_is_dropped_even_if_another_frontal_exists(folder):
    Image.new("L", (8, 8)).save(folder / "CXR1_B.png")
    views = pd.DataFrame({"image_id": ["CXR1_A", "CXR1_B"], "view": "frontal", "tag": "PA"})
    reports = pd.DataFrame([report("1", image_ids=["CXR1_A", "CXR1_B"])])
    studies, dropped = tables(reports, views, folder)
    assert len(studies) == 0
    assert dropped.reason.tolist() == ["image missing"]


@pytest.mark.parametrize(
    ("major", "labels"),
    [
        (["normal"], (0, 0, 0)),
        (["No Indexing"], (1, 0, None)),
        (["Opacity/lung", "Nodule"], (1, 1, 1)),
        ([], (None, None, None)),
    ],
)
def test_each_label_rule_says_what_no_indexing_is(major, labels):
    rules = ("mesh-normal", "mesh-normal+no-indexing", "drop-no-indexing")
    assert tuple(label_of(major, rule) for rule in rules) == labels


@pytest.mark.parametrize(
    ("findings", "impression", "texts"),
    [
        (
            "Clear.",
            "Acute none.",
            ("Clear. Acute none.", "Clear.", "Acute none."),
        ),
        ("Clear.", "", ("Clear.",) * 3),
        ("", "Acute none.", ("Acute none.",) * 3),
        ("", "", ("",) * 3),
    ],
)
def test_a_missing_section_gives_way_to_the_other(findings, impression, texts):
    policies = ("findings+impression", "findings", "impression")
    assert tuple(report_text(findings, impression, policy, "keep") for policy in policies) == texts


@pytest.mark.parametrize(
    ("policy", "text"),
    [
        ("keep", "Normal x-XXXX of XXXX chest."),
        ("mask", "Normal x-[MASK] of [MASK] chest."),
        ("remove", "Normal x- of chest."),
    ],
)
def test_deidentified_words_are_kept_masked_or_removed(policy, text):
    read = report_text("Normal x-XXXX of XXXX chest.", "", "findings+impression", policy)
    assert read == text


@pytest.mark.parametrize("policy", ["keep", "mask", "remove"])
def test_a_report_of_nothing_but_removed_words_has_no_text(policy):
    assert report_text("XXXX XXXX.", "", "findings+impression", policy) == ""


@pytest.mark.parametrize(
    "text",
    [
        "", " \t\n", "nan", "NaN", "None", "none.", "NULL", "NA", "n/a", "N.A.", "<NA>", "#N/A",
        "nil", "nan nan", ".", "-", "—", "...", "___", "[]", "XXXX XXXX.", "xxxx", "XXXX. None.",
        "\u200b", "\ufeff \u200d", "\u00a0",
        "#NAME?", "#VALUE!", "#REF!", "#DIV/0!", "#NUM!", "#NULL!", "#SPILL!", "#WERT!", "#BEZUG!",
        "#NV", "#N/D", "#ÜBERLAUF!", "#¡VALOR!", "#¿NOMBRE?", "#GETTING_DATA", "#ИМЯ?", "Err:502",
        "#####", "_x000D_", "_x000d_ _x000A_", "#REF! #REF!", "#NAME? None.",
    ],
)  # fmt: skip
def test_what_stands_for_no_text_says_nothing(text):
    assert says_nothing(text)


@pytest.mark.parametrize(
    "text",
    ["Normal.", "None of the above", "No.", "N", "Nancy", "nonnull", "NAD", "XXXX clear.", "正常",
     "Нет", "ok", "0", "1/2", "Annan", "Clear.\u200b", "#VALUE! Clear.",
     "#2 clear!", "#Clear!", "Clear_x000D_", "#NVX"],
)  # fmt: skip
def test_a_short_text_says_something(text):
    assert not says_nothing(text)


def test_a_text_that_says_nothing_is_dropped_and_shown(folder):
    silent = report("1", findings="XXXX XXXX.", impression="None.")
    studies, dropped = select([silent, report("2", impression="")], folder, ["CXR1_A", "CXR2_A"])
    assert studies.study.tolist() == ["2"]
    assert dropped.detail.tolist() == ["only 'XXXX XXXX. None.', which says nothing"]


def test_an_image_that_two_reports_name_is_told(folder):
    reports = [
        report("1", image_ids=["CXR1_A", "CXR1_A"]),
        report("2", image_ids=["CXR2_A", "CXR1_A"]),
    ]
    views = pd.DataFrame({"image_id": ["CXR1_A", "CXR2_A"], "view": "frontal", "tag": "PA"})
    for image_id in ("CXR1_A", "CXR2_A"):
        Image.new("L", (8, 8)).save(folder / f"{image_id}.png")
    remarks = select_studies(pd.DataFrame(reports), views, folder).remarks
    assert [(about, count) for about, _, count in remarks] == [("images of several studies", 1)]
    assert "('CXR1_A'; the first by studies 1 and 2)" in remarks[0].sentence


def test_no_image_of_the_real_archive_is_named_by_two_reports(reports, folder):
    none = pd.DataFrame(columns=["image_id", "view", "tag"])
    assert select_studies(reports, none, folder).remarks == ()


@pytest.fixture(scope="module")
def reports() -> pd.DataFrame:
    return read_reports()[0]


def test_the_label_rules_over_the_real_archive(reports):
    imaged = reports[reports.image_ids.str.len() > 0].mesh_major
    shares = {}
    for rule in ("mesh-normal", "mesh-normal+no-indexing", "drop-no-indexing"):
        labels = imaged.map(lambda major, rule=rule: label_of(major, rule)).dropna()
        shares[rule] = (len(labels), round(1 - labels.mean(), 3))
    assert shares == {
        "mesh-normal": (3851, 0.358),
        "mesh-normal+no-indexing": (3851, 0.382),
        "drop-no-indexing": (3759, 0.367),
    }


@pytest.mark.skipif("CXR_MTL_TEST_DATA" not in os.environ, reason="CXR_MTL_TEST_DATA is not set")
def test_real_images_of_the_real_archive_are_selected(reports):
    folder = Path(os.environ["CXR_MTL_TEST_DATA"]) / "openi-samples"
    views = read_views("projections", folder / "indiana_projections.csv")
    studies, dropped = tables(reports, views, folder / "images")
    assert studies.set_index("study").image_id.to_dict() == {
        "25": "CXR25_IM-1024-2001",
        "54": "CXR54_IM-2145-1001",
        "303": "CXR303_IM-1404-1001",
        "1000": "CXR1000_IM-0003-1001",
    }
    assert dropped.reason.value_counts().to_dict() == {
        "image missing": 3662,
        "no frontal image": 162,
        "no image": 104,
        "no text": 23,
    }
