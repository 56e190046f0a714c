"""How the demo's models were aligned: `make alignment` writes anew what ships in `aligned`.

Only the ViT, the projections and the temperature are trained, on what the frozen towers give for
captioned pictures, so that each picture and caption runs through them once.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_args

import open_clip
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from cxr_mtl.base.files import write_beside
from cxr_mtl.base.resources import keep_freed_memory
from cxr_mtl.base.terminal import PlainConsole
from cxr_mtl.models.backbones import open_clip_name, quiet_open_clip
from cxr_mtl.models.clip_towers import BertText
from cxr_mtl.models.demo_architecture import (
    EMBEDDING_SIZE,
    IMAGE_SIZE,
    DemoName,
    by_place,
    write_configuration,
)
from cxr_mtl.phantoms.captioned_images import (
    Drawer,
    captioned_images,
    captioned_mixture,
    captioned_phantom,
)
from cxr_mtl.training.demo_models import ALIGNED, frozen_weights
from cxr_mtl.training.losses import clip_loss

DRAWERS: dict[DemoName, Drawer] = {
    "demo-biomed": captioned_phantom,
    "demo-general": captioned_mixture,
}
SHARD, FROZEN_BATCH = 2_000, 50  # pictures drawn, and run through the towers, at once
QUIET = 0.02  # added to standard deviations, so that channels that are nearly off stay quiet
SPREAD = 0.5  # of the class token's components, beside patches of about 1


@dataclass(frozen=True)
class Settings:
    """Of an alignment; `clip_weight` is that of the CLIP loss beside the multi-label BCE."""

    pairs: int = 12_000
    epochs: int = 12
    batch_size: int = 128
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    clip_weight: float = 0.3
    seed: int = 0


@dataclass(frozen=True)
class FrozenOutputs:
    """What the frozen towers give for captioned pictures, and what was drawn.

    Shapes: maps [n, 112, 14, 14] and texts [n, 384] in bfloat16, targets [n, codes] of 0 and 1.
    """

    maps: Tensor
    texts: Tensor
    targets: Tensor


def align(name: DemoName, settings: Settings, report: Callable[[str], None]) -> dict[str, Tensor]:
    """The trained tensors of a demo model, in float16, by their names in it."""
    keep_freed_memory()
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        model, tokenize = _unaligned()
        outputs = frozen_outputs(model, tokenize, DRAWERS[name], settings, report)
        summarise(model, outputs.maps)
        model.visual.trunk.patch_embed.backbone = nn.Identity()  # its output is at hand
        fit(model, outputs, settings, report)
    return {
        name: tensor.half()
        for name, tensor in model.state_dict().items()
        if not name.startswith("text.transformer.")
    }


def _unaligned() -> tuple[nn.Module, Callable[[list[str]], Tensor]]:
    """A demo model with its frozen towers, and its tokenizer."""
    with TemporaryDirectory() as folder:
        write_configuration(Path(folder))
        source, text_tower = open_clip_name(f"local-dir:{folder}")
        with quiet_open_clip():
            model = open_clip.create_model(source, load_weights=False, **text_tower)
            tokenize = open_clip.get_tokenizer(source)
    model.load_state_dict(model.state_dict() | frozen_weights())
    return model.eval(), tokenize


def frozen_outputs(
    model: nn.Module,
    tokenize: Callable[[list[str]], Tensor],
    draw_one: Drawer,
    settings: Settings,
    report: Callable[[str], None],
) -> FrozenOutputs:
    """Draw captioned pictures, a shard at a time, and run them through the frozen towers."""
    parts: list[tuple[Tensor, Tensor, Tensor]] = []
    for start in range(0, settings.pairs, SHARD):
        numbers = range(start, min(start + SHARD, settings.pairs))
        drawn = captioned_images(draw_one, numbers, IMAGE_SIZE, settings.seed)
        images = torch.from_numpy(drawn.images).permute(0, 3, 1, 2)
        with torch.inference_mode():
            maps = torch.cat(
                [
                    model.visual.trunk.patch_embed.backbone(batch.float() / 127.5 - 1).bfloat16()
                    for batch in images.split(FROZEN_BATCH)
                ]
            )
            texts = torch.cat(list(_texts(model, tokenize, drawn.captions)))
        parts.append((maps, texts, torch.from_numpy(drawn.targets)))
        report(f"{numbers.stop:,} of {settings.pairs:,} captioned pictures")
    return FrozenOutputs(*(torch.cat(part) for part in zip(*parts, strict=True)))


def _texts(
    model: nn.Module, tokenize: Callable[[list[str]], Tensor], captions: list[str]
) -> Iterator[Tensor]:
    for start in range(0, len(captions), FROZEN_BATCH):
        ids = tokenize(captions[start : start + FROZEN_BATCH])
        ids = ids[:, : int(BertText.lengths_of(model, ids).max())]
        yield BertText.run_whole(model, ids).last_hidden_state[:, 0].bfloat16()


def summarise(model: nn.Module, maps: Tensor) -> None:
    """Let the class token start from the principal components of the feature maps by place.

    Each mean of a place is standardised first, and the components are scaled so that their
    standard deviations have the mean `SPREAD`. Not trained any further: what is learned from
    drawings alone would forget what tells other pictures apart.
    """
    summary = model.visual.trunk.patch_embed.summary
    places = torch.cat([by_place(part.float()) for part in maps.split(1_000)])
    deviation = places.std(0) + QUIET
    standardised = (places - places.mean(0)) / deviation
    variances, directions = torch.linalg.eigh(standardised.T.cov())
    directions = directions[:, -summary.out_features :]
    spread = variances[-summary.out_features :].sqrt().mean()
    weight = (directions / deviation[:, None] / spread * SPREAD).T
    summary.weight.data = weight.contiguous()
    summary.bias.data = -weight @ places.mean(0)
    summary.requires_grad_(False)


def fit(
    model: nn.Module, outputs: FrozenOutputs, settings: Settings, report: Callable[[str], None]
) -> None:
    """CLIP loss plus multi-label BCE of what was drawn, read from both embeddings by one map.

    `model` takes feature maps for images.
    """
    codes = nn.Linear(EMBEDDING_SIZE, outputs.targets.shape[1])
    parameters = [
        *(p for p in model.visual.parameters() if p.requires_grad),
        *model.text.proj.parameters(),
        model.logit_scale,
        *codes.parameters(),
    ]
    optimiser = torch.optim.AdamW(parameters, weight_decay=settings.weight_decay, fused=True)
    steps_per_epoch = len(outputs.maps) // settings.batch_size
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, settings.learning_rate, total_steps=settings.epochs * steps_per_epoch
    )
    model.visual.train()
    for epoch in range(1, settings.epochs + 1):
        order = torch.randperm(len(outputs.maps))[: steps_per_epoch * settings.batch_size]
        total = torch.zeros(2)
        for rows in order.split(settings.batch_size):
            images = model.visual(outputs.maps[rows].float())
            texts = model.text.proj(outputs.texts[rows].float())
            contrastive = clip_loss(images, texts, (-model.logit_scale).exp())
            bce = sum(
                F.binary_cross_entropy_with_logits(codes(embeddings), outputs.targets[rows])
                for embeddings in (images, texts)
            )
            optimiser.zero_grad(set_to_none=True)
            (settings.clip_weight * contrastive + bce).backward()
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimiser.step()
            schedule.step()
            total += torch.stack([contrastive.detach(), bce.detach()])
        clip_mean, bce_mean = (total / steps_per_epoch).tolist()
        report(
            f"epoch {epoch} of {settings.epochs}: CLIP loss {clip_mean:.3f}, "
            f"BCE of both {bce_mean:.3f}"
        )
    model.visual.eval()


def main() -> None:
    """Write the shipped files anew, beside and renamed."""
    settings = Settings()
    metadata = {name: str(value) for name, value in asdict(settings).items()}
    ALIGNED.mkdir(exist_ok=True)
    for name in get_args(DemoName):
        tensors = align(name, settings, partial(PlainConsole().print, f"{name}:"))
        with write_beside(ALIGNED / f"{name}.safetensors") as beside:
            save_file(tensors, beside, metadata=metadata)


if __name__ == "__main__":
    main()
