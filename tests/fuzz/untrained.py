"""A model of the demo's architecture with random weights, in a folder that open_clip reads."""

from collections.abc import Sequence
from pathlib import Path

import open_clip
import torch
from safetensors.torch import save_file

from cxr_mtl.models.demo_architecture import write_untrained

REPORTS = (
    "The heart is normal in size. The lungs are clear.",
    "Large right pleural effusion.",
    "Cardiomegaly with pulmonary edema. No pneumothorax is seen in either hemithorax today.",
    "No acute disease.",
)


def write_untrained_model(folder: Path, reports: Sequence[str] = REPORTS, seed: int = 0) -> None:
    """Write configuration, a tokenizer of the words of `reports`, and weights drawn by `seed`."""
    write_untrained(folder, list(reports) * 20)
    torch.manual_seed(seed)
    text_cfg = {
        "hf_model_name": str(folder),
        "hf_model_pretrained": False,
        "hf_proj_type": "mlp",
        "hf_pooler_type": "cls_last_hidden_state_pooler",
        "context_length": 128,
    }
    model = open_clip.create_model(f"local-dir:{folder}", text_cfg=text_cfg)
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
