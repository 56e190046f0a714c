"""The demo's models: drawn the same for the same seed, pretrained into a folder that loads."""

import re

import numpy as np
import pandas as pd
import pytest
import torch

from cxr_mtl.models.backbones import load_backbone
from cxr_mtl.phantoms.captioned_images import (
    COLOURS,
    COLUMNS,
    ROWS,
    SIZES,
    WORDS,
    CaptionedImages,
    _captioned_phantom,
    captioned_images,
    draw_shapes,
)
from cxr_mtl.phantoms.captions import CODE_VECTOR_NAMES
from cxr_mtl.training import demo_models
from cxr_mtl.training.demo_models import backbone_source

TEXTS = ["A mild right pleural effusion is seen.", "No acute disease. Lungs are clear."] * 9


@pytest.fixture
def small(monkeypatch):
    """Pretraining on so little that it ends at once, drawn by this process alone."""
    reports = pd.DataFrame({"findings": TEXTS, "impression": TEXTS})
    monkeypatch.setattr(demo_models, "read_reports", lambda: (reports, None))
    monkeypatch.setattr(demo_models, "captioned_images", drawn_here)
    monkeypatch.setattr(demo_models, "PAIRS", {"demo-biomed": 16, "demo-general": 16})
    monkeypatch.setattr(demo_models, "EPOCHS", 2)
    monkeypatch.setattr(demo_models, "BATCH", 8)


def drawn_here(name, count, size, seed):
    draw_one = _captioned_phantom if name == "demo-biomed" else draw_shapes
    drawn = [draw_one(np.random.default_rng([seed, n]), size) for n in range(count)]
    images, captions, targets = zip(*drawn, strict=True)
    return CaptionedImages(np.stack(images), list(captions), np.stack(targets))


def test_images_drawn_by_many_processes_are_those_of_one():
    pooled, alone = captioned_images("demo-general", 5, 32, 7), drawn_here("demo-general", 5, 32, 7)
    assert np.array_equal(pooled.images, alone.images)
    assert pooled.captions == alone.captions
    assert np.array_equal(pooled.targets, alone.targets)


@pytest.mark.parametrize("name", ["demo-biomed", "demo-general"])
def test_images_depend_on_the_seed_alone(name):
    one, again, other = (drawn_here(name, 2, 32, seed) for seed in (5, 5, 6))
    assert np.array_equal(one.images, again.images)
    assert one.captions == again.captions
    assert not np.array_equal(one.images, other.images)
    assert (one.images.shape, one.images.dtype) == ((2, 32, 32, 3), np.uint8)
    codes = len(CODE_VECTOR_NAMES) if name == "demo-biomed" else len(WORDS)
    assert one.targets.shape == (2, codes)


PHRASE = re.compile(r"a (\w+) (\w+) (\w+) at the (\w+) (\w+)")


@pytest.mark.parametrize("seed", range(25))
def test_a_caption_of_shapes_names_exactly_what_is_drawn_and_where(seed):
    image, caption, targets = draw_shapes(np.random.default_rng(seed), 120)
    phrases = PHRASE.findall(caption)
    assert len(phrases) == caption.count(" and ") + 1
    for size, colour, shape, row, column in phrases:
        half = 1.3 * SIZES[size] + 0.06
        y, x = (np.mgrid[:120, :120] + 0.5) / 120
        near = (abs(y - ROWS[row]) < half) & (abs(x - COLUMNS[column]) < half)
        distance = np.abs(image.astype(int) - COLOURS[colour]).max(axis=2)
        assert (near & (distance < 40)).sum() > 12, (size, colour, shape)
    named = {word for phrase in phrases for word in phrase}
    assert {word for word, there in zip(WORDS, targets, strict=True) if there} == named


def test_a_name_that_is_no_demo_model_is_passed_on(tmp_path):
    assert backbone_source("biomedclip", tmp_path) == "biomedclip"
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
