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
#     needs: [studies.parquet]
# ---

# %% [markdown]
# # Exercises: data
#
# These go with [the chapter on the data](../01_data). The first three read the reports of Open-I, which
# are there in every edition, also in one on your own pairs. The last two read the study table that the
# chapter left.

# %% tags=["hide-input"]
import numpy as np
import pandas as pd
from sklearn.metrics import pairwise_distances

from cxr_mtl.base import read_table
from cxr_mtl.data import label_of, read_reports, read_views, splits
from cxr_mtl.runs import (
    check_parameters,
    expect_between,
    expect_close,
    expect_equal,
    expect_several,
    expect_table,
    open_run,
)

# %% tags=["parameters"]
run_dir: str = "runs/demo"  # folder of this run
seed: int = 0  # seed of every random choice

# %%
check_parameters(globals())
run = open_run(run_dir)
studies = read_table(run / "studies.parquet")
reports = read_reports()[0]
reports[["study", "findings", "impression", "mesh_major"]].head(3)

# %% [markdown]
# ```{exercise} Who counts as normal?
# :label: ex-01-normal
#
# *Two minutes.* The column `mesh_major` of `reports` holds a study's headings: `normal`, findings such
# as `Cardiomegaly/borderline`, or `No Indexing` where nobody indexed the report. The answer to "how
# many studies are normal?" depends on what the last one counts as.
#
# Predict which of the three shares is the largest. Then write `normal_share(headings, unindexed)` for
# a list of such lists: the share of normal studies when the unindexed count as `"abnormal"`, as
# `"normal"`, or are left out (`"dropped"`). Studies without any heading are left out always.
#
# The check compares the three shares with those of the library's `label_of`.
# ```

# %% [markdown]
# ```{solution-start} ex-01-normal
# :class: dropdown
# ```


# %% tags=["solution"]
def normal_share(headings, unindexed):
    """Share of normal studies among those that count."""
    ### BEGIN SOLUTION
    indexed = [
        each for each in headings if each and each != ["No Indexing"]
    ]
    normal = sum("normal" in each for each in indexed)
    others = sum(each == ["No Indexing"] for each in headings)
    if unindexed == "dropped":
        return normal / len(indexed)
    extra = others if unindexed == "normal" else 0
    return (normal + extra) / (len(indexed) + others)
    ### END SOLUTION


for unindexed in ("abnormal", "dropped", "normal"):
    print(
        unindexed, normal_share(list(reports["mesh_major"]), unindexed)
    )

# %% [markdown] tags=["solution"]
# The order is certain before counting: the unindexed enlarge the denominator in both other cases, and
# the numerator in one. The paper's "approximately 38 %" is met by one of the three, which is how the
# chapter finds out what the paper must have done.

# %% tags=["check"]
rules = {
    "abnormal": "mesh-normal",
    "normal": "mesh-normal+no-indexing",
    "dropped": "drop-no-indexing",
}
toy = [["normal"], [], ["No Indexing"], ["Lung"], ["Bone", "Lung"]]
for headings in (toy, list(reports["mesh_major"])):
    for unindexed, rule in rules.items():
        labels = [label_of(each, rule) for each in headings]
        kept = [label for label in labels if label is not None]
        expect_close(
            normal_share(headings, unindexed),
            kept.count(0) / len(kept),
            f"normal share of {len(headings)} studies, unindexed "
            f"{unindexed}",
        )
print("ex-01-normal: passed")

# %% [markdown]
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise} The section that max picks
# :label: ex-01-max
#
# *Ten minutes.* A loader that others have used takes `max(findings, impression)` as the text of a
# study, meaning the longer of the two sections. But both are strings, and Python orders strings by
# their first letter that differs.
#
# Write `picks_shorter(findings, impression)`: whether `max` picks the section with fewer characters.
# Do it without calling `max` or comparing the strings as a whole, letter by letter. If one section
# begins with the whole of the other, the longer one is the larger.
#
# The check compares it with `max` itself on all reports that have both sections.
# ```

