"""The studies that show a dataset: a normal one, and each frequent heading as alone as it is."""

import textwrap

import pandas as pd

from cxr_mtl.data.showcase import CAPTION_WIDTH, showcase_studies


def coded(*codes):
    return pd.DataFrame(
        {
            "study": [str(n) for n in range(len(codes))],
            "text": "A report.",
            "label": [int(c != ["normal"]) for c in codes],
            "impression": "An impression.",
            "mesh_major": codes,
        }
    )


STUDIES = coded(
    ["Cardiomegaly/mild", "Pleural Effusion/right", "Lung/hyperlucent"],
    ["normal"],
    ["Pleural Effusion/left", "Cardiomegaly/severe"],
    ["Cardiomegaly/borderline"],
    ["normal"],
)


def test_a_normal_study_comes_first_then_per_heading_the_one_with_the_fewest_other_codes():
    for seed in range(5):
        shown = showcase_studies(STUDIES, seed)["study"].tolist()
        assert shown[0] in ("1", "4")
        assert shown[1:] == ["3", "2", "0"]


def test_headings_come_by_frequency_and_no_more_than_asked_for():
    rows = [["normal"]] + [[f"H{n:02}/left"] for n in range(60) for _ in range(60 - n)]
    shown = showcase_studies(coded(*rows), 0, headings=5)
    assert [codes[0] for codes in shown["mesh_major"]] == [
        "normal",
        *(f"H{n:02}/left" for n in range(5)),
    ]
    assert len(showcase_studies(coded(*rows), 0)) == 1 + 19


def test_the_same_seed_shows_the_same_studies():
    studies = coded(*[["normal"]] * 30, *[["Nodule"]] * 30)
    assert showcase_studies(studies, 3).equals(showcase_studies(studies, 3))
    chosen = {tuple(showcase_studies(studies, seed)["study"]) for seed in range(4)}
    assert len(chosen) > 1


def test_the_caption_says_the_code_that_is_shown_the_study_and_its_impression():
    captions = showcase_studies(STUDIES, 0)["caption"].tolist()
    assert captions[1:3] == [
        "Cardiomegaly, borderline\nstudy 3\nAn impression.",
        "Pleural Effusion, left\nstudy 2\nAn impression.",
    ]
    assert captions[3].startswith("Lung, hyperlucent\nstudy 0\n")


def test_long_lines_of_a_caption_are_wrapped_and_cut():
    impression = "There is a very long impression here " * 9
    studies = coded(["normal"], ["Nodule"]).assign(impression=impression)
    lines = showcase_studies(studies, 0)["caption"].iloc[1].splitlines()
    assert lines[:2] == ["Nodule", "study 1"]
    assert len(lines) == 4
    assert lines[2] == textwrap.wrap(impression, CAPTION_WIDTH)[0]
    assert lines[3].endswith(" …")
    assert max(map(len, lines)) <= CAPTION_WIDTH


def test_without_a_normal_study_the_findings_are_shown_alone():
    assert showcase_studies(coded(["Nodule"], ["Spine"]), 0)["study"].nunique() == 2


def test_a_dataset_without_codes_is_shown_by_twelve_studies_and_their_texts():
    pairs = coded(*[["normal"]] * 20).drop(columns=["mesh_major", "impression"])
    shown = showcase_studies(pairs.assign(text="An effusion."), 0)
    assert shown["study"].nunique() == len(shown) == 12
    assert set(shown["caption"]) == {"An effusion."}
    assert len(showcase_studies(pairs.head(5), 0)) == 5
    references = showcase_studies(pairs.assign(text="a &lt;b&gt; c"), 0)["caption"]
    assert set(references) == {"a &lt;b&gt; c"}
