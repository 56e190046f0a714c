# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
#   cxr_mtl:
#     needs: [studies.parquet, models.json, fine_tuned, embeddings, results/10_classifier.json]
# ---

# %% [markdown]
# # Exercises: classifier
#
# These belong to [the chapter on the classifier](../10_classifier). Label 1 is abnormal. Random
# numbers in the checks have seeds of their own: a check that passes once passes always.

# %% tags=["hide-input"]
import math

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from scipy.special import expit
from scipy.stats import mannwhitneyu, norm
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.metrics import log_loss, precision_score, roc_auc_score
from sklearn.naive_bayes import BernoulliNB
from torch import nn

from cxr_mtl.base import find_record, read_json, read_table
from cxr_mtl.classifier import evaluation, logits_of
from cxr_mtl.models import FusionHead, load_recorded
from cxr_mtl.retrieval import stored_embeddings
from cxr_mtl.runs import (
    check_parameters,
    expect_between,
    expect_close,
    expect_numbers,
    expect_several,
    open_run,
)
from cxr_mtl.training import load_fine_tuned

# %% tags=["parameters"]
run_dir: str = "runs/demo"  # folder of this run

# %% [markdown]
# The fusion head, the embeddings $V$ and $T$ of the test studies, [n, d] and not normalised, and what
# the head makes of them: logits [n].

# %%
check_parameters(globals())
run = open_run(run_dir)
studies = read_table(run / "studies.parquet")
test = studies[studies["split"] == "test"].reset_index(drop=True)
labels = test["label"].to_numpy()
models = read_json(run / "models.json")
backbone = load_recorded(run / "models.json", "fine_tuned_from")
_, head = load_fine_tuned(run / "fine_tuned", backbone)
V, T = stored_embeddings(run / "embeddings", models)["fine_tuned"]
logits = logits_of(head, V, T)
classified = run.results("10_classifier")

# %% [markdown]
# ```{exercise} The same classifier in another clinic
# :label: ex-10-prevalence
#
# *Two minutes.* Half of the test studies are abnormal, or as many as this run took. In another clinic
# it is a share of `share`. Sensitivity and specificity shall stay. Of the studies called abnormal,
# which share is abnormal? It is called precision or *positive predictive value*.
#
# Write `predictive_value(sensitivity, specificity, share)`.
# ```

# %% [markdown]
# ```{solution-start} ex-10-prevalence
# :class: dropdown
# ```


# %% tags=["solution"]
def predictive_value(sensitivity, specificity, share):
    """Share of abnormal studies among those called abnormal (Bayes)."""
    ### BEGIN SOLUTION
    true = share * sensitivity
    false = (1 - share) * (1 - specificity)
    return true / (true + false)
    ### END SOLUTION


# %% [markdown] tags=["solution"]
# Of $n$ studies $n \cdot \text{share} \cdot \text{sensitivity}$ are called abnormal rightly and
# $n (1 - \text{share})(1 - \text{specificity})$ wrongly. The second number wins where
# $\text{share} / (1 - \text{share})$ is below $(1 - \text{specificity}) / \text{sensitivity}$. For every
# specificity below 1 there is such a share, however good the classifier looks on half and half: a
# predictive value belongs to a model *in a clinic*.


# %% tags=["check"]
for sensitivity, specificity, share in [
    (0.9, 0.8, 0.5),
    (0.75, 0.9, 0.04),
    (0.9, 0.1, 0.3),  # it calls nine of ten, whoever they are
]:
    abnormal, normal = (
        round(10_000 * share),
        round(10_000 * (1 - share)),
    )
    truth = np.repeat([1, 0], [abnormal, normal])
    called = np.r_[
        np.arange(abnormal) < round(sensitivity * abnormal),
        np.arange(normal) >= round(specificity * normal),
    ]
    expect_close(
        predictive_value(sensitivity, specificity, share),
        precision_score(truth, called),
        f"predictive value at a share of {share}, counted among 10,000",
    )
rates = [
    find_record(
        classified,
        f"model=fusion head&input=both&group=all&metric={metric}",
    )["value"]
    for metric in ("sensitivity", "specificity")
]
if None not in rates and rates[0] > 0:
    for share in (0.5, 0.1, 0.01):
        value = predictive_value(*rates, share)
        print(f"this run's head, {share:.0%} abnormal: {value:.1%}")
print("ex-10-prevalence: passed")

# %% [markdown]
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise} The ROC AUC without a curve
# :label: ex-10-auc
#
# *Ten minutes.* Draw one abnormal and one normal study. The ROC AUC is the probability that the
# abnormal one has the higher score; equal scores count a half. Write it as two loops over all pairs.
#
# Write `auc(scores, labels)`, [n] each. Then think of what it does not see: which changes of the
# scores leave it as it is?
# ```

