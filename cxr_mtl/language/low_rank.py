"""Low-rank adaptation of the upper blocks, by peft: few weights are trained, the others stay."""

from peft import LoraConfig, inject_adapter_in_model
from transformers import PreTrainedModel

from cxr_mtl.base.errors import InputError

TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""The linear maps of a block; LLM2VEC4CXR adapts them all."""


def add_low_rank(
    upper: PreTrainedModel, rank: int = 16, alpha: float = 32, dropout: float = 0.05
) -> PreTrainedModel:
    """Add trainable low-rank maps to the blocks of `upper` itself, and freeze all else.

    They begin as nothing, so that `upper` first gives what it gave.

    Raises:
        InputError: a rank below 1.
    """
    if rank < 1:
        raise InputError(f"the rank of the adaptation is {rank}: give at least 1")
    config = LoraConfig(
        r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=list(TARGETS)
    )
    for parameter in upper.parameters():
        parameter.requires_grad_(False)
    inject_adapter_in_model(config, upper)
    return upper


def merge_low_rank(upper: PreTrainedModel) -> PreTrainedModel:
    """Put the low-rank maps into the weights that they adapt, so that plain blocks are left."""
    for module in list(upper.modules()):
        for name, child in list(module.named_children()):
            if hasattr(child, "merge") and hasattr(child, "get_base_layer"):
                child.merge()
                setattr(module, name, child.get_base_layer())
    return upper
