"""Backbones load from a folder as open_clip reads it; what is missing or another is named."""

import json
import shutil

import numpy as np
import open_clip
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import BertConfig

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.file_hashes import file_state
from cxr_mtl.base.files import sha256_of_file, write_json
from cxr_mtl.models.backbones import FusionHead, load_backbone, load_recorded, source_files
from cxr_mtl.models.features import compute_features, embed
from cxr_mtl.models.last_layer import LastLayer, freeze
from cxr_mtl.training.trainer import embed_rows
from tests.models.edited_model import changed

BIOMEDCLIP = {
    "embed_dim": 512,
    "vision_cfg": {
        "timm_model_name": "vit_base_patch16_224",
        "timm_model_pretrained": False,
        "timm_pool": "",
        "timm_proj": "linear",
        "image_size": 224,
    },
    "text_cfg": {
        "hf_model_name": "microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract",
        "hf_tokenizer_name": "microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract",
        "hf_proj_type": "mlp",
        "hf_pooler_type": "cls_last_hidden_state_pooler",
        "context_length": 256,
    },
}
PREPROCESSING = {
    "mean": [0.48145466, 0.4578275, 0.40821073],
    "std": [0.26862954, 0.26130258, 0.27577711],
}


@pytest.fixture(scope="module")
def full_size_folder(tmp_path_factory, untrained_folder):
    """A folder of BiomedCLIP's real configuration with random weights, in the Hub's layout."""
    folder = tmp_path_factory.mktemp("full size")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(untrained_folder / name, folder)
    BertConfig().save_pretrained(folder)
    config = {"model_cfg": BIOMEDCLIP, "preprocess_cfg": PREPROCESSING}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    text = BIOMEDCLIP["text_cfg"] | {"hf_model_name": str(folder), "hf_model_pretrained": False}
    torch.manual_seed(0)
    model = open_clip.create_model(f"local-dir:{folder}", text_cfg=text)
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    yield folder
    shutil.rmtree(folder)


def test_full_size_biomedclip_loads_offline_and_its_last_layer_is_the_papers(
    full_size_folder, monkeypatch, tmp_path
):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    backbone = load_backbone(f"local-dir:{full_size_folder}")
    model = backbone.model
    assert sum(p.numel() for p in model.parameters()) == 195_902_721
    assert backbone.embedding_size == 512
    assert backbone.tokenize(["clear lungs"]).shape == (1, 256)

    freeze(model, 1)
    trainable = {name: p.numel() for name, p in model.named_parameters() if p.requires_grad}
    assert round(sum(trainable.values()) / 1e6, 2) == 15.39
    groups = {".".join(name.split(".")[:5]) for name in trainable if "layer" in name}
    assert groups == {"text.transformer.encoder.layer.11"}
    assert {n.split(".")[3] for n in trainable if ".blocks." in n} == {"11"}
    others = {n for n in trainable if "layer" not in n and "blocks" not in n}
    assert others == {
        "visual.trunk.norm.weight",
        "visual.trunk.norm.bias",
        "visual.head.proj.weight",
        "text.proj.0.weight",
        "text.proj.2.weight",
    }

    file = tmp_path / "image.png"
    pixels = np.random.default_rng(0).integers(0, 255, (300, 260), np.uint8)
    Image.fromarray(pixels).save(file)
    study = {"image": str(file), "text": "The heart is enlarged."}
    studies = pd.DataFrame([study | {"image_sha256": sha256_of_file(file)}])
    features = compute_features(backbone, studies, 1, tmp_path)
    assert features.images.tokens.shape == (197, 768)
    ours = embed_rows(LastLayer(model, 1), features, torch.tensor([0]))
    for fast, plain in zip(ours, embed(backbone, studies), strict=True):
        np.testing.assert_allclose(fast, plain, rtol=1e-4, atol=1e-5)


def test_a_recorded_model_is_loaded_only_as_it_was_recorded(untrained_folder, backbone, tmp_path):
    folder = shutil.copytree(untrained_folder, tmp_path / "general")
    record, general = tmp_path / "models.json", {"source": f"local-dir:{folder}"}
    tuned = {"source": backbone.source, "key": backbone.key}
    write_json(record, {"fine_tuned_from": tuned, "general": general | {"key": backbone.key}})
    assert load_recorded(record, "general").key == backbone.key

    changed(folder / "config.json", lambda config: config.update(hidden_act="relu"))
    assert load_recorded(record, "fine_tuned_from").key == backbone.key
    with pytest.raises(InputError, match=r"models.json names \(.*back, or run 02_model again"):
        load_recorded(record, "general")

    write_json(record, {"fine_tuned_from": tuned, "general": general})
    with pytest.raises(InputError, match=r"damaged at general.key .*: run 02_model again"):
        load_recorded(record, "general")


@pytest.mark.parametrize(
    ("missing", "named"),
    [
        ("open_clip_config.json", "open_clip_config.json"),
        ("open_clip_model.safetensors", "weights"),
        ("config.json", "config.json"),
        ("tokenizer.json", "tokenizer"),
    ],
)
def test_a_missing_piece_of_a_folder_is_named(untrained_folder, tmp_path, missing, named):
    folder = shutil.copytree(untrained_folder, tmp_path / "model")
    (folder / missing).unlink()
    with pytest.raises(InputError, match=named):
        load_backbone(f"local-dir:{folder}")


def test_weights_of_another_shape_are_refused(untrained_folder, tmp_path):
    folder = shutil.copytree(untrained_folder, tmp_path / "model")
    weights = load_file(folder / "open_clip_model.safetensors")
    weights["visual.head.proj.weight"] = torch.zeros(3, 3)
    save_file(weights, folder / "open_clip_model.safetensors")
    with pytest.raises(
        InputError, match=r"proj.weight has the shape \[3, 3\], not \[128, 64\]: bring"
    ):
        load_backbone(f"local-dir:{folder}")


@pytest.mark.parametrize("source", ["resnet", "local-dir:/nowhere"])
def test_an_unknown_backbone_is_refused(source):
    with pytest.raises(InputError, match=r"unknown backbone|does not exist"):
        load_backbone(source)


def test_a_pickle_that_runs_code_is_not_unpickled(untrained_folder, tmp_path):
    folder = shutil.copytree(untrained_folder, tmp_path / "model")
    (folder / "open_clip_model.safetensors").unlink()
    witness = tmp_path / "witness"

    class Payload:
        def __reduce__(self):
            return witness.write_text, ("run",)

    torch.save({"weights": Payload()}, folder / "open_clip_pytorch_model.bin")
    with pytest.raises(InputError, match="more than tensors"):
        load_backbone(f"local-dir:{folder}")
    assert not witness.exists()


def test_the_fusion_head_is_a_linear_map_of_the_mean():
    head = FusionHead(4, dropout=0.5).eval()
    images, texts = torch.randn(2, 3, 4)
    expected = [
        sum(w * (v + t) / 2 for w, v, t in zip(head.linear.weight[0], image, text, strict=True))
        + head.linear.bias[0]
        for image, text in zip(images, texts, strict=True)
    ]
    torch.testing.assert_close(head(images, texts), torch.stack(expected))


def test_every_file_of_a_model_folder_is_named_as_what_a_stage_rests_on(untrained_folder):
    states = source_files([f"local-dir:{untrained_folder}", "biomedclip", "hf-hub:a/b"])
    assert states == [file_state(path) for path in sorted(untrained_folder.iterdir())]
    assert len(states) >= 4
