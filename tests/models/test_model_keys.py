"""A model's key follows all that its embeddings depend on, and no name."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from safetensors.torch import load_file, save_file

from cxr_mtl.models.backbones import load_backbone
from cxr_mtl.models.features import embed
from cxr_mtl.models.model_keys import model_key
from tests.models.edited_model import CONFIG, changed, of, of_model


@pytest.fixture
def folder(untrained_folder, tmp_path):
    return shutil.copytree(untrained_folder, tmp_path / "model")


EFFECTIVE = {
    "fewer heads": of("config.json", num_attention_heads=2),
    "another activation": of("config.json", hidden_act="relu"),
    "another norm": of("config.json", layer_norm_eps=0.5),
    "a causal tower": of("config.json", is_decoder=True),
    "another attention": of("config.json", _attn_implementation="eager"),
    "a shorter context": of_model("text_cfg", context_length=8),
    "another pooler": of_model("text_cfg", hf_pooler_type="mean_pooler"),
    "other cleaning": of_model("text_cfg", tokenizer_kwargs={"clean": "canonicalize"}),
    "no end mark": of_model("text_cfg", tokenizer_kwargs={"strip_sep_token": True}),
    "other pictures": (CONFIG, lambda c: c["preprocess_cfg"].update(resize_mode="squash")),
    "capitals": of("tokenizer_config.json", do_lower_case=False),
    "another mark": of("tokenizer_config.json", cls_token="heart"),
    "the start cut off": of("tokenizer_config.json", truncation_side="left"),
}


@pytest.mark.parametrize(("file", "change"), EFFECTIVE.values(), ids=EFFECTIVE)
def test_what_changes_embeddings_changes_the_key(folder, backbone, tmp_path, file, change):
    changed(folder / file, change)
    other = load_backbone(f"local-dir:{folder}")
    picture = tmp_path / "wide.png"
    pixels = np.random.default_rng(0).integers(0, 255, (112, 180), np.uint8)
    Image.fromarray(pixels).save(picture)
    texts = ["The heart is normal in size.", "No edema. " * 80 + "Large effusion. " * 20]
    studies = pd.DataFrame({"image": [str(picture)] * 2, "text": texts})
    first, second = (np.concatenate(embed(model, studies)) for model in (backbone, other))
    assert not np.array_equal(first, second)
    assert other.key != backbone.key


NAMES = {
    "its own name": of("config.json", _name_or_path="/elsewhere/model"),
    "who wrote it": of("config.json", transformers_version="4.30.0"),
    "its class": of("config.json", architectures=["BertForMaskedLM"]),
    "the tower's name": of_model("text_cfg", hf_model_name="/elsewhere/model"),
    "the tokenizer's name": of_model("text_cfg", hf_tokenizer_name="owner/name"),
    "its first weights": of_model("text_cfg", hf_model_pretrained=True),
    "the order of fields": ("config.json", lambda c: c.update(hidden_act=c.pop("hidden_act"))),
}


@pytest.mark.parametrize(("file", "change"), NAMES.values(), ids=NAMES)
def test_names_do_not_change_the_key(folder, backbone, file, change):
    changed(folder / file, change)
    assert load_backbone(f"local-dir:{folder}").key == backbone.key


def test_a_call_of_the_tokenizer_does_not_change_the_key(untrained_folder, backbone):
    backbone.tokenize(["clear lungs"] * 3)
    config = json.loads((untrained_folder / CONFIG).read_text())["model_cfg"]
    assert model_key(backbone.model, config, backbone.tokenize) == backbone.key


def test_the_key_follows_the_weights(folder, backbone):
    assert load_backbone(f"local-dir:{folder}").key == backbone.key
    weights = load_file(folder / "open_clip_model.safetensors")
    weights["visual.head.proj.weight"][0, 0] += 1
    save_file(weights, folder / "open_clip_model.safetensors")
    assert load_backbone(f"local-dir:{folder}").key != backbone.key
