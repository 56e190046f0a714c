"""Contrastive training of a report encoder on cached states, kept and resumed epoch by epoch."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from pydantic import BaseModel, Field, ValidationError
from safetensors.torch import save_file
from torch import Tensor

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.files import content_key, write_beside
from cxr_mtl.base.resources import keep_freed_memory, limited_threads
from cxr_mtl.language.contrastive import answer_loss
from cxr_mtl.language.encoders import ReportEncoder, embed_texts, encode
from cxr_mtl.models.token_store import TokenStore
from cxr_mtl.models.weights_file import read_tensors
from cxr_mtl.retrieval.metrics import TIE_TOLERANCE, reciprocal_rank
from cxr_mtl.training.trainer import learning_rate_factor

EPOCH_COLUMNS = ("epoch", "loss", "validation_mrr")


class EncoderConfig(BaseModel, frozen=True, extra="forbid"):
    """Hyperparameters of the contrastive training.

    Raises:
        InputError: a value of the wrong type or out of its range.
    """

    epochs: int = Field(2, ge=1, le=1000)
    batch_size: int = Field(64, ge=2, le=65_536)
    learning_rate: float = Field(1e-4, gt=0, le=10)
    weight_decay: float = Field(0.01, ge=0, le=10)
    warmup_fraction: float = Field(0.1, ge=0, lt=1)
    temperature: float = Field(1 / 30, ge=0.001, le=100)
    threads: int | None = Field(None, ge=1, le=256)
    seed: int = Field(0, ge=0, lt=2**31)

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(map(str, first["loc"]))
            raise InputError(
                f"training parameter {name} is {first['input']!r}: {first['msg'].lower()}"
            ) from None


@dataclass(frozen=True)
class AnswerPairs:
    """Texts that belong together, by their rows in a store: such as findings and impression.

    Shapes: anchors, positives [pairs] int64; `answers` [pairs] are equal where positives say the
    same; `hard_negatives` [pairs], -1 where a pair has none, or None.

    Raises:
        InputError: other numbers of rows, or an anchor that is its own positive.
    """

    anchors: Tensor
    positives: Tensor
    answers: Tensor
    hard_negatives: Tensor | None = None

    def __post_init__(self) -> None:
        if not len(self.anchors) == len(self.positives) == len(self.answers):
            raise InputError(
                f"{len(self.anchors)} anchors, {len(self.positives)} positives and "
                f"{len(self.answers)} answers: give as many of each"
            )
        same = (self.anchors == self.positives).nonzero().flatten()
        if len(same):
            raise InputError(
                f"text {int(self.anchors[same[0]])} is its own positive: leave such pairs out"
            )

    def __len__(self) -> int:
        return len(self.anchors)

    def at(self, places: Tensor) -> "AnswerPairs":
        """The pairs at `places`."""
        rest = None if self.hard_negatives is None else self.hard_negatives[places]
        return AnswerPairs(self.anchors[places], self.positives[places], self.answers[places], rest)

    def rows(self) -> list[list[int]]:
        """All rows, for a key."""
        parts = (self.anchors, self.positives, self.answers, self.hard_negatives)
        return [part.tolist() for part in parts if part is not None]


@dataclass(frozen=True)
class TrainedEncoder:
    """A trained encoder, with the mean loss and the validation MRR of each epoch."""

    encoder: ReportEncoder
    epochs: pd.DataFrame


def train_encoder(
    encoder: ReportEncoder,
    states: TokenStore,
    pairs: AnswerPairs,
    validation: AnswerPairs,
    config: EncoderConfig,
    *,
    checkpoint: Path | None = None,
    on_epoch: Callable[[dict[str, float]], None] | None = None,
) -> TrainedEncoder:
    """Train `encoder` itself, so that anchors find their positives.

    Every epoch draws its batches from a seed of its own, so that a training that was killed and
    started again with the same `checkpoint` path ends with the same weights, bit for bit on a CPU.
    A checkpoint of other data or parameters is not used.

    Raises:
        InputError: a batch larger than the training pairs, or a loss that is not finite; the last
            good checkpoint then stays.
    """
    if config.batch_size > len(pairs):
        raise InputError(
            f"batch_size is {config.batch_size} but there are only {len(pairs)} pairs: give a "
            "smaller batch_size"
        )
    keep_freed_memory()
    with limited_threads(config.threads), torch.random.fork_rng():
        torch.manual_seed(config.seed)
        run = _Run(encoder, config)
        key = content_key(
            config.model_dump(), states.folder.name, pairs.rows(), validation.rows(), run.start_key
        )
        if checkpoint is not None and checkpoint.is_file():
            run.resume(checkpoint, key)
        steps_per_epoch = math.ceil(len(pairs) / config.batch_size)
        for epoch in range(len(run.history) + 1, config.epochs + 1):
            torch.manual_seed(config.seed * 1_000_003 + epoch)
            encoder.train()
            losses = []
            shuffled = torch.randperm(len(pairs)).split(config.batch_size)
            for number, places in enumerate(shuffled, start=(epoch - 1) * steps_per_epoch + 1):
                run.set_learning_rate(number, steps_per_epoch * config.epochs)
                losses.append(run.step(states, pairs.at(places)))
                if not math.isfinite(losses[-1]):
                    raise InputError(
                        f"the loss is {losses[-1]} at step {number} of epoch {epoch}: lower the "
                        "learning rate or raise the temperature"
                    )
            found = answers_found(encoder, states, validation)
            run.history.append([epoch, float(np.mean(losses)), float(found.mean())])
            if checkpoint is not None:
                run.save(checkpoint, key)
            if on_epoch:
                on_epoch(dict(zip(EPOCH_COLUMNS, run.history[-1], strict=True)))
    encoder.eval()
    epochs = pd.DataFrame(run.history, columns=EPOCH_COLUMNS).astype({"epoch": "int64"})
    return TrainedEncoder(encoder, epochs)


def answers_found(encoder: ReportEncoder, states: TokenStore, pairs: AnswerPairs) -> np.ndarray:
    """Reciprocal rank of each anchor's answer among the distinct answers of `pairs`, [pairs]."""
    _, first, own = np.unique(pairs.answers.numpy(), return_index=True, return_inverse=True)
    questions = embed_texts(encoder, states, pairs.anchors)
    answers = embed_texts(encoder, states, pairs.positives[torch.from_numpy(first)])
    return reciprocal_rank((questions @ answers.T).numpy(), own, TIE_TOLERANCE)


