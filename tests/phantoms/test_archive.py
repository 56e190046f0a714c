"""The archive of phantoms: laid out like Open-I's, whole or absent, drawn once per content."""

import os
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.files import read_table, write_table
from cxr_mtl.data.dataset import load_dataset
from cxr_mtl.data.openi import read_reports
from cxr_mtl.phantoms import archive
from cxr_mtl.phantoms.archive import draw_archive, draw_phantoms


@pytest.fixture
def few_studies() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "study": ["1", "25", "1000"],
            "image_id": ["CXR1_1_IM-0001-4001", "CXR25_IM-1024-2001", "CXR1000_IM-0003-1001"],
            "mesh_major": [["normal"], ["Cardiomegaly/mild"], ["Opacity/lung/base/left"]],
        }
    )


def test_the_archive_has_open_is_layout(tmp_path, few_studies):
    seen = []
    draw_archive(few_studies, tmp_path / "a", size=48, workers=1, progress=seen.append)
    names = {str(path.relative_to(tmp_path / "a")) for path in (tmp_path / "a").rglob("*.*")}
    images = {f"NLMCXR_png/{name}.png" for name in few_studies["image_id"]}
    assert names == images | {"projections.csv", "PHANTOM.txt"}
    assert sum(seen) == 3
    assert "not radiographs" in (tmp_path / "a" / "PHANTOM.txt").read_text()
    with Image.open(tmp_path / "a/NLMCXR_png/CXR25_IM-1024-2001.png") as picture:
        assert (picture.size, picture.mode) == ((48, 48), "L")
    table = pd.read_csv(tmp_path / "a" / "projections.csv")
    assert table.columns.tolist() == ["uid", "filename", "projection"]
    assert table["filename"].tolist() == [
        "1_IM-0001-4001.dcm.png",
        "25_IM-1024-2001.dcm.png",
        "1000_IM-0003-1001.dcm.png",
    ]
    assert set(table["projection"]) == {"Frontal"}


def test_projections_name_files_as_the_published_table_does(tmp_path, few_studies):
    folder = os.environ.get("CXR_MTL_TEST_DATA")
    if not folder:
        pytest.skip("CXR_MTL_TEST_DATA is not set")
    draw_archive(few_studies, tmp_path / "a", size=16, workers=1)
    ours = pd.read_csv(tmp_path / "a" / "projections.csv")
    theirs = pd.read_csv(Path(folder) / "openi-samples" / "indiana_projections.csv")
    assert set(ours["filename"]) <= set(theirs["filename"])


def test_two_processes_draw_what_one_draws(tmp_path, few_studies):
    draw_archive(few_studies, tmp_path / "one", size=48, workers=1)
    draw_archive(few_studies, tmp_path / "two", size=48, workers=2)
    for name in few_studies["image_id"]:
        one, two = (tmp_path / side / "NLMCXR_png" / f"{name}.png" for side in ("one", "two"))
        assert one.read_bytes() == two.read_bytes()


def test_a_studys_phantom_does_not_depend_on_the_other_studies(tmp_path, few_studies):
    draw_archive(few_studies, tmp_path / "all", size=48, workers=1)
    draw_archive(few_studies.iloc[[2]], tmp_path / "last", size=48, workers=1)
    name = "NLMCXR_png/CXR1000_IM-0003-1001.png"
    assert (tmp_path / "all" / name).read_bytes() == (tmp_path / "last" / name).read_bytes()


def test_a_failure_leaves_nothing_half_written(tmp_path, few_studies, monkeypatch):
    def fail(path, studies):
        raise OSError("no such device")

    monkeypatch.setattr(archive, "_write_projections", fail)
    with pytest.raises(OSError, match="no such device"):
        draw_archive(few_studies, tmp_path / "a", size=16, workers=1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["../escape", "a/b", "", ".hidden"])
def test_an_image_id_that_leaves_the_folder_is_refused(tmp_path, few_studies, name):
    few_studies.loc[1, "image_id"] = name
    with pytest.raises(InputError, match="plain file name"):
        draw_archive(few_studies, tmp_path / "a", size=16, workers=1)
    assert list(tmp_path.iterdir()) == []


def test_a_repeated_image_id_or_a_missing_column_is_refused(tmp_path, few_studies):
    few_studies.loc[1, "image_id"] = few_studies.loc[0, "image_id"]
    with pytest.raises(InputError, match="stands for two studies"):
        draw_archive(few_studies, tmp_path / "a", workers=1)
    with pytest.raises(InputError, match="no column mesh_major"):
        draw_archive(few_studies.drop(columns="mesh_major"), tmp_path / "a", workers=1)


@pytest.fixture
def drawn(monkeypatch) -> list[pd.DataFrame]:
    """Replaces the drawing of phantoms by one grey picture linked to every name."""
    calls = []

    def draw_archive(studies, folder, size=256, seed=0, workers=None, progress=None):
        calls.append(studies)
        images = folder / "NLMCXR_png"
        images.mkdir(parents=True)
        Image.new("L", (8, 8), 99).save(folder / "grey.png")
        for image_id in studies.image_id:
            os.link(folder / "grey.png", images / f"{image_id}.png")
        filenames = studies.image_id.str.removeprefix("CXR") + ".dcm.png"
        rows = {"uid": studies.study, "filename": filenames, "projection": "Frontal"}
        pd.DataFrame(rows).to_csv(folder / "projections.csv", index=False)
        if progress:
            progress(len(studies))

    monkeypatch.setattr(archive, "draw_archive", draw_archive)
    return calls


def test_every_imaged_study_with_text_has_its_phantom(drawn, tmp_path):
    drawing, checking = [], []
    draw = partial(draw_phantoms, tmp_path / "a cache", 64, 0, drawing.append)
    loaded = load_dataset("phantom", draw=draw, progress=checking.append)
    assert len(loaded.reports) == 3955
    assert len(loaded.studies) == 3826
    assert loaded.dropped.reason.value_counts().to_dict() == {"no image": 104, "no text": 25}
    assert loaded.studies.label.value_counts().to_dict() == {1: 2380, 0: 1379 + 92 - 25}
    assert (sum(drawing), sum(checking)) == (3851, 3826)
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


def test_the_study_table_survives_parquet(drawn, tmp_path):
    studies = load_dataset("phantom", draw=partial(draw_phantoms, tmp_path, 64, 0)).studies.head(50)
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
