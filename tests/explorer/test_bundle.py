"""The explorer's files say what the run says: embeddings, reports, places of the pictures."""

import base64
import gzip
import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cxr_mtl.base.errors import InputError
from cxr_mtl.explorer import bundle as explorer_data
from cxr_mtl.explorer.bundle import (
    base64_of,
    model_entry,
    study_entries,
    thumbnail_sheet,
    write_bundle,
)

HOSTILE = "Heart</script><b>large</b> & \u2028 é."


@pytest.fixture
def three(tmp_path):
    """Three studies with gray pictures of three shapes, and a run's files about them."""
    rows = []
    for study, size, gray, text in (
        ("7", (20, 10), 100, HOSTILE),
        ("12", (10, 20), 200, "Clear."),
        ("3", (8, 8), 50, "Clear."),
    ):
        path = tmp_path / f"{study}.png"
        Image.new("L", size, gray).save(path)
        rows.append((study, str(path), int(study == "7"), text))
    test = pd.DataFrame(rows, columns=["study", "image", "label", "text"])
    rng = np.random.default_rng(0)
    vectors = {kind: rng.normal(size=(3, 4)).astype(np.float32) for kind in ("image", "text")}
    maps = pd.DataFrame(
        {
            "model": ["tuned"] * 3 + ["other"],
            "study": ["3", "7", "12", "3"],  # in another order than the studies
            "x": [3.0, 7.0, 12.0, 99.0],
            "y": [-3.0, -7.0, -12.0, 99.0],
        }
    )
    return test, vectors, maps, tmp_path


def entry(three, **changed):
    test, vectors, maps, _ = three
    given = {"name": "tuned", "embeddings": (vectors["image"], vectors["text"]), "maps": maps}
    return model_entry(**{**given, "test": test, **changed})


def bundle(three, dataset="phantom", tower=b"ONNX", text_tower=None, examples=()):
    test, *_, folder = three
    sizes = write_bundle(
        folder / "explorer",
        run="demo",
        dataset=dataset,
        test=test,
        models=[entry(three)],
        tower=tower,
        text_tower=text_tower,
        examples=examples,
    )
    return folder / "explorer", sizes


def data_in(folder, name="data.js", variable="CXR_EXPLORER"):
    script = (folder / name).read_text()
    assert script.startswith(f"window.{variable} = ")
    assert "</" not in script
    return json.loads(script.partition(" = ")[2].removesuffix(";\n"))


def decoded(text, size):
    return np.frombuffer(base64.b64decode(text), dtype="<f4").reshape(-1, size)


def test_embeddings_come_back_with_length_one(three):
    found = entry(three)
    assert found["size"] == 4
    for kind, vectors in three[1].items():
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        np.testing.assert_allclose(decoded(found[kind], 4), vectors / lengths, atol=1e-6)


def test_numbers_are_little_endian_row_by_row():
    assert base64.b64decode(base64_of(np.array([[1.0], [0.0]]))) == b"\0\0\x80\x3f\0\0\0\0"


def test_a_map_follows_the_order_of_the_studies(three):
    assert entry(three)["map"] == [[7.0, -7.0], [12.0, -12.0], [3.0, -3.0]]


def test_embeddings_or_a_map_of_other_studies_are_refused(three):
    test, _, maps, _ = three
    with pytest.raises(InputError, match=r"tuned has embeddings of 3 images .* chapters 05 and"):
        entry(three, test=test.iloc[:2], maps=maps[maps["study"] != "3"])
    with pytest.raises(InputError, match=r"tuned has embeddings .* and a map of 2 studies"):
        entry(three, maps=maps.iloc[1:])


def test_reports_stand_word_for_word(three):
    folder, _ = bundle(three)
    reports = [study["report"] for study in data_in(folder)["studies"]]
    assert reports == [HOSTILE, "Clear.", "Clear."]
    assert study_entries(three[0])[0] == {"study": "7", "label": 1, "report": HOSTILE}


def test_the_data_name_their_source_and_licence(three):
    folder, _ = bundle(three)
    data = data_in(folder)
    assert (data["version"], data["run"], data["dataset"]) == (1, "demo", "phantom")
    assert data["labels"] == ["normal", "abnormal"]
    assert "Demner-Fushman" in data["attribution"]
    assert "phantoms" in data["attribution"]
    assert data["licence"] == "CC BY-NC-ND 4.0"


def test_an_unknown_data_set_is_refused_before_anything_is_written(three):
    with pytest.raises(InputError, match="dataset='mine' is no choice: write one of phantom"):
        bundle(three, dataset="mine")


def test_a_bundle_lists_the_sizes_of_its_files(three):
    folder, sizes = bundle(three)
    assert sizes == {file.name: file.stat().st_size for file in folder.iterdir()}
    assert set(sizes) == {"data.js", "text_tower_01.js", "thumbnails.jpg"}


def test_the_parts_of_a_tower_are_unpacked_as_it_was(three, monkeypatch):
    monkeypatch.setattr(explorer_data, "PART", 10)
    card = {"model": "fine_tuned", "context": 128}
    folder, _ = bundle(three, text_tower=card)
    told = data_in(folder)["textTower"]
    files = told.pop("files")
    assert told == card
    assert files == sorted(file.name for file in folder.glob("text_tower*"))
    assert len(files) > 1
    packed = [base64.b64decode(data_in(folder, name, "CXR_TEXT_TOWER")) for name in files]
    assert max(map(len, packed)) <= 10
    assert gzip.decompress(b"".join(packed)) == b"ONNX"


def test_a_bundle_without_a_tower_says_so_and_leaves_no_old_one(three):
    bundle(three, text_tower={"model": "fine_tuned"})
    folder, _ = bundle(three, tower=None)
    assert data_in(folder)["textTower"] is None
    assert not list(folder.glob("text_tower*"))


def test_an_image_that_is_gone_keeps_the_old_bundle(three):
    folder, _ = bundle(three)
    before = (folder / "data.js").read_bytes()
    (folder.parent / "3.png").unlink()
    with pytest.raises(InputError, match=r"3\.png is missing"):
        bundle(three, dataset="pairs")
    assert (folder / "data.js").read_bytes() == before


def test_a_sheet_is_about_square_and_has_a_place_for_every_study(three):
    assert [explorer_data.sheet_columns(count) for count in (1, 2, 4, 5, 400)] == [1, 2, 2, 3, 20]
    folder, _ = bundle(three)
    sheet = data_in(folder)["thumbnails"]
    assert sheet == {"file": "thumbnails.jpg", "size": 112, "columns": 2}
    with Image.open(folder / "thumbnails.jpg") as picture:
        assert (picture.size, picture.mode) == ((2 * 112, 2 * 112), "L")


def test_thumbnails_keep_their_shape_in_the_middle_of_their_places(three, monkeypatch):
    monkeypatch.setattr(explorer_data, "THUMBNAIL", 16)
    sheet = np.asarray(thumbnail_sheet(list(three[0]["image"])))
    expected = np.zeros((32, 32), dtype=np.uint8)
    expected[4:12, 0:16] = 100  # 20 x 10: whole width, 8 high
    expected[0:16, 20:28] = 200  # 10 x 20
    expected[16:32, 0:16] = 50  # 8 x 8: enlarged
    assert np.array_equal(sheet, expected)
