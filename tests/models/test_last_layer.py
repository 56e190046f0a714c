"""The last layer gives the embeddings and gradients of plain open_clip, for every kind of tower."""

import shutil

import numpy as np
import open_clip
import pytest
import torch
from timm.layers import LayerScale
from torch.nn import functional as F

from cxr_mtl.base.errors import InputError
from cxr_mtl.models import single_query
from cxr_mtl.models.backbones import load_backbone
from cxr_mtl.models.clip_towers import BertText, ClipText, ClipViT, TimmViT
from cxr_mtl.models.features import compute_features, embed, load_images, tokenise
from cxr_mtl.models.last_layer import LastLayer, freeze, tower_kinds, trainable_names
from cxr_mtl.models.single_query import GROUP, Projections, attend, standardise
from cxr_mtl.models.token_store import Tokens
from cxr_mtl.training.trainer import embed_rows
from tests.models.edited_model import changed

KINDS = {
    "biomedclip": (TimmViT, BertText),
    "biomedclip with LayerScale": (TimmViT, BertText),
    "clip": (ClipViT, ClipText),
}
VISION = {"image_size": 32, "layers": 3, "width": 32, "head_width": 8, "patch_size": 8}
TEXT = {"context_length": 20, "vocab_size": 50, "width": 24, "heads": 3, "layers": 3}


def _clip(**vision):
    torch.manual_seed(0)
    return open_clip.CLIP(16, VISION | vision, TEXT).eval()


@pytest.fixture(params=list(KINDS))
def inputs(request, backbone, studies):
    """A model of each kind with images, token ids and the lengths of the texts."""
    if "biomedclip" in request.param:
        if "LayerScale" in request.param:
            for block in backbone.model.visual.trunk.blocks:
                block.ls1, block.ls2 = LayerScale(64, 0.5), LayerScale(64, 0.7)
        images = load_images(backbone, list(studies["image"][:6]))
        ids, lengths = tokenise(backbone, list(studies["text"][:6]))
        model = backbone.model
    else:
        model, lengths = _clip(ls_init_value=0.5), torch.tensor([4, 20, 9, 3, 12, 7])
        images = torch.randn(6, 3, 32, 32)
        ids = torch.randint(1, 48, (6, 20)).masked_fill(torch.arange(20) >= lengths[:, None], 0)
        ids[torch.arange(6), lengths - 1] = 49
        assert torch.equal(ClipText.lengths_of(model, ids), lengths)
    assert tower_kinds(model) == KINDS[request.param]
    return model.double(), images.double(), ids, lengths


def _kept(last, inputs, unfrozen_blocks):
    model, images, ids, lengths = inputs
    image, text = tower_kinds(model)
    ids = ids[:, : int(lengths.max())]
    with torch.no_grad():
        entering = image.entering(model, images, unfrozen_blocks)
        whole = torch.full((len(images),), entering.shape[1])
        tokens, query = last.image.tokens_to_keep(entering, whole)
        kept_images = Tokens(tokens, whole, query)
        entering = text.entering(model, ids, unfrozen_blocks)
        tokens, query = last.text.tokens_to_keep(entering, lengths)
    return kept_images, Tokens(tokens, lengths, query)


def _plain(inputs):
    model, images, ids, _ = inputs
    return model.encode_image(images), model.encode_text(ids)


@pytest.mark.parametrize("unfrozen_blocks", [0, 1, 2, 3])
def test_prefix_and_last_layer_together_equal_the_open_clip_model(inputs, unfrozen_blocks):
    last = LastLayer(inputs[0], unfrozen_blocks)
    with torch.no_grad():
        ours = last(*_kept(last, inputs, unfrozen_blocks))
        torch.testing.assert_close(ours, _plain(inputs))


@pytest.mark.parametrize("unfrozen_blocks", [0, 1, 2])
def test_gradients_equal_those_of_the_open_clip_model(inputs, unfrozen_blocks):
    model = inputs[0]
    freeze(model, unfrozen_blocks)
    last = LastLayer(model, unfrozen_blocks)
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
    assert set(trained) == set(trainable_names(model, unfrozen_blocks))

    def gradients(embeddings):
        similarities = F.normalize(embeddings[0]) @ F.normalize(embeddings[1]).T
        loss = F.cross_entropy(similarities / 0.07, torch.arange(len(similarities)))
        return torch.autograd.grad(loss, list(trained.values()))

    expected = gradients(_plain(inputs))
    ours = gradients(last(*_kept(last, inputs, unfrozen_blocks)))
    for name, ours_of, plain_of in zip(trained, ours, expected, strict=True):
        torch.testing.assert_close(ours_of, plain_of, msg=lambda m, n=name: f"{n}: {m}")


