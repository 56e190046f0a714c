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
#     alone: true
#     leaves:
#       [studies.parquet, dropped.parquet, split.csv, watched/01_data.parquet, results/01_data.json]
# ---

# %% [markdown]
# # Data: reports, labels, views and a split
#
# **You will learn** what the Open-I collection holds and what it does not, how a study becomes one
# image, one text and one label, which choices move the numbers of every later chapter, and how a
# split leaks. **It needs** the reports, which ship inside the `torchxrayvision` package, and of the models
# no more than their tokenizers.
#
# Open-I {cite}`demner2016` is the Indiana University collection of chest X-ray studies: a
# radiologist's report for each, indexed with MeSH headings, and usually a frontal and a lateral
# image. The paper {cite}`liang2026` uses it as image-report pairs with a binary label.

# %% tags=["hide-input"]
from functools import partial
from pathlib import Path
from typing import Optional

import pandas as pd
from matplotlib_inline.backend_inline import set_matplotlib_formats

from cxr_mtl.base import (
    DatasetName,
    Deidentification,
    Duplicates,
    InputError,
    LabelRule,
    Sections,
    ViewSource,
    files,
    notices,
    styled_tables,
    terminal,
    write_table,
)
from cxr_mtl.data import (
    assign_parts,
    audit,
    load_dataset,
    loading_records,
    openi,
    showcase,
    splits,
    views,
)
from cxr_mtl.figures import LABEL_NAMES, contact_sheet, use_theme
from cxr_mtl.models import (
    count_reports,
    load_tokenizer,
    reading_records,
    reading_table,
    source_files,
)
from cxr_mtl.phantoms import draw_phantoms, drawn_codes
from cxr_mtl.runs import Run, check_parameters, watch
from cxr_mtl.training import backbone_source

use_theme()

# %% tags=["parameters"]
run_dir: str = "runs/demo"  # folder of this run
cache_dir: str = "runs/cache"  # folder of what several runs share
seed: int = 0  # seed of every random choice
dataset: DatasetName = "openi"  # where images and reports come from
openi_folder: Optional[Path] = None  # openi: folder of the unpacked archives
pairs_csv: Optional[Path] = None  # pairs: CSV with columns image,text[,label]
patient_column: Optional[str] = None  # pairs: its name; None takes patient
projections_csv: Optional[Path] = None  # projections: uid,filename,projection
split_csv: Optional[Path] = None  # published: CSV study,split; None draws one
label_rule: LabelRule = "mesh-normal+no-indexing"  # what counts as normal
sections: Sections = "findings+impression"  # parts of the report in the text
deidentification: Deidentification = "keep"  # what becomes of XXXX
view_source: ViewSource = "dicom+tsne"  # what says which image is frontal
phantom_size: int = 256  # height and width of a phantom, pixels
test_per_class: int = 200  # normal and abnormal test studies, each
validation_fraction: float = 0.1  # share of the other studies for validation
duplicates: Duplicates = "ignore"  # equal reports, pictures in one part?
backbone: str = "biomedclip"  # a name, hf-hub:OWNER/NAME or local-dir:FOLDER
general_model: str = "clip"  # baseline of general purpose, named likewise

# %% [markdown]
# ## The reports
#
# Every study of the archive becomes one row of the study table, or one row of the table of dropped
# studies with the reason. Nothing is replaced silently: a study without a frontal image is
# dropped, never shown by its lateral. Each study also gets its part of the split, of which more
# below; studies that a given split leaves out are dropped, too.

# %%
check_parameters(globals())
run = Run(run_dir)
sources = {
    name: backbone_source(name, Path(cache_dir))
    for name in (backbone, general_model)
}
watched = source_files(sources.values())
tokenizers = {
    name: load_tokenizer(source) for name, source in sources.items()
}
data = load_dataset(
    dataset,
    folder=openi_folder,
    csv=pairs_csv,
    patient_column=patient_column,
    projections=projections_csv,
    label_rule=label_rule,
    sections=sections,
    deidentification=deidentification,
    view_source=view_source,
    draw=partial(draw_phantoms, Path(cache_dir), phantom_size, seed),
)
data = assign_parts(
    data,
    split_csv=split_csv,
    test_per_class=test_per_class,
    validation_fraction=validation_fraction,
    seed=seed,
    duplicates=duplicates,
)
studies = data.studies
if dataset == "phantom":
    studies = studies.assign(
        drawn_codes=studies["mesh_major"].map(drawn_codes)
    )
