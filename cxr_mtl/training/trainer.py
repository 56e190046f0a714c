"""Algorithm 1: fine-tuning the last layer with the three losses."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from pydantic import Field
from safetensors.torch import save_file
from torch import Tensor, nn

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.files import content_key, write_beside
from cxr_mtl.base.resources import keep_freed_memory, limited_threads
from cxr_mtl.models.backbones import FusionHead
from cxr_mtl.models.features import Features
from cxr_mtl.models.last_layer import LastLayer
from cxr_mtl.models.mixed_precision import bfloat16_products, mixed_precision
from cxr_mtl.models.weights_file import read_tensors
from cxr_mtl.retrieval.metrics import TIE_TOLERANCE, reciprocal_rank
from cxr_mtl.training.hyperparameters import Hyperparameters
from cxr_mtl.training.losses import (
    LOSS_TERMS,
    PAPER_WEIGHTS,
    LossWeights,
    SupConOn,
    multi_task_loss,
)

LOSSES = ("total", *LOSS_TERMS)
STEP_COLUMNS = ("step", "epoch", *LOSSES, "learning_rate", "head_learning_rate")
EPOCH_COLUMNS = ("epoch", *LOSSES, "mrr_image_to_text", "mrr_text_to_image", "validation_mrr")
EMBEDDING_BATCH = 256


class TrainingConfig(Hyperparameters):
    """Hyperparameters; the defaults are the paper's, or the project's where it gives none.

    `temperature` None takes the backbone's own learned logit scale, kept fixed. `threads` are those
    of a training on the CPU, None all the process has: sums are rounded by their number, so with
    one a training is the same beside others, alone, and on any number of cores.

    Raises:
        InputError: a value of the wrong type or out of its range.
    """

    weights: LossWeights = PAPER_WEIGHTS
    epochs: int = Field(20, ge=1, le=10_000)
    batch_size: int = Field(128, ge=2, le=65_536)
    learning_rate: float = Field(1e-5, gt=0, le=10)
    head_learning_rate: float = Field(1e-4, gt=0, le=10)
    weight_decay: float = Field(0.01, ge=0, le=10)
    warmup_fraction: float = Field(0.1, ge=0, lt=1)
    temperature: float | None = Field(0.07, ge=0.001, le=100)
    dropout: float = Field(0.1, ge=0, lt=1)
    renormalise_fused: bool = True
    supcon_on: SupConOn = "fused"
    precision: Literal["float32", "bfloat16"] = "float32"
    threads: int | None = Field(None, ge=1, le=256)
    seed: int = Field(0, ge=0, lt=2**31)

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any], **others: Any) -> "TrainingConfig":
        """The values that a notebook's parameters, its `globals()`, name alike, and `others`.

        Weights are among `others`, or the paper's: what a notebook calls so need not be a config's.
        """
        named = {name: parameters[name] for name in cls.model_fields if name in parameters}
        named.pop("weights", None)
        return cls(**(named | others))


def given_weights(values: Sequence[float]) -> LossWeights:
    """The weights of Eq. 4 from a list of λ₁ (BCE), λ₂ (SupCon) and λ₃ (CLIP).

    Raises:
        InputError: not one value for each loss, or what `LossWeights` refuses.
    """
    try:
        return LossWeights(*values)
    except TypeError:
        named = ", ".join(map(str, LOSS_TERMS.values()))
        raise InputError(f"weights is {list(values)}: give a number each for {named}") from None


@dataclass(frozen=True)
class Trained:
    """A trained last layer and head, with the losses of every step and the epochs' metrics."""

    last_layer: LastLayer
    head: FusionHead
    steps: pd.DataFrame
    epochs: pd.DataFrame


