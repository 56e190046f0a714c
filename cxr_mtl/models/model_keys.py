"""The key of a model: a hash of all that its embeddings depend on, and of no name or place."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import open_clip
from open_clip.tokenizer import SimpleTokenizer
from torch import nn, uint8

from cxr_mtl.base.errors import InputError

_NAMES = {"hf_model_name", "hf_tokenizer_name"}
_STARTS = {"hf_model_pretrained", "timm_model_pretrained"}
_ORIGINS = {"_name_or_path", "_commit_hash", "architectures", "transformers_version"}
_OF_NO_EFFECT = _NAMES | _STARTS | _ORIGINS
"""Fields that say where a model, its first weights or its configuration are from."""
_SET_BY_EACH_CALL = {"truncation", "padding"}


def model_key(model: nn.Module, configuration: Mapping[str, Any], tokenize: Any) -> str:
    """A key that equal models share, wherever they lie, and different ones do not.

    Args:
        model: as it was loaded: of its tensors, its text tower's own configuration and its
            preprocessing everything counts.
        configuration: the `model_cfg` that it was built from.
        tokenize: its tokenizer.

    Raises:
        InputError: the tokenizer is not known to the whole.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(tensor.contiguous().flatten().view(uint8).numpy())
    text_tower = getattr(getattr(model, "text", None), "config", None)
    parts = [
        open_clip.model.get_model_preprocess_cfg(model),
        _effective(configuration),
        _effective(text_tower.to_dict()) if text_tower is not None else None,
        getattr(text_tower, "_attn_implementation", None),
        _whole(tokenize),
    ]
    digest.update(json.dumps(parts, sort_keys=True, default=str).encode())
    return digest.hexdigest()[:16]


def fast_tokenizer(tokenize: Any) -> Any:
    """The Hugging Face tokenizer in one of open_clip's.

    Raises:
        InputError: it has none, or one in Python, which keeps what it does to itself.
    """
    huggingface = getattr(tokenize, "tokenizer", None)
    if not getattr(huggingface, "is_fast", False):
        raise InputError(
            f"the tokenizer {type(huggingface or tokenize).__name__} does not tell which "
            "characters its tokens stand for: take a model with a fast Hugging Face tokenizer"
        )
    return huggingface


def _effective(configuration: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _effective(value) if isinstance(value, Mapping) else value
        for name, value in configuration.items()
        if name not in _OF_NO_EFFECT
    }


def _whole(tokenize: Any) -> list[Any]:
    """All that a tokenizer does to a text: normalising, parting, vocabulary, marks and padding."""
    if isinstance(tokenize, SimpleTokenizer):
        vocabulary = [*tokenize.encoder.items()], [*tokenize.bpe_ranks.items()]
        return [tokenize.context_length, *vocabulary]
    huggingface = fast_tokenizer(tokenize)
    steps = json.loads(huggingface.backend_tokenizer.to_str())
    return [
        tokenize.context_length,
        {name: step for name, step in steps.items() if name not in _SET_BY_EACH_CALL},
        huggingface.padding_side,
        huggingface.truncation_side,
        huggingface.pad_token_id,
        huggingface.all_special_ids,
    ]
