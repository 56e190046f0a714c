"""Pairs: any CSV of image, text, label; what it lacks is named by line."""

import os
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from cxr_mtl.base.errors import InputError
from cxr_mtl.data.pairs import read_pairs


@pytest.fixture
def folder(tmp_path) -> Path:
    folder = tmp_path / "my data"
    (folder / "images").mkdir(parents=True)
    for name in ("a", "b", "c"):
        Image.new("L", (8, 8), 9).save(folder / "images" / f"{name}.png")
    return folder


def written(folder: Path, *lines: str) -> Path:
    path = folder / "pairs.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_rows_become_studies_in_the_shared_columns(folder):
    path = written(
        folder,
        "text,label,image",
        '"Clear, no effusion.",0,images/a.png',
        f'"NA\nOpacity.",1,{folder / "images" / "b.png"}',
    )
    studies, dropped = read_pairs(path)
    assert list(studies) == ["study", "image", "text", "label", "image_sha256", "pixels_sha256"]
    assert studies.study.tolist() == ["a", "b"]
    assert studies.text.tolist() == ["Clear, no effusion.", "NA Opacity."]
    assert studies.label.tolist() == [0, 1]
    assert studies.label.dtype == "int64"
    assert all(Path(image).is_file() for image in studies.image)
    assert len(dropped) == 0


def test_relative_images_are_found_from_any_current_directory(folder, monkeypatch):
    written(folder, "image,text", "images/a.png,t")
    monkeypatch.chdir(folder.parent)
    studies, _ = read_pairs(Path("my data/pairs.csv"))
    assert studies.image.tolist() == ["my data/images/a.png"]


def test_without_a_label_column_every_label_is_minus_one(folder):
    studies, _ = read_pairs(written(folder, "image,text", "images/a.png,t", "images/b.png,t"))
    assert studies.label.tolist() == [-1, -1]


def test_a_study_column_gives_the_ids(folder):
    lines = ["study,image,text,label", "p1,images/a.png,t,0", "p2,images/a.png,u,1"]
    studies, _ = read_pairs(written(folder, *lines))
    assert studies.study.tolist() == ["p1", "p2"]


def test_unusable_rows_are_dropped_with_their_reason(folder):
    (folder / "images" / "bad.png").write_bytes(b"no image")
    lines = ["image,text,label", "images/a.png,t,0", "images/gone.png,t,1", "images/bad.png,t,1"]
    studies, dropped = read_pairs(written(folder, *lines, "images/b.png,  ,0"))
    assert studies.study.tolist() == ["a"]
    assert dropped.set_index("study").reason.to_dict() == {
        "b": "no text",
        "gone": "image missing",
        "bad": "image unreadable",
    }
    details = dropped.set_index("study").detail
    assert "line 5" in details["b"]
    assert "gone.png" in details["gone"]
    assert "bad.png" in details["bad"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["image,label", "images/a.png,0"], "lacks the column text: its first line"),
        (["picture,caption", "images/a.png,t"], "lacks the columns image and text: its first line"),
        (["image,text,label"], "no rows"),
        (["image,text,label", "images/a.png,t,0", "images/b.png,t,2"], "line 3, has the label '2'"),
        (["image,text,label", "images/a.png,t,"], "line 2, has the label ''"),
        (["image,text,label", "images/a.png,t,abnormal"], "label 'abnormal'"),
        (["image,text", "images/a.png,t", "other/a.png,t"], "line 3, repeats the study id 'a'"),
        (["image,text", ",t"], "line 2, names no image"),
        (["study,image,text", ",images/a.png,t"], "line 2, names no image or study"),
        (["image,text", "images/a.png,t,u"], "line 2, has 3 fields"),
    ],
)
def test_a_bad_csv_is_refused(folder, lines, message):
    with pytest.raises(InputError, match=rf"pairs\.csv.*{message}"):
        read_pairs(written(folder, *lines))


def test_a_csv_in_another_encoding_is_refused(folder):
    path = folder / "pairs.csv"
    path.write_bytes("image,text\nimages/a.png,œdème\n".encode("cp1252"))
    with pytest.raises(InputError, match="not UTF-8"):
        read_pairs(path)


@pytest.mark.skipif("CXR_MTL_TEST_DATA" not in os.environ, reason="CXR_MTL_TEST_DATA is not set")
def test_real_radiographs_with_captions_are_read(tmp_path):
    source = Path(os.environ["CXR_MTL_TEST_DATA"]) / "rocov2-cxr"
    table = pd.read_csv(source / "captions.csv")
    assert (len(table), table.label.sum()) == (3516, 1021)
    first = table.head(300).assign(image=[str(source / image) for image in table.image.head(300)])
    first.to_csv(tmp_path / "captions.csv", index=False)
    studies, dropped = read_pairs(tmp_path / "captions.csv")
    assert (len(studies), len(dropped)) == (300, 0)
    assert studies.label.tolist() == table.label.head(300).tolist()
    assert studies.study.is_unique
