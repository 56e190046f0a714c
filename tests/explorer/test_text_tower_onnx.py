"""The exported text tower is the tower, and typed queries have the whole model's answers."""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from cxr_mtl.base.errors import InputError
from cxr_mtl.explorer import text_tower_onnx
from cxr_mtl.explorer.example_queries import ODD
from cxr_mtl.explorer.text_tower_onnx import (
    TOP,
    OnnxTextTower,
    export_text_tower,
    obstacle,
    token_ids,
    tokenizer_card,
    typed_examples,
)
from cxr_mtl.models.backbones import load_backbone
from cxr_mtl.training.demo_models import backbone_source

TEXTS = [
    "Clear.",
    "Large right [PAD] pleural effusion, [MASK] and é.",
    "The heart is normal in size. " * 60,
    "No acute disease.",
]


@pytest.fixture(scope="module")
def loaded(untrained_folder):
    return load_backbone(f"local-dir:{untrained_folder}")


@pytest.fixture(scope="module")
def onnx(loaded):
    return export_text_tower(loaded)


@pytest.fixture(scope="module")
def expected(loaded):
    with torch.inference_mode():
        embedded = loaded.model.encode_text(loaded.tokenize(TEXTS)).double().numpy()
    return embedded / np.linalg.norm(embedded, axis=1, keepdims=True)


def test_padded_texts_get_the_unit_embeddings_of_the_whole_model(loaded, onnx, expected):
    ids = loaded.tokenize(TEXTS)
    assert int((ids[2] != 0).sum()) == loaded.tokenize.context_length  # one is cut
    embedded = OnnxTextTower(onnx).embed(ids)
    assert embedded.dtype == np.float32
    np.testing.assert_allclose(embedded, expected, atol=5e-4)  # sixteen bits


@pytest.mark.parametrize("row", range(len(TEXTS)))
def test_a_text_without_padding_gets_the_same_embedding(loaded, onnx, expected, row):
    ids = torch.tensor([token_ids(loaded, TEXTS[row])])
    np.testing.assert_allclose(OnnxTextTower(onnx).embed(ids)[0], expected[row], atol=5e-4)


def test_batches_do_not_move_an_embedding(loaded, onnx, monkeypatch):
    ids, tower = loaded.tokenize(TEXTS), OnnxTextTower(onnx)
    whole = tower.embed(ids)
    monkeypatch.setattr(text_tower_onnx, "BATCH", 3)
    np.testing.assert_allclose(tower.embed(ids), whole, atol=1e-6)


def test_a_text_is_its_tokens_between_the_special_ones_cut_to_the_context(loaded):
    ids = token_ids(loaded, "No acute disease.")
    vocabulary = tokenizer_card(loaded.tokenize)["vocabulary"]
    pieces = [vocabulary[number] for number in ids]
    assert (pieces[0], pieces[-1]) == ("[CLS]", "[SEP]")
    assert "".join(pieces[1:-1]).replace("##", "") == "noacutedisease."
    assert len(token_ids(loaded, TEXTS[2])) == loaded.tokenize.context_length


def test_a_card_lists_every_piece_at_its_id_and_the_special_ones(loaded):
    card = tokenizer_card(loaded.tokenize)
    ids = loaded.tokenize.tokenizer.get_vocab()
    assert {piece: number for number, piece in enumerate(card["vocabulary"])} == ids
    assert card["special"] == {"pad": 0, "unk": 1, "cls": 2, "sep": 3}
    assert (card["context"], card["lowercase"]) == (128, True)


def test_the_file_says_nothing_of_where_it_was_made(onnx):
    for trace in (b"site-packages", b".py", b"stack_trace"):
        assert trace not in onnx


def test_the_demo_models_tower_fits_a_page_and_gives_what_python_gives(tmp_path):
    backbone = load_backbone(backbone_source("demo-biomed", tmp_path))
    onnx = export_text_tower(backbone)
    assert len(onnx) <= 35_000_000
    with torch.inference_mode():
        expected = backbone.model.encode_text(backbone.tokenize(TEXTS)).numpy()
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(
        OnnxTextTower(onnx).embed(backbone.tokenize(TEXTS)), expected, atol=5e-4
    )


def test_a_tower_too_large_for_a_page_is_refused_in_one_sentence(loaded, monkeypatch):
    monkeypatch.setattr(text_tower_onnx, "LARGEST", 100_000)
    assert "million weights" in obstacle(loaded)
    with pytest.raises(InputError, match=r"cannot be exported: it holds .* leave it out"):
        export_text_tower(loaded)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lowercase", False),
        ("strip_accents", False),
        ("clean_text", False),
        ("handle_chinese_chars", False),
    ],
)
def test_a_tokenizer_that_reads_letters_otherwise_is_an_obstacle(loaded, name, value):
    tokenize = deepcopy(loaded.tokenize)
    setattr(tokenize.tokenizer.backend_tokenizer.normalizer, name, value)
    assert "lower-casing BERT" in obstacle(replace(loaded, tokenize=tokenize))


def test_padding_by_another_number_than_0_is_an_obstacle(loaded):
    tokenize = deepcopy(loaded.tokenize)
    tokenize.tokenizer.pad_token = "[UNK]"
    assert "lower-casing BERT" in obstacle(replace(loaded, tokenize=tokenize))


def test_another_tokenizer_or_tower_is_an_obstacle(loaded):
    assert obstacle(loaded) is None
    assert "lower-casing BERT" in obstacle(replace(loaded, tokenize=lambda texts: texts))
    assert "lower-casing BERT" in obstacle(replace(loaded, model=nn.Linear(2, 2)))


STUDIES = [str(number) for number in range(12)]


@pytest.fixture
def images():
    vectors = np.random.default_rng(0).normal(size=(12, 128)).astype(np.float32)
    vectors[7] = vectors[2]  # a tie: the study that stands first comes first
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_a_query_has_the_models_unit_embedding_and_the_studies_nearest_to_it(backbone, images):
    texts = ["Right pleural effusion.", "CLEAR!"]
    for text, found in zip(texts, typed_examples(backbone, images, STUDIES, texts), strict=True):
        with torch.inference_mode():
            expected = backbone.model.encode_text(backbone.tokenize([text]))[0].double().numpy()
        expected /= np.linalg.norm(expected)
        np.testing.assert_allclose(found["embedding"], expected, atol=1e-6)
        scores = {study: float(v @ expected) for study, v in zip(STUDIES, images, strict=True)}
        assert found["top"] == sorted(STUDIES, key=lambda study: -scores[study])[:TOP]


def test_ids_are_the_tokenizers_without_padding(backbone, images):
    (found,) = typed_examples(backbone, images, STUDIES, ["No acute disease."])
    padded = backbone.tokenize(["No acute disease."])[0].tolist()
    assert padded == found["ids"] + [0] * (len(padded) - len(found["ids"]))
    assert found["ids"][-1] != 0


def test_equal_scores_stay_in_the_order_of_the_studies(backbone, images):
    same = np.repeat(images[:1], 12, axis=0)
    (found,) = typed_examples(backbone, same, STUDIES, ["Clear."])
    assert found["top"] == STUDIES[:TOP]


def test_the_examples_try_an_unknown_sign_an_accent_capitals_and_a_cut(backbone, images):
    found = typed_examples(backbone, images, STUDIES)
    unknown = backbone.tokenize.tokenizer.unk_token_id
    assert any(unknown in example["ids"][1:-1] for example in found)
    assert max(len(example["ids"]) for example in found) == backbone.tokenize.context_length
    joined = "".join(ODD)
    assert not joined.isascii()
    assert not joined.islower()