# %% [markdown]
# ```{solution-start} ex-10-auc
# :class: dropdown
# ```


# %% tags=["solution"]
def auc(scores, labels):
    """P(score of an abnormal > of a normal study) + P(equal) / 2."""
    ### BEGIN SOLUTION
    won = pairs = 0.0
    for abnormal in scores[labels == 1]:
        for normal in scores[labels == 0]:
            won += (abnormal > normal) + (abnormal == normal) / 2
            pairs += 1
    return won / pairs
    ### END SOLUTION


# %% [markdown] tags=["solution"]
# Only the order counts. A sigmoid, a temperature, any rising function leaves the AUC as it is, so it
# says nothing about whether probabilities are right, nor about any threshold.

# %% tags=["check"]
rng = np.random.default_rng(0)
toys = rng.integers(0, 5, 60) / 4, rng.integers(0, 2, 60)
for name, (s, y) in {
    "scores with ties": toys,
    "this run's logits": (logits, labels),
}.items():
    value = auc(s, y)
    expect_close(
        value, roc_auc_score(y, s), f"AUC of {name}, by scikit-learn"
    )
    u = mannwhitneyu(s[y == 1], s[y == 0]).statistic
    pairs = (y == 1).sum() * (y == 0).sum()
    expect_close(
        value * pairs, u, f"AUC of {name} times {pairs} pairs, U"
    )
print(f"this run's head: {auc(logits, labels):.4f}")
print("ex-10-auc: passed")

# %% [markdown]
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise} Calibration by hand
# :label: ex-10-ece
#
# *Ten minutes.* Sort the studies by their probability and part them into ten bins of equally many. In
# each bin the mean probability should be the share that is abnormal. The expected calibration error
# is the mean distance of the two.
#
# Write `ece(probabilities, labels)`, [n] each, for an $n$ that ten divides and probabilities that all
# differ. Before you run the check: what is the error of a *perfectly* calibrated classifier on 400
# studies?
# ```

# %% [markdown]
# ```{solution-start} ex-10-ece
# :class: dropdown
# ```


# %% tags=["solution"]
def ece(probabilities, labels):
    """Mean distance of probability and abnormal share, ten bins."""
    ### BEGIN SOLUTION
    distances = []
    for own in np.split(np.argsort(probabilities), 10):
        share = labels[own].mean()
        distances.append(abs(probabilities[own].mean() - share))
    return np.mean(distances)
    ### END SOLUTION


# %% [markdown] tags=["solution"]
# Not 0: in a bin of forty the share of abnormal studies has a standard deviation of up to 0.08. An
# error is therefore only worth something beside what chance alone gives at the same number of
# studies *and with the same probabilities*: where these lie near 0 and 1, chance moves the shares far
# less. The last two lines set this run's head beside labels that were drawn with its own probabilities.


# %% tags=["check"]
def calibrated(rng, n):
    """Probabilities, and labels drawn with them."""
    p = rng.random(n)
    return p, (rng.random(n) < p).astype(int)


rng = np.random.default_rng(0)
for n in (10, 50, 400):
    p, y = calibrated(rng, n)
    expect_close(
        ece(p, y),
        evaluation.expected_calibration_error(p, y),
        f"error of {n} studies, by the library",
    )
expect_close(
    ece(np.arange(20) / 1000, np.ones(20)),
    1 - 0.0095,
    "error of 0.000 to 0.019 where all are abnormal",
)
for n in (400, 4000):
    mean = np.mean([ece(*calibrated(rng, n)) for _ in range(200)])
    print(f"perfectly calibrated, {n} studies: {mean:.3f} on average")
p = expit(logits)
of_head = evaluation.expected_calibration_error(p, labels)
by_chance = [
    evaluation.expected_calibration_error(
        p, (rng.random(len(p)) < p).astype(int)
    )
    for _ in range(200)
]
print(f"this run's head: {of_head:.3f}")
print(f"its probabilities, were they right: {np.mean(by_chance):.3f}")
print("ex-10-ece: passed")

# %% [markdown]
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise} How much of a logit is the image?
# :label: ex-10-shares
#
# *Ten minutes.* The head is linear: $\hat y = w \cdot (V + T)/2 + b$. So every logit is a sum of what
# the image gives, what the report gives, and $b$. Split it, the weight is `head.linear.weight` [1, d].
#
# Write `shares(head, V, T)`: the part of the image and the part of the report, [n] each, without $b$.
# Which of them differs more from study to study?
# ```

