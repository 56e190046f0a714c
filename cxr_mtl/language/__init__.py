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
    answers_found,
    train_on_answers,
    train_on_masked_tokens,
)
from cxr_mtl.language.encoders import ReportEncoder, embeddings_of, encode
from cxr_mtl.language.lexical import bm25_scores, tfidf_scores
from cxr_mtl.language.low_rank import add_low_rank, merge_low_rank
from cxr_mtl.language.masked_prediction import mask_id_of, mask_tokens, masked_loss
from cxr_mtl.language.report_pairs import (
    paired_reports,
    summary_pairs,
    with_hard_negatives,
    with_variants,
)
from cxr_mtl.language.sentence_encoder import load_minilm
from cxr_mtl.language.split_decoder import (
    check_sees_both_ways,
    reach,
    run_blocks,
    split_decoder,
    trainable_copy,
)
from cxr_mtl.language.state_cache import (
    report_states,
    said_twice,
    token_states,
    tokenise_texts,
)
from cxr_mtl.language.tasks import AnswerSearch, Choice, Similarity, cosine_scores, task_records
from cxr_mtl.language.training_loop import EncoderConfig
from cxr_mtl.language.variant_tasks import acronym_search, error_choice, style_searches

__all__ = [
    "AnswerPairs",
    "AnswerSearch",
    "Choice",
    "EncoderConfig",
    "LanguageModel",
    "ReportEncoder",
    "Similarity",
    "acronym_search",
    "add_low_rank",
    "answer_loss",
    "answers_found",
    "bm25_scores",
    "check_sees_both_ways",
    "cosine_scores",
    "embeddings_of",
    "encode",
    "error_choice",
    "load_language_model",
    "load_minilm",
    "mask_id_of",
    "mask_tokens",
    "masked_loss",
    "merge_low_rank",
    "paired_reports",
    "reach",
    "report_states",
    "run_blocks",
    "said_twice",
    "split_decoder",
    "style_searches",
    "summary_pairs",
    "task_records",
    "tfidf_scores",
    "token_states",
    "tokenise_texts",
    "train_on_answers",
    "train_on_masked_tokens",
    "trainable_copy",
    "with_hard_negatives",
    "with_variants",
]