# %% [markdown]
# ```{solution-start} ex-01-max
# :class: dropdown
# ```


# %% tags=["solution"]
def picks_shorter(findings, impression):
    """Whether the lexicographic maximum is the shorter section."""
    ### BEGIN SOLUTION
    shorter, longer = sorted((findings, impression), key=len)
    for a, b in zip(shorter, longer, strict=False):
        if a != b:
            return len(shorter) < len(longer) and ord(a) > ord(b)
    return False
    ### END SOLUTION


has_both = (reports["findings"] != "") & (reports["impression"] != "")
both = reports.loc[has_both, ["findings", "impression"]]
wrong = [picks_shorter(f, i) for f, i in both.to_numpy()]
print(
    f"{np.sum(wrong):,} of {len(wrong):,} reports lose their longer section"
)

# %% [markdown] tags=["solution"]
# *The heart is normal in size* comes after *No acute disease*, so these findings are kept. *Heart size is
# normal* comes before it: the findings are lost, and the three words of the impression are all that the
# model reads. Nothing fails, nothing is printed. That is why the book names its choice of sections as a
# parameter, and counts.

# %% tags=["check"]
cases = [("No", "No acute"), ("No acute", "No"), ("ab", "aBc")]
cases += [("b", "aa"), ("aa", "b"), ("ba", "ab")]
for findings, impression in [*cases, *both.to_numpy()]:
    picked = max(findings, impression)
    expect_equal(
        picks_shorter(findings, impression),
        len(picked) < max(len(findings), len(impression)),
        f"is the shorter of {findings[:30]!r} and {impression[:30]!r} "
        "picked",
    )
print("ex-01-max: passed")

# %% [markdown]
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise} Two sources, two views
# :label: ex-01-views
#
# *Ten minutes.* `read_views("dicom")` and `read_views("tsne")` both say which images are frontal,
# in a table with the columns `image_id` and `view`. On some images they contradict each other.
#
# Write `view_conflicts(one, other)`: a table with the columns `image_id`, `view_one` and `view_other`
# of the images that both sources know and about which they disagree. How often would the DICOM tag
# have shown a lateral as the frontal image?
#
# The check finds the conflicts image by image.
# ```

# %% [markdown]
# ```{solution-start} ex-01-views
# :class: dropdown
# ```


# %% tags=["solution"]
def view_conflicts(one, other):
    """Images whose view two sources call differently."""
    ### BEGIN SOLUTION
    columns = ["image_id", "view"]
    known = one[columns].merge(
        other[columns], on="image_id", suffixes=("_one", "_other")
    )
    return known[known["view_one"] != known["view_other"]]
    ### END SOLUTION


dicom, tsne = read_views("dicom"), read_views("tsne")
conflicts = view_conflicts(dicom, tsne)
pd.crosstab(conflicts["view_one"], conflicts["view_other"])

# %% [markdown] tags=["solution"]
# All conflicts go one way: the tag says that the image is frontal, and the picture, as the clustering
# sees it, is a lateral. That is why the book lets the second source decide where both speak.

# %% tags=["check"]
front, side = "frontal", "lateral"
ours = pd.DataFrame(
    {"image_id": list("abcd"), "view": [front, front, side, side]}
)
theirs = pd.DataFrame(
    {"image_id": list("edcb"), "view": [side, front, side, side]}
)
for one, other in [(ours, theirs), (dicom, tsne)]:
    answer = expect_table(
        view_conflicts(one, other),
        ["image_id", "view_one", "view_other"],
        "view_conflicts",
    )
    view_in = dict(zip(other["image_id"], other["view"], strict=True))
    expected = {
        (image, view, view_in[image])
        for image, view in zip(
            one["image_id"], one["view"], strict=True
        )
        if image in view_in and view_in[image] != view
    }
    found = list(answer.itertuples(index=False, name=None))
    expect_equal(set(found), expected, "conflicts, image by image")
    expect_equal(len(found), len(expected), "rows, none of them twice")
