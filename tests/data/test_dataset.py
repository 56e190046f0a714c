"""One road for Open-I, drawn archives and pairs."""

from pathlib import Path

import pytest
from PIL import Image

from cxr_mtl.base.errors import InputError
from cxr_mtl.data.dataset import load_dataset


def openi_folder(tmp_path: Path, image_ids: list[str]) -> Path:
    folder = tmp_path / "Open I"
    (folder / "NLMCXR_png").mkdir(parents=True)
    for image_id in image_ids:
        Image.new("L", (4, 4), 99).save(folder / "NLMCXR_png" / f"{image_id}.png")
    return folder


def test_openi_takes_the_installed_reports_and_the_folders_images(tmp_path):
    folder = openi_folder(tmp_path, ["CXR1000_IM-0003-1001", "CXR54_IM-2145-1001"])
    loaded = load_dataset("openi", folder=folder, view_source="tsne")
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
    )
    assert loaded.studies.text.tolist() == ["Clear."]
    assert loaded.dropped[["study", "reason"]].to_numpy().tolist() == [["10", "report unreadable"]]


def test_pairs_have_no_reports(tmp_path):
    Image.new("L", (4, 4)).save(tmp_path / "a.png")
    (tmp_path / "pairs.csv").write_text("image,text,label\na.png,Clear.,0\n")
    loaded = load_dataset("pairs", csv=tmp_path / "pairs.csv")
    assert loaded.studies.study.tolist() == ["a"]
    assert loaded.reports is None


def test_a_parameter_the_data_set_needs_is_named(tmp_path):
    with pytest.raises(InputError, match="needs the parameter pairs_csv"):
        load_dataset("pairs")
    with pytest.raises(InputError, match="'phantom' needs `draw`"):
        load_dataset("phantom")
    with pytest.raises(InputError, match="'openi' needs a folder with NLMCXR_png"):
        load_dataset("openi")
    with pytest.raises(InputError, match="needs a folder with NLMCXR_png"):
        load_dataset("openi", folder=tmp_path)
    folder = openi_folder(tmp_path, [])
    with pytest.raises(InputError, match="needs the parameter projections_csv"):
        load_dataset("openi", folder=folder, view_source="projections")


def test_a_data_set_without_a_usable_study_says_why(tmp_path):
    (tmp_path / "pairs.csv").write_text("image,text\na.png,Clear.\nb.png,Clear.\n")
    with pytest.raises(
        InputError, match=r"pairs\.csv has no usable study \(2 x image missing, study a for one\)"
    ):
        load_dataset("pairs", csv=tmp_path / "pairs.csv")
