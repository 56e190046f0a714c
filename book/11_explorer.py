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
#     needs: [studies.parquet, models.json, fine_tuned, embeddings, tsne.parquet]
#     leaves: [explorer, results/11_explorer.json]
# ---

# %% [markdown]
# # The explorer
#
# **You will learn** what single searches look like that the tables only count: pick an image or a
# report of the {num}`11_explorer?metric=studies` test studies, or type a report, and see what each
# model puts first, under which protocol. **It needs** nothing to be used; to be made, the embeddings
# of [the retrieval chapter](05_retrieval) and the maps of [chapter 6](06_embedding_maps).
#
# ```{explorer}
# ```
#
# ## What to try
#
# 1. **Switch the protocol.** Take an image, note the rank of its own study under the strict
#    protocol, then search the paper's fused index. Half of the target is now the query itself.
# 2. **Switch the model.** The same query to the two baselines: does fine-tuning bring studies with
#    the same *finding* forward, or only studies with the same label?
# 3. **Turn a word round.** Type "right pleural effusion", then "left pleural effusion", then "no
#    pleural effusion". How much of the order changes?
# 4. **Look for a normal chest.** With the report of a normal study as query many images are right in
#    all but name; recall of the own study counts every other one as wrong.
#
# One query proves nothing: whoever tries ten and keeps the best has chosen, not measured. How often
# a search succeeds stands in [chapter 5](05_retrieval), and what such shares can say in
# [chapter 8](08_evidence).
#
# What is typed stays in the page, which asks no server for anything. Only the fine-tuned model reads
# typed reports. It is a study's model: nothing it finds is advice on a patient.
#
# ## Whose reports and images these are
#
# In the editions on Open-I the reports come from the Indiana University collection
# {cite}`demner2016`, under
# [CC BY-NC-ND 4.0](https://creativecommons.org/licenses/by-nc-nd/4.0/), and are shown word for word;
# `XXXX` stands where names and dates were removed. In the demo edition the images are phantoms that
# your machine drew from index terms, not radiographs. This page carries the report and a thumbnail
# of every test study: whoever publishes it publishes them, and needs the right to do so, above all
# for pairs of their own.
#
# ## How this page is made
#
# Browsers let a page from disk load scripts but no data, so everything the page knows is a script: the
# test studies with their embeddings, and the text tower that embeds what is typed.

# %% tags=["hide-input"]
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from cxr_mtl.base import DatasetName, read_json, read_table, styled_tables
from cxr_mtl.explorer import (
    EXAMPLE_QUERIES,
    model_entry,
    text_tower_onnx,
    write_bundle,
)
from cxr_mtl.models import embed_texts, load_recorded
from cxr_mtl.retrieval import normalised, stored_embeddings
from cxr_mtl.runs import check_parameters, open_run
from cxr_mtl.training import load_fine_tuned

# %% tags=["parameters"]
run_dir: str = "runs/demo"  # folder of this run
dataset: DatasetName = "openi"  # where images and reports come from

# %% [markdown]
# For each model the page gets the embeddings of chapter 5, L2-normalised, and the map of chapter 6.
# Every search in the page is a product of one query with all of them, as in chapter 5.

# %%
check_parameters(globals())
run = open_run(run_dir)
studies = read_table(run / "studies.parquet")
test = studies[studies["split"] == "test"].reset_index(drop=True)
record = run / "models.json"
about = read_json(record)
maps = read_table(run / "tsne.parquet")
embeddings = stored_embeddings(run / "embeddings", about)
models = [
    model_entry(name, pair, maps, test) for name, pair in embeddings.items()
]

# %% [markdown]
# ### The text tower leaves Python
#
# PyTorch writes the fine-tuned text tower, with its projection and the normalisation behind it, as
# one ONNX file: token ids in, an embedding of length 1 out. The page runs it with onnxruntime-web.
# A tower that is too large to be loaded by a page, such as BiomedCLIP's, is left out, and so is one
# whose tokenizer the page does not know; the page then offers picking only.

# %%
backbone, _ = load_fine_tuned(
    run / "fine_tuned", load_recorded(record, "fine_tuned_from")
)
reason = text_tower_onnx.obstacle(backbone)
tower = None if reason else text_tower_onnx.export_text_tower(backbone)
print(
    f"not exported: {reason}" if reason else f"{len(tower) / 1e6:.1f} MB ONNX"
)

