"""The frozen part of a backbone, computed once per image and per report and kept on disk."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import torch
from torch import Tensor, nn

from cxr_mtl.base.choices import DeviceName, Precision
from cxr_mtl.base.errors import InputError
from cxr_mtl.base.files import content_key, sha256_of_file
from cxr_mtl.base.progress import print_progress
from cxr_mtl.base.resources import keep_freed_memory
from cxr_mtl.data.images import read_image
from cxr_mtl.models.backbones import Backbone
from cxr_mtl.models.known_reports import KnownReports, each_report_once
from cxr_mtl.models.last_layer import LastLayer, text_lengths, tower_kinds
from cxr_mtl.models.mixed_precision import mixed_precision, quickest_precision
from cxr_mtl.models.token_store import TokenStore, fill_store
from cxr_mtl.models.towers import Tower

BATCH = 64
FROZEN_BATCHES = {"cpu": {"images": 16, "reports": 64}, "cuda": {"images": 128, "reports": 128}}
"""Sequences that run through the frozen blocks at once: few enough for a CPU's caches."""
BYTES_PER_VALUE = 40
"""Of a block's activations per token and channel: ten float32 tensors, the MLP's four included."""
LIBRARIES = ("torch", "timm", "transformers", "open_clip_torch")


@dataclass(frozen=True)
class Features:
    """What enters the first unfrozen block of both towers, one row per study in table order."""

    images: TokenStore
    texts: TokenStore
    key: str

    def __len__(self) -> int:
        return len(self.images)

    def to(self, device: str) -> "Features":
        """The same features resident in a GPU's memory; on the CPU they stay memory-mapped."""
        return replace(self, images=self.images.to(device), texts=self.texts.to(device))


def compute_features(
    backbone: Backbone,
    studies: pd.DataFrame,
    unfrozen_blocks: int,
    cache: Path,
    *,
    precision: Precision = "float32",
    device: str = "cpu",
    known: KnownReports | None = None,
) -> Features:
    """Run the frozen blocks once over `studies`, or reuse what an earlier run left in `cache`.

    Of equal reports that are computed together one is run, and of those that are `known` none.

    Images and reports are kept apart under keys made of the backbone's key, their content, the
    number of unfrozen blocks, the precision (of computing and keeping) and the versions of the
    libraries that compute them, so a change to either recomputes only itself. Interrupted work
    goes on where it stopped.

    Raises:
        InputError: an image changed since the data stage hashed it, the disk is or will be full,
            or too little memory is free.
    """
    keep_freed_memory()
    setting = (backbone.key, unfrozen_blocks, precision, _versions())
    image_key = content_key("images", *setting, list(studies["image_sha256"]))
    text_key = content_key("texts", *setting, list(studies["text"]))
    prefix = FrozenPrefix(backbone.model, unfrozen_blocks, precision, device)
    images, texts = list(studies["image"]), list(studies["text"])
    ids, lengths = tokenise(backbone, texts)

    def image_tokens(rows: Tensor) -> tuple[Tensor, Tensor]:
        _check_unchanged(studies.iloc[rows.numpy()])
        return prefix.images(load_images(backbone, [images[row] for row in rows]))

    def run_reports(rows: Tensor) -> tuple[Tensor, Tensor]:
        return prefix.texts(ids[rows], lengths[rows])

    def text_tokens(rows: Tensor) -> tuple[Tensor, Tensor]:
        return each_report_once([texts[row] for row in rows], rows, run_reports, known)

    blank = torch.zeros(1, 3, *_image_size(backbone.model))
    image_shape, text_shape = prefix.images(blank)[0].shape, run_reports(torch.arange(1))[0].shape
    if device == "cpu":
        _check_memory(max(image_shape[1], int(lengths.max())) * image_shape[2])
    image_lengths = torch.full((len(studies),), image_shape[1])
    text_lengths = lengths if unfrozen_blocks else torch.ones_like(lengths)
    about = {"backbone": backbone.source, "unfrozen_blocks": unfrozen_blocks}
    stores = (
        fill_store(
            cache / "features" / key,
            store_lengths,
            shape[2],
            getattr(torch, precision),
            compute,
            batch_size=FROZEN_BATCHES[torch.device(device).type][what],
            about={"what": what, **about},
            progress=print_progress(what),
        )
        for what, key, store_lengths, shape, compute in (
            ("images", image_key, image_lengths, image_shape, image_tokens),
            ("reports", text_key, text_lengths, text_shape, text_tokens),
        )
    )
    return Features(*stores, key=content_key(image_key, text_key))


def without_last_block(features: Features, end: LastLayer, cache: Path) -> Features:
    """The features of no unfrozen block, of those of one: what leaves the block `end` as it is.

    They differ from those that `compute_features` gives by what keeping tokens rounds away.

    Raises:
        InputError: as `fill_store`.
    """
    end = end.independent_copy().cpu().eval()  # where the kept tokens are
    stores = [
        fill_store(
            cache / "features" / content_key("what leaves the last block", what, features.key),
            torch.ones(len(features), dtype=torch.int64),
            store.query.shape[1],
            store.tokens.dtype,
            lambda rows, tower=tower, store=store: _query_alone(tower.leaving(store.batch(rows))),
            about={"what": what, "unfrozen_blocks": 0},
            progress=print_progress(what),
        )
        for what, store, tower in (
            ("images", features.images, end.image),
            ("reports", features.texts, end.text),
        )
    ]
    return Features(*stores, key=content_key("what leaves the last block", features.key))


