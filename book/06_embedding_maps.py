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
#     leaves: [tsne.parquet, results/06_embedding_maps.json]
# ---

# %% [markdown]
# # Maps of the embedding space
#
# **You will learn** how the paper's Figure 4 is made, and two numbers that say how far such a
# picture can be believed. **It needs** the embeddings of [the retrieval chapter](05_retrieval).

# %% tags=["hide-input"]
import pandas as pd
from safetensors.numpy import load_file

from cxr_mtl.figures import embedding_maps, use_theme
from cxr_mtl.files import read_json, read_table, write_table
from cxr_mtl.maps import embedding_map
from cxr_mtl.retrieval import fused_vectors
from cxr_mtl.runs import Run

use_theme()

# %% tags=["parameters"]
run_dir: str = "runs/demo"  # folder of this run
seed: int = 0  # seed of every random choice
tsne_perplexity: float = 30.0  # effective number of neighbours of t-SNE

# %% [markdown]
# t-SNE {cite}`vandermaaten2008` places the fused vectors of the test studies in the plane so that
# near neighbours stay near. It draws clusters even where there are few, so two measures stand below
# each panel: how often the label of a study is that of most of its 10 nearest neighbours *in the
# embedding space* (0.5 is chance here, with as many normal as abnormal studies), and the
# trustworthiness of the map, 1 when every neighbour on paper is a neighbour in truth.

# %%
run = Run(run_dir)
studies = read_table(run / "studies.parquet")
test = studies[studies["split"] == "test"].reset_index(drop=True)
labels = test["label"].to_numpy()
models = read_json(run / "models.json")
maps = {}
for name in (
    "fine_tuned",
    models["fine_tuned_from"]["name"],
    models["general"]["name"],
):
    stored = load_file(
        run / "embeddings" / f"{name.replace('/', '_')}.safetensors"
    )
    fused = fused_vectors(stored["image"], stored["text"])
    maps[name] = embedding_map(fused, labels, seed, tsne_perplexity)

# %% mystnb={"figure": {"name": "fig-maps", "caption": "t-SNE of the fused embeddings of the test studies (the paper's Figure 4), coloured by label."}, "image": {"alt": "Three scatter plots of test studies, one per model, coloured by normal and abnormal"}}
embedding_maps(maps, labels)
# %%
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
        for name, found in maps.items()
        for metric in ("label_accuracy", "trustworthiness")
    ],
)

# %% [markdown]
# ## Summary
#
# - Among its 10 nearest neighbours a study's own label is in the majority for
#   {num}`06_embedding_maps?model=fine_tuned&metric=label_accuracy:.1%` of the test studies after
#   fine-tuning.
# - Both images and reports enter the fused vectors, and a report names the findings the label is
#   made from: separation by label here says little about what the *images* alone would give.
#
# Next: [what it costs](07_cost).