# %% [markdown]
# The file has its large matrices in eight bits where that changes no number, as in the frozen part of
# the demo's models, else in sixteen. Is it still the same tower? onnxruntime embeds all test reports
# from the file, batched and padded, and PyTorch's embeddings stand beside them: no component of an
# embedding differs by more than {num}`11_explorer?metric=onnx_difference:.6f`. (It is undefined where
# the tower was left out.)

# %%
if tower:
    t = normalised(embed_texts(backbone, list(test["text"])))
    ids = backbone.tokenize(list(test["text"]))
    again = text_tower_onnx.OnnxTextTower(tower).embed(ids)
    difference = float(np.abs(again - t).max())
    longest = int((ids != 0).sum(1).max())
    print(f"{len(test)} reports of up to {longest} tokens: {difference:.1e}")

# %% [markdown]
# The page has to split words as the tokenizer in Python does: lower case, no accents, punctuation
# apart, then the longest pieces of the vocabulary. It does not repair wrongly decoded characters,
# which open_clip does first. Fifty typed queries with their token ids, embeddings and first studies,
# made here by tokenizer and model themselves, go with the data: the page is tested against them.

# %%
v = normalised(embeddings["fine_tuned"][0])
examples = (
    text_tower_onnx.typed_examples(backbone, v, list(test["study"]))
    if tower
    else []
)
print(f"{len(examples)} typed queries")

# %% [markdown]
# ### Twelve of them, and why
#
# They were chosen before a model was asked: what should be easy, and what sides, denials, spelling,
# rare or small findings should make hard. Where the studies have codes, the table says which share of
# the first ten images has by its codes what was asked for, or has it not where it was denied, and which
# share of all test studies has: a random order would find that.

# %% tags=["hide-input"]
rows = []
for query in EXAMPLE_QUERIES if tower else ():
    texts = backbone.tokenize([query.text])
    with torch.inference_mode():
        (asked,) = normalised(backbone.model.encode_text(texts))
    nearest = np.argsort(-(v @ asked), kind="stable")[:10]
    row = {"typed": query.text, "why": query.reason}
    if "mesh_major" in test:
        right = test["mesh_major"].map(query.is_answered_by).to_numpy()
        row |= {
            "of the first ten": right[nearest].mean(),
            "of all": right.mean(),
        }
    row["first studies"] = ", ".join(test["study"].iloc[nearest[:3]])
    rows.append(row)
pd.DataFrame(rows).pipe(styled_tables.styled).format(precision=2).hide()

# %% [markdown]
# ### What the page loads
#
# Reports, embeddings and maps come with the page, the pictures in one sheet beside them; the text
# tower only when a report is typed, and with it onnxruntime-web. That is a package of npm, by
# Microsoft under the MIT licence, which `make` fetches where npm is installed; the building of the
# pages checks it against the published sum. Without it the page says so and offers picking only.

# %%
sizes = write_bundle(
    run / "explorer",
    run=Path(run_dir).name,
    dataset=dataset,
    test=test,
    models=models,
    tower=tower,
    text_tower={
        "model": "fine_tuned",
        **text_tower_onnx.tokenizer_card(backbone.tokenize),
    }
    if tower
    else None,
    examples=examples,
)
pd.DataFrame(
    {"file": name, "MB": f"{size / 1e6:.2f}"} for name, size in sizes.items()
).pipe(styled_tables.styled).hide()

# %% tags=["hide-cell"]
run.write_results(
    "11_explorer",
    [
        {"metric": "studies", "value": len(test)},
        *(
            {
                "metric": "answered",
                "query": row["typed"],
                "of": of,
                "value": row[of],
            }
            for row in rows
            for of in ("of the first ten", "of all")
            if of in row
        ),
        {
            "metric": "onnx_difference",
            "value": difference if tower else None,
        },
        *(
            {"metric": "megabytes", "file": name, "value": size / 1e6}
            for name, size in sizes.items()
        ),
    ],
)

# %% [markdown]
# ## Summary
#
# - The page searches the same vectors as [chapter 5](05_retrieval), in the browser: no server, no
#   request, also from disk.
# - Typed queries pass the text tower of this run, exported and found equal to the original within
#   {num}`11_explorer?metric=onnx_difference:.6f` in every component.
# - It shows *what* is found. How often, and whether the difference between two models is more than
#   luck, only the tables say.
#
# You have seen the whole study. To run it with other parameters or your own data, go to
# [running it yourself](rerun).
