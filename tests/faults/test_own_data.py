"""A run on pairs of one's own speaks of them alone: nothing of Open-I is counted in it."""

import json
import re

import nbformat
import pytest
from faults_asked import KILLS, WHY_NOT
from tiny_study import finish, prepare

from cxr_mtl.data.openi import collection_counts, read_reports
from cxr_mtl.data.views import read_views, view_counts

CHAPTERS = ("01", "02", "03", "04", "05", "08", "10")
NAMES = {"01_data", "02_model", "03_weight_search", "04_training", "05_retrieval"}
NAMES |= {"08_evidence", "10_classifier"}
LEAST = 100
"""Counts from here on are told from those of a study of 64 pairs."""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    if not KILLS:
        pytest.skip(WHY_NOT)
    folder = prepare(tmp_path_factory.mktemp("own data"))
    code, said = finish(folder, *CHAPTERS)
    assert code == 0, said
    return folder / "runs/tiny"


@pytest.fixture(scope="module")
def open_i():
    """Open-I's counts by their names."""
    reports = read_reports()[0]
    counts = collection_counts(reports)
    for source in ("dicom", "tsne", "dicom+tsne"):
        found = view_counts(reports, read_views(source))
        counts |= {f"{source} {name}": value for name, value in found.items()}
    return counts


def results_of(run):
    found = {path.stem: json.loads(path.read_text()) for path in run.glob("results/*.json")}
    assert set(found) == NAMES
    return [(name, record) for name, records in found.items() for record in records]


def test_no_result_is_a_count_of_open_i_or_a_number_that_the_paper_gives_of_it(run, open_i):
    large = {value for value in open_i.values() if value >= LEAST}
    for name, record in results_of(run):
        assert record["metric"] not in open_i, (name, record)
        # The weights that the paper found are no numbers of Open-I.
        assert record.get("paper") is None or name == "03_weight_search", (name, record)
        told = record["value"]
        assert isinstance(told, float | str | None) or told not in large, (name, record)
        assert not isinstance(told, str) or "Open-I" not in told, (name, record)


def test_no_result_is_a_bound_of_drawn_pictures(run):
    models = {record.get("model") for _, record in results_of(run)}
    assert {"chance", "duplicate ceiling"} <= models
    assert "code ceiling" not in models


def test_no_table_or_text_that_a_chapter_shows_holds_a_count_of_open_i(run, open_i):
    large = {f"{value:,}" for value in open_i.values() if value >= 1000} | {"3,955"}
    shown = 0
    for path in run.glob("*.ipynb"):
        for cell in nbformat.read(path, as_version=4).cells:
            for output in cell.get("outputs", []):
                data = output.get("data", {})
                text = output.get("text", "") + data.get("text/html", "")
                text += data.get("text/plain", "")
                assert not large & set(re.findall(r"\d{1,3}(?:,\d{3})+", text)), (path.name, text)
                shown += len(text)
    assert shown > 1000
