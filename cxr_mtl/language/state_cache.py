"""States of reports after the frozen lower blocks of a language model: computed once, on disk."""

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import torch
from torch import Tensor

from cxr_mtl.base.choices import Precision
from cxr_mtl.base.errors import InputError
from cxr_mtl.base.files import content_key
from cxr_mtl.base.progress import print_progress
from cxr_mtl.base.resources import keep_freed_memory
from cxr_mtl.language.decoders import LanguageModel
from cxr_mtl.language.split_decoder import run_blocks, split_decoder
from cxr_mtl.models.known_reports import each_report_once
from cxr_mtl.models.mixed_precision import mixed_precision, quickest_precision
from cxr_mtl.models.token_store import TokenStore, fill_store

CONTEXT = 512
"""Tokens of a text that are read; the longest report of Open-I has 336."""
BATCH = 32
LIBRARIES = ("torch", "transformers")


def tokenise_texts(
    model: LanguageModel, texts: Sequence[str], context: int = CONTEXT
) -> tuple[list[list[int]], list[int]]:
    """Token ids of each text, at most `context`, and the places of the texts that are cut.

    Raises:
        InputError: a text without any token; it is named by its place.
    """
    ids = model.tokenizer(list(texts)).input_ids
    empty = [place for place, row in enumerate(ids) if not row]
    if empty:
        raise InputError(
            f"text {empty[0]} of {len(ids)} is empty for the tokenizer of {model.source}: leave "
            "empty reports out"
        )
    cut = [place for place, row in enumerate(ids) if len(row) > context]
    return [row[:context] for row in ids], cut


def said_twice(ids: Sequence[Sequence[int]]) -> list[list[int]]:
    """Each text followed by itself, for the pooling `echo`."""
    return [[*row, *row] for row in ids]


def report_states(
    model: LanguageModel,
    texts: Sequence[str],
    lower_blocks: int,
    cache: Path,
    *,
    context: int = CONTEXT,
    precision: Precision = "bfloat16",
    device: str = "cpu",
) -> TokenStore:
    """The states that leave the causal `lower_blocks` of `model`, one sequence a text, in order.

    Raises:
        InputError: a text without any token, or as `token_states`.
    """
    ids, _ = tokenise_texts(model, texts, context)
    return token_states(model, ids, lower_blocks, cache, precision=precision, device=device)


def token_states(
    model: LanguageModel,
    ids: Sequence[Sequence[int]],
    lower_blocks: int,
    cache: Path,
    *,
    precision: Precision = "bfloat16",
    device: str = "cpu",
) -> TokenStore:
    """The same of token ids.

    Equal sequences of a batch are run once. The store is kept in `cache` under a key of the model,
    the ids, the blocks, the precision and the libraries' versions; interrupted work goes on where
    it stopped. Its `query` is the state of the last token.

    Raises:
        InputError: as `split_decoder` and `fill_store`.
    """
    keep_freed_memory()
    lengths = torch.tensor([len(row) for row in ids])
    lower = split_decoder(model.decoder, lower_blocks, 1)[0].to(device)
    versions = {name: version(name) for name in LIBRARIES}
    setting = (model.key, lower_blocks, precision, versions)
    key = content_key("token states", *setting, [list(row) for row in ids])

    def run(rows: Tensor) -> tuple[Tensor, Tensor]:
        padded = torch.nn.utils.rnn.pad_sequence(
            [torch.tensor(ids[row]) for row in rows], batch_first=True
        )
        is_token = torch.arange(padded.shape[1]) < lengths[rows][:, None]
        padded, is_token = padded.to(device), is_token.to(device)
        computed = quickest_precision(precision, device)
        with torch.inference_mode(), mixed_precision(computed, device):
            states = run_blocks(lower, model.decoder.embed_tokens(padded), is_token)
        last = (lengths[rows] - 1).to(device)
        return states, states[torch.arange(len(states), device=device), last].float()

    return fill_store(
        cache / "states" / key,
        lengths,
        model.width,
        getattr(torch, precision),
        lambda rows: each_report_once([tuple(ids[row]) for row in rows], rows, run),
        batch_size=BATCH,
        about={"what": "reports", "language_model": model.source, "lower_blocks": lower_blocks},
        progress=print_progress("reports"),
    )
