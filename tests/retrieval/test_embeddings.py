"""What the retrieval chapter stored comes back, in the order of the paper's columns."""

import numpy as np
import pytest
from safetensors.numpy import save_file

from cxr_mtl.base.errors import InputError
from cxr_mtl.retrieval.embeddings import store_embeddings, stored_embeddings

MODELS = {"fine_tuned_from": {"name": "demo/biomed"}, "general": {"name": "demo-general"}}


@pytest.fixture
def folder(tmp_path):
    images = {
        name: np.full((2, 3), value, dtype=np.float32)
        for value, name in enumerate(("demo-general", "demo/biomed", "fine_tuned"))
    }
    pairs = {name: (image, image + 10) for name, image in images.items()}
    store_embeddings(tmp_path / "embeddings", pairs)
    return tmp_path / "embeddings"


def test_the_models_come_in_the_order_of_the_papers_columns(folder):
    found = stored_embeddings(folder, MODELS)
    assert list(found) == ["fine_tuned", "demo/biomed", "demo-general"]
    for (image, text), value in zip(found.values(), (2, 1, 0), strict=True):
        assert (image == value).all()
        assert (text == value + 10).all()


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
    (folder / "demo_biomed.safetensors").write_bytes(b"damaged")
    with pytest.raises(InputError, match=r"demo_biomed.* is missing or damaged.*05_retrieval"):
        stored_embeddings(folder, MODELS)
    (folder / "fine_tuned.safetensors").unlink()
    with pytest.raises(InputError, match=r"fine_tuned.* is missing or damaged"):
        stored_embeddings(folder, MODELS)