# %% [markdown]
# ```{solution-start} ex-10-shares
# :class: dropdown
# ```


# %% tags=["solution"]
def shares(head, V, T):
    """The image's and the report's part of every logit, no bias."""
    ### BEGIN SOLUTION
    w = head.linear.weight.detach().numpy()[0]
    return V @ w / 2, T @ w / 2
    ### END SOLUTION


# %% [markdown] tags=["solution"]
# A part that hardly varies cannot move the order of the studies, however large it is. So compare
# standard deviations, and the AUC of either part alone: since a constant does not matter to it, it is
# the AUC the chapter gives for the head that reads one modality in both places.

# %% tags=["check"]
torch.manual_seed(0)
toy = FusionHead(8, dropout=0.0).eval()
nn.init.constant_(toy.linear.bias, 3.0)
rng = np.random.default_rng(0)
images, reports = rng.normal(size=(2, 50, 8)).astype(np.float32)
image, report = expect_several(
    shares(toy, images, reports), 2, "shares"
)
for name, part, both in [
    ("image", image, images),
    ("report", report, reports),
]:
    expect_close(
        part,
        (logits_of(toy, both, both) - 3) / 2,
        f"the {name}'s part, by the head with it in both places",
    )
for name, part in zip(
    ("image", "report"), shares(head, V, T), strict=True
):
    part = np.asarray(part)
    print(
        f"{name}: mean {part.mean():+.2f}, standard deviation "
        f"{part.std():.2f}, AUC {roc_auc_score(labels, part):.3f}"
    )
print("ex-10-shares: passed")

# %% [markdown]
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise} A classifier that only counts words
# :label: ex-10-words
#
# *Half an hour.* How far does one come without any network, by the words of the report? Naive Bayes:
# let $P(w \mid y)$ be the share of the training reports of label $y$ that hold the word $w$, with one
# report added that holds it and one that does not, and $P(y)$ the share of the label. Take the words
# of a report as independent, those that are missing included.
#
# Write `log_odds(X, y, X_new)`: binary tables of words, [reports, words] and [new, words], and the
# labels of the first -> $\log P(1 \mid x) - \log P(0 \mid x)$ of each new report, [new]. The check gives
# it the test reports. How far is its AUC from that of the head?
# ```

# %% [markdown]
# ```{solution-start} ex-10-words
# :class: dropdown
# ```


# %% tags=["solution"]
def log_odds(X, y, X_new):
    """Log-odds of abnormal by naive Bayes, missing words included."""
    ### BEGIN SOLUTION
    total = math.log(np.mean(y == 1)) - math.log(np.mean(y == 0))
    for label, sign in ((1, 1), (0, -1)):
        own = X[y == label]
        p = (own.sum(axis=0) + 1) / (len(own) + 2)
        total = total + sign * (
            X_new @ np.log(p) + (1 - X_new) @ np.log(1 - p)
        )
    return total
    ### END SOLUTION


# %% [markdown] tags=["solution"]
# The label is made from index terms that were given for these words. A good AUC of any model that
# reads the report shows first of all this. The words printed below are those whose presence speaks
# most for either label, and have been seen in at least twenty reports.

# %% tags=["check"]
rng = np.random.default_rng(0)
toy = (rng.random((40, 6)) < 0.4).astype(float)
marks = np.repeat([1, 0], [10, 30])
train = studies[studies["split"] == "train"]
words = CountVectorizer(binary=True)
X = words.fit_transform(train["text"]).toarray().astype(float)
y = train["label"].to_numpy()
X_test = words.transform(test["text"]).toarray().astype(float)
for name, known in {
    "10 abnormal toys of 40": (toy, marks, 1 - toy),
    "this run's test reports": (X, y, X_test),
}.items():
    bayes = BernoulliNB(alpha=1).fit(*known[:2])
    ours = log_odds(*known)
    expect_close(
        ours,
        bayes.predict_log_proba(known[2]) @ [-1, 1],
        f"log-odds of {name}, by scikit-learn",
    )

weights = bayes.feature_log_prob_[1] - bayes.feature_log_prob_[0]
frequent = np.flatnonzero(X.sum(axis=0) >= 20)
names = words.get_feature_names_out()[frequent]
by_weight = names[np.argsort(weights[frequent])]
print(f"AUC of the words {roc_auc_score(labels, ours):.3f},")
print(f"of the head with both {roc_auc_score(labels, logits):.3f}")
print(f"for normal: {', '.join(by_weight[:6])}")
print(f"for abnormal: {', '.join(by_weight[:-7:-1])}")
print("ex-10-words: passed")