def _query_alone(query: Tensor) -> tuple[Tensor, Tensor]:
    return query[:, None], query


class FrozenPrefix:
    """Both towers up to their first unfrozen block.

    On a CPU without bfloat16 arithmetic they run in float32; what is kept is rounded all the same.
    """

    def __init__(
        self, model: nn.Module, unfrozen_blocks: int, precision: Precision, device: str = "cpu"
    ) -> None:
        self.model = model.to(device).eval()
        self.kinds = tower_kinds(self.model)
        self.ends = LastLayer(self.model, unfrozen_blocks)
        self.unfrozen_blocks = unfrozen_blocks
        self.precision = quickest_precision(precision, device)
        self.device = device

    def images(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images [batch, 3, height, width] -> what `Tower.tokens_to_keep` keeps."""
        return self._keep(
            self.kinds[0], self.ends.image, images, torch.ones(len(images), dtype=torch.int64)
        )

    def texts(self, ids: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Padded ids [batch, context] and lengths [batch] -> what `Tower.tokens_to_keep` keeps."""
        return self._keep(self.kinds[1], self.ends.text, ids[:, : int(lengths.max())], lengths)

    def _keep(
        self, kind: type[Tower], end: Tower, inputs: Tensor, lengths: Tensor
    ) -> tuple[Tensor, Tensor]:
        with torch.inference_mode(), mixed_precision(self.precision, self.device):
            entering = kind.entering(self.model, inputs.to(self.device), self.unfrozen_blocks)
            return end.tokens_to_keep(entering.float(), lengths.to(self.device))


def pick_device(device: DeviceName) -> str:
    """`auto` is the GPU when there is one, else the CPU.

    Raises:
        InputError: cuda is asked for and PyTorch sees no GPU.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("device is cuda but PyTorch sees no GPU: give cpu or auto")
    return ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device


def tokenise(backbone: Backbone, texts: list[str]) -> tuple[Tensor, Tensor]:
    """Token ids [studies, context] and the length of each report in tokens [studies]."""
    ids = torch.cat([backbone.tokenize(texts[i : i + 1024]) for i in range(0, len(texts), 1024)])
    return ids, tower_kinds(backbone.model)[1].lengths_of(backbone.model, ids)


def load_images(backbone: Backbone, paths: list[str]) -> Tensor:
    """Read and preprocess images -> [batch, 3, height, width]."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return torch.stack(list(pool.map(lambda p: backbone.preprocess(read_image(p)), paths)))


def _image_size(model: nn.Module) -> tuple[int, int]:
    size = model.visual.image_size
    return (size, size) if isinstance(size, int) else tuple(size)


def _check_memory(values_per_study: int) -> None:
    needed = BATCH * values_per_study * BYTES_PER_VALUE
    free = psutil.virtual_memory().available
    if free < needed:
        raise InputError(
            f"computing features needs about {needed / 1e9:.1f} GB of memory and "
            f"{free / 1e9:.1f} GB are free: close other programs"
        )


def _versions() -> dict[str, str]:
    return {name: version(name) for name in LIBRARIES}


def _check_unchanged(batch: pd.DataFrame) -> None:
    for path, expected in zip(batch["image"], batch["image_sha256"], strict=True):
        if sha256_of_file(path) != expected:
            raise InputError(f"{path} changed since the data chapter read it: run chapter 01 again")


def embed(
    backbone: Backbone, studies: pd.DataFrame, device: str = "cpu"
) -> tuple[np.ndarray, np.ndarray]:
    """Image and text embeddings by the whole, unmodified open_clip model.

    Shapes: two float32 arrays [studies, dim], not normalised.
    """
    paths, texts = list(studies["image"]), list(studies["text"])
    model = backbone.model.to(device).eval()
    images = _in_batches(
        lambda rows: model.encode_image(load_images(backbone, rows).to(device)), paths
    )
    return images, embed_texts(backbone, texts, device)


def embed_texts(backbone: Backbone, texts: Sequence[str], device: str = "cpu") -> np.ndarray:
    """Text embeddings by the whole, unmodified text tower, float32 [texts, dim], not normalised.

    For a BERT a batch is padded to its longest text, not to the context.
    """
    model = backbone.model.to(device).eval()
    ids = backbone.tokenize(list(texts))
    lengths = text_lengths(model, ids)
    order = lengths.argsort()
    with torch.inference_mode():
        parts = [
            model.encode_text(ids[rows, : lengths[rows[-1]]].to(device)).float().cpu()
            for rows in order.split(BATCH)
        ]
    return torch.cat(parts)[order.argsort()].numpy()


def _in_batches(encode: Callable[[Sequence[str]], Tensor], inputs: Sequence[str]) -> np.ndarray:
    starts = range(0, len(inputs), BATCH)
    with torch.inference_mode():
        return torch.cat([encode(inputs[i : i + BATCH]).float().cpu() for i in starts]).numpy()