def train(
    start: LastLayer,
    features: Features,
    labels: Tensor,
    train_rows: Tensor,
    validation_rows: Tensor,
    config: TrainingConfig,
    *,
    learned_temperature: float | None = None,
    checkpoint: Path | None = None,
    on_epoch: Callable[[dict[str, float]], None] | None = None,
    device: str = "cpu",
) -> Trained:
    """Fine-tune a copy of `start` on cached features; `start` itself keeps its weights.

    Every epoch draws its batches and dropout from a seed of its own, so a run that was killed
    and started again with the same `checkpoint` path ends with the same weights, bit for bit on
    a CPU. A checkpoint of other data or parameters is not used.

    Shapes: labels [studies] of 0, 1 or -1 (unknown), rows [n] into features and labels.

    Raises:
        InputError: a batch larger than the training data, or a loss that is not finite; the last
            good checkpoint then stays.
    """
    if config.batch_size > len(train_rows):
        raise InputError(
            f"batch_size is {config.batch_size} but there are only {len(train_rows)} training "
            "studies: give a smaller batch_size"
        )
    temperature = config.temperature or learned_temperature
    if temperature is None:
        raise InputError("temperature is None: pass the backbone's learned_temperature")
    keep_freed_memory()
    with limited_threads(config.threads), torch.random.fork_rng():
        torch.manual_seed(config.seed)
        last_layer = start.independent_copy().to(device)
        features = features.to(device)
        embedding_size = last_layer.embedding_size
        run = _Run(last_layer, FusionHead(embedding_size, config.dropout).to(device), config)
        key = content_key(
            config.model_dump(),
            temperature,
            features.key,
            *(rows.tolist() for rows in (labels, train_rows, validation_rows)),
        )
        if checkpoint is not None and checkpoint.is_file():
            run.resume(checkpoint, key)
        steps_per_epoch = math.ceil(len(train_rows) / config.batch_size)
        for epoch in range(len(run.epoch_history) + 1, config.epochs + 1):
            torch.manual_seed(config.seed * 1_000_003 + epoch)
            shuffled = train_rows[torch.randperm(len(train_rows))]
            run.model.train()
            for batch in shuffled.split(config.batch_size):
                step = len(run.step_history) + 1
                run.set_learning_rates(step, steps_per_epoch * config.epochs)
                losses = run.step(features, labels, batch, temperature, device)
                _check_finite(losses, step, epoch, checkpoint)
                rates = [group["lr"] for group in run.optimiser.param_groups]
                run.step_history.append([step, epoch, *losses.values(), *rates])
            embeddings = embed_rows(last_layer, features, validation_rows, device)
            run.finish_epoch(epoch, steps_per_epoch, validation_mrr(*embeddings))
            if checkpoint is not None:
                run.save(checkpoint, key)
            if on_epoch:
                on_epoch(dict(zip(EPOCH_COLUMNS, run.epoch_history[-1], strict=True)))
    run.model.eval()
    steps = pd.DataFrame(run.step_history, columns=STEP_COLUMNS)
    epochs = pd.DataFrame(run.epoch_history, columns=EPOCH_COLUMNS)
    integers = {"step": "int64", "epoch": "int64"}
    return Trained(last_layer, run.head, steps.astype(integers), epochs.astype({"epoch": "int64"}))


def learning_rate_factor(step: int, steps: int, warmup_fraction: float) -> float:
    """Linear warm-up over the first `warmup_fraction` of the steps, then cosine to 0.

    `step` counts from 1 to `steps`.
    """
    warmup = round(warmup_fraction * steps)
    if step <= warmup:
        return step / warmup
    return (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup))) / 2


def embed_rows(
    last_layer: LastLayer, features: Features, rows: Tensor, device: str = "cpu"
) -> tuple[np.ndarray, np.ndarray]:
    """Image and text embeddings of the studies `rows`, in eval mode: two float32 [rows, dim]."""
    was_training = last_layer.training
    last_layer.eval()
    images, texts = [], []
    with torch.inference_mode():
        for batch in rows.split(EMBEDDING_BATCH):
            image, text = _embed(last_layer, features, batch, device)
            images.append(image.float().cpu())
            texts.append(text.float().cpu())
    last_layer.train(was_training)
    return torch.cat(images).numpy(), torch.cat(texts).numpy()


def validation_mrr(
    image_embeddings: np.ndarray, text_embeddings: np.ndarray
) -> tuple[float, float]:
    """Mean reciprocal rank of a study's own report (image) among all: (image->text, text->image).

    This is the strict cross-modal protocol: the index holds the other modality only.
    """
    images, texts = (
        values / np.linalg.norm(values, axis=1, keepdims=True)
        for values in (image_embeddings, text_embeddings)
    )
    own = np.arange(len(images))
    scores = images @ texts.T
    both = (reciprocal_rank(s, own, TIE_TOLERANCE).mean() for s in (scores, scores.T))
    return tuple(float(value) for value in both)