def test_twenty_steps_of_adamw_end_in_the_plain_models_weights(inputs):
    model, *_ = inputs
    freeze(model, 1)
    fast = LastLayer(model, 1)
    kept = _kept(fast, inputs, 1)
    fast = fast.independent_copy()
    start = {name: tensor.clone() for name, tensor in fast.weights().items()}

    def train(parameters, embed):
        optimiser = torch.optim.AdamW(parameters, lr=1e-3, weight_decay=0.1)
        for _ in range(20):
            v, t = (F.normalize(x) for x in embed())
            loss = F.cross_entropy(v @ t.T / 0.07, torch.arange(len(v)))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()

    train([p for p in fast.parameters() if p.requires_grad], lambda: fast(*kept))
    train([p for p in model.parameters() if p.requires_grad], lambda: _plain(inputs))
    plain = LastLayer(model, 1).weights()
    for name, weights in fast.weights().items():
        if not name.endswith("key.bias"):  # its gradient is 0, in the plain model rounding noise
            error = (weights - plain[name]).norm() / plain[name].norm()
            assert error < 1e-6, name
            assert not torch.equal(weights, start[name]), name


def test_padding_does_not_change_a_text_embedding(inputs):
    last = LastLayer(inputs[0], 1)
    with torch.no_grad():
        _, texts = _kept(last, inputs, 1)
        longer = texts._replace(tokens=F.pad(texts.tokens, (0, 0, 0, 9), value=100.0))
        torch.testing.assert_close(last.text(longer), last.text(texts))


def test_dropout_acts_as_in_the_layer_itself(backbone, studies, monkeypatch):
    """With a dropout that is the same function of the last axis wherever it is applied."""

    def drop(x, p=0.5, training=True, inplace=False):
        kept = (torch.arange(x.shape[-1]) * 7 % 10 >= 10 * p) / (1 - p)
        return x * kept if training and p else x

    monkeypatch.setattr(F, "dropout", drop)
    model = backbone.model.double()
    model.text.transformer.set_attn_implementation("eager")
    ids, lengths = tokenise(backbone, list(studies["text"][:6]))
    layer = model.text.transformer.encoder.layer[-1]
    for dropout in [m for m in layer.modules() if isinstance(m, torch.nn.Dropout)]:
        dropout.p = 0.3
    last = LastLayer(model, 1)
    texts = _kept(last, (model, torch.zeros(1, 3, 112, 112).double(), ids, lengths), 1)[1]
    undropped = last.text(texts)
    layer.train()
    torch.testing.assert_close(last.text(texts), model.encode_text(ids))
    assert not torch.allclose(last.text(texts), undropped)


def test_bfloat16_tokens_cost_less_than_a_percent_of_an_embedding(inputs):
    model, images, ids, lengths = inputs
    last = LastLayer(model.float(), 1)
    with torch.no_grad():
        kept = _kept(last, (model, images.float(), ids, lengths), 1)
        rounded = [k._replace(tokens=k.tokens.bfloat16()) for k in kept]
        for ours, exact in zip(last(*rounded), last(*kept), strict=True):
            error = (ours - exact).norm(dim=1) / exact.norm(dim=1)
            assert 0 < error.max() < 0.01


def test_the_last_layer_holds_the_models_own_parameters_and_its_copy_does_not(inputs):
    model = inputs[0]
    freeze(model, 1)
    last = LastLayer(model, 1)
    own = dict(model.named_parameters())
    names = last.weights()
    assert set(names) == {n for n, p in own.items() if p.requires_grad}
    assert all(names[n].data_ptr() == own[n].data_ptr() for n in names)
    copied = last.independent_copy().weights()
    assert all(copied[n].data_ptr() != own[n].data_ptr() for n in copied)


def test_freezing_by_depth_names_exactly_the_trainable_tensors(backbone):
    projections = {"visual.head.proj.weight", "text.proj.0.weight", "text.proj.2.weight"}
    assert set(trainable_names(backbone.model, 0)) == projections
    one = set(trainable_names(backbone.model, 1))
    two = set(trainable_names(backbone.model, 2))
    assert projections < one < two
    assert {n.split(".")[3] for n in two - one if "blocks" in n} == {"4"}
    assert {n.split(".")[4] for n in two - one if "layer" in n} == {"1"}
    with pytest.raises(InputError, match="from 0 to 3"):
        trainable_names(backbone.model, 4)


def test_freezing_clip_leaves_its_last_blocks_norms_and_projections():
    model = _clip()
    names = set(trainable_names(model, 1))
    rest = {n for n in names if "resblocks.2." not in n}
    assert rest == {
        *("visual.ln_post.weight", "visual.ln_post.bias", "visual.proj"),
        *("ln_final.weight", "ln_final.bias", "text_projection"),
    }
    assert set(trainable_names(model, 0)) == {"visual.proj", "text_projection"}


