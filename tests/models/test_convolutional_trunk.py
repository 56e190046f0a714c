"""The demo's convolutional trunk: the publisher's features, by its weights alone."""

import subprocess
import sys

import pytest
import torch
from efficientnet_lite_pytorch import EfficientNet
from torch import nn

from cxr_mtl.models.convolutional_trunk import CHANNELS, ConvolutionalTrunk, pretrained_trunk
from cxr_mtl.models.packaged_files import EFFICIENTNET_LITE0

BLOCKS = 11
"""Of the publisher's network, up to its fifth stage."""


@pytest.fixture(scope="module")
def trunk() -> ConvolutionalTrunk:
    return pretrained_trunk().eval()


@pytest.mark.parametrize("size", [64, 112, 160])
def test_the_features_are_those_of_the_publishers_own_network(trunk, size):
    (name,) = EFFICIENTNET_LITE0.sha256
    network = EfficientNet.from_name("efficientnet-lite0", image_size=size)
    network.load_state_dict(torch.load(EFFICIENTNET_LITE0.path(name), weights_only=True))
    network.eval()
    images = torch.rand(2, 3, size, size, generator=torch.manual_seed(0)) * 2 - 1
    with torch.inference_mode():
        expected = network._swish(network._bn0(network._conv_stem(images)))
        for block in network._blocks[:BLOCKS]:
            expected = block(expected)
        found = trunk(images)
    assert found.shape == (2, CHANNELS, -(-size // 16), -(-size // 16))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_no_batch_norm_is_left_whose_statistics_a_training_could_move(trunk):
    assert not any(
        isinstance(module, nn.modules.batchnorm._BatchNorm) for module in trunk.modules()
    )
    assert list(trunk.buffers()) == []


def test_an_untrained_trunk_has_the_tensors_of_the_pretrained_one(trunk):
    shapes = {name: tensor.shape for name, tensor in trunk.state_dict().items()}
    assert {n: t.shape for n, t in ConvolutionalTrunk().state_dict().items()} == shapes


def test_no_code_of_the_package_is_imported():
    program = (
        "import sys; from cxr_mtl.models.convolutional_trunk import pretrained_trunk; "
        "pretrained_trunk(); "
        "sys.exit(any(name.startswith('efficientnet_lite') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
