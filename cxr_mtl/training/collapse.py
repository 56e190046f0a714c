"""Whether a training ended where it knows nothing: the CLIP loss of chance, or equal embeddings."""

import math

from numpy.typing import ArrayLike

from cxr_mtl.base.records import NOTICE, Record
from cxr_mtl.retrieval.collapse import MODALITIES, TRAIN, alike_words, is_alike, mean_cosine
from cxr_mtl.training.trainer import Trained, TrainingConfig

MARGIN = 0.05
"""How far below chance the CLIP loss must come: less gives the own report, in the geometric mean
over the studies, no more than 1.05 times the probability that all reports of a batch share out."""


def clip_loss_of_chance(studies: int, batch_size: int) -> float:
    """CLIP loss of an epoch in which all scores are equal: the mean over its batches of ln n."""
    whole, rest = divmod(studies, batch_size)
    sizes = [batch_size] * whole + [rest] * (rest > 0)
    return sum(map(math.log, sizes)) / len(sizes)


def training_records(
    trained: Trained,
    studies: int,
    config: TrainingConfig,
    image_embeddings: ArrayLike,
    text_embeddings: ArrayLike,
) -> list[Record]:
    """Tidy records of what a collapse shows in, and a notice of each that there is.

    A record holds metric clip_loss_of_chance, or mean_cosine and its modality. Notices are given
    where the CLIP loss has a weight: without it nothing asks for studies of one label to differ.

    Args:
        studies: training studies.
        image_embeddings: of the validation studies, [n, d] of any length; so the texts'.

    Raises:
        InputError: of `retrieval.collapse.mean_cosine`.
    """
    chance, last = clip_loss_of_chance(studies, config.batch_size), trained.epochs.iloc[-1]
    records: list[Record] = [{"metric": "clip_loss_of_chance", "value": chance}]
    found = {}
    if last["clip"] > chance - MARGIN:
        found["CLIP loss"] = (
            f"the CLIP loss of the last epoch is {last['clip']:.3f}, and {chance:.3f} where all "
            "scores are equal: the training has hardly matched images with reports"
        )
    pair = zip(MODALITIES, (image_embeddings, text_embeddings), strict=True)
    for modality, vectors in pair:
        cosine = mean_cosine(vectors)
        records.append({"metric": "mean_cosine", "modality": modality, "value": cosine})
        if is_alike(cosine):
            found[modality] = alike_words("the fine-tuned model", modality, cosine)
    if config.weights.clip:
        records += [
            {"metric": NOTICE, "about": f"collapse: {name}", "value": f"{words}; {TRAIN}"}
            for name, words in found.items()
        ]
    return records
