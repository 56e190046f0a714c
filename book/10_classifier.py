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
#     needs: [studies.parquet, models.json, fine_tuned, embeddings]
#     leaves: [results/10_classifier.json]
# ---

# %% [markdown]
# # The classifier nobody looked at
#
# **You will learn** how well the fusion head tells normal from abnormal studies, which the paper
# trains it to do and never reports; how much of that it reads from the report; what a threshold
# gains from having seen the test; and for which studies all this holds. **It needs** the fine-tuned
# model of [the training chapter](04_training) and the embeddings of
# [the retrieval chapter](05_retrieval).

# %% tags=["hide-input"]
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cxr_mtl.base import (
    Deidentification,
    DeviceName,
    Precision,
    read_json,
    styled_tables,
)
from cxr_mtl.classifier import (
    choose_threshold,
    classifier_records,
    logits_of,
    report_groups,
    subgroups,
    youden_by_choice,
)
from cxr_mtl.evidence import Bootstrap, metric_name, results_table
from cxr_mtl.figures import classifier, use_theme
from cxr_mtl.models import LastLayer, embed_texts
from cxr_mtl.retrieval import stored_embeddings
from cxr_mtl.runs import check_parameters, open_run
from cxr_mtl.training import embed_rows, load_fine_tuned, prepare_training

use_theme()

# %% tags=["parameters"]
run_dir: str = "runs/demo"  # folder of this run
cache_dir: str = "runs/cache"  # folder of what several runs share
seed: int = 0  # seed of every random choice
feature_precision: Precision = "float32"  # of the cached features
deidentification: Deidentification = "keep"  # what becomes of XXXX
device: DeviceName = "auto"  # auto: the GPU when there is one

# %% [markdown]
# ## The head, and what it reads
#
# BCE, the first of the three losses, trains a head on the mean of the two embeddings before they
# are scaled to length 1: $\hat y = w \cdot (V + T)/2 + b$, and $\hat y > 0$ means abnormal. All it
# takes to evaluate it is to embed the studies. (In a run whose weights give BCE nothing, the head is
# as it was first drawn, and only the regressions below say anything.) The training and validation studies go through the
# fine-tuned last layer alone, from the features that the training kept.

# %%
check_parameters(globals())
run = open_run(run_dir)
unfrozen_blocks = read_json(run / "fine_tuned" / "fine_tuned.json")[
    "unfrozen_blocks"
]
setup = prepare_training(
    run.path, Path(cache_dir), unfrozen_blocks, feature_precision, device
)
studies = setup.studies
test = studies[studies["split"] == "test"].reset_index(drop=True)
models = read_json(run / "models.json")

# %%
backbone, head = load_fine_tuned(run / "fine_tuned", setup.backbone)
last_layer = LastLayer(backbone.model, unfrozen_blocks)
embedded, labels = {}, {}
for part, rows in setup.rows.items():
    labels[part] = setup.labels[rows].numpy()
    if part != "test":
        embedded[part] = embed_rows(
            last_layer, setup.features, rows, setup.device
        )
embedded["test"] = stored_embeddings(run / "embeddings", models)["fine_tuned"]
shares = {part: float(values.mean()) for part, values in labels.items()}

# %% [markdown]
# But the report *names* the findings from which the label is made, so a head that reads reports may
# leave the image alone. Three readings tell the two apart: with image and report as trained, with
# the image in both places, since $(V + V)/2 = V$, and with the report in both.
#
# The head was never trained to read one modality alone, and images and reports may lie in
# different regions of the space. So beside it stands a fair counterpart: a logistic regression on
# the standardised embeddings of the training studies, with scikit-learn's defaults, for each of the
# three inputs. Its embeddings come from studies that the model was fine-tuned on, and so fit
# better than those of a new study.


# %%
def head_reads(v, t):
    return {"both": (v, t), "image": (v, v), "report": (t, t)}


def regression_reads(v, t):
    return {"both": np.hstack([v, t]), "image": v, "report": t}


# %%
regressions = {}
for name, inputs in regression_reads(*embedded["train"]).items():
    regression = make_pipeline(
        StandardScaler(), LogisticRegression(max_iter=1000)
    )
    regressions[name] = regression.fit(inputs, labels["train"])

# %%
probabilities = {}
for part in ("validation", "test"):
    for name, pair in head_reads(*embedded[part]).items():
        probabilities["fusion head", name, part] = expit(
            logits_of(head, *pair)
        )
    for name, inputs in regression_reads(*embedded[part]).items():
        found = regressions[name].predict_proba(inputs)[:, 1]
        probabilities["logistic regression", name, part] = found

# %% [markdown]
# ## A threshold, chosen on the validation studies
#
# Sensitivity, specificity, accuracy and F1 need a threshold. For each classifier and input it is
# the one of the greatest sensitivity + specificity (Youden's index) on the validation studies. The
# test studies have no say in it.

# %%
thresholds = {
    (model, name): choose_threshold(values, labels["validation"])
    for (model, name, part), values in probabilities.items()
    if part == "validation"
}

# %% [markdown]
# Every metric of a classifier on the test studies or a group of them, with its interval:

