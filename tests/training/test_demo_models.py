"""The demo's models: pretrained into a folder that loads, the same for the same seed."""

import re
from typing import get_args

import numpy as np
import pandas as pd
import pytest
import torch

from cxr_mtl.models.backbones import load_backbone
from cxr_mtl.models.demo_architecture import DemoName
from cxr_mtl.models.tokenizers import load_tokenizer
from cxr_mtl.phantoms.captioned_images import CaptionedImages
from cxr_mtl.training import demo_models, demo_tokenizers
from cxr_mtl.training.demo_models import backbone_source
from cxr_mtl.training.demo_tokenizers import tokenizer_source


def drawn_here(draw_one, count, size, seed):
    """The same without processes."""
    drawn = [draw_one(np.random.default_rng([seed, n]), size) for n in range(count)]
    drawings, captions, targets = zip(*drawn, strict=True)
    images = [drawing() for drawing in drawings]
    return CaptionedImages(np.stack(images), list(captions), np.stack(targets))


TEXTS = ["A mild right pleural effusion is seen.", "No acute disease. Lungs are clear."] * 9


@pytest.fixture
def small(monkeypatch):
    """Pretraining on so little that it ends at once, drawn by this process alone."""
    reports = pd.DataFrame({"findings": TEXTS, "impression": TEXTS})
    monkeypatch.setattr(demo_tokenizers, "read_reports", lambda: (reports, None))
    monkeypatch.setattr(demo_models, "captioned_images", drawn_here)
    for name, (draw_one, _) in demo_tokenizers.PAIRS.items():
        monkeypatch.setitem(demo_tokenizers.PAIRS, name, (draw_one, 16))
    monkeypatch.setattr(demo_models, "EPOCHS", 2)
    monkeypatch.setattr(demo_models, "BATCH", 8)


def test_the_pages_call_every_demo_model_a_stand_in():
    assert set(demo_models.PAIRS) == set(get_args(DemoName))


def test_a_name_that_is_no_demo_model_is_passed_on(tmp_path):
    assert backbone_source("biomedclip", tmp_path) == "biomedclip"
    assert tokenizer_source("biomedclip", tmp_path) == "biomedclip"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["demo-biomed", "demo-general"])
def test_a_pretrained_model_loads_offline_and_is_made_once(small, tmp_path, monkeypatch, name):
    said = []
    source = backbone_source(name, tmp_path / "a cache", seed=1, report=said.append)
    assert len(said) == 3
    assert "16 captioned images" in said[0]
    assert "epoch 2 of 2" in said[2]
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    backbone = load_backbone(source)
    assert not backbone.model.training
    images = torch.zeros(2, 3, 112, 112)
    texts = backbone.tokenize(["No acute disease.", "a red circle"])
    with torch.inference_mode():
        assert torch.isfinite(backbone.model.encode_image(images)).all()
        assert torch.isfinite(backbone.model.encode_text(texts)).all()

    monkeypatch.setattr(demo_models, "_pretrain", None)
    assert backbone_source(name, tmp_path / "a cache", seed=1) == source


def test_the_same_seed_gives_the_same_model(small, tmp_path):
    sources = {
        where: backbone_source("demo-general", tmp_path / where, seed=seed)
        for where, seed in (("one", 0), ("again", 0), ("other", 1))
    }
    keys = {where: load_backbone(source).key for where, source in sources.items()}
    assert keys["one"] == keys["again"] != keys["other"]
    folders = {where: source.rsplit("/")[-1] for where, source in sources.items()}
    assert folders["one"] == folders["again"] != folders["other"]


@pytest.mark.parametrize("name", ["demo-biomed", "demo-general"])
def test_the_tokenizer_alone_is_that_of_the_model_and_made_once(small, tmp_path, monkeypatch, name):
    of_model = load_backbone(backbone_source(name, tmp_path, seed=1)).tokenize
    monkeypatch.setattr(demo_models, "_pretrain", None)
    monkeypatch.setattr(demo_models, "captioned_images", None)
    source = tokenizer_source(name, tmp_path, seed=1)
    alone = load_tokenizer(source)
    assert alone.tokenizer.get_vocab() == of_model.tokenizer.get_vocab()
    assert alone(TEXTS).equal(of_model(TEXTS))
    monkeypatch.setattr(demo_tokenizers, "captions", None)
    assert tokenizer_source(name, tmp_path, seed=1) == source


def test_a_failure_leaves_no_folder(small, tmp_path, monkeypatch):
    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(demo_models, "_fit", fail)
    with pytest.raises(KeyboardInterrupt):
        backbone_source("demo-general", tmp_path, seed=0)
    assert list((tmp_path / "models").iterdir()) == []


def test_training_fits_what_it_is_shown(small, monkeypatch, tmp_path):
    monkeypatch.setattr(demo_models, "EPOCHS", 15)
    said = []
    backbone_source("demo-general", tmp_path, report=said.append)
    clip = [float(re.search(r"CLIP loss ([\d.]+)", line)[1]) for line in said[1:]]
    codes = [float(re.search(r"BCE of images ([\d.]+)", line)[1]) for line in said[1:]]
    assert len(clip) == 15
    assert codes[-1] < 0.8 * codes[0]
    assert clip[-1] < clip[0]
