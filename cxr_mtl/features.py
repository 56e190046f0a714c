"""The frozen part of a backbone, computed once per image and per report and kept on disk."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from cxr_mtl.backbones import Backbone
from cxr_mtl.errors import InputError
from cxr_mtl.files import content_key, read_json, sha256_of_file, write_beside, write_json
from cxr_mtl.images import read_image
from cxr_mtl.last_layer import entering_images, entering_texts

FORMAT = 1
BATCH = 64
Precision = Literal["float32", "bfloat16"]
Progress = Callable[[int], None]


@dataclass(frozen=True)
class TokenStore:
    """Token sequences of many studies, end to end in one memory-mapped file, without padding.

    Shapes: tokens [sum of lengths, width], lengths and starts [studies].
    """

    tokens: Tensor
    lengths: Tensor
    starts: Tensor

    @classmethod
    def open(cls, folder: Path) -> "TokenStore":
        """Map the store in `folder` into memory, read-only in effect (writes stay private).

        Raises:
            InputError: the store is incomplete or of another format.
        """
        about = read_json(folder / "about.json")
        lengths = torch.tensor(about["lengths"], dtype=torch.int64)
        dtype = getattr(torch, about["dtype"])
        count = int(lengths.sum()) * about["width"]
        file = folder / "tokens.bin"
        if about["format"] != FORMAT or file.stat().st_size != count * dtype.itemsize:
            raise InputError(f"{folder} is damaged or of another version: delete it and run again")
        tokens = torch.from_file(str(file), shared=False, size=count, dtype=dtype)
        starts = torch.tensor(about["starts"], dtype=torch.int64)
        return cls(tokens.view(-1, about["width"]), lengths, starts)

    def padded(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Sequences of the studies `rows`, zero-padded to the longest, in float32.

        Shapes: rows [batch] -> tokens [batch, longest, width], lengths [batch].
        """
        lengths = self.lengths[rows]
        positions = torch.arange(int(lengths.max()))
        is_token = positions[None, :] < lengths[:, None]
        where = (self.starts[rows][:, None] + positions).masked_fill(~is_token, 0)
        tokens = self.tokens[where].float().masked_fill(~is_token[..., None], 0)
        return tokens, lengths


@dataclass(frozen=True)
class Features:
    """What enters the first unfrozen block of both towers, one row per study in table order."""

    images: TokenStore
    texts: TokenStore
    key: str

    def __len__(self) -> int:
        return len(self.images.lengths)


def compute_features(
    backbone: Backbone,
    studies: pd.DataFrame,
    unfrozen_blocks: int,
    cache: Path,
    *,
    precision: Precision = "float32",
    device: str = "cpu",
    progress: Progress | None = None,
) -> Features:
    """Run the frozen blocks once over `studies`, or reuse what an earlier run left in `cache`.

    Images and reports are kept apart under keys made of the backbone's key, their content, the
    number of unfrozen blocks and the precision, so a change to either recomputes only itself.

    Raises:
        InputError: an image changed since the data stage hashed it, or the disk is full.
    """
    setting = (FORMAT, backbone.key, unfrozen_blocks, precision)
    image_key = content_key("images", *setting, list(studies["image_sha256"]))
    text_key = content_key("texts", *setting, list(studies["text"]))
    backbone.model.to(device).eval()
    for key, entering in ((image_key, _entering_images), (text_key, _entering_texts)):
        folder = cache / "features" / key
        if not folder.is_dir():
            with write_beside(folder) as beside, torch.inference_mode():
                beside.mkdir()
                batches = entering(backbone, studies, unfrozen_blocks, device)
                _write_store(beside, batches, len(studies), precision, progress)
    stores = (TokenStore.open(cache / "features" / key) for key in (image_key, text_key))
    return Features(*stores, key=content_key(image_key, text_key))


def pick_device(device: Literal["auto", "cpu", "cuda"]) -> str:
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
    return ids, (ids != backbone.model.text.transformer.config.pad_token_id).sum(1)


def load_images(backbone: Backbone, paths: list[str]) -> Tensor:
    """Read and preprocess images -> [batch, 3, height, width]."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return torch.stack(list(pool.map(lambda p: backbone.preprocess(read_image(p)), paths)))


Batches = Iterator[tuple[Tensor, Tensor, Tensor]]


def _entering_images(
    backbone: Backbone, studies: pd.DataFrame, unfrozen_blocks: int, device: str
) -> Batches:
    for rows in torch.arange(len(studies)).split(BATCH):
        batch = studies.iloc[rows.numpy()]
        _check_unchanged(batch)
        images = load_images(backbone, list(batch["image"])).to(device)
        tokens = entering_images(backbone.model, images, unfrozen_blocks)
        yield rows, tokens, torch.full((len(rows),), tokens.shape[1])


def _entering_texts(
    backbone: Backbone, studies: pd.DataFrame, unfrozen_blocks: int, device: str
) -> Batches:
    ids, lengths = tokenise(backbone, list(studies["text"]))
    by_length = torch.argsort(lengths, stable=True)  # little of a batch is then padding
    for rows in by_length.split(BATCH):
        longest = int(lengths[rows].max())
        padded = ids[rows, :longest].to(device)
        yield rows, entering_texts(backbone.model, padded, unfrozen_blocks), lengths[rows]


def _write_store(
    folder: Path,
    batches: Batches,
    studies: int,
    precision: Precision,
    progress: Progress | None,
) -> None:
    starts, lengths = torch.zeros(2, studies, dtype=torch.int64)
    end = 0
    with open(folder / "tokens.bin", "wb") as file:
        for rows, padded, batch_lengths in batches:
            stored = padded.to("cpu", getattr(torch, precision))
            for row, sequence, length in zip(rows, stored, batch_lengths, strict=True):
                starts[row], lengths[row] = end, length
                file.write(sequence[:length].contiguous().view(torch.uint8).numpy())
                end += int(length)
            if progress:
                progress(len(rows))
    about = {"format": FORMAT, "width": padded.shape[-1], "dtype": precision}
    about |= {"starts": starts.tolist(), "lengths": lengths.tolist()}
    write_json(folder / "about.json", about)


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
    model = backbone.model.to(device).eval()
    texts, images = list(studies["text"]), list(studies["image"])
    embedded: tuple[list[Tensor], list[Tensor]] = ([], [])
    with torch.inference_mode():
        for start in range(0, len(studies), BATCH):
            rows = slice(start, start + BATCH)
            pixels = load_images(backbone, images[rows]).to(device)
            embedded[0].append(model.encode_image(pixels).float().cpu())
            tokens = backbone.tokenize(texts[rows]).to(device)
            embedded[1].append(model.encode_text(tokens).float().cpu())
    return torch.cat(embedded[0]).numpy(), torch.cat(embedded[1]).numpy()
