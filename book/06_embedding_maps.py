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
#     needs: [studies.parquet, models.json, embeddings]
#     asks: {test: 21}
#     leaves: [tsne.parquet, results/06_embedding_maps.json]
# ---

# %% [markdown]
# # Maps of the embedding space
#
# **You will learn** how the paper's Figure 4 is made, two numbers that say how far such a picture
# can be believed, and how to make islands of pure noise. **It needs** the embeddings of [the retrieval chapter](05_retrieval).

# %% tags=["hide-input"]
import numpy as np
import pandas as pd

from cxr_mtl.base import read_json, read_table, write_table
from cxr_mtl.figures import embedding_maps, use_theme
from cxr_mtl.retrieval import (
    embedding_map,
    fused_vectors,
    normalised,
    stored_embeddings,
)
from cxr_mtl.runs import check_parameters, open_run

use_theme()

# %% tags=["parameters"]
run_dir: str = "runs/demo"  # folder of this run
seed: int = 0  # seed of every random choice
tsne_perplexity: float = 30.0  # effective number of neighbours of t-SNE

# %% [markdown]
# ## A picture and two numbers
#
# t-SNE {cite}`vandermaaten2008` places the fused vectors of the test studies in the plane so that
# near neighbours stay near. It draws clusters even where there are few, so two measures stand below
# each panel. *Label accuracy* says how often the label of a study is that of most of its 10 nearest
# neighbours *in the embedding space*: 0.5 is chance here, with as many normal as abnormal studies.
# *Trustworthiness* is a property of the map: 1 when every neighbour on paper is a neighbour in truth.

# %%
check_parameters(globals())
run = open_run(run_dir)
studies = read_table(run / "studies.parquet")
test = studies[studies["split"] == "test"].reset_index(drop=True)
labels = test["label"].to_numpy()
models = read_json(run / "models.json")
fused = {
    name: fused_vectors(v, t)
    for name, (v, t) in stored_embeddings(run / "embeddings", models).items()
}
maps = {
    name: embedding_map(vectors, labels, seed, tsne_perplexity)
    for name, vectors in fused.items()
}

# %% mystnb={"figure": {"name": "fig-maps", "caption": "t-SNE of the fused embeddings of the test studies (the paper's Figure 4), coloured by label."}, "image": {"alt": "Three scatter plots of test studies, one per model, coloured by normal and abnormal"}}
embedding_maps(maps, labels)
# %% [markdown]
# Read the numbers first, then the picture. The distance between two groups on paper means nothing,
# nor does the size of a group, and the axes have no unit.
#
# ## Break it, then mend it
#
# Put random vectors in place of the embeddings, in the line `noise = …` below, and draw them twice:
# once with the perplexity of this run, which asks for
# {num}`06_embedding_maps?metric=perplexity&of=maps:g` neighbours each, and once with a perplexity of
# 2. Beside them stand the fine-tuned embeddings, with a perplexity of 2 as well. The islands
# on the left hold nothing at all.

# %%
rng = np.random.default_rng(seed)
noise = normalised(rng.standard_normal(fused["fine_tuned"].shape))
FEW = 2.0
broken = {
    "random vectors, few neighbours": embedding_map(noise, labels, seed, FEW),
    "random vectors": embedding_map(noise, labels, seed, tsne_perplexity),
    "fine-tuned, few neighbours": embedding_map(
        fused["fine_tuned"], labels, seed, FEW
    ),
}

# %% mystnb={"figure": {"name": "fig-noise-maps", "caption": "t-SNE of random vectors with a perplexity of 2 and with that of this run, and of the fine-tuned embeddings with a perplexity of 2. The labels of the first two were given to random vectors and mean nothing."}, "image": {"alt": "Three scatter plots. Random vectors fall into many small islands with perplexity 2 and into an even cloud otherwise. The fine-tuned embeddings fall into many islands, most of one colour."}}
embedding_maps(broken, labels)
# %% [markdown]
# The islands come from the perplexity. Each point was asked to stay near two others, and did.
#
# The mend is to believe the measures, not the picture. The label accuracy of random vectors is
# {num}`06_embedding_maps?model=random vectors&metric=label_accuracy:.2f` in both maps: it is computed where
# the vectors live and never sees a map. The trustworthiness falls from
# {num}`06_embedding_maps?model=random vectors&metric=trustworthiness:.3f` to
# {num}`06_embedding_maps?model=random vectors, few neighbours&metric=trustworthiness:.3f`: many neighbours
# on paper are none in truth. The fine-tuned embeddings, cut into islands by the same
# perplexity, have the label accuracy of
# {num}`06_embedding_maps?model=fine-tuned, few neighbours&metric=label_accuracy:.3f` that they have on any
# map; what the map lost shows in its trustworthiness. A claim about
# clusters needs such a number, and a map needs a second one beside it, drawn with another
# perplexity, that shows the same.

# %% tags=["hide-cell"]
coordinates = pd.concat(
    [
        pd.DataFrame(found.coordinates, columns=["x", "y"]).assign(
            model=name, study=test["study"], label=labels
        )
        for name, found in maps.items()
    ]
)
write_table(run / "tsne.parquet", coordinates)
run.write_results(
    "06_embedding_maps",
    [
        {"model": name, "metric": metric, "value": getattr(found, metric)}
        for name, found in (maps | broken).items()
        for metric in ("label_accuracy", "trustworthiness")
    ]
    + [{"metric": "perplexity", "of": "maps", "value": tsne_perplexity}],
)

# %% [markdown]
# ## Summary
#
# - Among its 10 nearest neighbours a study's own label is in the majority for
#   {num}`06_embedding_maps?model=fine_tuned&metric=label_accuracy:.1%` of the test studies after
#   fine-tuning.
# - Both images and reports enter the fused vectors, and a report names the findings the label is
#   made from: separation by label here says little about what the *images* alone would give.
# - t-SNE makes islands of noise. The two measures do not.
#
# Try your hand at the [exercises](exercises/06_embedding_maps).
#
# Next: [what it costs](07_cost).
