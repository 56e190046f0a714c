"""Mixed precision in bfloat16, also on processors that cannot multiply in it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only
from torch.utils.flop_counter import flop_registry

from cxr_mtl.base.choices import Precision

ATTENTION = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu


@contextmanager
def mixed_precision(precision: Precision, device: str) -> Iterator[None]:
    """`torch.autocast` where `precision` is bfloat16, with `bfloat16_products` of this machine."""
    enabled = precision == "bfloat16"
    autocast = torch.autocast(torch.device(device).type, torch.bfloat16, enabled=enabled)
    with autocast, bfloat16_products(precision, device):
        yield


def bfloat16_products(precision: Precision, device: str) -> AbstractContextManager[object]:
    """Where bfloat16 is asked for on a CPU without its arithmetic, multiply in float32 and round.

    The result is the same but for the order of sums; PyTorch's own way takes many times as
    long there. A backward pass outside `mixed_precision` needs it, too.
    """
    emulated = precision != quickest_precision(precision, device)
    return MultipliedInFloat32() if emulated else nullcontext()


def quickest_precision(precision: Precision, device: str) -> Precision:
    """float32 for bfloat16 on a CPU without its arithmetic, where that is exacter and quicker."""
    on_cpu = torch.device(device).type == "cpu"
    return "float32" if on_cpu and not multiplies_bfloat16() else precision


def multiplies_bfloat16() -> bool:
    """Whether this CPU has bfloat16 arithmetic, such as AMX or AVX-512 BF16."""
    able = torch.cpu.get_capabilities()
    return any(value for name, value in able.items() if name.endswith("bf16"))


class MultipliedInFloat32(TorchDispatchMode):
    """Products of bfloat16 tensors, and their gradients, as float32 products, then rounded."""

    def __torch_dispatch__(
        self,
        function: Callable[..., Any],
        types: tuple[type, ...],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if function.overloadpacket not in flop_registry:
            with self:  # `linear` comes whole where no gradient is asked for
                parts = function.decompose(*args, **kwargs)
            return function(*args, **kwargs) if parts is NotImplemented else parts
        if not _any_bfloat16(args):
            return function(*args, **kwargs)
        args, kwargs = tree_map_only(torch.Tensor, _raised, (args, kwargs))
        result = function(*args, **kwargs)
        if function.overloadpacket is ATTENTION:
            context, log_sums = result  # these stay in float32
            return _rounded(context), log_sums
        return tree_map_only(torch.Tensor, _rounded, result)


def _any_bfloat16(args: tuple[Any, ...]) -> bool:
    return any(getattr(leaf, "dtype", None) == torch.bfloat16 for leaf in tree_leaves(args))


def _raised(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.float() if tensor.dtype == torch.bfloat16 else tensor


def _rounded(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.bfloat16() if tensor.dtype == torch.float32 else tensor
