import numpy as np
import pytest
import torch

from cxr_mtl.base.errors import InputError
from cxr_mtl.models.backbones import load_backbone
from cxr_mtl.models.features import compute_features, embed
from cxr_mtl.models.last_layer import LastLayer, freeze
from cxr_mtl.training.fine_tuned import load_fine_tuned, save_fine_tuned
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
    with pytest.raises(InputError, match="fine-tuned from"):
        load_fine_tuned(tmp_path / "fine_tuned", other)


def test_damaged_weights_are_refused(trained, backbone, tmp_path):
    file = tmp_path / "fine_tuned" / "weights.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(InputError, match="damaged"):
        load_fine_tuned(tmp_path / "fine_tuned", backbone)