# %% [markdown]
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise} Temperature scaling
# :label: ex-10-temperature
#
# *Half an hour.* A classifier that is too sure of itself can be mended by one number: divide all
# logits by a temperature $\tau$, chosen for the lowest cross-entropy on studies that were not trained
# on. The order of the studies stays as it is.
#
# Write `temperature(logits, labels)`, [n] each -> $\tau$ between 0.05 and 20. Search over
# $\log \tau$, for example with `minimize_scalar(..., bounds=..., method="bounded")`. The check fits it
# on one half of the test studies and applies it to the other: when does it *not* help?
# ```

# %% [markdown]
# ```{solution-start} ex-10-temperature
# :class: dropdown
# ```


# %% tags=["solution"]
def temperature(logits, labels):
    """The temperature of the lowest cross-entropy, from 0.05 to 20."""
    ### BEGIN SOLUTION
    sign = np.where(labels == 1, -1, 1)

    def cross_entropy(log_tau):
        return np.logaddexp(0, sign * logits / math.exp(log_tau)).mean()

    bounds = math.log(0.05), math.log(20)
    found = minimize_scalar(
        cross_entropy, bounds=bounds, method="bounded"
    )
    return math.exp(found.x)
    ### END SOLUTION


# %% [markdown] tags=["solution"]
# In $1/\tau$ the cross-entropy is convex, so there is one minimum. It lies at the lower bound of $\tau$
# where the *signs* of the logits tell the labels apart without an error, and at the upper one where the
# logits point the wrong way on the whole. It does not help where the head is calibrated already, and it
# cannot mend another *share* of abnormal studies: that moves the logits and does not stretch them, so a
# temperature softens the loss a little, and a bias is what is missing.


# %% tags=["check"]
def entropy(tau, logits, labels):
    return log_loss(labels, expit(logits / tau), labels=[0, 1])


rng = np.random.default_rng(0)
right = rng.normal(0, 2, 20_000)
drawn = (rng.random(20_000) < expit(right)).astype(int)
for factor in (0.5, 1.0, 3.0):
    expect_close(
        temperature(factor * right, drawn),
        factor,
        f"temperature of logits {factor} times too large",
        rtol=0.05,
    )
few, marks = (
    np.array([4.0, 4, 4, -4, 1, -1]),
    np.array([1, 1, 0, 0, 1, 0]),
)
grid = np.geomspace(0.05, 20, 4000)
given = expit(np.where(marks == 1, few, -few) / grid[:, None])
expect_close(
    temperature(few, marks),
    grid[np.log(given).mean(axis=1).argmax()],
    "temperature of six studies, one a sure error, on a grid",
    rtol=0.01,
)

half = rng.permutation(len(labels)) % 2 == 0
tau = temperature(logits[half], labels[half])
for name, part in {"fitted": half, "other": ~half}.items():
    before, after = (
        entropy(value, logits[part], labels[part]) for value in (1, tau)
    )
    print(
        f"{name} half: cross-entropy {before:.4f} -> {after:.4f} "
        f"with temperature {tau:.2f}"
    )
print("ex-10-temperature: passed")

# %% [markdown]
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise} A threshold that has seen the test
# :label: ex-10-threshold
#
# *Half an hour.* Take the threshold that gives the highest accuracy on the test studies, and report
# that accuracy. By how much is it too high?
#
# Write `best_threshold(scores, labels)`, [n] each -> a threshold of the highest accuracy, where
# `scores >= threshold` is called abnormal. It may be below or above all scores. The check draws
# studies whose scores are normal with means 0 and 1, so that the true accuracy of any threshold is
# known.
# ```

# %% [markdown]
# ```{solution-start} ex-10-threshold
# :class: dropdown
# ```


# %% tags=["solution"]
def best_threshold(scores, labels):
    """A threshold of the highest accuracy on these studies."""
    ### BEGIN SOLUTION
    candidates = np.r_[np.sort(scores), np.inf]
    called = scores >= candidates[:, None]
    return candidates[np.argmax((called == labels).mean(axis=1))]
    ### END SOLUTION


# %% [markdown] tags=["solution"]
# On average the reported accuracy errs twice: it is above the best that any threshold truly has, and the
# chosen threshold's true accuracy is below that. Both errors shrink with the number of studies, and grow
# with what else is chosen on them.


# %% tags=["check"]
def drawn_studies(n):
    y = np.arange(n) % 2
    return rng.normal(y, 1), y


def true_accuracy(threshold):
    return (norm.cdf(threshold) + norm.sf(threshold - 1)) / 2


