"""How exactly the cached single-query path repeats plain open_clip, at full size."""

import copy
from collections.abc import Callable
from dataclasses import replace
from itertools import chain

import torch
from torch import Tensor, nn

from cxr_mtl.bench.models import Batch, random_batch, random_biomedclip, random_clip
from cxr_mtl.bench.timing import Measurement, Report, Size, compared
from cxr_mtl.models.backbones import FusionHead
from cxr_mtl.models.last_layer import LastLayer, freeze, tower_kinds
from cxr_mtl.models.token_store import Tokens
from cxr_mtl.training.losses import PAPER_WEIGHTS, multi_task_loss

WHAT = "train"
PAIRS = 4
TARGETS = {"embeddings": "≤ 1e-5", "gradients": "≤ 1e-5"}
STEPS: dict[Size, int] = {"quick": 3, "full": 20}
NOTE = (
    "largest relative difference of any tensor, in norm; float32; biases of keys, on which no "
    "output depends, left out"
)


def run(size: Size, device: str, report: Report) -> list[Measurement]:
    """Embeddings, gradients and weights after some steps, for BiomedCLIP's and CLIP's shapes.

    Random weights, float32, no dropout (its random numbers would differ), weight decay 0.01.
    """
    found = []
    shapes = (("BiomedCLIP", random_biomedclip, 256), ("CLIP ViT-B/16", random_clip, 77))
    for name, build, context in shapes:
        report(f"{name}: differences between the fast path and plain open_clip")
        model = build().to(device)
        batch = random_batch(PAIRS, context)
        differences = path_differences(model, batch, STEPS[size], device)
        for metric, value in differences.items():
            target = TARGETS.get(metric, "≤ 1e-4" if "steps" in metric else None)
            found.append(compared(WHAT, name, metric, value, "", target=target, note=NOTE))
    return found


def path_differences(
    model: nn.Module, batch: Batch, steps: int, device: str = "cpu"
) -> dict[str, float]:
    """Largest relative differences: of embeddings, of gradients, of weights after `steps` steps.

    Gradients are also compared in float64, where only the algebra can differ, and each path's
    float32 gradients with the plain model's float64 ones, which is what rounding alone does.
    """
    found = {}
    fast, plain = (_Path(model.float(), batch, path, device) for path in ("fast", "plain"))
    found["embeddings"] = max(map(_difference, fast.embed(), plain.embed()))
    fast.train(steps), plain.train(steps)
    found["gradients"] = _largest(fast.gradients, plain.gradients)
    found[f"weights after {steps} steps"] = _largest(fast.weights(), plain.weights())
    fast64, plain64 = (_Path(model.double(), batch, path, device) for path in ("fast", "plain"))
    fast64.train(1), plain64.train(1)
    found["gradients in float64"] = _largest(fast64.gradients, plain64.gradients)
    found["gradients, fast float32 to plain float64"] = _largest(fast.gradients, plain64.gradients)
    found["gradients, plain float32 to plain float64"] = _largest(
        plain.gradients, plain64.gradients
    )
    return found


class _Path:
    """A copy of a model that is trained by the plain path, or its last layer by the fast one."""

    def __init__(self, model: nn.Module, batch: Batch, path: str, device: str) -> None:
        model = copy.deepcopy(model)
        freeze(model, 1)
        self.end = LastLayer(model, 1)
        self.labels = batch.labels.to(device)
        self.gradients: dict[str, Tensor] = {}
        precision = next(model.parameters()).dtype
        images, ids = batch.images.to(device, precision), batch.ids.to(device)
        kept = keep_tokens(model, self.end, replace(batch, images=images), device)
        self.embed: Callable[[], tuple[Tensor, Tensor]] = {
            "fast": lambda: self.end(*kept),
            "plain": lambda: (model.encode_image(images), model.encode_text(ids)),
        }[path]

    def train(self, steps: int) -> None:
        """Take `steps` steps of AdamW and keep the gradients of the first."""
        torch.manual_seed(0)
        trained = {n: p for n, p in self.end.named_parameters() if p.requires_grad}
        head = FusionHead(self.end.embedding_size, dropout=0.0)
        head = head.to(self.labels.device, next(iter(trained.values())).dtype)
        optimiser = torch.optim.AdamW(
            chain(trained.values(), head.parameters()), lr=1e-5, weight_decay=0.01
        )
        for _ in range(steps):
            v, t = self.embed()
            losses = multi_task_loss(v, t, head(v, t), self.labels, PAPER_WEIGHTS, 0.07, True)
            optimiser.zero_grad()
            losses["total"].backward()
            self.gradients = self.gradients or {n: p.grad.clone() for n, p in trained.items()}
            optimiser.step()

    def weights(self) -> dict[str, Tensor]:
        return self.end.weights()


def keep_tokens(
    model: nn.Module, end: LastLayer, batch: Batch, device: str = "cpu"
) -> tuple[Tokens, Tokens]:
    """What the cache would hold of a batch, in the model's precision."""
    image, text = tower_kinds(model)
    lengths = batch.lengths.to(device)
    with torch.no_grad():
        entering = image.entering(model, batch.images.to(device), len(end.image.blocks))
        whole = torch.full((len(entering),), entering.shape[1], device=device)
        tokens, query = end.image.tokens_to_keep(entering, whole)
        images = Tokens(tokens, whole, query)
        ids = batch.ids[:, : int(lengths.max())].to(device)
        entering = text.entering(model, ids, len(end.text.blocks))
        tokens, query = end.text.tokens_to_keep(entering, lengths)
    return images, Tokens(tokens, lengths, query)


def _largest(ours: dict[str, Tensor], plain: dict[str, Tensor]) -> float:
    pairs = (
        (_without_key_bias(name, ours[name]), _without_key_bias(name, plain[name]))
        for name in plain
        if not name.endswith("key.bias")
    )
    return max(_difference(*pair) for pair in pairs)


def _without_key_bias(name: str, tensor: Tensor) -> Tensor:
    if not name.endswith(("qkv.bias", "in_proj_bias")):
        return tensor
    query, _, value = tensor.chunk(3)
    return torch.cat([query, value])


def _difference(ours: Tensor, plain: Tensor) -> float:
    plain = plain.detach().double()
    return float((ours.detach().double() - plain).norm() / plain.norm())
