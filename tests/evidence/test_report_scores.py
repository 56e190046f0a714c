"""Reports leave in RadEval's form, scores come back whole or are refused by what is wrong."""

import json

import numpy as np
import pandas as pd
import pytest

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.files import write_table
from cxr_mtl.evidence.report_scores import (
    export_retrieved,
    read_scores,
    score_records,
    write_retrieved,
)
from cxr_mtl.retrieval.embeddings import store_embeddings

STUDIES = ["1", "2", "3"]


def test_each_study_has_its_report_and_the_one_its_image_finds_first(tmp_path):
    texts = np.eye(3)
    images = np.array([[0.0, 1, 0], [0, 2, 0.1], [1, 0, 0.5]])
    write_retrieved(tmp_path / "r.json", STUDIES, ["one", "two\nlines", "three"], images, texts)
    assert json.loads((tmp_path / "r.json").read_text()) == {
        "studies": STUDIES,
        "references": ["one", "two lines", "three"],
        "hypotheses": ["two lines", "two lines", "one"],
    }


def test_the_test_studies_of_a_run_are_exported_by_one_of_its_models(tmp_path):
    parts = ["train", "test", "test", "test"]
    table = pd.DataFrame({"study": list("0123"), "text": ["a", "b", "c", "d"], "split": parts})
    write_table(tmp_path / "studies.parquet", table)
    names = {"fine_tuned_from": {"name": "base"}, "general": {"name": "other"}}
    (tmp_path / "models.json").write_text(json.dumps(names))
    eye = np.eye(3, dtype=np.float32)
    (tmp_path / "embeddings").mkdir()
    turned = (eye, np.roll(eye, 1, axis=0))
    store_embeddings(
        tmp_path / "embeddings",
        {"fine_tuned": (eye, eye), "base": turned, "other": (eye, eye)},
    )
    assert export_retrieved(tmp_path, "base", tmp_path / "r.json") == 3
    written = json.loads((tmp_path / "r.json").read_text())
    assert written["studies"] == list("123")
    assert written["hypotheses"] == ["c", "d", "b"]
    with pytest.raises(InputError, match="no model 'mine': give one of fine_tuned, base, other"):
        export_retrieved(tmp_path, "mine", tmp_path / "r.json")


def scored(tmp_path, content):
    (tmp_path / "scores.csv").write_text(content)
    return read_scores(tmp_path / "scores.csv", STUDIES)


def test_scores_come_in_the_order_of_the_studies_and_an_empty_one_is_none(tmp_path):
    found = scored(tmp_path, "study,green,radgraph\n3,0.5,1\n9,0,0\n1,0.1,\n2,0.2,1e-1\n")
    assert list(found.index) == STUDIES
    np.testing.assert_array_equal(found["green"], [0.1, 0.2, 0.5])
    np.testing.assert_array_equal(found["radgraph"], [np.nan, 0.1, 1])


def test_a_mean_has_its_interval_and_the_number_of_scores(tmp_path):
    found = scored(tmp_path, "study,green,empty\n1,0.1,\n2,,\n3,0.5,\n")
    (record,) = score_records(found, seed=0, resamples=100)
    assert record["value"] == pytest.approx(0.3)
    assert 0.1 <= record["low"] <= 0.3 <= record["high"] <= 0.5
    assert (record["metric"], record["scored"]) == ("green", 2)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("study,green\n1,0.1\n2,0.2\n", r"lacks 1 of 3 studies \(the first is '3'\)"),
        ("study,green\n1,0.1\n1,0.2\n2,1\n3,1\n", "repeats the study '1'"),
        (
            "study,green\n1,0.1\n2,good\n3,1\n",
            "the 'green' 'good' for study '2': give a number",
        ),
        ("study,green\n1,0.1\n2,inf\n3,1\n", "the 'green' 'inf' for study '2': give a number"),
        ("study,green\n1,0.1\n2,nan\n3,1\n", "the 'green' 'nan' for study '2': give a number"),
        ("study\n1\n2\n3\n", "has no column beside study"),
        ("green\n1\n", "study"),
    ],
)
def test_what_are_no_scores_of_these_studies_is_refused(tmp_path, content, said):
    with pytest.raises(InputError, match=said):
        scored(tmp_path, content)