rng = np.random.default_rng(0)
for scores in ([1.0, 2, 3, 4], [2.0, 2, 2, 1], [1.0, 1, 1, 1]):
    for code in range(16):
        s, y = (
            np.array(scores),
            np.array([code >> bit & 1 for bit in range(4)]),
        )
        threshold = expect_numbers(
            best_threshold(s, y), (), "threshold"
        )
        highest = max(np.mean((s >= cut) == y) for cut in np.arange(6))
        expect_close(
            np.mean((s >= threshold) == y),
            highest,
            f"accuracy of the scores {s} with the labels {y}",
        )
possible = true_accuracy(0.5)
for n in (20, 100, 400):
    reported, truth = [], []
    for _ in range(400):
        s, y = drawn_studies(n)
        threshold = best_threshold(s, y)
        reported.append(np.mean((s >= threshold) == y))
        truth.append(true_accuracy(threshold))
    print(
        f"{n} studies: reported {np.mean(reported):.3f}, true "
        f"{np.mean(truth):.3f}, possible {possible:.3f}"
    )
print("ex-10-threshold: passed")

# %% [markdown]
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise} Is the worst group worse?
# :label: ex-10-worst
#
# *An afternoon.* Of several groups of studies one always has the lowest accuracy, and it was not named
# beforehand. Its interval, taken alone, knows nothing of the choice. A test that does: if the groups
# did not matter, their names could be dealt out anew among the studies. How often is the worst group
# then at least as far below the whole?
#
# Write `worst_group_p(right, groups, deals, rng)`: whether each study is classified rightly, bool [n],
# the number of its group from 0, [n], how often the groups are dealt, and a generator -> p. Small
# groups stray further by chance, so do not compare plain accuracies: take for each group
# $(\text{accuracy} - \text{accuracy of all}) \cdot \sqrt{\text{its studies}}$, and of these the
# lowest. Count the true deal among the deals, so that p is never 0. The check asks that p is right
# when no group matters (below 0.05 in at most about 5 of 100 cases), and that a bad group is found.
# ```

# %% [markdown]
# ```{solution-start} ex-10-worst
# :class: dropdown
# ```


# %% tags=["solution"]
def worst_group_p(right, groups, deals, rng):
    """p that the worst of the groups is as far below all by chance."""
    ### BEGIN SOLUTION
    right = np.asarray(right, dtype=float)
    sizes = np.bincount(groups)

    def lowest(dealt):
        means = np.bincount(groups, dealt) / sizes
        return ((means - right.mean()) * np.sqrt(sizes)).min()

    observed = lowest(right)
    as_low = [
        lowest(rng.permutation(right)) <= observed + 1e-12
        for _ in range(deals)
    ]
    return (1 + sum(as_low)) / (1 + deals)
    ### END SOLUTION


# %% [markdown] tags=["solution"]
# To deal the answers among the studies is the same as to deal the groups. The test answers a narrow
# question, whether *some* group is worse than chance explains. A group that is worse for a reason, such
# as a higher share of hard cases, is found too, and no p says why.

# %% tags=["check"]
for right, groups, exact in [
    ([1, 1, 0, 0], [0, 0, 1, 1], 2 / 6),
    ([0, 0, 0, 0, 0, 1, 1, 1], [0, 1, 1, 1, 2, 2, 2, 2], 14 / 56),
]:
    right, groups = np.array(right, dtype=bool), np.array(groups)
    expect_close(
        worst_group_p(right, groups, 4000, np.random.default_rng(0)),
        exact,
        f"p of {right.astype(int)} in the groups {groups}, all deals",
        atol=0.05,
    )
rng = np.random.default_rng(0)
groups = np.repeat(range(6), [10, 20, 40, 60, 90, 180])
p = np.array(
    [
        worst_group_p(rng.random(400) < 0.85, groups, 99, rng)
        for _ in range(300)
    ],
    dtype=float,
)
expect_between(
    np.mean(p <= 0.05), 0, 0.09, "share of p <= 0.05, no group matters"
)
expect_between(
    np.mean(p <= 0.5), 0.35, 1, "share of p <= 0.5, no group matters"
)
right = rng.random(400) < np.where(groups == 2, 0.5, 0.9)
expect_between(
    worst_group_p(right, groups, 999, rng),
    0.00099,  # the true deal among 999 others
    0.01,
    "p of a group of 40 with half the answers wrong",
)
naive = 1 - 0.95**6
print(f"no group matters: p <= 0.05 in {np.mean(p <= 0.05):.1%},")
print(f"with an independent test for each of six in {naive:.0%}")
print("ex-10-worst: passed")

# %% [markdown]
# ```{solution-end}
# ```
