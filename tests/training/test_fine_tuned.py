import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.files import read_json, sha256_of_file, write_json
from cxr_mtl.models.backbones import load_backbone
from cxr_mtl.models.features import compute_features, embed
from cxr_mtl.models.last_layer import LastLayer, freeze
from cxr_mtl.training.fine_tuned import load_fine_tuned, save_fine_tuned, trained_weights
from cxr_mtl.training.trainer import TrainingConfig, embed_rows, train

CONFIG = TrainingConfig(epochs=2, batch_size=8, learning_rate=1e-3)


@pytest.fixture
def trained(backbone, studies, tmp_path):
    freeze(backbone.model, 1)
    features = compute_features(backbone, studies, 1, tmp_path / "cache")
    labels = torch.tensor(studies["label"].to_numpy())
    rows = torch.arange(len(studies))
    start = LastLayer(backbone.model, 1)
    result = train(start, features, labels, rows[:18], rows[18:], CONFIG)
    save_fine_tuned(tmp_path / "fine_tuned", result, backbone, CONFIG)
    return result, features


def test_saved_weights_give_the_same_embeddings_in_the_plain_open_clip_model(
    trained, untrained_folder, studies, tmp_path
):
    result, features = trained
    fresh = load_backbone(f"local-dir:{untrained_folder}")
    loaded, head = load_fine_tuned(tmp_path / "fine_tuned", fresh)
    expected = embed_rows(result.last_layer, features, torch.arange(len(studies)))
    for ours, plain in zip(expected, embed(loaded, studies), strict=True):
        np.testing.assert_allclose(ours, plain, atol=2e-6)
    assert torch.equal(head.linear.weight, result.head.linear.weight)


def test_another_backbone_is_refused(trained, untrained_folder, tmp_path):
    other = load_backbone(f"local-dir:{untrained_folder}")
    object.__setattr__(other, "key", "another")
    with pytest.raises(InputError, match=r"put that one back, or run the training chapter again"):
        load_fine_tuned(tmp_path / "fine_tuned", other)
    object.__setattr__(other, "source", "clip")
    with pytest.raises(InputError, match=r"fine-tuned from .*: load the backbone it was trained"):
        load_fine_tuned(tmp_path / "fine_tuned", other)


def test_damaged_weights_are_refused(trained, backbone, tmp_path):
    file = tmp_path / "fine_tuned" / "weights.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(InputError, match="damaged"):
        load_fine_tuned(tmp_path / "fine_tuned", backbone)


def stranger(folder, change=lambda tensors: tensors, **about):
    """A folder whose record agrees with its changed weights."""
    file = folder / "weights.safetensors"
    save_file(change(load_file(file)), file)
    record = read_json(folder / "fine_tuned.json") | {"sha256": sha256_of_file(file)}
    write_json(folder / "fine_tuned.json", record | about)


STRANGE = {
    "another shape": lambda w: {n: torch.ones(1) for n in w},
    "other names": lambda w: {f"backbone.{n}": t for n, t in w.items()},
    "no head": lambda w: {n: t for n, t in w.items() if n.startswith("backbone.")},
    "no backbone": lambda w: {n: t for n, t in w.items() if n.startswith("head.")},
    "one more": lambda w: w | {"head.more": torch.ones(1)},
}


@pytest.mark.parametrize("change", STRANGE.values(), ids=STRANGE)
def test_weights_of_another_kind_are_refused(trained, backbone, tmp_path, change):
    stranger(tmp_path / "fine_tuned", change)
    with pytest.raises(
        InputError, match=r"weights\.safetensors .*: run the training chapter again"
    ):
        load_fine_tuned(tmp_path / "fine_tuned", backbone)


@pytest.mark.parametrize(
    ("about", "place"),
    [
        ({"source": ["x"]}, "source"),
        ({"key": None}, "key"),
        ({"training": {}}, "training.dropout"),
        ({"training": {"dropout": 1}}, "training.dropout"),
        ({"training": []}, "training"),
    ],
)
def test_a_record_of_another_kind_is_told_with_the_place(trained, backbone, tmp_path, about, place):
    stranger(tmp_path / "fine_tuned", **about)
    with pytest.raises(InputError, match=rf"fine_tuned\.json is damaged at {place} "):
        load_fine_tuned(tmp_path / "fine_tuned", backbone)


def test_no_file_leads_out_of_the_folder(trained, backbone, tmp_path):
    file = tmp_path / "fine_tuned/weights.safetensors"
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")
    for load in (trained_weights, lambda folder: load_fine_tuned(folder, backbone)):
        with pytest.raises(InputError, match="leads out of"):
            load(tmp_path / "fine_tuned")


def test_trained_weights_that_are_damaged_are_told(trained, tmp_path):
    file = tmp_path / "fine_tuned/weights.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(
        InputError, match=r"is missing or damaged \(.*: run the training chapter again"
    ):
        trained_weights(tmp_path / "fine_tuned")