class _Run:
    """What a training changes from step to step, and how it is saved and resumed."""

    def __init__(self, encoder: ReportEncoder, config: EncoderConfig) -> None:
        self.encoder = encoder
        self.config = config
        self.trained = {n: p for n, p in encoder.named_parameters() if p.requires_grad}
        self.start_key = content_key(
            *(
                (name, float(tensor.detach().double().sum()))
                for name, tensor in self.trained.items()
            )
        )
        self.optimiser = torch.optim.AdamW(
            self.trained.values(),
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
            fused=True,
        )
        self.history: list[list[float]] = []

    def set_learning_rate(self, step: int, steps: int) -> None:
        factor = learning_rate_factor(step, steps, self.config.warmup_fraction)
        for group in self.optimiser.param_groups:
            group["lr"] = self.config.learning_rate * factor

    def step(self, states: TokenStore, batch: AnswerPairs) -> float:
        negatives = None
        if batch.hard_negatives is not None:
            there = batch.hard_negatives[batch.hard_negatives >= 0]
            negatives = encode(self.encoder, states, there) if len(there) else None
        loss = answer_loss(
            encode(self.encoder, states, batch.anchors),
            encode(self.encoder, states, batch.positives),
            batch.answers.to(next(self.encoder.parameters()).device),
            self.config.temperature,
            negatives,
        )
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        if torch.isfinite(loss):
            self.optimiser.step()
        return float(loss.detach())

    def _tensors(self) -> Iterator[tuple[str, Tensor]]:
        for name, parameter in self.trained.items():
            yield f"weights/{name}", parameter.detach()
            for part, tensor in self.optimiser.state[parameter].items():
                yield f"optimiser/{part}/{name}", tensor

    def save(self, path: Path, key: str) -> None:
        tensors = {name: tensor.contiguous() for name, tensor in self._tensors()}
        tensors["history"] = torch.tensor(self.history, dtype=torch.float64)
        with write_beside(path) as beside:
            save_file(tensors, beside, metadata={"key": key})

    def resume(self, path: Path, key: str) -> None:
        found, saved = read_tensors(path, "delete it and run again, which trains from the start")
        if found.get("key") != key:
            return
        self.history = saved.pop("history").tolist()
        for name, tensor in saved.items():
            kind, _, rest = name.partition("/")
            if kind == "weights":
                with torch.no_grad():
                    self.trained[rest].copy_(tensor)
            else:
                part, _, parameter = rest.partition("/")
                state = self.optimiser.state[self.trained[parameter]]
                state[part] = tensor if part == "step" else tensor.to(self.trained[parameter])