print(f"{len(studies):,} studies kept, {len(data.dropped):,} dropped")
data.dropped["reason"].value_counts().rename_axis(None).to_frame(
    "dropped studies"
)

# %% [markdown]
# What you must know before you believe a number made of these data, if anything; the command line
# says it, too:

# %%
for notice in data.notices:
    print(terminal.filled(notice.sentence))

# %% [markdown]
# What the collection holds, counted from its files:

# %%
NO_COLLECTION = "These are pairs of image and text: no collection to count."
counts = {}
if data.reports is not None:
    counts = openi.collection_counts(data.reports)
pd.Series(counts, name="counted").rename(
    lambda name: name.replace("_", " ")
).to_frame().pipe(styled_tables.styled).format(
    thousands=","
) if counts else NO_COLLECTION

# %% [markdown]
# *Imaged* are the studies with at least one image, *with text* those with findings or an impression,
# *deidentified* those with `XXXX` in their text, and *no acute* those whose impression says "no acute"
# or "no active".
#
# Normal among the studies with images, by label rule:

# %%
if counts:
    imaged, normal = counts["imaged"], counts["imaged_normal"]
    not_indexed = counts["imaged_not_indexed"]
    normal_shares = {
        "mesh-normal": normal / imaged,
        "mesh-normal+no-indexing": (normal + not_indexed) / imaged,
        "drop-no-indexing": normal / (imaged - not_indexed),
    }
pd.DataFrame({"counted": normal_shares, "paper": 0.38}).pipe(
    styled_tables.styled
).format("{:.3f}") if counts else NO_COLLECTION

# %% [markdown]
# :::{of-data} phantom openi
# The paper speaks of 3,955 PA images. There are {num}`01_data?metric=reports:,` *reports*, but
# {num}`01_data?metric=not_imaged:,` of them name no image, so at most
# {num}`01_data?metric=imaged:,` studies can have one. Its "approximately 38 % normal"
# is met ({num}`01_data?metric=imaged_normal_share:.1%`) when studies that nobody indexed count as
# normal, which is why that label rule is the default.
# :::

# %% [markdown]
# ## Which image is the frontal one?
#
# Pairs of your own name their image. Open-I's reports do not say. Two sources do, alone or together, and
# they disagree in how many studies they can serve:

# %%
pd.DataFrame(
    {
        source: views.view_counts(data.reports, views.read_views(source))
        for source in ("dicom", "tsne", "dicom+tsne")
    }
).T.rename_axis("view source").rename(
    columns=lambda name: name.replace("_", " ")
).pipe(styled_tables.styled).format(
    thousands=","
) if counts else NO_COLLECTION

# %% [markdown]
# A fourth source, `projections`, is a table that many users have (`uid,filename,projection`). The
# phantom archive brings one of its own, since it draws one frontal image per study.

# %% [markdown]
# ## A phantom is not a radiograph
#
# The images of Open-I cannot be shipped with this book. So that every chapter runs anywhere, the
# demo edition *draws* one frontal picture for each real report, from the report's own MeSH codes:
# what the code names, on the side and at the place and with the severity it names, over a real
# lung outline. From here on, phantoms and real images take the same road.
#
# So a phantom knows of its report only what the codes say, and not all of that: some headings cannot be
# drawn. Two studies with the same drawn codes get pictures that differ by chance alone, and no model can
# tell which of the two reports belongs to which. The tables of the chapters on
# [retrieval](05_retrieval) and on [evidence](08_evidence) say what that allows, as the *code ceiling*.

# %% mystnb={"figure": {"name": "fig-images", "caption": "Studies of this edition. Where they have MeSH headings: one without findings, and for each of the 19 most frequent headings the study with the fewest other codes, with the code, the study and the beginning of its impression."}, "image": {"alt": "Grid of frontal chest images, each captioned with a MeSH code, the study number and the beginning of the impression"}}
set_matplotlib_formats("jpeg", pil_kwargs={"quality": 85})
shown = showcase.showcase_studies(studies, seed=seed)
contact_sheet(shown["image"], shown["caption"], columns=5)

