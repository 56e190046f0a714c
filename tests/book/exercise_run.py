"""A run as small as the exercises can read it: drawn numbers, and an untrained model."""

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from untrained import REPORTS, write_untrained_model

from cxr_mtl.ablations import evaluation, training_runs
from cxr_mtl.base.files import sha256_of_file, write_json, write_table
from cxr_mtl.models.backbones import load_backbone
from cxr_mtl.retrieval.embeddings import store_embeddings
from cxr_mtl.runs.run import Run
from cxr_mtl.training.fine_tuned import save_fine_tuned, trained_weights
from cxr_mtl.training.setup import prepare_training
from cxr_mtl.training.trainer import TrainingConfig, embed_rows

PARTS = {"train": 60, "validation": 16, "test": 64}
CONFIG = TrainingConfig(epochs=2, batch_size=8, learning_rate=1e-3, threads=1)


def write_run(folder: Path) -> dict[str, str]:
    """Write what the exercises need into `folder`; returns the parameters of their pages."""
    rng = np.random.default_rng(0)
    run, values = Run(folder / "run"), {"cache_dir": str(folder / "cache"), "device": "cpu"}
    (folder / "model").mkdir(parents=True)
    write_untrained_model(folder / "model")
    source = f"local-dir:{folder / 'model'}"
    model = {"name": "untrained", "source": source, "key": load_backbone(source).key}
    studies = _studies(folder, rng)
    write_table(run / "studies.parquet", studies)
    general = {**model, "name": "general"}
    write_json(run / "models.json", {"fine_tuned_from": model, "general": general, "blocks": 2})
    _search(run, rng)

    setup = prepare_training(run.path, folder / "cache", 1, "float32", "cpu")
    trained = setup.train(CONFIG)
    save_fine_tuned(run / "fine_tuned", trained, setup.backbone, CONFIG)
    write_table(run / "steps.parquet", trained.steps)
    write_table(run / "epochs.parquet", trained.epochs)
    shape = PARTS["test"], setup.backbone.embedding_size
    labels = studies.loc[studies["split"] == "test", "label"].to_numpy()[:, None]
    embeddings = {}
    for noise, name in enumerate(("fine_tuned", "untrained", "general"), start=1):
        shared = rng.normal(0.05 * labels, 1, shape)
        embeddings[name] = tuple(
            (shared + rng.normal(0, 3 * noise, shape)).astype(np.float32) for _ in range(2)
        )
    store_embeddings(run / "embeddings", embeddings)
    tsne = pd.DataFrame(rng.normal(size=(PARTS["test"], 2)), columns=["x", "y"])
    write_table(run / "tsne.parquet", tsne.assign(model="fine_tuned"))
    _results(run, setup)
    return {"run_dir": str(run.path), **values}


def _studies(folder, rng):
    rows = []
    for number in range(sum(PARTS.values())):
        path = folder / f"{number}.png"
        Image.fromarray(rng.integers(0, 255, (112, 112), dtype=np.uint8)).save(path)
        sides = " on the left"[: 13 * int(rng.integers(2))]
        text = f"{REPORTS[number % 4]}{sides} Study {number % 40}."
        rows.append((str(number), str(path), text, int(number % 4 in (1, 2))))
    studies = pd.DataFrame(rows, columns=["study", "image", "text", "label"])
    hashes = studies["image"].map(lambda path: sha256_of_file(Path(path)))
    return studies.assign(image_sha256=hashes, split=np.repeat(list(PARTS), list(PARTS.values())))


def _search(run, rng):
    names = ("bce", "supcon", "clip")
    trials = pd.DataFrame(rng.uniform(0.2, 2, (4, 3)), columns=[f"params_{n}" for n in names])
    trials.insert(0, "value", [0.3, 0.5, 0.4, 0.9])
    trials = trials.assign(number=range(4), state=["COMPLETE", "COMPLETE", "COMPLETE", "PRUNED"])
    write_table(run / "trials.parquet", trials)
    write_json(run / "best_weights.json", {n: trials[f"params_{n}"][1] for n in names})


def _results(run, setup):
    times = {"trials": 2, "search_epochs": 1, "frozen_prefix_seconds": 3.0}
    costs = [{"metric": name, "value": value} for name, value in times.items()]
    costs.append({"metric": "search_minutes", "path": "plain open_clip", "value": 0.5})
    costs.append({"metric": "epoch_seconds", "studies": 60, "value": 1.0})
    run.write_results("07_cost", costs)
    groups = [{"group": "seed", "metric": "mrr", "value": value} for value in (0.1, 0.2)]
    weights = trained_weights(run / "fine_tuned")
    for alpha in (0.0, 0.5, 1.0):
        mixed = training_runs.interpolated(setup.start, weights, alpha)
        pair = embed_rows(mixed, setup.features, setup.rows["test"], "cpu")
        mrr = float(evaluation.study_mrr(*pair).mean())
        groups.append({"alpha": alpha, "metric": "mrr", "direction": "both", "value": mrr})
    run.write_results("09_ablations", groups)
    head = {"model": "fusion head", "input": "both", "group": "all"}
    rates = [{**head, "metric": name, "value": 0.8} for name in ("sensitivity", "specificity")]
    run.write_results("10_classifier", rates)
