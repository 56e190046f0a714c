"""Features are what the plain model computes, each kept until something it depends on changes."""

from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from open_clip.model import CLIP, CustomTextCLIP
from PIL import Image

from cxr_mtl.base.errors import InputError
from cxr_mtl.models import features as features_module
from cxr_mtl.models.features import (
    BATCH,
    FrozenPrefix,
    compute_features,
    embed,
    embed_texts,
    without_last_block,
)
from cxr_mtl.models.last_layer import LastLayer, freeze
from cxr_mtl.training.trainer import embed_rows


def test_embedding_from_features_equals_the_whole_model(backbone, studies, tmp_path):
    features = compute_features(backbone, studies, 1, tmp_path)
    freeze(backbone.model, 1)
    last = LastLayer(backbone.model, 1)
    rows = torch.arange(len(studies))
    for ours, plain in zip(embed_rows(last, features, rows), embed(backbone, studies), strict=True):
        np.testing.assert_allclose(ours, plain, atol=2e-6)


@pytest.fixture
def computed(monkeypatch):
    """How many images and how many reports each call has run through the frozen blocks."""
    counts = {"images": [], "texts": []}
    for name in counts:
        run = getattr(FrozenPrefix, name)

        def counted(self, inputs, *more, name=name, run=run):
            counts[name].append(len(inputs))
            return run(self, inputs, *more)

        monkeypatch.setattr(FrozenPrefix, name, counted)
    return counts


def test_features_are_computed_once(backbone, studies, tmp_path, computed):
    first = compute_features(backbone, studies, 1, tmp_path)
    once = {"images": [1, 16, 8], "texts": [1, 24]}  # one for the shapes, then all in batches
    assert computed == once
    second = compute_features(backbone, studies, 1, tmp_path)
    assert computed == {what: [*batches, 1] for what, batches in once.items()}
    assert first.key == second.key
    assert torch.equal(first.texts.tokens, second.texts.tokens)


def test_another_report_recomputes_the_texts_and_not_the_images(
    backbone, studies, tmp_path, computed
):
    first = compute_features(backbone, studies, 1, tmp_path)
    changed = studies.copy()
    changed.loc[0, "text"] = "A new report."
    second = compute_features(backbone, changed, 1, tmp_path)
    assert computed == {"images": [1, 16, 8, 1], "texts": [1, 24, 1, 24]}
    assert second.key != first.key
    assert second.texts.lengths[0] != first.texts.lengths[0]


def test_another_depth_or_precision_has_another_key(backbone, studies, tmp_path):
    keys = {
        compute_features(backbone, studies, blocks, tmp_path, precision=precision).key
        for blocks in (0, 1)
        for precision in ("float32", "bfloat16")
    }
    assert len(keys) == 4


def test_other_libraries_have_another_key(backbone, studies, tmp_path, monkeypatch):
    first = compute_features(backbone, studies, 1, tmp_path)
    monkeypatch.setattr(features_module, "version", lambda name: "0.0")
    assert compute_features(backbone, studies, 1, tmp_path).key != first.key


def test_bfloat16_features_are_the_float32_ones_within_a_few_roundings(backbone, studies, tmp_path):
    exact = compute_features(backbone, studies, 1, tmp_path).images.tokens
    rounded = compute_features(backbone, studies, 1, tmp_path, precision="bfloat16").images.tokens
    assert rounded.dtype == torch.bfloat16
    assert (rounded.float() - exact).norm() < 0.02 * exact.norm()


def test_texts_are_stored_without_padding(backbone, studies, tmp_path):
    texts = compute_features(backbone, studies, 1, tmp_path).texts
    assert len(texts.tokens) == int(texts.lengths.sum())
    tokens, lengths, _ = texts.batch(torch.tensor([3, 1]))
    assert tokens.shape[1] == int(lengths.max())
    assert torch.equal(tokens[1, : lengths[1]], texts.tokens[texts.starts[1] :][: lengths[1]])


