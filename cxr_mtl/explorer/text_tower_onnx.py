"""The text tower as an ONNX file, for a page that reads what a reader types; tried texts."""

import json
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime
import torch
from onnx import ModelProto
from open_clip.hf_model import HFTextEncoder
from open_clip.tokenizer import HFTokenizer
from torch import Tensor, nn
from torch.nn import functional as F

from cxr_mtl.base.errors import InputError
from cxr_mtl.explorer.example_queries import TRIED
from cxr_mtl.explorer.small_weights import shrink
from cxr_mtl.models.backbones import Backbone
from cxr_mtl.retrieval.index import Vectors, normalised

LARGEST = 30_000_000
"""Weights above which a tower is too much for a page to load, though most are in eight bits."""

SPECIAL = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]"}
BATCH = 64
TOP = 5


class UnitText(nn.Module):
    """A Hugging Face text tower of open_clip with its padding as an input.

    Shapes: ids and mask (1 for a token, 0 for padding), both int64 [batch, length] -> L2-normalised
    embeddings [batch, dim].
    """

    def __init__(self, tower: HFTextEncoder) -> None:
        super().__init__()
        self.tower = tower

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        hidden = self.tower.transformer(input_ids=ids, attention_mask=mask)
        return F.normalize(self.tower.proj(self.tower.pooler(hidden, mask)), dim=-1)


def obstacle(backbone: Backbone) -> str | None:
    """Why the page cannot run a model's text tower, as a clause; None where it can.

    The page splits words as lower-casing BERT tokenizers do, and knows no other way.
    """
    tower = _tower(backbone)
    count = sum(p.numel() for p in tower.parameters())
    if count > LARGEST:
        return f"it holds {count / 1e6:,.0f} million weights, more than {LARGEST / 1e6:.0f} million"
    if not isinstance(tower, HFTextEncoder) or not _is_lower_casing_bert(backbone.tokenize):
        return "it does not read words as a lower-casing BERT does"
    return None


def export_text_tower(backbone: Backbone) -> bytes:
    """The text tower as an ONNX file: inputs `ids` and `mask`, output `text_embedding`.

    Both axes of the inputs are free, up to the tokenizer's context; shapes are those of `UnitText`.

    Raises:
        InputError: the tower is none that the page could run.
    """
    reason = obstacle(backbone)
    if reason:
        raise InputError(
            f"the text tower of {backbone.source} cannot be exported: {reason}; leave it out"
        )
    ids = torch.tensor([[2, 5, 6, 3], [2, 5, 3, 0]])
    longest = backbone.tokenize.context_length
    axes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("length", max=longest)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's are for its own authors
        program = torch.onnx.export(
            UnitText(backbone.model.text).cpu().eval(),
            (ids, (ids != 0).long()),
            input_names=["ids", "mask"],
            output_names=["text_embedding"],
            dynamic_shapes=(axes, axes),
            dynamo=True,
            verbose=False,
        )
    model = program.model_proto
    _forget_origin(model)
    shrink(model)
    return model.SerializeToString(deterministic=True)


class OnnxTextTower:
    """An exported text tower, run by onnxruntime on the CPU."""

    def __init__(self, onnx: bytes) -> None:
        self._session = onnxruntime.InferenceSession(onnx, providers=["CPUExecutionProvider"])

    def embed(self, ids: Tensor) -> Vectors:
        """Token ids [n, length], padded with zeros -> L2-normalised float32 [n, dim]."""
        embedded = []
        for batch in ids.split(BATCH):
            batch = batch[:, : _length(batch.any(0))]
            fed = {"ids": batch.numpy(), "mask": (batch != 0).long().numpy()}
            embedded += self._session.run(["text_embedding"], fed)
        return np.concatenate(embedded)


def token_ids(backbone: Backbone, text: str) -> list[int]:
    """The token ids of a text, special ones included, without padding."""
    ids = backbone.tokenize([text])[0]
    return ids[: _length(ids)].tolist()


def tokenizer_card(tokenize: HFTokenizer) -> dict[str, Any]:
    """What a page needs to split text as this lower-casing BERT tokenizer does.

    Keys: `context` (longest sequence of tokens), `lowercase`, `special` (ids of pad, unk, cls and
    sep) and `vocabulary` (all word pieces by id).
    """
    ids = tokenize.tokenizer.get_vocab()
    return {
        "context": tokenize.context_length,
        "lowercase": True,
        "special": {name: ids[piece] for name, piece in SPECIAL.items()},
        "vocabulary": sorted(ids, key=ids.get),
    }


def typed_examples(
    backbone: Backbone, images: Vectors, studies: Sequence[str], texts: Sequence[str] = TRIED
) -> list[dict[str, Any]]:
    """Each text with its token ids, its embedding and the studies of the images nearest to it.

    Strict retrieval by the whole model, where equal scores stay in the order of the studies.

    Args:
        images: embeddings of the studies' images, L2-normalised [studies, dim].
    """
    examples = []
    for text in texts:
        with torch.inference_mode():
            (embedding,) = normalised(backbone.model.encode_text(backbone.tokenize([text])))
        nearest = np.argsort(-(images @ embedding), kind="stable")[:TOP]
        examples.append(
            {
                "text": text,
                "ids": token_ids(backbone, text),
                "embedding": [round(float(value), 7) for value in embedding],
                "top": [studies[position] for position in nearest],
            }
        )
    return examples


def _tower(backbone: Backbone) -> nn.Module:
    # open_clip's own CLIP keeps the text tower's modules beside those of the image tower.
    return getattr(backbone.model, "text", backbone.model)


def _length(tokens: Tensor) -> int:
    """Where the padding at the end begins; a reader may have typed `[PAD]` before it."""
    return int(tokens.nonzero().max()) + 1


def _is_lower_casing_bert(tokenize: Any) -> bool:
    if not isinstance(tokenize, HFTokenizer) or not tokenize.tokenizer.is_fast:
        return False
    parts = json.loads(tokenize.tokenizer.backend_tokenizer.to_str())
    normalizer, words = parts["normalizer"] or {}, parts["model"]
    return (
        tokenize.tokenizer.pad_token_id == 0
        and normalizer.get("type") == "BertNormalizer"
        and normalizer["lowercase"]
        and normalizer["clean_text"]
        and normalizer["handle_chinese_chars"]
        and normalizer["strip_accents"] is not False  # None: as lowercase says
        and (parts["pre_tokenizer"] or {}).get("type") == "BertPreTokenizer"
        and (words["type"], words.get("continuing_subword_prefix")) == ("WordPiece", "##")
    )


def _forget_origin(model: ModelProto) -> None:
    """Drop the stack traces the exporter leaves: they name folders and differ by machine."""
    graph = model.graph
    named: Sequence[Any] = (*graph.node, *graph.input, *graph.output, *graph.value_info)
    for part in (model, graph, *named, *graph.initializer, *model.functions):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
