"""Training of what is not frozen, epoch by epoch, kept and resumed bit for bit."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from pydantic import Field
from safetensors.torch import save_file
from torch import Tensor, nn

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.files import content_key, write_beside
from cxr_mtl.base.resources import keep_freed_memory, limited_threads
from cxr_mtl.models.weights_file import read_tensors
from cxr_mtl.training.hyperparameters import Hyperparameters
from cxr_mtl.training.trainer import learning_rate_factor

_OWN = {"epoch", "loss"}


class EncoderConfig(Hyperparameters):
    """Hyperparameters of a training; the temperature is that of the contrastive loss.

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


def train_epochs(
    module: nn.Module,
    items: int,
    loss_of: Callable[[Tensor], Tensor],
    config: EncoderConfig,
    *,
    data_key: str,
    checkpoint: Path | None = None,
    measure: Callable[[], dict[str, float]] = dict,
    on_epoch: Callable[[dict[str, float]], None] | None = None,
) -> pd.DataFrame:
    """Train the weights of `module` that require gradients, on `items` in random batches.

    Every epoch draws its batches from a seed of its own, so that a training that was killed and
    started again with the same `checkpoint` path ends with the same weights, bit for bit on a CPU.
    A checkpoint of other data, parameters or first weights is not used.

    Args:
        loss_of: the loss of a batch, given the places of its items.
        data_key: of all that `loss_of` and `measure` depend on besides the weights.
        measure: what is measured after each epoch.

    Returns:
        A row an epoch: its number, the mean loss and what was measured.

    Raises:
        InputError: a batch larger than there are items, or a loss that is not finite; the last
            good checkpoint then stays.
    """
    if config.batch_size > items:
        raise InputError(
            f"batch_size is {config.batch_size} but there are only {items} items to train on: "
            "give a smaller batch_size"
        )
    keep_freed_memory()
    with limited_threads(config.threads), torch.random.fork_rng():
        torch.manual_seed(config.seed)
        run = _Run(module, config, data_key)
        if checkpoint is not None and checkpoint.is_file():
            run.resume(checkpoint)
        steps = math.ceil(items / config.batch_size)
        for epoch in range(len(run.history) + 1, config.epochs + 1):
            torch.manual_seed(config.seed * 1_000_003 + epoch)
            module.train()
            losses = []
            batches = torch.randperm(items).split(config.batch_size)
            for number, places in enumerate(batches, start=(epoch - 1) * steps + 1):
                losses.append(run.step(loss_of(places), number, steps * config.epochs))
            module.eval()
            run.history.append({"epoch": epoch, "loss": float(np.mean(losses)), **measure()})
            if checkpoint is not None:
                run.save(checkpoint)
            if on_epoch:
                on_epoch(run.history[-1])
    module.eval()
    return pd.DataFrame(run.history).astype({"epoch": "int64"})


class _Run:
    """What a training changes from step to step, and how it is saved and resumed."""

    def __init__(self, module: nn.Module, config: EncoderConfig, data_key: str) -> None:
        self.config = config
        self.trained = {n: p for n, p in module.named_parameters() if p.requires_grad}
        sums = {name: float(p.detach().double().sum()) for name, p in self.trained.items()}
        self.key = content_key(config.model_dump(), data_key, sums)
        self.optimiser = torch.optim.AdamW(
            self.trained.values(),
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
            fused=True,
        )
        self.history: list[dict[str, float]] = []

    def step(self, loss: Tensor, number: int, steps: int) -> float:
        value = float(loss.detach())
        if not math.isfinite(value):
            raise InputError(
                f"the loss is {value} at step {number}: lower the learning rate or raise the "
                "temperature"
            )
        factor = learning_rate_factor(number, steps, self.config.warmup_fraction)
        for group in self.optimiser.param_groups:
            group["lr"] = self.config.learning_rate * factor
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        return value

    def _tensors(self) -> Iterator[tuple[str, Tensor]]:
        for name, parameter in self.trained.items():
            yield f"weights/{name}", parameter.detach()
            for part, tensor in self.optimiser.state[parameter].items():
                yield f"optimiser/{part}/{name}", tensor

    def save(self, path: Path) -> None:
        tensors = {name: tensor.contiguous() for name, tensor in self._tensors()}
        for name in self.history[0]:
            values = [epoch[name] for epoch in self.history]
            tensors[f"history/{name}"] = torch.tensor(values, dtype=torch.float64)
        with write_beside(path) as beside:
            save_file(tensors, beside, metadata={"key": self.key})

    def resume(self, path: Path) -> None:
        found, saved = read_tensors(path, "delete it and run again, which trains from the start")
        if found.get("key") != self.key:
            return
        history = {name: saved.pop(name) for name in list(saved) if name.startswith("history/")}
        columns = {name.removeprefix("history/"): v.tolist() for name, v in history.items()}
        self.history = [
            {name: columns[name][row] for name in ("epoch", "loss", *sorted(columns.keys() - _OWN))}
            for row in range(len(columns["epoch"]))
        ]
        for name, tensor in saved.items():
            kind, _, rest = name.partition("/")
            if kind == "weights":
                with torch.no_grad():
                    self.trained[rest].copy_(tensor)
            else:
                part, _, parameter = rest.partition("/")
                state = self.optimiser.state[self.trained[parameter]]
                state[part] = tensor if part == "step" else tensor.to(self.trained[parameter])