# %%
bootstrap = Bootstrap(len(test), seed=seed)


def evaluate(
    model, name, values=None, truth=labels["test"], group="all", rows=None
):
    values = probabilities[model, name, "test"] if values is None else values
    found = classifier_records(
        values, truth, thresholds[model, name], bootstrap, group, rows
    )
    return [{"model": model, "input": name, **record} for record in found]


def metric(record):
    return metric_name(record).replace("_", " ")


records = [
    record for model, name in thresholds for record in evaluate(model, name)
]
results_table(
    records,
    {"": metric},
    (lambda r: r["model"], lambda r: f"reads {r['input']}"),
)

# %% [markdown]
# Below each number its 95 % interval, of a bootstrap over the test studies; where all studies agree
# it has no width. "Average precision" is the
# area under the precision-recall curve; the Brier score is the mean squared error of the
# probability; the ECE, the expected calibration error, is the mean distance between the probability
# and the share that is abnormal, over ten bins of equally many studies. For the last two less is
# better, and chance differences alone keep an ECE above 0.

# %% mystnb={"figure": {"name": "fig-head-curves", "caption": "The fusion head on the test studies: ROC and precision-recall curves with image and report, with the image alone and with the report alone. Bands: 95 % of the bootstrap, point by point."}, "image": {"alt": "Two panels, ROC and precision-recall curves, three classifiers each with a band"}}
curves = {
    name: probabilities["fusion head", name, "test"]
    for name in ("both", "image", "report")
}
classifier.roc_and_precision_recall(curves, labels["test"], bootstrap)
# %% mystnb={"figure": {"name": "fig-regression-curves", "caption": "The logistic regressions on the test studies, each trained on the input it is given."}, "image": {"alt": "Two panels, ROC and precision-recall curves, three logistic regressions each with a band"}}
curves = {
    name: probabilities["logistic regression", name, "test"]
    for name in regressions
}
classifier.roc_and_precision_recall(curves, labels["test"], bootstrap)
# %% [markdown]
# With the image alone the head has a ROC AUC of
# {num}`10_classifier?model=fusion head&input=image&group=all&metric=roc_auc:.3f`, with the report
# alone {num}`10_classifier?model=fusion head&input=report&group=all&metric=roc_auc:.3f`, with both
# {num}`10_classifier?model=fusion head&input=both&group=all&metric=roc_auc:.3f`. What a clinic
# would want to know is what an image says before anybody has reported on it, and that is the column
# of the image alone: for the regression that was trained for it
# {num}`10_classifier?model=logistic regression&input=image&group=all&metric=roc_auc:.3f`. The
# number with the report says how well the words of a report predict the index terms that were
# given for these words. In the demo edition the image flatters, too: a phantom is drawn from the
# very terms that make its label.
#
# ## Break it, then mend it
#
# In the cell of the thresholds write `"test"` for `"validation"`, twice: now the studies that are
# tested choose the threshold, too. No line complains. The first two columns below show what it gains,
# in Youden's index: a threshold is one number only, and yet it cannot lose by this, only gain.
#
# How much of the gain is true? Cut the test studies into halves at random: one half chooses, the
# other is asked, many times over. The last two columns show both.

# %%
COLUMNS = {
    "validation": "chosen on the validation studies",
    "test": "chosen on the test studies",
    "half, seen": "chosen on one half, on that half",
    "half, kept out": "chosen on one half, on the other",
}
youdens = {
    (model, name): youden_by_choice(
        probabilities[model, name, "test"], labels["test"], value, seed=seed
    )
    for (model, name), value in thresholds.items()
}
pd.DataFrame(youdens).T.rename(columns=COLUMNS).pipe(
    styled_tables.styled
).format("{:.3f}")

# %% [markdown]
# For the head with the image alone a threshold chosen on one half has a Youden index of
# {num}`10_classifier?model=fusion head&input=image&metric=youden&chosen_on=half, seen:.3f` there, and of
# {num}`10_classifier?model=fusion head&input=image&metric=youden&chosen_on=half, kept out:.3f`
# on the other half: about what the threshold of the validation studies reaches,
# {num}`10_classifier?model=fusion head&input=image&metric=youden&chosen_on=validation:.3f`. The mend is
# the cell as it stands: choose on the validation studies, and open the test once. What holds for one threshold holds all the more for a calibration, or for a model chosen
# among many ([the chapter before](09_ablations)).
#
# ## Are the probabilities probabilities?