# %% [markdown]
# One report, as the models will read it. In the editions on Open-I it is quoted from there (Indiana
# University, Demner-Fushman et al. 2016, CC BY-NC-ND 4.0); `XXXX` stands where names and dates were
# removed. An edition on your own pairs shows a text of yours.

# %%
example = shown.iloc[min(2, len(shown) - 1)]
about = f"study {example['study']}, label {example['label']}"
print(terminal.filled(about), terminal.filled(example["text"]), sep="\n\n")

# %% [markdown]
# ## How much of a report a model reads
#
# A text tower reads *tokens*: words of its vocabulary, and pieces of words that it does not have. What
# lies beyond its *context*, a number of tokens, is cut off and never read. A word whose signs are not even
# pieces of the vocabulary becomes one and the same mark, *unknown*, whatever it was. Both are silent: the
# tower gives a vector as sure as any other. So here is, for the model of this run and for the general
# one, what they leave unread of the reports above. CLIP's context is 77 tokens, BiomedCLIP's 256.

# %%
reports = dict(zip(studies["study"], studies["text"], strict=True))
read = {
    name: count_reports(tokenize, reports)
    for name, tokenize in tokenizers.items()
}
reading_table(read)

# %% [markdown]
# *Words in pieces* count words with letters alone. They are no fault: CLIP reads *pneumothorax* in
# four. But where most words are read so, the reports are hardly in the language of the model, and what it
# makes of them means little. What is worth a warning is one, here and on the command line:

# %%
reading = reading_records(read)
for sentence in notices(reading):
    print(terminal.filled(sentence))

# %% [markdown]
# ## Many reports are word for word the same
#
# A normal chest invites a standard sentence. When several studies share one text, no system can
# tell from the text which of them is meant: that bounds every exact-match score from above.

# %%
parts = studies.groupby("split")["label"].agg(studies="size", abnormal="sum")
parts["ceiling of exact match"] = studies.groupby("split")["text"].agg(
    splits.duplicate_ceiling
)
parts.loc[["train", "validation", "test"]].round(3)

# %% [markdown]
# How many studies of each part have a twin in another part, and in their own, and how many share the
# most frequent text (*largest group*)? What a model learns from a training report it knows of its twin
# in the test set too.

# %%
open_questions = audit.evidence_counts(studies, LABEL_NAMES)
NO_SECTIONS = "These are pairs of image and text: no sections to count."
audit.counts_table(open_questions["duplicates"], "split", "measure")

# %% [markdown]
# Equal pictures, by their pixels, whatever their files are called:

# %%
audit.counts_table(open_questions["pictures"], "split", "measure")

# %% [markdown]
# No DICOM patient identifier spans two studies of Open-I, so there a split by study is a split by
# patient; of your own pairs those with one value in the column `patient` stay in one part. Whether a
# split also keeps equal reports and equal pictures in one part is a choice, `duplicates`, and a
# section below shows what hangs on it.
#
# ## What labels and sections leave open
#
# The label comes from MeSH indexing. The impression often says otherwise: abnormal by the index may
# be an old scar, and "no acute disease" to the radiologist. Counted are impressions with the words
# "no acute" or "no active"; other wordings, such as "no evidence of acute disease", are not, so the
# true numbers are higher.

# %%
audit.counts_table(
    open_questions["impression"], "label", "impression"
) if "impression" in open_questions else NO_SECTIONS

# %% [markdown]
# Reports without one of the two sections; the text is then the other one:

# %%
audit.counts_table(
    open_questions["missing"], ["split", "label"], "section"
) if "missing" in open_questions else NO_SECTIONS

# %% [markdown]
# What other choices of label, sections and split do to the tables is measured in
# [the chapter on ablations](09_ablations).
#
# ## Break it, then mend it
#
# The usual random split is already broken: it lets equal reports fall on both sides. A "model" that
# has learnt nothing but its training reports by heart then knows something about the test studies.
# Here it is: a table that looks a test report up among the training reports and answers with the
# label most of them have.


