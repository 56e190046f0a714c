"""MiniLM gives the embeddings that sentence-transformers gives, and is trained like any encoder."""

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer import modules

from cxr_mtl.base.errors import InputError
from cxr_mtl.language.encoder_training import AnswerPairs, train_on_answers
from cxr_mtl.language.encoders import embeddings_of
from cxr_mtl.language.sentence_encoder import load_minilm
from cxr_mtl.language.training_loop import EncoderConfig
from cxr_mtl.models.packaged_files import MINILM

TEXTS = [
    "The heart is normal in size. The lungs are clear.",
    "No acute disease.",
    "Small left pleural effusion with adjacent atelectasis.",
    "Left effusion.",
]


def test_embeddings_are_those_of_sentence_transformers():
    encoder, texts = load_minilm(TEXTS)
    folder = str(MINILM.path("config.json").parent)
    theirs = SentenceTransformer(
        modules=[modules.Transformer(folder), modules.Pooling(384), modules.Normalize()]
    ).encode(TEXTS)
    ours = embeddings_of(encoder, texts, torch.arange(4)).numpy()
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_it_is_trained_on_the_same_pairs_by_the_same_function():
    encoder, texts = load_minilm(TEXTS)
    pairs = AnswerPairs(torch.tensor([0, 2]), torch.tensor([1, 3]), torch.tensor([0, 1]))
    config = EncoderConfig(epochs=2, batch_size=2, learning_rate=1e-4)
    epochs = train_on_answers(encoder, texts, pairs, pairs, config)
    assert epochs["loss"].iloc[1] < epochs["loss"].iloc[0]


def test_an_empty_text_is_refused():
    with pytest.raises(InputError, match="text 1 of 2 is empty"):
        load_minilm(["clear", " "])
