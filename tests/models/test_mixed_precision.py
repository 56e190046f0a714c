"""bfloat16 on a CPU without its arithmetic: the same numbers, and no slow product."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from cxr_mtl.models import mixed_precision
from cxr_mtl.models.features import FrozenPrefix
from cxr_mtl.models.mixed_precision import MultipliedInFloat32, bfloat16_products


class Network(nn.Module):
    """Every kind of product that the towers have."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(3, 8, 3, groups=1)
        self.depthwise = nn.Conv2d(8, 8, 3, groups=8)
        self.linear = nn.Linear(8, 24)

    def forward(self, images):
        maps = self.depthwise(self.convolution(images))
        query, key, value = self.linear(maps.flatten(2).mT).chunk(3, -1)
        heads = [part.unflatten(-1, (2, 4)).transpose(1, 2) for part in (query, key, value)]
        mask = torch.ones(len(images), 1, 1, query.shape[1], dtype=torch.bool)
        mask[0, ..., -5:] = False
        attended = F.scaled_dot_product_attention(*heads, attn_mask=mask)
        return torch.einsum("bhnd,bhmd->bnm", attended, heads[2]) @ query


def run(network, images, *, emulated, gradient):
    """The output, and the gradient of each parameter, in mixed precision."""
    network.zero_grad(set_to_none=True)
    mode = MultipliedInFloat32 if emulated else torch.enable_grad
    with mode():
        with torch.autocast("cpu", torch.bfloat16), torch.inference_mode(not gradient):
            output = network(images)
        if gradient:
            output.float().square().sum().backward()
    return [output, *(p.grad for p in network.parameters() if gradient)]


@pytest.mark.parametrize("gradient", [False, True])
def test_numbers_are_those_of_the_native_way(gradient):
    torch.manual_seed(0)
    network, images = Network(), torch.randn(2, 3, 9, 9)
    native = run(network, images, emulated=False, gradient=gradient)
    emulated = run(network, images, emulated=True, gradient=gradient)
    for one, other in zip(native, emulated, strict=True):
        assert one.dtype == other.dtype
        difference = (one.float() - other.float()).norm() / one.float().norm()
        assert difference < 0.01  # bfloat16 keeps eight bits


class Recorder(TorchDispatchMode):
    """What is multiplied below, by the type of its operands."""

    def __init__(self):
        super().__init__()
        self.operands = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function.overloadpacket in flop_registry:
            self.operands |= {t.dtype for t in tree_leaves(args) if isinstance(t, torch.Tensor)}
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("gradient", [False, True])
def test_no_product_is_left_to_the_slow_way(gradient):
    with Recorder() as recorder:
        run(Network(), torch.randn(2, 3, 9, 9), emulated=True, gradient=gradient)
    assert recorder.operands == {torch.float32}


@pytest.mark.parametrize(
    ("able", "precision", "device", "emulated"),
    [
        ({"avx2": True, "avx512_bf16": False, "amx_bf16": False}, "bfloat16", "cpu", True),
        ({"avx2": True, "avx512_bf16": True, "amx_bf16": False}, "bfloat16", "cpu", False),
        ({"avx2": True, "avx512_bf16": False, "amx_bf16": False}, "bfloat16", "cuda", False),
        ({"avx2": True, "avx512_bf16": False, "amx_bf16": False}, "float32", "cpu", False),
    ],
)
def test_only_a_cpu_without_the_arithmetic_emulates_it(
    monkeypatch, able, precision, device, emulated
):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    products = bfloat16_products(precision, device)
    assert isinstance(products, mixed_precision.MultipliedInFloat32) == emulated


@pytest.mark.parametrize(("able", "computed"), [(True, torch.bfloat16), (False, torch.float32)])
def test_the_frozen_part_runs_in_float32_where_bfloat16_is_not_multiplied(
    monkeypatch, backbone, able, computed
):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": able})
    found = []
    backbone.model.visual.trunk.blocks[0].mlp.register_forward_hook(
        lambda module, inputs, output: found.append(output.dtype)
    )
    FrozenPrefix(backbone.model, 1, "bfloat16").images(
        torch.zeros(1, 3, *backbone.model.visual.image_size)
    )
    assert found == [computed]
