"""The toy batches: points where their angles say, plain gradient steps, shares of the negatives."""

import math

import pytest
import torch

from cxr_mtl.base.errors import InputError
from cxr_mtl.training.losses import clip_loss, fuse, supervised_contrastive_loss
from cxr_mtl.training.toy_batch import (
    ToyBatch,
    degrees_between,
    descend,
    nearest_negative_share,
    on_circle,
)


def test_points_lie_on_the_circle_at_their_angles():
    points = on_circle([0, 90, 180, 225])
    half = math.sqrt(0.5)
    expected = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [-half, -half]])
    torch.testing.assert_close(points, expected)


def test_a_batch_holds_its_pairs_in_order_by_name():
    batch = ToyBatch.from_degrees(images=[0, 90], reports=[180, 270], labels=[1, 0])
    torch.testing.assert_close(batch.images, on_circle([0, 90]))
    torch.testing.assert_close(batch.reports, on_circle([180, 270]))
    assert batch.labels.tolist() == [1, 0]
    assert batch.names == ["A", "B"]


@pytest.mark.parametrize(
    ("images", "reports", "labels", "sentence"),
    [
        ([0, 90], [0], [0, 1], "2 images, 1 reports and 2 labels: give one of each per pair"),
        ([], [], [], "has 0 pairs: give 1 to 26"),
        ([0] * 27, [0] * 27, [0] * 27, "has 27 pairs"),
        ([0, 90], [0, 90], [0, 2], "has the label 2: give 0 or 1"),
    ],
)
def test_what_is_no_batch_of_pairs_is_refused(images, reports, labels, sentence):
    with pytest.raises(InputError, match=sentence):
        ToyBatch.from_degrees(images, reports, labels)


def test_the_angle_between_points_is_the_shorter_way_and_knows_no_lengths():
    angles = degrees_between(3 * on_circle([10, 350, 0, 45]), on_circle([10, 20, 180, 15]))
    torch.testing.assert_close(angles, torch.tensor([0.0, 30.0, 180.0, 30.0]).double())


def test_a_step_goes_down_the_gradient_and_back_to_the_circle():
    (moved,) = descend(lambda p: p[:, 0].sum(), on_circle([90]), steps=1, learning_rate=0.5)
    torch.testing.assert_close(moved, torch.tensor([[-0.5, 1.0]]) / math.sqrt(1.25))


def test_descent_leaves_the_given_points_and_moves_no_others():
    start, fixed = on_circle([10, 100]), on_circle([40, 200])
    kept = start.clone(), fixed.clone()
    (moved,) = descend(lambda p: clip_loss(p, fixed, 0.2), start, steps=20)
    torch.testing.assert_close(start, kept[0])
    torch.testing.assert_close(fixed, kept[1])
    torch.testing.assert_close(moved.norm(dim=1), torch.ones(2))
    assert clip_loss(moved, fixed, 0.2) < clip_loss(start, fixed, 0.2)


def test_clip_closes_the_pairs_and_supcon_gathers_the_labels():
    """What the lesson shows: each loss does its own and neither the other's."""
    batch = ToyBatch.from_degrees(
        images=[5, 70, 115, 160, 205, 250, 300, 340],
        reports=[40, 20, 150, 100, 230, 290, 260, 10],
        labels=[0, 1, 0, 1, 1, 0, 1, 0],
    )

    def supcon(images, reports):
        return supervised_contrastive_loss(fuse(images, reports), batch.labels, 0.2)

    def label_gap(images, reports):
        middles = [fuse(images, reports)[batch.labels == label].mean(dim=0) for label in (0, 1)]
        return torch.dist(*middles)

    start = batch.images, batch.reports
    by_clip = descend(lambda v, t: clip_loss(v, t, 0.2), *start)
    by_supcon = descend(supcon, *start)
    assert degrees_between(*by_clip).max() < 2 < 20 < degrees_between(*by_supcon).min()
    assert label_gap(*by_supcon) > 1.5 > 0.5 > label_gap(*by_clip)


def test_the_share_of_the_nearest_negative_is_that_of_its_gradient():
    similarities = torch.tensor([[0.9, 0.5, 0.1], [0.2, 0.3, 0.8], [0.0, 0.4, 0.7]])
    for temperature in (1.0, 0.1):
        leaf = similarities.clone().requires_grad_()
        log_own = (leaf / temperature).log_softmax(dim=1).diagonal()
        (slopes,) = torch.autograd.grad(-log_own.sum(), leaf)
        pushes = slopes.fill_diagonal_(0)
        expected = pushes.max(dim=1).values / pushes.sum(dim=1)
        torch.testing.assert_close(nearest_negative_share(similarities, temperature), expected)


def test_equal_negatives_share_alike_and_a_cold_softmax_leaves_the_nearest_alone():
    torch.testing.assert_close(nearest_negative_share(torch.eye(5), 0.07), torch.full((5,), 0.25))
    similarities = torch.tensor([[0.9, 0.5, 0.1], [0.2, 0.3, 0.8], [0.0, 0.4, 0.7]])
    torch.testing.assert_close(nearest_negative_share(similarities, 1e-3), torch.ones(3))


def test_a_single_item_has_no_negative():
    with pytest.raises(InputError, match="no negative: give at least 2"):
        nearest_negative_share(torch.eye(1), 0.07)
