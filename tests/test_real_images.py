"""The whole road on real radiographs: study table, split, training, index, tables, query."""

import csv
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian
from safetensors.torch import load_file, save_file

from cxr_mtl.base.files import sha256_of_file
from cxr_mtl.data.dataset import load_dataset
from cxr_mtl.data.images import read_image
from cxr_mtl.data.splits import split_studies
from cxr_mtl.evidence.bootstrap import Bootstrap
from cxr_mtl.evidence.tables import evaluate_tables
from cxr_mtl.explorer.query import query_run
from cxr_mtl.models.backbones import load_backbone
from cxr_mtl.models.features import compute_features, embed
from cxr_mtl.models.last_layer import LastLayer, freeze
from cxr_mtl.retrieval.index import Index, fused_vectors
from cxr_mtl.runs.run import Run
from cxr_mtl.training.fine_tuned import load_fine_tuned, save_fine_tuned
from cxr_mtl.training.trainer import TrainingConfig, embed_rows, train

pytestmark = pytest.mark.skipif(
    "CXR_MTL_TEST_DATA" not in os.environ, reason="CXR_MTL_TEST_DATA is not set"
)
PAIRS = 300
CONFIG = TrainingConfig(epochs=2, batch_size=25, learning_rate=1e-3, head_learning_rate=1e-2)


@pytest.fixture(scope="module")
def data() -> Path:
    return Path(os.environ["CXR_MTL_TEST_DATA"]).absolute()


@pytest.fixture(scope="module")
def source(untrained_folder, tmp_path_factory) -> str:
    """The untrained model with larger weights.

    At its initial weights a CLS token is nearly the same whatever the tower reads.
    """
    folder = tmp_path_factory.mktemp("a model") / "louder"
    shutil.copytree(untrained_folder, folder)
    tensors = load_file(folder / "open_clip_model.safetensors")
    in_a_tower = ("patch_embed", "blocks", "encoder")
    for name, tensor in tensors.items():
        if tensor.ndim > 1 and any(part in name for part in in_a_tower):
            tensors[name] = 10 * tensor
    save_file(tensors, folder / "open_clip_model.safetensors")
    return f"local-dir:{folder}"


@pytest.fixture(scope="module")
def done(data, source, tmp_path_factory) -> SimpleNamespace:
    """What a run on 300 real radiographs makes, from the CSV to the saved index."""
    folder = tmp_path_factory.mktemp("a run")
    pairs = pd.read_csv(data / "rocov2-cxr" / "captions.csv").head(PAIRS)
    pairs["image"] = [str(data / "rocov2-cxr" / image) for image in pairs["image"]]
    pairs.to_csv(folder / "pairs.csv", index=False)
    loaded = load_dataset("pairs", csv=folder / "pairs.csv")
    studies = split_studies(loaded.studies, test_per_class=25, validation_fraction=0.2, seed=0)
    rows = {
        part: torch.from_numpy(np.flatnonzero(studies["split"] == part))
        for part in ("train", "validation", "test")
    }

    pretrained = load_backbone(source)
    features = compute_features(pretrained, studies, 1, folder / "cache")
    freeze(pretrained.model, 1)
    labels = torch.tensor(studies["label"].to_numpy())
    start = LastLayer(pretrained.model, 1)
    trained = train(start, features, labels, rows["train"], rows["validation"], CONFIG)

    run = Run(folder / "run")
    save_fine_tuned(run / "fine_tuned", trained, pretrained, CONFIG)
    fine_tuned, _ = load_fine_tuned(run / "fine_tuned", load_backbone(source))
    test = studies[studies["split"] == "test"].reset_index(drop=True)
    embeddings = embed(fine_tuned, test)
    metadata = test[["study", "image", "label", "text"]]
    Index.build(fused_vectors(*embeddings), metadata, fine_tuned.key).save(run / "index")
    return SimpleNamespace(
        pairs=pairs,
        dropped=loaded.dropped,
        studies=studies,
        trained=trained,
        run=run,
        key=fine_tuned.key,
        test=test,
        embeddings=embeddings,
        embedded_by_training=embed_rows(trained.last_layer, features, rows["test"]),
        embedded_before=embed_rows(start, features, rows["test"]),
    )


