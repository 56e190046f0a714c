"""The loss is that of sentence-transformers where no two answers are equal, and by loops where."""

import pytest
import torch
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

from cxr_mtl.language.contrastive import answer_loss


def unit(seed, rows=6, dim=5):
    drawn = torch.randn(rows, dim, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(drawn, dim=-1).requires_grad_()


@pytest.mark.parametrize("with_negatives", [False, True])
def test_without_equal_answers_loss_and_gradients_are_those_of_sentence_transformers(
    with_negatives,
):
    parts = [unit(seed) for seed in range(3 if with_negatives else 2)]
    theirs = MultipleNegativesRankingLoss(
        None,
        scale=20.0,
        similarity_fct=lambda a, b: a @ b.T,
        directions=("query_to_doc", "doc_to_query"),
        partition_mode="per_direction",
    ).compute_loss_from_embeddings(parts, None)
    ours = answer_loss(parts[0], parts[1], torch.arange(6), 1 / 20, *parts[2:])
    torch.testing.assert_close(ours, theirs)
    for a, b in zip(
        torch.autograd.grad(ours, parts), torch.autograd.grad(theirs, parts), strict=True
    ):
        torch.testing.assert_close(a, b)


def test_equal_answers_are_left_out_of_each_others_sums():
    anchors, positives, negatives = (unit(seed) for seed in range(3))
    answers = [0, 1, 0, 2, 1, 0]
    total = torch.tensor(0.0)
    for one in range(6):
        others = [j for j in range(6) if j == one or answers[j] != answers[one]]
        forth = [anchors[one] @ positives[j] / 0.1 for j in others]
        forth += [anchors[one] @ negative / 0.1 for negative in negatives]
        back = [anchors[j] @ positives[one] / 0.1 for j in others]
        own = anchors[one] @ positives[one] / 0.1
        for logits in (forth, back):
            total = total + torch.stack(logits).logsumexp(0) - own
    ours = answer_loss(anchors, positives, torch.tensor(answers), 0.1, negatives)
    torch.testing.assert_close(ours, total / 12)


def test_a_batch_of_one_answer_alone_has_no_loss():
    ours = answer_loss(unit(0), unit(1), torch.zeros(6, dtype=torch.int64), 0.1)
    assert float(ours.detach()) == 0
