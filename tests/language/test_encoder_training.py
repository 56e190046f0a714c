"""An encoder learns what belongs together, resumes bit for bit, and refuses what cannot be."""

import copy

import numpy as np
import pytest
import torch
from small_language_model import TEXTS

from cxr_mtl.base.errors import InputError
from cxr_mtl.language.encoder_training import (
    AnswerPairs,
    answers_found,
    train_on_answers,
    train_on_masked_tokens,
)
from cxr_mtl.language.encoders import ReportEncoder, embeddings_of, encode
from cxr_mtl.language.masked_prediction import mask_tokens
from cxr_mtl.language.split_decoder import run_blocks, split_decoder, trainable_copy
from cxr_mtl.language.state_cache import report_states, token_states, tokenise_texts
from cxr_mtl.language.training_loop import EncoderConfig

PAIRS = AnswerPairs(
    torch.tensor([0, 1, 3, 4]), torch.tensor([2, 7, 5, 6]), torch.tensor([0, 1, 2, 3])
)
CONFIG = EncoderConfig(epochs=3, batch_size=2, learning_rate=1e-3, threads=1)


@pytest.fixture
def states(language_model, tmp_path):
    return report_states(language_model, TEXTS, 2, tmp_path / "cache", precision="float32")


@pytest.fixture
def encoder(language_model):
    return ReportEncoder(trainable_copy(split_decoder(language_model.decoder, 2, 2)[1]))


@pytest.mark.parametrize("pooling", ["mean", "last", "latent"])
def test_grouped_embeddings_are_those_of_each_text_alone(
    language_model, states, pooling, monkeypatch
):
    monkeypatch.setattr("cxr_mtl.language.encoders.GROUP", 3)
    torch.manual_seed(0)
    encoder = ReportEncoder(split_decoder(language_model.decoder, 2, 2)[1], pooling).eval()
    rows = torch.tensor([5, 0, 4, 4, 7, 1])
    found = embeddings_of(encoder, states, rows)
    torch.testing.assert_close(found, encode(encoder, states, rows).detach())
    for place, row in enumerate(rows):
        tokens = states.batch(row[None]).tokens
        is_token = torch.ones(1, tokens.shape[1], dtype=torch.bool)
        pooled = encoder.pool(run_blocks(encoder.upper, tokens, is_token), is_token)[0]
        torch.testing.assert_close(found[place], (pooled / pooled.norm()).detach())


def test_training_lowers_the_loss_and_finds_the_answers(encoder, states):
    before = answers_found(encoder, states, PAIRS).mean()
    config = EncoderConfig(epochs=30, batch_size=4, learning_rate=1e-3)
    epochs = train_on_answers(encoder, states, PAIRS, PAIRS, config)
    assert epochs["loss"].iloc[-1] < epochs["loss"].iloc[0] / 4
    assert epochs["mrr"].iloc[-1] == 1 > before


class Killed(Exception):
    pass


def kill(epoch):
    if epoch["epoch"] == 2:
        raise Killed


@pytest.mark.parametrize("kind", ["answers", "masked tokens"])
def test_a_killed_training_ends_with_the_same_weights(
    encoder, states, language_model, tmp_path, kind
):
    masked = mask_tokens(tokenise_texts(language_model, TEXTS)[0], 1, 0.3, seed=0)
    masked_states = token_states(language_model, masked.ids, 2, tmp_path, precision="float32")

    def train(**options):
        trained = copy.deepcopy(encoder)
        if kind == "answers":
            return trained, train_on_answers(trained, states, PAIRS, PAIRS, CONFIG, **options)
        head = language_model.head
        arguments = (trained.upper, head, masked_states, masked, CONFIG)
        return trained, train_on_masked_tokens(*arguments, **options)

    whole, epochs = train()
    path = tmp_path / "checkpoint.safetensors"
    with pytest.raises(Killed):
        train(checkpoint=path, on_epoch=kill)
    seen = []
    resumed, again = train(checkpoint=path, on_epoch=seen.append)
    assert [epoch["epoch"] for epoch in seen] == [3]
    assert epochs.equals(again)
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)


def test_masked_training_lowers_its_loss_and_leaves_the_head(language_model, tmp_path):
    masked = mask_tokens(tokenise_texts(language_model, TEXTS)[0], 1, 0.3, seed=0)
    states = token_states(language_model, masked.ids, 2, tmp_path, precision="float32")
    upper = trainable_copy(split_decoder(language_model.decoder, 2, 2)[1])
    head = language_model.head.weight.detach().clone()
    config = EncoderConfig(epochs=20, batch_size=4, learning_rate=1e-3)
    epochs = train_on_masked_tokens(upper, language_model.head, states, masked, config)
    assert epochs["loss"].iloc[-1] < epochs["loss"].iloc[0] / 2
    assert torch.equal(language_model.head.weight, head)


def test_a_checkpoint_of_other_data_or_parameters_is_not_used(encoder, states, tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    train_on_answers(copy.deepcopy(encoder), states, PAIRS, PAIRS, CONFIG, checkpoint=path)
    for pairs, config in (
        (PAIRS.at(torch.tensor([0, 1])), CONFIG),
        (PAIRS, CONFIG.model_copy(update={"seed": 1})),
    ):
        seen = []
        train_on_answers(
            copy.deepcopy(encoder),
            states,
            pairs,
            PAIRS,
            config,
            checkpoint=path,
            on_epoch=seen.append,
        )
        assert len(seen) == CONFIG.epochs


def test_hard_negatives_are_pushed_away(encoder, states):
    negatives = torch.tensor([5, -1, 2, 1])
    pairs = AnswerPairs(PAIRS.anchors, PAIRS.positives, PAIRS.answers, negatives)

    def nearness(encoder):
        there = negatives >= 0
        anchors = embeddings_of(encoder, states, pairs.anchors[there])
        return (anchors * embeddings_of(encoder, states, negatives[there])).sum(1).mean()

    trained = copy.deepcopy(encoder)
    train_on_answers(trained, states, pairs, PAIRS, CONFIG)
    assert nearness(trained) < nearness(encoder)


def test_an_answer_that_several_pairs_share_is_one_candidate(encoder, states):
    pairs = AnswerPairs(torch.tensor([0, 1, 3]), torch.tensor([7, 7, 5]), torch.tensor([9, 9, 4]))
    found = answers_found(encoder, states, pairs)
    questions = embeddings_of(encoder, states, pairs.anchors)
    answers = embeddings_of(encoder, states, torch.tensor([5, 7]))
    scores = (questions @ answers.T).numpy()
    own = [1, 1, 0]
    expected = [
        1.0 if row[place] == row.max() else 0.5 for row, place in zip(scores, own, strict=True)
    ]
    np.testing.assert_allclose(found, expected)


def test_what_cannot_be_trained_is_refused(encoder, states):
    with pytest.raises(InputError, match="batch_size is 5 but there are only 4 items"):
        train_on_answers(encoder, states, PAIRS, PAIRS, EncoderConfig(batch_size=5))
    with pytest.raises(InputError, match="text 1 is its own positive"):
        AnswerPairs(torch.tensor([0, 1]), torch.tensor([2, 1]), torch.tensor([0, 1]))
    with pytest.raises(InputError, match="2 anchors, 1 positives"):
        AnswerPairs(torch.tensor([0, 1]), torch.tensor([2]), torch.tensor([0, 1]))
    with pytest.raises(InputError, match="temperature is 0"):
        EncoderConfig(temperature=0)
