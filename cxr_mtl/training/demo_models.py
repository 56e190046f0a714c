"""The demo's two baselines: public towers that the project aligned, put together offline.

`demo-biomed` was aligned on captioned phantoms that are not studies of the archive, `demo-general`
on captioned everyday shapes and a tenth of phantoms (see `alignment`). They are small models of the
same classes as BiomedCLIP (timm ViT and Hugging Face BERT in an open_clip CustomTextCLIP) and stand
where BiomedCLIP and CLIP stand in the paper; their weights have nothing to do with those models.
"""

import re
import shutil
from pathlib import Path
from typing import get_args

from safetensors.torch import load_file, save_file
from torch import Tensor

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.files import content_key, write_beside
from cxr_mtl.base.fingerprints import library_sources
from cxr_mtl.models.convolutional_trunk import pretrained_trunk
from cxr_mtl.models.demo_architecture import DemoName, write_configuration
from cxr_mtl.models.eight_bits import rounded
from cxr_mtl.models.packaged_files import MINILM

ALIGNED = Path(__file__).parent / "aligned"
"""What is trained of each demo model, everything but the frozen towers, in float16."""
TRUNK = "visual.trunk.patch_embed.backbone."
ROUNDED = re.compile(
    r"embeddings\.word_embeddings\.weight|encoder\.layer\.[0-4]\..*(query|key|value|dense)\.weight"
)
NEEDED = 120_000_000  # bytes of a folder


def backbone_source(name: str, cache: Path) -> str:
    """The `load_backbone` source of a name: demo models become a local folder, written if absent.

    The folder under `cache` carries a key of the code and weights that made it.

    Raises:
        InputError: a tower's package is missing or is another version, or the disk is too full.
    """
    if name not in get_args(DemoName):
        return name
    code = library_sources(["from cxr_mtl.training.demo_models import backbone_source"])
    folder = cache / "models" / f"{name}-{content_key(name, code)}"
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        _check_room(folder.parent)
        with write_beside(folder) as beside:
            beside.mkdir()
            write_configuration(beside)
            aligned = load_file(ALIGNED / f"{name}.safetensors")
            weights = frozen_weights() | {name: t.float() for name, t in aligned.items()}
            save_file(weights, beside / "open_clip_model.safetensors")
    return f"local-dir:{folder}"


def frozen_weights() -> dict[str, Tensor]:
    """The tensors of the two public towers, by their names in a demo model.

    MiniLM's word embeddings and linear maps, the last block's aside, are rounded to eight bits, so
    that a page that loads them in eight bits computes what Python does.

    Raises:
        InputError: a tower's package is missing or is another version.
    """
    trunk = {TRUNK + name: tensor for name, tensor in pretrained_trunk().state_dict().items()}
    minilm = {
        f"text.transformer.{name}": rounded(tensor) if ROUNDED.fullmatch(name) else tensor
        for name, tensor in load_file(MINILM.path("model.safetensors")).items()
        if not name.startswith("pooler.") and name != "embeddings.position_ids"
    }
    return trunk | minilm


def _check_room(folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < NEEDED:
        raise InputError(
            f"a demo model takes {NEEDED / 1e6:.0f} MB and {free / 1e6:.0f} MB are free at "
            f"{folder}: free some space, or give another cache_dir"
        )