@pytest.mark.parametrize("change", ["average pooling", "normalised queries", "another block"])
def test_an_image_tower_that_one_query_cannot_repeat_is_refused(backbone, change):
    trunk = backbone.model.visual.trunk
    if change == "average pooling":
        trunk.global_pool = "avg"
    elif change == "normalised queries":
        trunk.blocks[0].attn.q_norm = torch.nn.LayerNorm(8)
    else:
        trunk.blocks[0] = torch.nn.Identity()
    with pytest.raises(InputError, match="pools its CLS token"):
        LastLayer(backbone.model, 1)


def test_a_text_tower_with_another_pooling_is_refused(backbone):
    backbone.model.text.pooler = torch.nn.Identity()
    with pytest.raises(InputError, match="cls_last_hidden_state_pooler"):
        LastLayer(backbone.model, 1)


def test_a_causal_bert_is_refused(untrained_folder, tmp_path):
    folder = shutil.copytree(untrained_folder, tmp_path / "model")
    changed(folder / "config.json", lambda config: config.update(is_decoder=True))
    with pytest.raises(InputError, match="Hugging Face BERT encoder"):
        LastLayer(load_backbone(f"local-dir:{folder}").model, 1)


TOWERS = {
    "heads": {"num_attention_heads": 2},
    "activation": {"hidden_act": "relu"},
    "norm": {"layer_norm_eps": 0.5},
    "attention": {"_attn_implementation": "eager"},
    "chunks": {"chunk_size_feed_forward": 1},
}


@pytest.mark.parametrize("change", TOWERS.values(), ids=TOWERS)
def test_a_tower_of_another_configuration_is_repeated_exactly(
    untrained_folder, studies, tmp_path, change
):
    folder = shutil.copytree(untrained_folder, tmp_path / "model")
    changed(folder / "config.json", lambda config: config.update(change))
    model = load_backbone(f"local-dir:{folder}")
    last, features = LastLayer(model.model, 1), compute_features(model, studies, 1, tmp_path)
    fast = embed_rows(last, features, torch.arange(len(studies)))
    for ours, plain in zip(fast, embed(model, studies), strict=True):
        np.testing.assert_allclose(ours, plain, atol=1e-5)


def test_clip_with_average_pooling_is_refused():
    with pytest.raises(InputError, match="pools its CLS token"):
        LastLayer(_clip(pool_type="avg"), 1)


def test_attention_of_one_query_equals_the_equation_as_loops():
    rng = torch.Generator().manual_seed(0)
    batch, n, width, heads = 2, 5, 6, 2
    x, query = torch.randn(batch, n, width, generator=rng).double(), torch.randn(batch, width)
    w = torch.randn(4, width, width, generator=rng).double()
    b = torch.randn(3, width, generator=rng).double()
    norm = torch.nn.LayerNorm(width).double()
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    lengths = torch.tensor([5, 3])
    query, expected = query.double(), np.zeros((batch, width))
    for study in range(batch):
        tokens = norm(x[study, : lengths[study]]).detach()
        keys, values = tokens @ w[0].T + b[0], tokens @ w[1].T + b[1]
        for head in range(heads):
            part = slice(head * 3, head * 3 + 3)
            scores = np.array([float(query[study, part] @ k[part]) for k in keys]) / 3**0.5
            weights = np.exp(scores) / np.exp(scores).sum()
            expected[study, part] = sum(
                a * v[part].numpy() for a, v in zip(weights, values, strict=True)
            )
    ours = attend(
        query,
        standardise(x, norm.eps),
        Projections(w[0], w[1], b[1], heads),
        is_token=torch.arange(n) < lengths[:, None],
        norm=norm,
    )
    np.testing.assert_allclose(ours.detach().numpy(), expected, rtol=1e-10)


def test_sequences_are_grouped_by_length_without_changing_output_or_gradients(monkeypatch):
    rng = torch.Generator().manual_seed(0)
    batch, n, width, heads = 2 * GROUP + 5, 11, 6, 2
    tokens = torch.randn(batch, n, width, generator=rng).double()
    weights = [torch.randn(width, width, generator=rng).double() for _ in range(2)]
    bias = torch.randn(width, generator=rng).double()
    lengths = torch.randint(1, n + 1, (batch,), generator=rng)
    is_token = torch.arange(n) < lengths[:, None]

    def run() -> list[torch.Tensor]:
        query = torch.randn(batch, width, generator=torch.manual_seed(1)).double().requires_grad_()
        parts = [part.clone().requires_grad_() for part in (*weights, bias)]
        output = attend(query, tokens, Projections(*parts, heads), is_token=is_token)
        output.square().sum().backward()
        return [output.detach(), query.grad, *(part.grad for part in parts)]

    grouped = run()
    monkeypatch.setattr(single_query, "GROUP", batch)
    for one, other in zip(grouped, run(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)
