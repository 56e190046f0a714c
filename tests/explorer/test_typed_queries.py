"""A typed query's known answer is that of the whole model, searched by brute force."""

import numpy as np
import pytest
import torch

from cxr_mtl.explorer.typed_queries import EXAMPLES, TOP, typed_examples

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
    joined = "".join(EXAMPLES)
    assert not joined.isascii()
    assert not joined.islower()