class _Run:
    """What a training run changes from step to step, and how it is saved and resumed."""

    def __init__(self, last_layer: LastLayer, head: FusionHead, config: TrainingConfig) -> None:
        self.model = nn.ModuleDict({"last_layer": last_layer, "head": head})
        self.head = head
        self.config = config
        self.base_rates = (config.learning_rate, config.head_learning_rate)
        trainable = [p for p in last_layer.parameters() if p.requires_grad]
        self.optimiser = torch.optim.AdamW(
            [{"params": trainable}, {"params": list(head.parameters())}],
            weight_decay=config.weight_decay,
            fused=True,
        )
        self.step_history: list[list[float]] = []
        self.epoch_history: list[list[float]] = []

    def set_learning_rates(self, step: int, steps: int) -> None:
        factor = learning_rate_factor(step, steps, self.config.warmup_fraction)
        for group, rate in zip(self.optimiser.param_groups, self.base_rates, strict=True):
            group["lr"] = rate * factor

    def step(
        self, features: Features, labels: Tensor, batch: Tensor, temperature: float, device: str
    ) -> dict[str, float]:
        config = self.config
        with mixed_precision(config.precision, device):
            images, texts = _embed(self.model["last_layer"], features, batch, device)
            logits = self.head(images, texts)
        choices = (config.weights, temperature, config.renormalise_fused, config.supcon_on)
        losses = multi_task_loss(images, texts, logits, labels[batch].to(device), *choices)
        self.optimiser.zero_grad(set_to_none=True)
        with bfloat16_products(config.precision, device):
            losses["total"].backward()
        if torch.isfinite(losses["total"]):
            self.optimiser.step()
        return {name: float(losses[name].detach()) for name in LOSSES}

    def finish_epoch(self, epoch: int, steps_per_epoch: int, mrr: tuple[float, float]) -> None:
        losses = np.mean([row[2:-2] for row in self.step_history[-steps_per_epoch:]], axis=0)
        self.epoch_history.append([epoch, *losses.tolist(), *mrr, sum(mrr) / 2])

    def _tensors(self) -> Iterator[tuple[str, Tensor]]:
        for name, parameter in self.model.named_parameters():
            if parameter.requires_grad:
                yield f"model/{name}", parameter.detach()
                for part, tensor in self.optimiser.state[parameter].items():
                    yield f"optimiser/{part}/{name}", tensor

    def save(self, path: Path, key: str) -> None:
        tensors = {name: tensor.contiguous() for name, tensor in self._tensors()}
        tensors["steps"] = torch.tensor(self.step_history, dtype=torch.float64)
        tensors["epochs"] = torch.tensor(self.epoch_history, dtype=torch.float64)
        with write_beside(path) as beside:
            save_file(tensors, beside, metadata={"key": key})

    def resume(self, path: Path, key: str) -> None:
        found, saved = read_tensors(path, "delete it and run again, which trains from the start")
        if found.get("key") != key:
            return
        self.step_history = saved.pop("steps").tolist()
        self.epoch_history = saved.pop("epochs").tolist()
        parameters = dict(self.model.named_parameters())
        for name, tensor in saved.items():
            kind, _, rest = name.partition("/")
            if kind == "model":
                with torch.no_grad():
                    parameters[rest].copy_(tensor)
            else:
                part, _, parameter = rest.partition("/")
                state = self.optimiser.state[parameters[parameter]]
                state[part] = tensor if part == "step" else tensor.to(parameters[parameter])


def _embed(
    last_layer: LastLayer, features: Features, rows: Tensor, device: str
) -> tuple[Tensor, Tensor]:
    return last_layer(features.images.batch(rows).to(device), features.texts.batch(rows).to(device))


def _check_finite(losses: dict[str, float], step: int, epoch: int, checkpoint: Path | None) -> None:
    if math.isfinite(losses["total"]):
        return
    named = ", ".join(f"{name} {losses[name]:.4g}" for name in LOSSES)
    kept = f"; the last good checkpoint is {checkpoint}" if checkpoint else ""
    raise InputError(
        f"the loss is not finite at step {step} of epoch {epoch} ({named}): lower the learning "
        f"rates or raise the temperature{kept}"
    )
