"""One road for phantoms, Open-I and pairs; phantoms are drawn once per content."""

import os
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.files import read_table, write_table
from cxr_mtl.data import dataset as module
from cxr_mtl.data.dataset import draw_phantoms, load_dataset
from cxr_mtl.data.openi import read_reports


@pytest.fixture
def drawn(monkeypatch) -> list[pd.DataFrame]:
    """Replaces the drawing of phantoms by one grey picture linked to every name."""
    calls = []

    def draw_archive(studies, folder, size=256, seed=0, workers=None, progress=None):
        calls.append(studies)
        images = folder / "NLMCXR_png"
        images.mkdir(parents=True)
        Image.new("L", (4, 4), 99).save(folder / "grey.png")
        for image_id in studies.image_id:
            os.link(folder / "grey.png", images / f"{image_id}.png")
        filenames = studies.image_id.str.removeprefix("CXR") + ".dcm.png"
        rows = {"uid": studies.study, "filename": filenames, "projection": "Frontal"}
        pd.DataFrame(rows).to_csv(folder / "projections.csv", index=False)
        if progress:
            progress(len(studies))

    monkeypatch.setattr(module.phantom, "draw_archive", draw_archive)
    return calls


def test_every_imaged_study_with_text_has_its_phantom(drawn, tmp_path):
    seen = []
    loaded = load_dataset("phantom", cache=tmp_path / "a cache", seed=0, progress=seen.append)
    assert len(loaded.reports) == 3955
    assert len(loaded.studies) == 3826
    assert loaded.dropped.reason.value_counts().to_dict() == {"no image": 104, "no text": 25}
    assert loaded.studies.label.value_counts().to_dict() == {1: 2380, 0: 1379 + 92 - 25}
    assert sum(seen) == 3851 + 3826
    assert list(drawn[0]) == ["study", "mesh_major", "image_id"]
    # Frontal by the t-SNE labels though not the first image; and the first where none is known.
    image_ids = loaded.studies.set_index("study").image_id
    assert image_ids["1"] == "CXR1_1_IM-0001-4001"


def test_phantoms_are_drawn_once_per_content(drawn, tmp_path):
    first = draw_phantoms(tmp_path, 64, 0)
    assert draw_phantoms(tmp_path, 64, 0) == first
    assert len(drawn) == 1
    others = {draw_phantoms(tmp_path, 65, 0), draw_phantoms(tmp_path, 64, 1)}
    assert len(others | {first}) == 3


def openi_folder(tmp_path: Path, image_ids: list[str]) -> Path:
    folder = tmp_path / "Open I"
    (folder / "NLMCXR_png").mkdir(parents=True)
    for image_id in image_ids:
        Image.new("L", (4, 4), 99).save(folder / "NLMCXR_png" / f"{image_id}.png")
    return folder


def test_openi_takes_the_installed_reports_and_the_folders_images(tmp_path):
    folder = openi_folder(tmp_path, ["CXR1000_IM-0003-1001", "CXR54_IM-2145-1001"])
    loaded = load_dataset("openi", folder=folder, view_source="tsne", cache=tmp_path, seed=0)
    assert loaded.studies.study.tolist() == ["54", "1000"]
    assert loaded.dropped.reason.value_counts()["image missing"] == 3245
    assert len(loaded.studies) + len(loaded.dropped) == len(loaded.reports) == 3955


def test_openi_takes_the_folders_own_reports_and_lists_unreadable_ones(tmp_path):
    folder = openi_folder(tmp_path, ["CXR9_IM-1"])
    (folder / "ecgen-radiology").mkdir()
    report = (
        '<eCitation><uId id="CXR9"/><AbstractText Label="FINDINGS">Clear.</AbstractText>'
        '<MeSH><major>normal</major></MeSH><parentImage id="CXR9_IM-1"/></eCitation>'
    )
    (folder / "ecgen-radiology" / "9.xml").write_text(report)
    (folder / "ecgen-radiology" / "10.xml").write_text(report[:50])
    table = tmp_path / "views.csv"
    table.write_text("uid,filename,projection\n9,9_IM-1.dcm.png,Frontal\n")
    loaded = load_dataset(
        "openi",
        folder=folder,
        view_source="projections",
        projections=table,
        cache=tmp_path,
        seed=0,
    )
    assert loaded.studies.text.tolist() == ["Clear."]
    assert loaded.dropped[["study", "reason"]].to_numpy().tolist() == [["10", "report unreadable"]]


def test_pairs_have_no_reports(tmp_path):
    Image.new("L", (4, 4)).save(tmp_path / "a.png")
    (tmp_path / "pairs.csv").write_text("image,text,label\na.png,Clear.,0\n")
    loaded = load_dataset("pairs", csv=tmp_path / "pairs.csv", cache=tmp_path, seed=0)
    assert loaded.studies.study.tolist() == ["a"]
    assert loaded.reports is None


def test_a_parameter_the_data_set_needs_is_named(tmp_path):
    with pytest.raises(InputError, match="needs the parameter pairs_csv"):
        load_dataset("pairs", cache=tmp_path, seed=0)
    with pytest.raises(InputError, match="'openi' needs a folder with NLMCXR_png"):
        load_dataset("openi", cache=tmp_path, seed=0)
    with pytest.raises(InputError, match="needs a folder with NLMCXR_png"):
        load_dataset("openi", folder=tmp_path, cache=tmp_path, seed=0)
    folder = openi_folder(tmp_path, [])
    with pytest.raises(InputError, match="needs the parameter projections_csv"):
        load_dataset("openi", folder=folder, view_source="projections", cache=tmp_path, seed=0)


def test_a_data_set_without_a_usable_study_says_why(tmp_path):
    (tmp_path / "pairs.csv").write_text("image,text\na.png,Clear.\nb.png,Clear.\n")
    with pytest.raises(
        InputError, match=r"pairs\.csv has no usable study \(2 x image missing, study a for one\)"
    ):
        load_dataset("pairs", csv=tmp_path / "pairs.csv", cache=tmp_path, seed=0)


def test_the_study_table_survives_parquet(drawn, tmp_path):
    studies = load_dataset("phantom", cache=tmp_path / "cache", seed=0).studies.head(50)
    write_table(tmp_path / "studies.parquet", studies)
    again = read_table(tmp_path / "studies.parquet")
    assert again.drop(columns=["mesh_major", "mesh_automatic"]).equals(
        studies.drop(columns=["mesh_major", "mesh_automatic"])
    )
    assert list(map(list, again.mesh_major)) == studies.mesh_major.tolist()


def test_the_installed_reports_are_what_the_phantoms_are_drawn_from(drawn, tmp_path):
    draw_phantoms(tmp_path, 64, 0)
    reports = read_reports()[0].set_index("study")
    for study, codes, image_id in drawn[0].head(100).itertuples(index=False):
        assert reports.mesh_major[study] == codes
        assert image_id in reports.image_ids[study]
