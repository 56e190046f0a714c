"""Typed queries whose answers are known: what the explorer's page is tested against."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from cxr_mtl.explorer.text_tower_onnx import token_ids
from cxr_mtl.models.backbones import Backbone
from cxr_mtl.retrieval.index import Vectors, normalised

EXAMPLES = (
    "right pleural effusion",
    "CARDIOMEGALY, with pulmonary edema (moderate)!",
    "The lungs are clear \u2603 no snowman is seen.",
    "Opacité in the left upper lobe; 2.5cm nodule",
    "The heart is normal in size and the lungs are clear. " * 30,
)
"""Capitals, punctuation, a sign no vocabulary holds, an accent, and a text that is cut."""

TOP = 5


def typed_examples(
    backbone: Backbone, images: Vectors, studies: Sequence[str], texts: Sequence[str] = EXAMPLES
) -> list[dict[str, Any]]:
    """Each text with its token ids, its embedding and the studies of the images nearest to it.

    Strict retrieval by the whole model, where equal scores stay in the order of the studies.

    Args:
        images: embeddings of the studies' images, L2-normalised [studies, dim].
    """
    examples = []
    for text in texts:
        with torch.inference_mode():
            (embedding,) = normalised(backbone.model.encode_text(backbone.tokenize([text])))
        nearest = np.argsort(-(images @ embedding), kind="stable")[:TOP]
        examples.append(
            {
                "text": text,
                "ids": token_ids(backbone, text),
                "embedding": [round(float(value), 7) for value in embedding],
                "top": [studies[position] for position in nearest],
            }
        )
    return examples
