"""Language models as report encoders: a decoder whose upper blocks learn to see both ways.

Equal answers are no negatives of each other, so that a perfect encoder has almost no loss:

>>> import torch
>>> from cxr_mtl.language import answer_loss
>>> reports, same = torch.eye(3), torch.tensor([0, 1, 2])
>>> round(float(answer_loss(reports, reports, same, temperature=0.05)), 6)
0.0
"""

from cxr_mtl.language.contrastive import answer_loss
from cxr_mtl.language.decoders import LanguageModel, load_language_model
from cxr_mtl.language.encoder_training import (
    AnswerPairs,
    EncoderConfig,
    answers_found,
    train_encoder,
)
from cxr_mtl.language.encoders import ReportEncoder, embed_texts, encode
from cxr_mtl.language.split_decoder import check_sees_both_ways, run_blocks, split_decoder
from cxr_mtl.language.state_cache import report_states, tokenise_texts

__all__ = [
    "AnswerPairs",
    "EncoderConfig",
    "LanguageModel",
    "ReportEncoder",
    "answer_loss",
    "answers_found",
    "check_sees_both_ways",
    "embed_texts",
    "encode",
    "load_language_model",
    "report_states",
    "run_blocks",
    "split_decoder",
    "tokenise_texts",
    "train_encoder",
]