def unit(vectors):
    vectors = np.asarray(vectors, dtype=np.float64)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def test_every_pair_becomes_a_study_in_one_part(done):
    assert len(done.dropped) == 0
    assert done.studies["image"].tolist() == done.pairs["image"].tolist()
    assert done.studies["label"].tolist() == done.pairs["label"].tolist()
    assert done.studies["text"].tolist() == [" ".join(t.split()) for t in done.pairs["text"]]
    assert done.studies["image_sha256"][7] == sha256_of_file(done.pairs["image"][7])
    assert done.test["label"].value_counts().to_dict() == {0: 25, 1: 25}
    counts = done.studies["split"].value_counts().to_dict()
    assert counts == {"train": 200, "validation": 50, "test": 50}


def test_every_loss_is_finite_and_the_total_falls(done):
    steps, epochs = done.trained.steps, done.trained.epochs
    assert (len(steps), len(epochs)) == (2 * 200 // 25, 2)
    assert np.isfinite(steps.to_numpy()).all()
    assert epochs["total"].iloc[1] < epochs["total"].iloc[0] - 0.01
    assert epochs["validation_mrr"].between(0, 1, inclusive="neither").all()


def test_the_loaded_model_embeds_as_the_trained_one_did(done):
    for loaded, trained, before in zip(
        done.embeddings, done.embedded_by_training, done.embedded_before, strict=True
    ):
        np.testing.assert_allclose(loaded, trained, rtol=1e-4, atol=1e-5)
        assert np.abs(loaded - before).max() > 0.1


def test_the_saved_index_finds_what_brute_force_over_fused_vectors_finds(done):
    images, texts = map(unit, done.embeddings)
    fused = unit((images + texts) / 2)
    index = Index.load(done.run / "index", done.key)
    for queries in (images, texts):
        found, positions = index.search(queries, 50)
        expected = np.sort(queries @ fused.T, axis=1)[:, ::-1]
        np.testing.assert_allclose(found, expected, atol=1e-5)
        assert (np.sort(positions, axis=1) == np.arange(50)).all()
    assert index.metadata["study"].tolist() == done.test["study"].tolist()


def test_the_tables_records_are_complete_and_right(done):
    bootstrap = Bootstrap(len(done.test), seed=0, resamples=100)
    labels = done.test["label"]
    records, _ = evaluate_tables(*done.embeddings, labels, "fine_tuned", None, bootstrap)
    expected = set()
    for direction, by_label in (("image_to_text", 2), ("text_to_image", 3)):
        for protocol in ("fused", "cross_modal"):
            for k in (1, 3, 5, 10):
                expected |= {(1, direction, protocol, m, k) for m in ("accuracy", "similarity")}
                names = ("precision", "similarity")
                expected |= {(by_label, direction, protocol, m, k) for m in names}
            names = ("f1", "roc_auc", "map")
            expected |= {(by_label, direction, protocol, m, None) for m in names}
        expected |= {(None, direction, "cross_modal", "recall", k) for k in (1, 5, 10)}
        expected |= {
            (None, direction, "cross_modal", m, None) for m in ("mrr", "median_rank", "mean_rank")
        }
    columns = ("table", "direction", "protocol", "metric", "k")
    values = {tuple(r[c] for c in columns): r["value"] for r in records}
    assert set(values) == expected
    assert len(records) == len(expected)

    images, texts = map(unit, done.embeddings)
    for direction, scores in (
        ("image_to_text", images @ texts.T),
        ("text_to_image", texts @ images.T),
    ):
        ranks = [1 + sum(row > row[own]) for own, row in enumerate(scores)]
        strict = {key[3:]: v for key, v in values.items() if key[:2] == (None, direction)}
        for k in (1, 5, 10):
            assert strict["recall", k] == pytest.approx(np.mean(np.array(ranks) <= k), abs=0.021)
        assert strict["mrr", None] == pytest.approx(np.mean(1 / np.array(ranks)), rel=0.02)


def test_an_image_of_the_index_finds_its_own_study_first(done):
    own = done.test.iloc[3]
    hits = query_run(done.run, image=Path(own["image"]), k=5)
    assert len(hits) == 5
    assert hits[0]["study"] == own["study"]
    assert hits[0]["text"] == own["text"]
    images, texts = map(unit, done.embeddings)
    expected = np.sort(unit(images + texts) @ images[3])[::-1][:5]
    np.testing.assert_allclose([hit["score"] for hit in hits], expected, atol=1e-5)


def test_a_report_of_the_index_finds_what_its_embedding_is_nearest_to(done):
    hits = query_run(done.run, text=done.test["text"][3], k=50)
    images, texts = map(unit, done.embeddings)
    scores = pd.Series(unit(images + texts) @ texts[3], index=done.test["study"])
    assert [hit["study"] for hit in hits[:1]] == [scores.idxmax()]
    found = pd.Series({hit["study"]: hit["score"] for hit in hits})
    np.testing.assert_allclose(found[scores.index], scores, atol=1e-5)
    assert hits == sorted(hits, key=lambda hit: -hit["score"])


def test_of_openi_exactly_the_studies_whose_frontal_image_is_there_are_kept(data, tmp_path):
    samples = data / "openi-samples"
    folder = tmp_path / "Open I"
    shutil.copytree(samples / "images", folder / "NLMCXR_png")
    present = {path.stem for path in (samples / "images").glob("*.png")}
    frontal = {}
    with open(samples / "indiana_projections.csv", newline="") as file:
        for row in csv.DictReader(file):
            if row["projection"] == "Frontal":
                name = f"CXR{row['filename'].removesuffix('.dcm.png')}"
                frontal.setdefault(row["uid"], []).append(name)
    expected = {uid: min(ids) for uid, ids in frontal.items() if min(ids) in present}
    assert len(present) == 7
    assert len(expected) == 4

    loaded = load_dataset(
        "openi",
        folder=folder,
        projections=samples / "indiana_projections.csv",
        view_source="projections",
    )
    kept = dict(zip(loaded.studies["study"], loaded.studies["image"], strict=True))
    assert {study: Path(image).stem for study, image in kept.items()} == expected
    assert loaded.studies["image_sha256"].tolist() == [sha256_of_file(i) for i in kept.values()]
    assert loaded.studies["text"].str.len().min() > 20

    assert len(kept) + len(loaded.dropped) == 3955
    assert not set(kept) & set(loaded.dropped["study"])
    reasons = loaded.dropped["reason"].value_counts()
    assert reasons.to_dict() == {
        "image missing": 3666 - 4,
        "no frontal image": 3851 - 3689,
        "no image": 104,
        "no text": 3689 - 3666,
    }
    assert (loaded.dropped["detail"].str.len() > 0).all()


def as_dicom(path: Path, folder: Path) -> Path:
    """A radiograph as a 12-bit DICOM file of MONOCHROME1, its window twice as wide as its range."""
    gray = np.asarray(Image.open(path).convert("L"))
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.PatientName = "Nobody^Known"
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME1"
    dataset.Rows, dataset.Columns = gray.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelRepresentation = 0
    dataset.WindowCenter, dataset.WindowWidth = 2048, 4096
    dataset.PixelData = (4095 - 16 * gray.astype("<u2")).tobytes()
    dataset["PixelData"].VR = "OW"
    dataset.save_as(folder / f"{path.stem}.dcm", enforce_file_format=False)
    return folder / f"{path.stem}.dcm"


def test_pairs_and_queries_take_dicom_and_find_what_the_same_pictures_find(done, tmp_path):
    test = done.test.head(6)
    (tmp_path / "films").mkdir()
    films = [as_dicom(Path(image), tmp_path / "films") for image in test["image"]]
    table = pd.DataFrame({"image": films, "text": test["text"], "label": test["label"]})
    table.to_csv(tmp_path / "pairs.csv", index=False)
    loaded = load_dataset("pairs", csv=tmp_path / "pairs.csv")
    assert len(loaded.dropped) == 0
    assert loaded.studies["image"].tolist() == [str(film) for film in films]
    assert b"Nobody" in films[0].read_bytes()
    assert "Nobody" not in loaded.studies.to_csv()

    for film, image in zip(films, test["image"], strict=True):
        shown, expected = np.asarray(read_image(film)), np.asarray(read_image(image))
        assert np.abs(shown.astype(int) - expected).max() <= 1
        hits, same = (query_run(done.run, image=Path(path), k=1) for path in (film, image))
        assert hits[0]["study"] == same[0]["study"]
        assert hits[0]["score"] == pytest.approx(same[0]["score"], abs=1e-2)
