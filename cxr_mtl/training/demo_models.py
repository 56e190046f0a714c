"""The demo's two baselines, pretrained on the reader's own machine in minutes.

`demo-biomed` sees captioned phantoms that are not studies of the archive, `demo-general`
captioned everyday shapes. They are small models of the same classes as BiomedCLIP (timm ViT and
Hugging Face BERT in an open_clip CustomTextCLIP) and stand where BiomedCLIP and CLIP stand in the
paper; their weights have nothing to do with those models.
"""

import json
from collections.abc import Callable
from pathlib import Path

import open_clip
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from cxr_mtl.base.files import content_key, write_beside
from cxr_mtl.base.fingerprints import library_sources
from cxr_mtl.models import demo_architecture
from cxr_mtl.models.backbones import quiet_open_clip
from cxr_mtl.models.demo_architecture import WIDTH, DemoName
from cxr_mtl.phantoms.captioned_images import (
    CaptionedImages,
    captioned_images,
)
from cxr_mtl.training.demo_tokenizers import PAIRS, write_configuration
from cxr_mtl.training.losses import clip_loss

BATCH, EPOCHS, LEARNING_RATE, CLIP_WEIGHT = 64, 2, 1.5e-3, 0.1
LONGEST_CAPTION = 64  # tokens; what is longer is cut
Report = Callable[[str], None]


def backbone_source(name: str, cache: Path, seed: int = 0, report: Report | None = None) -> str:
    """The `load_backbone` source of a name: demo models become a local folder, trained if absent.

    The folder under `cache` carries a key of the code that made it, so it is trained once.
    """
    if name not in PAIRS:
        return name
    code = library_sources(["from cxr_mtl.training.demo_models import backbone_source"])
    key = content_key(name, seed, code)
    folder = cache / "models" / f"{name}-{key}"
    if not folder.is_dir():
        with write_beside(folder) as beside:
            beside.mkdir()
            _pretrain(name, beside, seed, report or (lambda _: None))
    return f"local-dir:{folder}"


def _pretrain(name: DemoName, folder: Path, seed: int, report: Report) -> None:
    draw_one, count = PAIRS[name]
    report(f"{name}: drawing {count:,} captioned images")
    pairs = captioned_images(draw_one, count, demo_architecture.IMAGE_SIZE, seed)
    write_configuration(folder, pairs.captions)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        config = json.loads((folder / "open_clip_config.json").read_text())
        text_cfg = config["model_cfg"]["text_cfg"] | {
            "hf_model_name": str(folder),
            "hf_model_pretrained": False,
        }
        with quiet_open_clip():
            model = open_clip.create_model(f"local-dir:{folder}", text_cfg=text_cfg)
        _fit(model, open_clip.get_tokenizer(f"local-dir:{folder}"), pairs, name, report)
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")


def _fit(
    model: nn.Module,
    tokenize: Callable[[list[str]], Tensor],
    pairs: CaptionedImages,
    name: str,
    report: Report,
) -> None:
    """CLIP loss plus multi-label BCE on what was drawn, without which minutes teach little.

    One linear map reads the codes from image and text embeddings alike; another reads them from
    the pooled output of the convolutional stem, which then learns from the first step on.
    """
    ids = tokenize(pairs.captions)
    images, targets = torch.from_numpy(pairs.images), torch.from_numpy(pairs.targets)
    codes, stem_codes = (nn.Linear(WIDTH, targets.shape[1]) for _ in range(2))
    parameters = [*model.parameters(), *codes.parameters(), *stem_codes.parameters()]
    steps_per_epoch = len(ids) // BATCH
    optimiser = torch.optim.AdamW(parameters, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, LEARNING_RATE, total_steps=EPOCHS * steps_per_epoch
    )
    stem_output: list[Tensor] = []
    stem = model.visual.trunk.patch_embed
    hook = stem.register_forward_hook(lambda *call: stem_output.append(call[-1]))
    model.train()
    for epoch in range(EPOCHS):
        order = torch.randperm(len(ids))
        totals = torch.zeros(2)
        for step in range(steps_per_epoch):
            rows = order[step * BATCH : (step + 1) * BATCH]
            pixels = images[rows].permute(0, 3, 1, 2).float() / 127.5 - 1
            longest = min(LONGEST_CAPTION, int((ids[rows] != 0).sum(1).max()))
            image_embeddings = model.encode_image(pixels * 2)
            text_embeddings = model.encode_text(ids[rows, :longest])
            contrastive = clip_loss(image_embeddings, text_embeddings, (-model.logit_scale).exp())
            readings = (
                codes(image_embeddings),
                codes(text_embeddings),
                stem_codes(F.gelu(stem_output.pop()).mean(1)),
            )
            multi_label = [
                F.binary_cross_entropy_with_logits(logits, targets[rows]) for logits in readings
            ]
            optimiser.zero_grad(set_to_none=True)
            (CLIP_WEIGHT * contrastive + sum(multi_label)).backward()
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimiser.step()
            schedule.step()
            totals += torch.stack([contrastive.detach(), multi_label[0].detach()])
        clip_mean, bce_mean = (totals / steps_per_epoch).tolist()
        report(
            f"{name}: epoch {epoch + 1} of {EPOCHS}, CLIP loss {clip_mean:.3f}, "
            f"multi-label BCE of images {bce_mean:.3f}"
        )
    hook.remove()
    model.eval()