def test_what_leaves_one_block_is_what_none_unfrozen_keeps(backbone, studies, tmp_path):
    one = compute_features(backbone, studies, 1, tmp_path)
    none = without_last_block(one, LastLayer(backbone.model, 1), tmp_path)
    plain = compute_features(backbone, studies, 0, tmp_path)
    rows = torch.arange(len(studies))
    for ours, theirs in ((none.images, plain.images), (none.texts, plain.texts)):
        torch.testing.assert_close(ours.query, theirs.query, atol=1e-5, rtol=1e-5)
        assert torch.equal(ours.lengths, theirs.lengths)
        torch.testing.assert_close(ours.batch(rows).tokens[:, 0], ours.query)
    assert len({one.key, none.key, plain.key}) == 3


def test_a_changed_image_is_refused(backbone, studies, tmp_path):
    copy = tmp_path / "copy.png"
    Image.new("L", (50, 50)).save(copy)
    changed = studies.copy()
    changed.loc[5, "image"] = str(copy)
    with pytest.raises(InputError, match=r"copy\.png changed"):
        compute_features(backbone, changed, 1, tmp_path / "cache")


def test_a_truncated_store_is_mended(backbone, studies, tmp_path):
    whole = compute_features(backbone, studies, 1, tmp_path).images.tokens.clone()
    for file in (tmp_path / "features").glob("*/tokens.bin"):
        file.write_bytes(file.read_bytes()[:-4])
    assert torch.equal(compute_features(backbone, studies, 1, tmp_path).images.tokens, whole)


def test_too_little_memory_is_said_before_the_work(
    backbone, studies, tmp_path, monkeypatch, computed
):
    monkeypatch.setattr(features_module.psutil, "virtual_memory", lambda: Mock(available=10**6))
    with pytest.raises(InputError, match=r"needs about 0\.0 GB of memory and 0\.0 GB are free"):
        compute_features(backbone, studies, 1, tmp_path)
    assert computed == {"images": [1], "texts": [1]}


def test_texts_are_embedded_in_their_order_as_if_padded_to_the_context(backbone, monkeypatch):
    texts = [f"lungs {'clear ' * (number * 37 % 40)}" for number in range(2 * BATCH + 3)]
    ids = backbone.tokenize(texts)
    shown = []
    whole = backbone.model.encode_text
    with torch.inference_mode():
        expected = whole(ids).numpy()
    monkeypatch.setattr(backbone.model, "encode_text", lambda i: (shown.append(i), whole(i))[1])
    assert embed_texts(backbone, texts) == pytest.approx(expected, abs=1e-5)
    assert sum(i.numel() for i in shown) < ids.numel() / 2


@pytest.mark.parametrize("kind", [CLIP, CustomTextCLIP])
def test_texts_of_clips_own_tower_are_given_the_whole_context(kind):
    torch.manual_seed(0)
    vision = {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16}
    text = {"context_length": 20, "vocab_size": 99, "width": 64, "heads": 2, "layers": 2}
    model = kind(embed_dim=16, vision_cfg=vision, text_cfg=text).eval()
    ids = torch.zeros(3, 20, dtype=torch.int64)
    for row, length in enumerate((4, 7, 5)):
        ids[row, :length] = torch.arange(98 - length + 1, 99)  # the last is the end of the text
    backbone = SimpleNamespace(model=model, tokenize=lambda texts: ids[[int(t) for t in texts]])
    with torch.inference_mode():
        expected = model.encode_text(ids).numpy()
    assert embed_texts(backbone, ["0", "1", "2"]) == pytest.approx(expected, abs=1e-6)


def test_dicom_gives_the_features_and_embeddings_of_its_png(backbone, studies, as_dicom, tmp_path):
    features = [
        compute_features(backbone, table, 1, tmp_path / name)
        for name, table in (("png", studies), ("dicom", as_dicom))
    ]
    assert torch.equal(*[each.images.tokens for each in features])
    for ours, theirs in zip(embed(backbone, as_dicom), embed(backbone, studies), strict=True):
        np.testing.assert_array_equal(ours, theirs)