print("ex-01-views: passed")

# %% [markdown]
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise} A split that keeps equal reports together
# :label: ex-01-split
#
# *Half an hour.* Draw a test part of random studies, and many of its reports stand word for word in
# the training part as well. A model may have learnt them by heart: the reports leak.
#
# Write `split_together(texts, test_share, seed)`: a list of "train" and "test", one for each text, such
# that studies of equal `splits.normalise_text` are in the same part. The test part has at most
# `test_share` of the studies, and lacks fewer than the largest group has. The same seed gives
# the same split.
#
# The cell below your solution measures what leaks, with `splits.duplicates_across_parts`.
# ```

# %% [markdown]
# ```{solution-start} ex-01-split
# :class: dropdown
# ```


# %% tags=["solution"]
def split_together(texts, test_share, seed):
    """ "train" or "test" for each text; equal texts are never parted."""
    ### BEGIN SOLUTION
    _, group, sizes = np.unique(
        [splits.normalise_text(text) for text in texts],
        return_inverse=True,
        return_counts=True,
    )
    left = int(test_share * len(texts))
    is_test = np.zeros(len(sizes), dtype=bool)
    for one in np.random.default_rng(seed).permutation(len(sizes)):
        if sizes[one] <= left:
            is_test[one] = True
            left -= sizes[one]
    return ["test" if each else "train" for each in is_test[group]]
    ### END SOLUTION


texts = list(studies["text"])
is_random = np.random.default_rng(seed).random(len(texts)) < 0.1
by_choice = {
    "at random": np.where(is_random, "test", "train"),
    "equal reports together": split_together(texts, 0.1, seed),
}
for name, split in by_choice.items():
    leak = splits.duplicates_across_parts(studies.assign(split=split))
    print(
        f"{name}: {leak:.1%} of the test reports stand in training too"
    )

# %% [markdown] tags=["solution"]
# Together the leak is 0 by construction. It has a price: the largest groups are the standard sentences
# of normal chests, and each of them goes to one side as a whole. The share of normal studies and the share
# of reports that repeat therefore change from seed to seed by more than in a random split. And a random
# test part leaves most twins behind in training, while this one keeps all of its own: it has fewer
# different reports, and with them a lower duplicate ceiling. The library's
# `split_studies(..., duplicates="together")` meets exact numbers of test studies per class besides, which
# needs a search.

# %% tags=["check"]
toy = ["A b", "a  B", "c", "d", "c", "e", "f", "a b", "g", "h"]
both_parts = {"train", "test"}
for number in range(5):
    for some, share in ((texts, 0.1), (texts, 0.5), (toy, 0.3)):
        what = f"{share} of {len(some)} texts, seed {number}"
        answer = split_together(some, share, number)
        split = expect_several(answer, len(some), what)
        expect_equal(both_parts | set(split), both_parts, "parts")
        keys = [splits.normalise_text(text) for text in some]
        parts = pd.Series(split).groupby(keys).nunique()
        expect_equal(parts.max(), 1, f"{what}: parts of equal reports")
        largest = pd.Series(keys).value_counts().max()
        expect_between(
            int(share * len(some)) - split.count("test"),
            0,
            largest - 1,
            f"{what}: studies that the test part lacks",
        )
        again = split_together(some, share, number)
        expect_equal(
            tuple(again) == split, True, f"{what}: the same split again"
        )
letters = list("abcdefghij")
drawn = {
    tuple(split_together(letters, 0.3, number)) for number in range(20)
}
expect_between(len(drawn), 2, 20, "different splits of twenty seeds")
print("ex-01-split: passed")

