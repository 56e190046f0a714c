"""A model tried on a picture and two texts before anything rests on it.

What its files say each for itself may still not go together, and would break in the midst of a
chapter, or worse, not break.
"""

import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from open_clip.tokenizer import SimpleTokenizer
from PIL import Image
from torch import Tensor, nn

from cxr_mtl.base.errors import InputError
from cxr_mtl.models.model_keys import fast_tokenizer

UNKNOWN = "☃"
"""A word that few vocabularies have: each must say what stands for one."""
_TOGETHER = "bring those that belong to the weights"
_SENTINEL = re.compile(r"<extra_id_\d+>")


def try_tokenizer(tokenize: Any) -> Tensor:
    """The ids of a short text and of one beyond the context [2, context].

    Raises:
        ValueError: they are none such; what a strange tokenizer raises can be anything.
    """
    context = tokenize.context_length
    ids = tokenize([f"a {UNKNOWN}", "a " * context])
    if ids.shape != (2, context):
        raise ValueError(f"it makes {list(ids.shape)} of two texts, not {[2, context]}")
    return ids


def check_token_ids(source: str, tokenize: Any, vocabulary: int) -> None:
    """Refuse a tokenizer of more words than its text tower has embeddings.

    The hundred words that T5's tokenizers have beyond those of their models do not count.

    Raises:
        InputError: naming the highest id and the size of the tower's vocabulary.
    """
    highest = _highest_id(tokenize)
    if highest >= vocabulary:
        raise InputError(
            f"the tokenizer of {source!r} has token ids up to {highest:,}, and the vocab_size of "
            f"its text tower is {vocabulary:,}: bring the tokenizer that belongs to the weights"
        )


def try_model(
    config: Path,
    model: nn.Module,
    preprocess: Callable[[Image.Image], Tensor],
    tokenize: Any,
    ids: Tensor,
) -> None:
    """Refuse a model that cannot embed a picture or a text, or is told of another padding.

    Args:
        config: its `open_clip_config.json`, to be named.
        ids: what `try_tokenizer` gave.

    Raises:
        InputError: what of its pieces do not go together.
    """
    texts = [ids[1:]]
    tower = getattr(getattr(model, "text", None), "config", None)
    if tower is not None:
        texts.append(ids[:1, : _length(config, fast_tokenizer(tokenize), tower.pad_token_id, ids)])
    image = _embedding(
        lambda: model.encode_image(preprocess(Image.new("RGB", (60, 40)))[None]),
        f"the image tower that {config} describes cannot embed a picture",
        "correct vision_cfg and preprocess_cfg",
    )
    for some in texts:
        text = _embedding(
            lambda some=some: model.encode_text(some),
            f"the text tower that {config} describes cannot embed {some.shape[1]} tokens",
            "correct text_cfg and the tower's config.json",
        )
        if image.shape != text.shape:
            raise InputError(
                f"{config} describes towers that embed a picture as {list(image.shape)} and a text "
                f"as {list(text.shape)} numbers: {_TOGETHER}"
            )


def reason_of(error: Exception) -> str:
    """What an error from anywhere says first, in one line of a bearable length."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    said = " ".join(lines[:2]) if lines[0].rstrip().endswith(":") else lines[0]
    return textwrap.shorten(said, 200, placeholder=" …")


def _length(config: Path, huggingface: Any, padding: int | None, ids: Tensor) -> int:
    """The number of tokens of the short text, which its padding must follow."""
    if huggingface.pad_token_id != padding:
        raise InputError(
            f"the text tower of {config} takes the token {padding} for padding (pad_token_id of "
            f"its config.json), and the tokenizer pads with {huggingface.pad_token_id}: {_TOGETHER}"
        )
    is_token = ids[0] != padding
    length = int(is_token.sum())
    if not is_token[:length].all():
        raise InputError(
            f"the tokenizer beside {config} pads texts at their start, where the text tower looks "
            "for their mark: set padding_side to right in tokenizer_config.json"
        )
    return length


def _embedding(embed: Callable[[], Any], fault: str, remedy: str) -> Tensor:
    try:
        with torch.no_grad():
            found = embed()
        if not isinstance(found, Tensor):
            raise TypeError(f"it gives {type(found).__name__}, no tensor")
    # Towers break as anything in them does.
    except Exception as error:
        raise InputError(f"{fault} ({reason_of(error)}): {remedy}, or {_TOGETHER}") from error
    if not found.isfinite().all():
        raise InputError(f"{fault} (it gives NaN or infinity): {remedy}, or {_TOGETHER}")
    return found


def _highest_id(tokenize: Any) -> int:
    if isinstance(tokenize, SimpleTokenizer):
        return max(tokenize.encoder.values())
    vocabulary = fast_tokenizer(tokenize).get_vocab()
    return max(number for word, number in vocabulary.items() if not _SENTINEL.fullmatch(word))