# %%
def look_up(split):
    """Share of test reports also in training, and looked-up labels right."""
    texts = split["text"].map(splits.normalise_text)
    parts = split["split"]
    known = split["label"].groupby(texts[parts == "train"]).mean().round()
    answers = texts[parts == "test"].map(known)
    right = answers == split["label"][parts == "test"]
    found = answers.notna()
    return {
        "also in training": found.mean(),
        "their label looked up rightly": right[found].mean(),
        "also in training or validation": splits.duplicates_across_parts(
            split
        ),
    }


# %% [markdown]
# Now the same studies under both choices. `together` treats all studies with one text or one picture as
# a unit that is never parted. It can fail, where no choice of whole groups gives exactly the wanted number of
# test studies; the sentence then says which number is possible.

# %%
by_choice = {"the split of this run": studies}
for choice in ("ignore", "together"):
    try:
        by_choice[f"duplicates: {choice}"] = splits.split_studies(
            studies,
            test_per_class=test_per_class,
            validation_fraction=validation_fraction,
            seed=seed,
            duplicates=choice,
        )
    except InputError as refusal:
        print(terminal.printable(str(refusal)))
leaks = pd.DataFrame(
    {name: look_up(split) for name, split in by_choice.items()}
)
leaks.T.pipe(styled_tables.styled).format("{:.1%}", na_rep="–")

# %% [markdown]
# {num}`01_data?metric=test_texts_in_training:.1%` of the test reports of this run can be looked up, and
# for {num}`01_data?metric=looked_up_label_right:.1%` of those the label is right: no image was looked
# at, no word understood. (Compare fairly: in Open-I most reports that repeat are normal, so that the answer
# *normal* alone, to these reports, would come near it.) A classifier that reads reports is flattered, and in
# retrieval the training has already pulled some other image towards the very text that a test
# image is to find.
#
# **Mend it:** set `duplicates` to `"together"` in the parameters above (or give
# `-p duplicates=together`, see [running it yourself](rerun)); a split that is given is corrected
# where it is written. The rest of the book keeps `ignore` because the paper names no grouping and its numbers
# are to be compared; [chapter 9](09_ablations) measures what the twins were worth, by a training without them.

# %% tags=["hide-cell"]
write_table(run / "studies.parquet", studies)
write_table(run / "dropped.parquet", data.dropped)
splits.write_split(run / "split.csv", studies)
watch(run, "01_data", [*watched, *data.files])
results = [{"metric": name, "value": value} for name, value in counts.items()]
results += loading_records(data)
results += audit.count_records(open_questions)
results += reading
results += [
    {"metric": f"studies_{split}", "value": int(row["studies"])}
    for split, row in parts.iterrows()
]
results += [
    {"metric": "studies", "value": len(studies)},
    {"metric": "dropped", "value": len(data.dropped)},
    {
        "metric": "normal_share",
        "value": float((studies["label"] == 0).mean()),
    },
    {
        "metric": "duplicate_ceiling_test",
        "value": float(parts.loc["test"].iloc[2]),
    },
    {
        "metric": "test_texts_elsewhere",
        "value": splits.duplicates_across_parts(studies),
    },
]
if counts:
    results.append(
        {
            "metric": "imaged_normal_share",
            "value": normal_shares["mesh-normal+no-indexing"],
            "paper": 0.38,
        }
    )
for metric, row in (
    ("test_texts_in_training", "also in training"),
    ("looked_up_label_right", "their label looked up rightly"),
):
    share = leaks.loc[row, "the split of this run"]
    results.append(
        {"metric": metric, "value": None if pd.isna(share) else float(share)}
    )
results.append(
    {
        "metric": "split_sha256",
        "value": files.sha256_of_file(run / "split.csv"),
    }
)
run.write_results("01_data", results)

# %% [markdown]
# ## Summary
#
# - {num}`01_data?metric=studies:,` studies with a frontal image (drawn, in the demo edition), a text and a label;
#   {num}`01_data?metric=normal_share:.1%` are normal.
# - {num}`01_data?metric=test_texts_elsewhere:.0%` of the test reports stand word for word in
#   another part of the split; a split that keeps equal reports together has none.
# - Exact match cannot exceed {num}`01_data?metric=duplicate_ceiling_test:.3f` on the test studies
#   from their texts alone.
#
# Now you: the [exercises](exercises/01_data) of this chapter.
#
# Next: [the model](02_model) that will read these pairs.
