"""What the retrieval chapter stored comes back, in the order of the paper's columns."""

from itertools import pairwise

import numpy as np
import pytest
from safetensors.numpy import save_file

from cxr_mtl.base.errors import InputError
from cxr_mtl.retrieval.embeddings import (
    embeddings_file,
    store_embeddings,
    stored_embeddings,
)

MODELS = {"fine_tuned_from": {"name": "local-dir:demo/biomed"}, "general": {"name": "demo-general"}}


@pytest.fixture
def folder(tmp_path):
    images = {
        name: np.full((2, 3), value, dtype=np.float32)
        for value, name in enumerate(("demo-general", "local-dir:demo/biomed", "fine_tuned"))
    }
    pairs = {name: (image, image + 10) for name, image in images.items()}
    store_embeddings(tmp_path / "embeddings", pairs)
    return tmp_path / "embeddings"


def test_the_models_come_in_the_order_of_the_papers_columns(folder):
    found = stored_embeddings(folder, MODELS)
    assert list(found) == ["fine_tuned", "local-dir:demo/biomed", "demo-general"]
    for (image, text), value in zip(found.values(), (2, 1, 0), strict=True):
        assert (image == value).all()
        assert (text == value + 10).all()


@pytest.mark.parametrize("name", ["biomedclip", "clip", "demo-biomed", "fine_tuned"])
def test_a_short_name_is_the_name_of_its_file(tmp_path, name):
    assert embeddings_file(tmp_path, name) == tmp_path / f"{name}.safetensors"


ALIKE = (
    "local-dir:a/b",
    "local-dir:a_b",
    "local-dir:a-b",
    "local-dir:c/b",
    "local-dir:a/b/",
    "local-dir:A/B",
    "hf-hub:a/b",
    "local-dir:../b",
    "local-dir:" + "long/" * 800 + "b",
    "local-dir:" + "l" * 250 + "/b",
    "local-dir:a/" + "l" * 250,
    "local-dir:a/" + "l" * 251,
    "local-dir:Modelle der Abteilung für Röntgen",
    "local-dir:Modelle der Abteilung für Röntgen".replace("ö", "o\u0308"),
    "local-dir:a/\udcff",
    "local-dir:/",
)


def test_different_models_have_files_of_their_own_with_short_plain_names(tmp_path):
    pairs = {
        name: (np.full((2, 3), value, np.float32), np.full((2, 3), -value, np.float32))
        for value, name in enumerate(ALIKE, 1)
    }
    store_embeddings(tmp_path / "e", pairs | {"fine_tuned": pairs[ALIKE[0]]})
    for name, other in pairwise(ALIKE):
        models = {"fine_tuned_from": {"name": name}, "general": {"name": other}}
        found = stored_embeddings(tmp_path / "e", models)
        assert all((found[model][0] == pairs[model][0]).all() for model in (name, other))
    files = {file.name.lower() for file in (tmp_path / "e").iterdir()}
    assert len(files) == len(ALIKE) + 1
    assert all(name.isascii() and len(name) <= 100 and name[0] != "." for name in files)


@pytest.mark.parametrize(
    "content",
    [
        {"image": np.ones((2, 3), np.float32)},
        {"image": np.ones((2, 3), np.float32), "text": np.ones((3, 3), np.float32)},
        {"image": np.ones(3, np.float32), "text": np.ones(3, np.float32)},
        {"image": np.ones((2, 3)), "text": np.ones((2, 3))},
    ],
)
def test_other_tensors_than_embeddings_are_refused(folder, content):
    save_file(content, folder / "fine_tuned.safetensors")
    with pytest.raises(
        InputError, match=r"fine_tuned\.safetensors .*run chapter 05_retrieval again"
    ):
        stored_embeddings(folder, MODELS)


def test_no_file_of_embeddings_leads_out_of_its_folder(folder):
    file = folder / "fine_tuned.safetensors"
    file.rename(folder.parent / "elsewhere")
    file.symlink_to(folder.parent / "elsewhere")
    with pytest.raises(InputError, match="leads out of"):
        stored_embeddings(folder, MODELS)


@pytest.mark.parametrize(
    "models",
    [[], None, {}, {"fine_tuned_from": "x", "general": {}}, {"fine_tuned_from": {"name": 3}}],
)
def test_a_record_of_models_of_another_kind_is_told(folder, models):
    with pytest.raises(InputError, match=r"models\.json names no two models: run chapter 02_model"):
        stored_embeddings(folder, models)


def test_a_missing_or_damaged_file_is_named(folder):
    embeddings_file(folder, "local-dir:demo/biomed").write_bytes(b"damaged")
    with pytest.raises(InputError, match=r"biomed\..* is missing or damaged.*05_retrieval"):
        stored_embeddings(folder, MODELS)
    (folder / "fine_tuned.safetensors").unlink()
    with pytest.raises(InputError, match=r"fine_tuned.* is missing or damaged"):
        stored_embeddings(folder, MODELS)