# %% mystnb={"figure": {"name": "fig-reliability", "caption": "Reliability of the fusion head with image and report: the share of abnormal studies against the mean probability, in ten bins of equally many test studies, with the 95 % Wilson interval of each share, and the probabilities of all test studies by label."}, "image": {"alt": "Reliability curve with intervals beside the diagonal, and below it a histogram of probabilities by label"}}
classifier.reliability(
    probabilities["fusion head", "both", "test"], labels["test"]
)
# %% [markdown]
# {num}`10_classifier?metric=abnormal_share&part=train:.1%` of the training studies are abnormal, but
# {num}`10_classifier?metric=abnormal_share&part=test:.1%` of the test studies: a head that is
# calibrated for the one part is not for the other where the two shares differ, and no threshold
# or calibration from here holds in a clinic with another share. The head's threshold is
# {num}`10_classifier?model=fusion head&input=both&metric=threshold:.3f`, where 0.5 is the cut that
# $\hat y > 0$ means.
#
# ## For which studies does it hold?
#
# The fusion head with both inputs, and the regression on the image alone, by group: by the sections
# that the report has, by whether anybody indexed it, by the view that the DICOM header names, and
# under each rule that makes a label of the index terms. The threshold stays the same. A metric
# of fewer than ten studies of a class it depends on is undefined, and so is an ECE of fewer than ten
# studies a bin. A data set of your own pairs has no
# sections, headings or views: its table has the row of all studies alone.

# %%
GROUP_METRICS = ("roc_auc", "sensitivity", "specificity", "brier")


def show_groups(records):
    rows = {
        "classifier": lambda r: f"{r['model']}, {r['input']}",
        "group": lambda r: r["group"],
        "studies (abnormal)": lambda r: f"{r['n']} ({r['positives']})",
    }
    return results_table(
        [r for r in records if r["metric"] in GROUP_METRICS], rows, [metric]
    )


# %%
shown = [("fusion head", "both"), ("logistic regression", "image")]
by_group = [
    record
    for model, name in shown
    for group, rows in report_groups(test).items()
    for record in evaluate(model, name, group=group, rows=rows)
]
by_rule = [
    record
    for model, name in shown
    for rule, truth in subgroups.labels_under_rules(test).items()
    for record in evaluate(
        model, name, truth=truth, group=f"label rule {rule}", rows=truth >= 0
    )
]
everybody = [
    record
    for record in records
    if (record["model"], record["input"]) in shown
]
in_order = sorted(
    [*everybody, *by_group, *by_rule],
    key=lambda r: shown.index((r["model"], r["input"])),
)
show_groups(in_order)

# %% [markdown]
# Under another rule only the labels of the test studies change; the head was trained with those of
# this run. In the demo edition the view tag says nothing about the picture, since all phantoms are
# drawn in one view: groups of views differ there by the findings of their studies only.
#
# ## Findings or impression?
#
# The impression draws the conclusion that the label is about. Is it enough to read? Only the test
# reports change; nothing is trained again, so a model that was trained on whole reports reads texts of
# another kind, and many impressions say little more than "no acute disease", whatever the label. The
# rows below are the studies that have both sections, so that all three texts are of the same studies.


# %%
by_section = []
both_sections = report_groups(test).get("findings and impression")
texts = (
    subgroups.texts_by_section(test[both_sections], deidentification)
    if both_sections is not None
    else {}
)
for sections, of_section in texts.items():
    v = embedded["test"][0][both_sections]
    t = embed_texts(backbone, of_section, setup.device)
    for model, name, values in (
        ("fusion head", "both", expit(logits_of(head, v, t))),
        (
            "logistic regression",
            "report",
            regressions["report"].predict_proba(t)[:, 1],
        ),
    ):
        everywhere = probabilities[model, name, "test"].copy()
        everywhere[both_sections] = values
        group = f"text from {sections}"
        by_section += evaluate(
            model, name, everywhere, group=group, rows=both_sections
        )
shown = [("fusion head", "both"), ("logistic regression", "report")]
show_groups(
    sorted(by_section, key=lambda r: shown.index((r["model"], r["input"])))
) if by_section else "These are pairs of image and text, without sections."

# %% tags=["hide-cell"]
run.write_results(
    "10_classifier",
    [
        *records,
        *by_group,
        *by_rule,
        *by_section,
        *(
            {
                "model": model,
                "input": name,
                "metric": "youden",
                "chosen_on": choosers,
                "value": value,
            }
            for (model, name), found in youdens.items()
            for choosers, value in found.items()
        ),
        *(
            {
                "model": model,
                "input": name,
                "metric": "threshold",
                "value": value,
            }
            for (model, name), value in thresholds.items()
        ),
        *(
            {"metric": "abnormal_share", "part": part, "value": share}
            for part, share in shares.items()
        ),
    ],
)

# %% [markdown]
# ## Summary
#
# - With image and report the head has a ROC AUC of
#   {num}`10_classifier?model=fusion head&input=both&group=all&metric=roc_auc:.3f` and an accuracy of
#   {num}`10_classifier?model=fusion head&input=both&group=all&metric=accuracy:.1%` on the test
#   studies.
# - That number reads the report too, which names what the label is made of. From the image alone a
#   regression trained for it reaches
#   {num}`10_classifier?model=logistic regression&input=image&group=all&metric=roc_auc:.3f`; from the
#   report alone
#   {num}`10_classifier?model=logistic regression&input=report&group=all&metric=roc_auc:.3f`.
# - A threshold that has seen the test looks as good as it is or better, though it is one number.
# - The labels are index terms of reports, not diagnoses: none of this says how the model would fare
#   beside a radiologist.
#
# Try your hand at the [exercises](exercises/10_classifier).
#
# Next: [the explorer](11_explorer) shows single searches. To run the study with other parameters or your own
# data, go to [running it yourself](rerun).
