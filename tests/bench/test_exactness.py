"""The fast path repeats plain open_clip: embeddings, gradients and weights after some steps."""

import open_clip
import torch

from cxr_mtl.bench.exactness import path_differences
from cxr_mtl.bench.models import Batch


def test_the_fast_path_of_a_small_clip_trains_as_the_plain_model_does():
    torch.manual_seed(0)
    vision = {"image_size": 32, "layers": 2, "width": 32, "head_width": 8, "patch_size": 8}
    text = {"context_length": 12, "vocab_size": 40, "width": 24, "heads": 3, "layers": 2}
    model = open_clip.CLIP(16, vision, text).eval()
    lengths = torch.tensor([4, 12, 9, 6])
    ids = torch.randint(1, 38, (4, 12)).masked_fill(torch.arange(12) >= lengths[:, None], 0)
    ids[torch.arange(4), lengths - 1] = 39
    batch = Batch(torch.randn(4, 3, 32, 32), ids, lengths, torch.tensor([0, 1, 0, 1]))
    differences = path_differences(model, batch, steps=20)
    assert differences["embeddings"] < 1e-5
    assert differences["gradients"] < 1e-5
    assert differences["weights after 20 steps"] < 1e-4
    assert differences["gradients in float64"] < 1e-12
    rounding = "gradients, {} float32 to plain float64"
    assert differences[rounding.format("fast")] < 3 * differences[rounding.format("plain")]
    assert min(differences.values()) > 0
