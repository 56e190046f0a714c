"""Aligning the demo's towers: what is trained, the same for the same seed, and what ships."""

import re
from dataclasses import asdict
from types import SimpleNamespace
from typing import get_args

import numpy as np
import pytest
import torch
from safetensors import safe_open
from sklearn.decomposition import PCA

from cxr_mtl.models.convolutional_trunk import CHANNELS
from cxr_mtl.models.demo_architecture import WIDTH, DemoName, by_place, cxr_mtl_demo_vit
from cxr_mtl.phantoms.captioned_images import CaptionedImages
from cxr_mtl.training import alignment
from cxr_mtl.training.alignment import DRAWERS, QUIET, SPREAD, Settings, align, summarise
from cxr_mtl.training.demo_models import ALIGNED

SMALL = Settings(pairs=16, epochs=8, batch_size=8)


def drawn_here(draw_one, numbers, size, seed):
    """The same without processes."""
    drawn = [draw_one(np.random.default_rng([seed, number]), size) for number in numbers]
    images, captions, targets = zip(*drawn, strict=True)
    return CaptionedImages(np.stack(images), list(captions), np.stack(targets))


@pytest.fixture
def aligned(monkeypatch):
    """An alignment on so little that it ends at once, drawn in two shards; its lines beside."""
    monkeypatch.setattr(alignment, "captioned_images", drawn_here)
    monkeypatch.setattr(alignment, "SHARD", 10)
    said = []
    return lambda name, settings=SMALL: (align(name, settings, said.append), said)


@pytest.mark.parametrize("name", get_args(DemoName))
def test_what_ships_was_made_with_these_settings_and_names(aligned, name):
    tensors, _ = aligned(name, Settings(pairs=8, epochs=1, batch_size=8))
    with safe_open(ALIGNED / f"{name}.safetensors", "pt") as file:
        assert file.metadata() == {key: str(value) for key, value in asdict(Settings()).items()}
        shapes = {key: file.get_tensor(key).shape for key in file.keys()}  # noqa: SIM118
    assert {key: tensor.shape for key, tensor in tensors.items()} == shapes


def test_every_demo_model_has_a_drawer():
    assert set(DRAWERS) == set(get_args(DemoName))


def test_the_losses_fall_on_what_is_shown(aligned):
    _, said = aligned("demo-general")
    assert said[:2] == ["10 of 16 captioned pictures", "16 of 16 captioned pictures"]
    losses = [re.search(r"CLIP loss ([\d.]+), BCE of both ([\d.]+)", line) for line in said[2:]]
    clip, codes = (np.array([float(found[part]) for found in losses]) for part in (1, 2))
    assert len(clip) == SMALL.epochs
    assert codes[-1] < 0.8 * codes[0]
    assert clip[-1] < clip[0]


def test_a_summary_is_the_principal_components_of_the_standardised_places():
    torch.manual_seed(0)
    tower = cxr_mtl_demo_vit()
    maps = torch.randn(400, CHANNELS, 14, 14) * torch.rand(CHANNELS, 1, 1) * 3 + 1
    maps += torch.randn(400, 1, 3, 3).repeat_interleave(5, 2).repeat_interleave(5, 3)[..., :14, :14]
    model = SimpleNamespace(visual=SimpleNamespace(trunk=tower))
    summarise(model, maps)
    places = by_place(maps)
    with torch.no_grad():
        found = tower.patch_embed.summary(places).numpy()
    places = places.numpy()
    standardised = (places - places.mean(0)) / (places.std(0, ddof=1) + QUIET)
    expected = PCA(WIDTH, svd_solver="full").fit_transform(standardised)[:, ::-1]
    expected *= SPREAD / expected.std(0, ddof=1).mean()
    signs = np.sign((found * expected).sum(0))
    assert found.mean(0) == pytest.approx(0, abs=1e-3)
    assert found[:, -8:] == pytest.approx((signs * expected)[:, -8:], abs=1e-2)
    assert found.std(0, ddof=1) == pytest.approx(expected.std(0, ddof=1), rel=1e-2)
    assert not any(p.requires_grad for p in tower.patch_embed.summary.parameters())


def test_the_same_seed_gives_the_same_weights(aligned):
    short = Settings(pairs=8, epochs=1, batch_size=8)
    one, again = (aligned("demo-general", short)[0] for _ in range(2))
    other, _ = aligned("demo-general", Settings(pairs=8, epochs=1, batch_size=8, seed=1))
    assert all(tensor.equal(again[name]) for name, tensor in one.items())
    assert not all(tensor.equal(other[name]) for name, tensor in one.items())
    assert all(tensor.dtype == torch.float16 for tensor in one.values())
