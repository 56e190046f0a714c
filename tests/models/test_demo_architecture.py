"""The demo's image tower: its class token starts from a summary of the feature map by place."""

import copy

import numpy as np
import pytest
import torch
from timm.layers import HybridEmbed
from timm.models import VisionTransformer
from torch import nn

from cxr_mtl.models.convolutional_trunk import CHANNELS
from cxr_mtl.models.demo_architecture import (
    HEADS,
    IMAGE_SIZE,
    PLACES,
    WIDTH,
    by_place,
    cxr_mtl_demo_vit,
)


class Trunk(nn.Identity):
    num_features = CHANNELS


@pytest.fixture(scope="module")
def tower():
    torch.manual_seed(0)
    tower = cxr_mtl_demo_vit(num_classes=0, global_pool="token").eval()
    tower.patch_embed.backbone = nn.Identity()  # feature maps are given
    return tower


@pytest.fixture
def maps():
    return torch.randn(2, CHANNELS, 14, 14, generator=torch.manual_seed(1))


def test_means_by_place_are_those_of_loops(maps):
    expected = np.empty((2, CHANNELS, PLACES, PLACES), dtype=np.float32)
    ends = [(14 * i // PLACES, -(-14 * (i + 1) // PLACES)) for i in range(PLACES)]
    for row, (top, bottom) in enumerate(ends):
        for column, (left, right) in enumerate(ends):
            place = maps.numpy()[:, :, top:bottom, left:right]
            expected[:, :, row, column] = place.mean((2, 3))
    assert by_place(maps).numpy() == pytest.approx(expected.reshape(2, -1), abs=1e-6)


@torch.inference_mode()
def test_the_class_token_is_the_learned_one_plus_the_summary(tower, maps):
    entering = tower._pos_embed(tower.patch_embed(maps))
    assert entering.shape == (2, 1 + 49, WIDTH)
    summary = by_place(maps) @ tower.patch_embed.summary.weight.T + tower.patch_embed.summary.bias
    first = tower.cls_token[:, 0] + tower.pos_embed[:, 0] + summary
    assert entering[:, 0].numpy() == pytest.approx(first.numpy(), abs=1e-5)
    patches = tower.patch_embed.proj(maps).flatten(2).mT + tower.pos_embed[:, 1:]
    assert entering[:, 1:].numpy() == pytest.approx(patches.numpy(), abs=1e-5)


@torch.inference_mode()
def test_without_a_summary_it_is_timms_own_vit(tower, maps):
    plain = VisionTransformer(
        img_size=IMAGE_SIZE,
        patch_size=2,
        embed_dim=WIDTH,
        depth=len(tower.blocks),
        num_heads=HEADS,
        num_classes=0,
        embed_layer=lambda **kwargs: HybridEmbed(
            Trunk(), feature_size=14, feature_ratio=16, **kwargs
        ),
    ).eval()
    weights = {k: v for k, v in tower.state_dict().items() if ".summary." not in k}
    plain.load_state_dict(weights)
    unsummarised = copy.deepcopy(tower)
    for parameter in unsummarised.patch_embed.summary.parameters():
        parameter.zero_()
    without = unsummarised(maps)
    assert without.numpy() == pytest.approx(plain(maps).numpy(), abs=1e-5)
    assert not torch.allclose(without, tower(maps), atol=1e-2)


def test_no_weights_are_downloaded():
    with pytest.raises(ValueError, match="demo-biomed"):
        cxr_mtl_demo_vit(pretrained=True)