# %% [markdown]
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise} How much do near-duplicates cost?
# :label: ex-01-near
#
# *An afternoon.* The duplicate ceiling of the chapter counts reports that are equal word for word.
# *No acute disease* and *No acute disease is seen* are not, yet nothing in an image says which of the two
# was written.
#
# Take a report as the set of its words after `splits.normalise_text`, split at white space. Two reports $A$ and
# $B$ have the Jaccard similarity $|A \cap B| / |A \cup B|$. If a query's report has $n$ reports in the
# collection (itself included) with a similarity of at least `threshold`, count the exact match as found
# with probability $1/n$, as if the $n$ could not be told apart.
#
# Write `near_ceiling(texts, threshold)`: the mean of $1/n$ over all texts. It must be fast enough for
# 4,000 texts, so without a loop over pairs. Then draw the ceiling against the threshold for the
# test studies, and read some pairs near 0.8: are they the same finding?
#
# The check counts pair by pair on a few texts, compares with scikit-learn's Jaccard distance on more, and
# asks for what must hold at any threshold.
# ```

# %% [markdown]
# ```{solution-start} ex-01-near
# :class: dropdown
# ```


# %% tags=["solution"]
def near_ceiling(texts, threshold):
    """Mean of 1 / (number of texts with word sets as similar as that)."""
    ### BEGIN SOLUTION
    words = [set(splits.normalise_text(text).split()) for text in texts]
    column = {
        word: i for i, word in enumerate(sorted(set().union(*words)))
    }
    has_word = np.zeros((len(texts), len(column)), dtype=np.float32)
    for row, each in enumerate(words):
        has_word[row, [column[word] for word in each]] = 1
    shared = has_word @ has_word.T
    sizes = has_word.sum(axis=1)
    union = sizes[:, None] + sizes - shared
    # Whole numbers: the small number is for the rounding of the product.
    similar = shared >= threshold * union - 1e-4
    return float((1 / similar.sum(axis=1)).mean())
    ### END SOLUTION


test_texts = list(studies.loc[studies["split"] == "test", "text"])
pd.Series(
    {
        level: near_ceiling(test_texts, level)
        for level in (1, 0.9, 0.8, 0.6)
    },
    name="ceiling",
).rename_axis("threshold").to_frame()

# %% [markdown] tags=["solution"]
# Where the ceiling falls with the threshold, exact match counts as an error what a reader of the reports
# would not call one. That is a reason to report graded relevance beside exact match, as
# [the chapter on evidence](../08_evidence) does.
#
# A threshold on words does not know negation: *effusion* and *no effusion* are close. What you measured is
# how similar the reports *read*, not how similar they *are*. And only at a threshold of 1 is it a true
# ceiling. Below it the relation is not transitive: $A$ may be like $B$ and $B$ like $C$, but $A$ not like
# $C$, so "cannot be told apart" is a rule of thumb there and not a bound.

# %% tags=["check"]
toy = ["a b c", "C b a a", "a b c d", "x", "x y"]
for threshold, expected in {
    1: 0.8,
    0.75: 0.6,
    0.6: 0.6,
    0.5: 0.4,
}.items():
    expect_close(
        near_ceiling(toy, threshold),
        expected,
        f"ceiling of five toy reports at {threshold}",
    )
some = test_texts[:150]
sets = [set(splits.normalise_text(text).split()) for text in some]
vocabulary = sorted(set().union(*sets))
rows = np.array(
    [[word in each for word in vocabulary] for each in sets]
)
distances = pairwise_distances(rows, metric="jaccard")
for threshold in (0.55, 0.85):
    n = (distances <= 1 - threshold + 1e-6).sum(axis=1)
    expect_close(
        near_ceiling(some, threshold),
        (1 / n).mean(),
        f"ceiling at {threshold}, by scikit-learn's Jaccard distance",
    )
levels = [
    near_ceiling(test_texts, level) for level in (0.5, 0.7, 0.9, 1)
]
expect_between(
    min(np.diff(levels)), -1e-6, 1, "rise to a stricter threshold"
)
expect_between(
    levels[-1],
    0,
    splits.duplicate_ceiling(test_texts) + 1e-6,
    "ceiling at 1, where equal texts have equal word sets",
)
print("ex-01-near: passed")

# %% [markdown]
# ```{solution-end}
# ```
