import itertools
import math

import pytest
import torch

from cxr_mtl.base.errors import InputError
from cxr_mtl.training.losses import (
    LossWeights,
    classification_loss,
    clip_loss,
    fuse,
    multi_task_loss,
    supervised_contrastive_loss,
)

TAU = 0.07
CLOSE = {"rtol": 0, "atol": 1e-10}


def points(*degrees, radius=1.0):
    """2-D points on a circle, so that similarities are cosines of visible angles."""
    angles = torch.tensor(degrees, dtype=torch.float64).deg2rad()
    return radius * torch.stack([angles.cos(), angles.sin()], dim=1)


def normal(seed, *shape):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def dot(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


def unit(a):
    return [x / math.sqrt(dot(a, a)) for x in a]


def clip_by_loops(images, texts, tau):
    v, t = [unit(x) for x in images.tolist()], [unit(x) for x in texts.tolist()]
    n, total = len(v), 0.0
    for i in range(n):
        to_text = [math.exp(dot(v[i], t[j]) / tau) for j in range(n)]
        to_image = [math.exp(dot(t[i], v[j]) / tau) for j in range(n)]
        total -= math.log(to_text[i] / sum(to_text)) + math.log(to_image[i] / sum(to_image))
    return total / (2 * n)


def supcon_by_loops(features, labels, tau):
    f, y = features, labels.tolist()
    n, total = len(f), 0.0
    for i in range(n):
        positives = [p for p in range(n) if p != i and y[p] == y[i]]
        below = sum(math.exp(dot(f[i], f[a]) / tau) for a in range(n) if a != i)
        for p in positives:
            total -= math.log(math.exp(dot(f[i], f[p]) / tau) / below) / len(positives)
    return total / n


def bce_by_loops(logits, labels):
    total = 0.0
    for z, y in zip(logits.tolist(), labels.tolist(), strict=True):
        p = 1 / (1 + math.exp(-z))
        total -= y * math.log(p) + (1 - y) * math.log(1 - p)
    return total / len(logits)


@pytest.mark.parametrize("seed", range(3))
def test_clip_loss_is_equation_1(seed):
    images, texts = normal(seed, 7, 5), normal(seed + 10, 7, 5)
    expected = torch.tensor(clip_by_loops(images, texts, TAU), dtype=torch.float64)
    torch.testing.assert_close(clip_loss(images, texts, TAU), expected, **CLOSE)


@pytest.mark.parametrize("renormalise", [True, False])
@pytest.mark.parametrize("labels", [[0, 1, 1, 0, 1, 0, 1], [0, 0, 0, 0, 0, 0, 1], [1] * 7])
def test_supervised_contrastive_loss_is_equation_2(labels, renormalise):
    features, labels = fuse(normal(0, 7, 5), normal(1, 7, 5)), torch.tensor(labels)
    rows = [unit(x) if renormalise else x for x in features.tolist()]
    expected = supcon_by_loops(rows, labels, TAU)
    loss = supervised_contrastive_loss(features, labels, TAU, renormalise=renormalise)
    assert loss.item() == pytest.approx(expected, rel=0, abs=1e-10)


def test_classification_loss_is_equation_3():
    logits, labels = 3 * normal(0, 9), torch.tensor([0, 1, 1, 0, 1, 0, 0, 1, 1])
    expected = torch.tensor(bce_by_loops(logits, labels), dtype=torch.float64)
    torch.testing.assert_close(classification_loss(logits, labels), expected, **CLOSE)


def test_total_is_equation_4():
    images, texts, logits = normal(0, 6, 4), normal(1, 6, 4), normal(2, 6)
    labels, weights = torch.tensor([0, 1, 1, 0, 1, 0]), LossWeights(0.69, 1.97, 0.46)
    losses = multi_task_loss(images, texts, logits, labels, weights, TAU)
    fused = [
        unit([(a + b) / 2 for a, b in zip(unit(v), unit(t), strict=True)])
        for v, t in zip(images.tolist(), texts.tolist(), strict=True)
    ]
    by_loops = {
        "bce": bce_by_loops(logits, labels),
        "supcon": supcon_by_loops(fused, labels, TAU),
        "clip": clip_by_loops(images, texts, TAU),
    }
    by_loops["total"] = 0.69 * by_loops["bce"] + 1.97 * by_loops["supcon"] + 0.46 * by_loops["clip"]
    assert {name: losses[name].item() for name in by_loops} == pytest.approx(
        by_loops, rel=0, abs=1e-10
    )


def test_renormalise_false_feeds_the_short_vectors_of_algorithm_1():
    images, texts, logits = normal(0, 6, 4), normal(1, 6, 4), normal(2, 6)
    labels, weights = torch.tensor([0, 1, 1, 0, 1, 0]), LossWeights(0, 1, 0)
    losses = multi_task_loss(images, texts, logits, labels, weights, TAU, renormalise=False)
    expected = supcon_by_loops(fuse(images, texts).tolist(), labels, TAU)
    assert losses["supcon"].item() == pytest.approx(expected, rel=0, abs=1e-10)
    assert losses["total"] == losses["supcon"]


@pytest.mark.parametrize("renormalise", [True, False])
@pytest.mark.parametrize(("supcon_on", "seen"), [("image", 0), ("text", 1)])
def test_supcon_of_one_modality_sees_its_unit_embeddings_alone(supcon_on, seen, renormalise):
    images, texts, logits = normal(0, 6, 4), normal(1, 6, 4), normal(2, 6)
    labels, weights = torch.tensor([0, 1, 1, 0, 1, 0]), LossWeights(1, 1, 1)
    arguments = (images, texts, logits, labels, weights, TAU, renormalise)
    losses, fused = multi_task_loss(*arguments, supcon_on), multi_task_loss(*arguments)
    expected = supcon_by_loops([unit(x) for x in (images, texts)[seen].tolist()], labels, TAU)
    assert losses["supcon"].item() == pytest.approx(expected, rel=0, abs=1e-10)
    assert (losses["bce"], losses["clip"]) == (fused["bce"], fused["clip"])


def test_an_unknown_input_of_the_supcon_loss_is_refused():
    labels, weights = torch.tensor([0, 1]), LossWeights(1, 1, 1)
    embeddings = points(0, 90)
    with pytest.raises(InputError, match=r"supcon_on='both'.*fused, image, text"):
        multi_task_loss(
            embeddings, embeddings, torch.zeros(2), labels, weights, TAU, supcon_on="both"
        )


def test_gradients_of_every_input_and_of_a_learned_temperature_are_right():
    inputs = [normal(0, 5, 3), normal(1, 5, 3), normal(2, 5), torch.tensor(0.4).double()]
    inputs = [x.requires_grad_() for x in inputs]
    labels, weights = torch.tensor([0, 1, 1, 0, 1]), LossWeights(0.69, 1.97, 0.46)
    for renormalise in (True, False):

        def total(images, texts, logits, tau, renormalise=renormalise):
            return multi_task_loss(images, texts, logits, labels, weights, tau, renormalise)[
                "total"
            ]

        assert torch.autograd.gradcheck(total, inputs)


def test_fused_norm_follows_the_angle_between_image_and_text():
    fused = fuse(points(0, 0, 0, radius=5), points(0, 90, 120, radius=0.1))
    cosines = torch.tensor([1, 0, -0.5], dtype=torch.float64)
    torch.testing.assert_close(fused.norm(dim=1), ((1 + cosines) / 2).sqrt(), **CLOSE)


def test_clip_loss_is_near_zero_when_each_pair_is_alone_in_its_direction():
    assert clip_loss(points(0, 120, 240), points(0, 120, 240), TAU).item() < 1e-8


def test_clip_loss_grows_as_reports_turn_away_from_their_images():
    images = points(0, 120, 240)
    values = [
        clip_loss(images, points(turn, 120 + turn, 240 + turn), 1.0).item()
        for turn in (0, 30, 60, 90)
    ]
    assert values == sorted(values)
    assert values[0] < values[-1]


def test_supcon_loss_of_two_tight_classes_is_the_log_of_the_positives():
    # Each anchor sees two positives at its own place and three negatives opposite:
    # −log(e^{1/τ} / (2 e^{1/τ} + 3 e^{−1/τ})), which is log 2 for a small τ.
    features, labels = points(0, 0, 0, 180, 180, 180), torch.tensor([0, 0, 0, 1, 1, 1])
    loss = supervised_contrastive_loss(features, labels, 0.05)
    assert loss.item() == pytest.approx(math.log(2), abs=1e-10)


def test_supcon_loss_is_higher_when_classes_are_mixed():
    features = points(0, 10, 170, 180)
    apart = supervised_contrastive_loss(features, torch.tensor([0, 0, 1, 1]), TAU)
    mixed = supervised_contrastive_loss(features, torch.tensor([0, 1, 0, 1]), TAU)
    assert apart < mixed


def test_an_anchor_without_positive_contributes_nothing_but_is_counted():
    features = points(0, 40, 100)
    alone = supervised_contrastive_loss(features, torch.tensor([0, 0, 1]), 0.5)

    def of_anchor(own, positive, negative):
        own, positive, negative = (math.radians(x) for x in (own, positive, negative))
        near, far = math.cos(own - positive) / 0.5, math.cos(own - negative) / 0.5
        return -math.log(math.exp(near) / (math.exp(near) + math.exp(far)))

    expected = (of_anchor(0, 40, 100) + of_anchor(40, 0, 100) + 0) / 3
    assert alone.item() == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize(
    ("features", "labels"),
    [
        (points(30), [1]),
        (points(0, 90), [0, 1]),
        (points(0, 90, 200), [1, 1, 1]),
        (points(45, 45, 45, 45), [0, 1, 0, 1]),
        (torch.zeros(3, 2, dtype=torch.float64), [0, 0, 1]),
    ],
    ids=["one sample", "no positives", "one class", "equal embeddings", "zero embeddings"],
)
@pytest.mark.parametrize("renormalise", [True, False])
def test_edge_batches_have_finite_value_and_gradient(features, labels, renormalise):
    features = features.clone().requires_grad_()
    loss = supervised_contrastive_loss(features, torch.tensor(labels), TAU, renormalise=renormalise)
    loss.backward()
    assert loss.isfinite()
    assert features.grad.isfinite().all()


@pytest.mark.parametrize(("features", "labels"), [(points(30), [1]), (points(0, 90), [0, 1])])
def test_a_batch_without_any_positive_has_loss_and_gradient_zero(features, labels):
    features.requires_grad_()
    loss = supervised_contrastive_loss(features, torch.tensor(labels), TAU)
    loss.backward()
    assert loss == 0
    assert (features.grad == 0).all()


def test_equal_embeddings_give_the_log_of_the_candidates():
    same, labels = points(45, 45, 45, 45), torch.tensor([0, 1, 0, 1])
    assert clip_loss(same, same, TAU).item() == pytest.approx(math.log(4))
    assert supervised_contrastive_loss(same, labels, TAU).item() == pytest.approx(math.log(3))


def test_losses_ignore_the_order_of_the_batch():
    images, texts, logits = normal(0, 8, 4), normal(1, 8, 4), normal(2, 8)
    labels, weights = torch.tensor([0, 1, 1, 0, 1, 0, 0, 1]), LossWeights(1, 1, 1)
    order = torch.randperm(8, generator=torch.Generator().manual_seed(3))
    before = multi_task_loss(images, texts, logits, labels, weights, TAU)
    after = multi_task_loss(images[order], texts[order], logits[order], labels[order], weights, TAU)
    torch.testing.assert_close(before, after, **CLOSE)


def test_contrastive_losses_ignore_the_length_of_embeddings():
    images, texts, labels = normal(0, 6, 4), normal(1, 6, 4), torch.tensor([0, 1, 1, 0, 1, 0])
    lengths = normal(2, 6, 1).exp()
    torch.testing.assert_close(
        clip_loss(images, texts, TAU), clip_loss(lengths * images, 7 * texts, TAU), **CLOSE
    )
    torch.testing.assert_close(
        supervised_contrastive_loss(images, labels, TAU),
        supervised_contrastive_loss(lengths * images, labels, TAU),
        **CLOSE,
    )


def test_classes_may_be_renamed_in_the_supervised_contrastive_loss():
    features, labels = normal(0, 6, 4), torch.tensor([0, 1, 1, 0, 1, 0])
    torch.testing.assert_close(
        supervised_contrastive_loss(features, labels, TAU),
        supervised_contrastive_loss(features, 1 - labels, TAU),
        **CLOSE,
    )


def test_large_logits_stay_finite():
    labels = torch.tensor([0, 1])
    assert classification_loss(torch.tensor([1e4, -1e4]), labels).item() == pytest.approx(1e4)


def test_half_precision_and_autocast_do_not_blur_the_losses():
    images, texts, logits = (x.bfloat16() for x in (normal(0, 6, 4), normal(1, 6, 4), normal(2, 6)))
    labels, weights = torch.tensor([0, 1, 1, 0, 1, 0]), LossWeights(1, 1, 1)
    exact = multi_task_loss(images.double(), texts.double(), logits.double(), labels, weights, TAU)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = multi_task_loss(images, texts, logits, labels, weights, TAU)
    for name, loss in losses.items():
        assert loss.dtype == torch.float32
        assert loss.item() == pytest.approx(exact[name].item(), rel=1e-5)


def test_unknown_labels_are_refused_where_a_loss_needs_them():
    images, texts, logits = normal(0, 3, 4), normal(1, 3, 4), normal(2, 3)
    labels = torch.tensor([0, -1, 1])
    for weights in (LossWeights(1, 0, 1), LossWeights(0, 1, 1)):
        with pytest.raises(InputError, match=r"1 of 3 labels.*first is -1"):
            multi_task_loss(images, texts, logits, labels, weights, TAU)


def test_unknown_labels_leave_the_clip_loss_alone():
    images, texts, logits = (
        x.requires_grad_() for x in (normal(0, 3, 4), normal(1, 3, 4), normal(2, 3))
    )
    losses = multi_task_loss(
        images, texts, logits, torch.tensor([-1, -1, -1]), LossWeights(0, 0, 2), TAU
    )
    losses["total"].backward()
    assert losses["bce"] == losses["supcon"] == 0
    assert losses["total"] == 2 * losses["clip"]
    assert logits.grad is None
    assert images.grad.isfinite().all()


@pytest.mark.parametrize("bad", [-0.1, math.nan, math.inf])
def test_loss_weights_must_be_finite_and_not_negative(bad):
    for place, name in enumerate(("bce", "supcon", "clip")):
        weights = [1.0, 1.0, 1.0]
        weights[place] = bad
        with pytest.raises(InputError, match=f"loss weight {name} is"):
            LossWeights(*weights)


def test_loss_weights_must_not_all_be_zero():
    with pytest.raises(InputError, match="all loss weights are 0"):
        LossWeights(0, 0, 0)
    for weights in itertools.product((0, 1), repeat=3):
        if any(weights):
            LossWeights(*weights)


@pytest.mark.parametrize("temperature", [0, -0.07, math.nan, math.inf])
def test_temperature_must_be_a_finite_positive_number(temperature):
    with pytest.raises(InputError, match="temperature is"):
        clip_loss(points(0, 90), points(0, 90), temperature)
    with pytest.raises(InputError, match="temperature is"):
        supervised_contrastive_loss(points(0, 90), torch.tensor([0, 1]), temperature)


def test_an_empty_batch_and_unequal_shapes_are_refused():
    with pytest.raises(InputError, match="batch is empty"):
        clip_loss(torch.empty(0, 2), torch.empty(0, 2), TAU)
    with pytest.raises(InputError, match="batch is empty"):
        supervised_contrastive_loss(torch.empty(0, 2), torch.tensor([]), TAU)
    with pytest.raises(InputError, match="batch is empty"):
        classification_loss(torch.tensor([]), torch.tensor([]))
    with pytest.raises(InputError, match=r"\[2, 2\].*\[3, 2\]"):
        clip_loss(points(0, 90), points(0, 90, 180), TAU)
