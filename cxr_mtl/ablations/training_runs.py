"""Ablations: variants of the training, several at a time, each kept and never trained again."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from pydantic import BaseModel
from torch import Tensor, nn

from cxr_mtl.ablations.variants import DataChoice, Variant, with_data_choice
from cxr_mtl.base.errors import InputError
from cxr_mtl.base.files import content_key, read_json_as, write_beside, write_json
from cxr_mtl.base.fingerprints import library_sources
from cxr_mtl.base.processes import Workers
from cxr_mtl.models.backbones import Backbone
from cxr_mtl.models.features import (
    Features,
    Precision,
    compute_features,
    without_last_block,
)
from cxr_mtl.models.known_reports import KnownReports
from cxr_mtl.models.last_layer import LastLayer, trainable_names
from cxr_mtl.retrieval.embeddings import read_pair, write_pair
from cxr_mtl.training.trainer import TrainingConfig, embed_rows, train

EMBEDDINGS, RESULT = "embeddings.safetensors", "result.json"
TRAINING = "from cxr_mtl.training.trainer import embed_rows, train"
"""The code whose sources a kept variant rests on."""


@dataclass(frozen=True)
class Outcome:
    """What a trained variant came to.

    Shapes: images and texts float32 [test studies, dim], the embeddings of the test studies in
    table order, not normalised. `validation_mrr` is that of the last epoch, `seconds` the wall
    time of the training.
    """

    variant: Variant
    images: np.ndarray
    texts: np.ndarray
    validation_mrr: float
    seconds: float


def run_variants(
    variants: Sequence[Variant],
    config: TrainingConfig,
    backbone: Backbone,
    studies: pd.DataFrame,
    folder: Path,
    cache: Path,
    *,
    feature_precision: Precision = "float32",
    workers: int = 1,
    device: str = "cpu",
) -> list[Outcome]:
    """Train every variant of `config` that `folder` does not hold yet, and give all outcomes.

    Features are computed first, once per number of unfrozen blocks and texts, in `cache`. Then
    each variant is trained from the weights of `backbone`, which keeps them, in a process of its
    own with an equal share of the cores; `workers` 1 stays in this process. Those with the most
    unfrozen blocks take longest and come first, so that no worker is left with one at the end.

    A variant is kept in `folder`/<key>, whole or not at all, by the process that trained it: the
    key is made of its hyperparameters, features, labels and rows and of the sources of the
    training. An interrupted call loses only what was being trained.

    Raises:
        InputError: fewer than 1 worker, a variant that the backbone or the studies do not allow,
            a loss that is not finite, a worker that died, or a damaged file in `folder`.
    """
    if workers < 1:
        raise InputError(f"workers is {workers}: give at least 1")
    materials = _materials(variants, backbone, studies, cache, feature_precision, device)
    training = _Training(
        materials,
        config,
        backbone.learned_temperature,
        folder,
        content_key(library_sources([TRAINING])),
        device,
    )
    untrained = {training.home(variant): variant for variant in variants}
    untrained = [v for home, v in untrained.items() if not (home / RESULT).is_file()]
    untrained.sort(key=lambda variant: -variant.unfrozen_blocks)
    _train_all(training, untrained, min(workers, len(untrained)))
    return [_read(variant, training.home(variant)) for variant in variants]


def interpolated(
    start: LastLayer, trained_weights: Mapping[str, Tensor], alpha: float
) -> LastLayer:
    """A copy of `start` with the weights (1 - alpha) · start + alpha · trained.

    Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022 (WiSE-FT). The trained
    weights are named as in `LastLayer.weights()`.

    Raises:
        InputError: alpha is not between 0 and 1, or the weights are those of other layers.
    """
    if not 0 <= alpha <= 1:
        raise InputError(f"alpha is {alpha}: give a number from 0 (pretrained) to 1 (fine-tuned)")
    mixed = start.independent_copy()
    weights = mixed.weights()
    differing = sorted(weights.keys() ^ trained_weights.keys())
    if differing:
        raise InputError(
            f"{differing[0]} is trained in only one of the two models to interpolate: give both "
            "the same unfrozen_blocks"
        )
    for name, tensor in weights.items():
        tensor.lerp_(trained_weights[name].to(tensor), alpha)
    return mixed


@dataclass(frozen=True)
class _Material:
    """What variants of the same unfrozen blocks and data are trained from and tested on."""

    start: LastLayer
    features: Features
    labels: Tensor
    train_rows: Tensor
    validation_rows: Tensor
    test_rows: Tensor


@dataclass(frozen=True)
class _Training:
    """Trains a variant and keeps it; an object, so that worker processes can call it."""

    materials: Mapping[tuple[int, DataChoice | None], _Material]
    config: TrainingConfig
    learned_temperature: float
    folder: Path
    sources: str
    device: str

    def home(self, variant: Variant) -> Path:
        """The folder that keeps the variant, named by all that its outcome depends on."""
        material = self._material(variant)
        rows = (material.train_rows, material.validation_rows, material.test_rows)
        return self.folder / content_key(
            variant.config(self.config).model_dump(),
            material.features.key,  # of the backbone and the unfrozen blocks, too
            *(values.tolist() for values in (material.labels, *rows)),
            self.sources,
        )

    def __call__(self, variant: Variant) -> None:
        began = time.perf_counter()
        material, config = self._material(variant), variant.config(self.config)
        trained = train(
            material.start,
            material.features,
            material.labels,
            material.train_rows,
            material.validation_rows,
            config,
            learned_temperature=self.learned_temperature,
            device=self.device,
        )
        seconds = time.perf_counter() - began
        pair = embed_rows(trained.last_layer, material.features, material.test_rows, self.device)
        result = asdict(variant) | {
            "validation_mrr": float(trained.epochs["validation_mrr"].iloc[-1]),
            "seconds": seconds,
            "training": config.model_dump(mode="json"),
        }
        with write_beside(self.home(variant)) as beside:
            beside.mkdir()
            write_pair(beside / EMBEDDINGS, pair)
            write_json(beside / RESULT, result)

    def _material(self, variant: Variant) -> _Material:
        return self.materials[variant.unfrozen_blocks, variant.data_choice]


def _materials(
    variants: Iterable[Variant],
    backbone: Backbone,
    studies: pd.DataFrame,
    cache: Path,
    precision: Precision,
    device: str,
) -> dict[tuple[int, DataChoice | None], _Material]:
    """Equal reports, and what of one block's features is those of none, are computed once."""
    starts: dict[int, LastLayer] = {}
    materials: dict[tuple[int, DataChoice | None], _Material] = {}
    needed = dict.fromkeys((v.unfrozen_blocks, v.data_choice) for v in variants)
    for blocks, choice in sorted(needed, key=lambda pair: (pair[1] is not None, -pair[0])):
        if blocks not in starts:
            starts[blocks] = _start(backbone.model, blocks)
        chosen = studies if choice is None else with_data_choice(studies, choice)
        same_depth, one_block = (materials.get((depth, None)) for depth in (blocks, 1))
        if blocks == 0 and choice is None and one_block:
            features = without_last_block(one_block.features, one_block.start, cache)
        else:
            features = compute_features(
                backbone,
                chosen,
                blocks,
                cache,
                precision=precision,
                device=device,
                known=same_depth
                and KnownReports.of(list(studies["text"]), same_depth.features.texts),
            )
        materials[blocks, choice] = _Material(
            starts[blocks],
            features,
            torch.tensor(chosen["label"].to_numpy()),
            *(
                torch.from_numpy(np.flatnonzero(chosen["split"] == part))
                for part in ("train", "validation", "test")
            ),
        )
    return materials


def _start(model: nn.Module, unfrozen_blocks: int) -> LastLayer:
    """A copy of the last layer of `model` of which only the trainable part requires gradients."""
    start = LastLayer(model, unfrozen_blocks).independent_copy()
    trainable = set(trainable_names(model, unfrozen_blocks))
    for name, parameter in start.named_parameters():
        parameter.requires_grad_(start.open_clip_names[name] in trainable)
    return start


def _train_all(training: _Training, variants: Sequence[Variant], workers: int) -> None:
    if workers > 1:
        with Workers(training, workers) as pool:
            list(pool.run(variants))
    else:
        for variant in variants:
            training(variant)


class _Result(BaseModel):
    """What is relied on in a variant's record."""

    validation_mrr: float
    seconds: float


def _read(variant: Variant, home: Path) -> Outcome:
    again = f"delete {home} and run again"
    result = read_json_as(_Result, home / RESULT, again)
    pair = read_pair(home / EMBEDDINGS, again)
    return Outcome(variant, *pair, result.validation_mrr, result.seconds)
