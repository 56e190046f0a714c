"""Masked tokens are predicted from the state before them: by loops, and as the library does."""

import pytest
import torch
from small_language_model import TEXTS
from transformers import AutoModelForCausalLM

from cxr_mtl.base.errors import InputError
from cxr_mtl.language.masked_prediction import mask_id_of, mask_tokens, masked_loss
from cxr_mtl.language.split_decoder import run_blocks, split_decoder
from cxr_mtl.language.state_cache import token_states, tokenise_texts

MASK_ID = 1


@pytest.fixture
def ids(language_model):
    return tokenise_texts(language_model, TEXTS)[0]


def test_masked_places_hold_the_mask_and_targets_what_stood_there(ids):
    masked = mask_tokens(ids, MASK_ID, 0.3, seed=0, copies=3)
    whole = [row for row in ids if len(row) > 1] * 3
    assert len(masked) == len(whole)
    for row, hidden, places, targets in zip(
        whole, masked.ids, masked.places, masked.targets, strict=True
    ):
        assert places == sorted(set(places))
        assert min(places) >= 1
        for place, token in enumerate(row):
            assert hidden[place] == (MASK_ID if place in places else token)
        assert targets == [row[place] for place in places]


def test_the_share_is_kept_and_masks_are_those_of_the_seed():
    long = [list(range(10, 1010))] * 4
    masked = mask_tokens(long, MASK_ID, 0.2, seed=0)
    share = sum(map(len, masked.places)) / (4 * 999)
    assert 0.17 < share < 0.23
    assert masked == mask_tokens(long, MASK_ID, 0.2, seed=0) != mask_tokens(long, 1, 0.2, seed=1)


def test_the_loss_is_that_of_loops_and_of_the_library(
    language_model, language_folder, ids, tmp_path
):
    masked = mask_tokens(ids, MASK_ID, 0.3, seed=0)
    store = token_states(language_model, masked.ids, 0, tmp_path, precision="float32")
    upper = split_decoder(language_model.decoder, 0, 4)[1]
    plain = AutoModelForCausalLM.from_pretrained(language_folder)
    plain.config.is_causal = plain.model.config.is_causal = False
    total, count, library = 0.0, 0, []
    for row, (hidden, places, targets) in enumerate(
        zip(masked.ids, masked.places, masked.targets, strict=True)
    ):
        logits = plain(torch.tensor([hidden])).logits[0].detach()
        for place, target in zip(places, targets, strict=True):
            total -= float(logits[place - 1].log_softmax(0)[target])
            count += 1
        labels = torch.full((1, len(hidden)), -100)
        labels[0, places] = torch.tensor(targets)
        library.append(
            (float(plain(torch.tensor([hidden]), labels=labels).loss.detach()), len(places))
        )
        assert len(store.batch(torch.tensor([row])).tokens[0]) == len(hidden)
    rows = torch.arange(len(masked))
    tokens, lengths, _ = store.batch(rows)
    is_token = torch.arange(tokens.shape[1]) < lengths[:, None]
    states = run_blocks(upper, tokens, is_token)
    ours = float(masked_loss(states, masked.places, masked.targets, language_model.head).detach())
    assert ours == pytest.approx(total / count, rel=1e-4)
    assert ours == pytest.approx(sum(x * n for x, n in library) / count, rel=1e-4)


def test_what_cannot_be_masked_is_refused(language_model, ids):
    with pytest.raises(InputError, match="has no token '_'"):
        mask_id_of(language_model)
    with pytest.raises(InputError, match="the masked share is 1"):
        mask_tokens(ids, MASK_ID, 1, seed=0)
    with pytest.raises(InputError, match="nothing to mask"):
        mask_tokens([[3]], MASK_ID, 0.2, seed=0)
