"""EfficientNet-Lite0 up to its fifth stage: a frozen front for small image towers.

Tan and Le, "EfficientNet", ICML 2019; the weights are the publisher's, trained on ImageNet.
"""

from itertools import pairwise

import timm
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from cxr_mtl.models.packaged_files import EFFICIENTNET_LITE0

STAGES, CHANNELS, STRIDE = 5, 112, 16


class ConvolutionalTrunk(nn.Module):
    """The first stages of EfficientNet-Lite0, each batch norm folded into its convolution.

    Shapes: images [batch, 3, height, width], scaled to [-1, 1] -> [batch, 112, height/16,
    width/16], rounded up.
    """

    def __init__(self, network: nn.Module | None = None) -> None:
        super().__init__()
        network = network or _network()
        stages = nn.Sequential(network.conv_stem, network.bn1, *network.blocks[:STAGES])
        self.stages = _folded(stages.eval())
        self.num_features = CHANNELS  # where timm looks for it

    def forward(self, images: Tensor) -> Tensor:
        return self.stages(images.contiguous(memory_format=torch.channels_last))


def pretrained_trunk() -> ConvolutionalTrunk:
    """The trunk with the weights of the installed package, of which no code runs.

    Raises:
        InputError: the package or its file is missing, or is another.
    """
    (name,) = EFFICIENTNET_LITE0.sha256
    weights = torch.load(EFFICIENTNET_LITE0.path(name), weights_only=True)
    network = _network()
    # The publisher's network registers the same tensors, otherwise named, in the same order.
    network.load_state_dict(dict(zip(network.state_dict(), weights.values(), strict=True)))
    return ConvolutionalTrunk(network)


def _network() -> nn.Module:
    return timm.create_model("tf_efficientnet_lite0", pretrained=False)


def _folded(module: nn.Module) -> nn.Module:
    """The same function, in eval mode, with every batch norm in the convolution before it."""
    children = list(module.named_children())
    for name, child in children:
        setattr(module, name, _folded(child))
    for (name, convolution), (norm_name, norm) in pairwise(children):
        if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            setattr(module, name, fuse_conv_bn_eval(convolution, norm))
            setattr(module, norm_name, norm.act)
    return module
