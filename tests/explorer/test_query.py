"""Asking a run: the nearest studies by image or report, and one sentence for what cannot be."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.files import read_json, write_json
from cxr_mtl.base.terminal import PlainConsole
from cxr_mtl.explorer.query import describe_index, hits_table, query_run
from cxr_mtl.models.backbones import load_backbone
from cxr_mtl.models.features import compute_features, embed
from cxr_mtl.models.last_layer import LastLayer, freeze
from cxr_mtl.retrieval.index import Index, fused_vectors
from cxr_mtl.runs.run import Run
from cxr_mtl.training.fine_tuned import load_fine_tuned, save_fine_tuned
from cxr_mtl.training.trainer import TrainingConfig, train

CONFIG = TrainingConfig(epochs=1, batch_size=8, learning_rate=1e-3)


@pytest.fixture(scope="module")
def source(untrained_folder):
    return f"local-dir:{untrained_folder}"


@pytest.fixture(scope="module")
def finished(source, studies, tmp_path_factory):
    """A run with a fine-tuned model and an index, and the embeddings of the indexed studies."""
    run = Run(tmp_path_factory.mktemp("a run"))
    backbone = load_backbone(source)
    features = compute_features(backbone, studies, 1, run / "cache")
    freeze(backbone.model, 1)
    rows = torch.arange(len(studies))
    labels = torch.tensor(studies["label"].to_numpy())
    start = LastLayer(backbone.model, 1)
    trained = train(start, features, labels, rows[:16], rows[16:], CONFIG)
    save_fine_tuned(run / "fine_tuned", trained, backbone, CONFIG)
    fine_tuned, _ = load_fine_tuned(run / "fine_tuned", load_backbone(source))
    embeddings = embed(fine_tuned, studies)
    metadata = studies[["study", "image", "label", "text"]]
    Index.build(fused_vectors(*embeddings), metadata, fine_tuned.key).save(run / "index")
    return run, embeddings


def unit(vectors):
    vectors = np.asarray(vectors, dtype=np.float64)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


@pytest.mark.parametrize("kind", ["image", "text"])
def test_hits_are_the_nearest_fused_vectors_with_their_studies(finished, studies, kind):
    run, (images, texts) = finished
    own = studies.iloc[7]
    hits = query_run(run, k=24, **{kind: own[kind]})
    query = unit((images if kind == "image" else texts)[7])
    cosine = dict(zip(studies["study"], unit(unit(images) + unit(texts)) @ query, strict=True))
    assert {hit["study"] for hit in hits} == set(studies["study"])
    for hit in hits:
        assert hit["score"] == pytest.approx(cosine[hit["study"]], abs=1e-5)
        row = studies.set_index("study").loc[hit["study"]]
        assert [hit[c] for c in ("image", "label", "text")] == [row.image, row.label, row.text]
    scores = [hit["score"] for hit in hits]
    assert scores == sorted(scores, reverse=True)


def test_dicom_has_the_hits_and_scores_of_its_png(finished, studies, as_dicom):
    for row in (0, 7):
        hits = [query_run(finished[0], image=table["image"][row]) for table in (studies, as_dicom)]
        assert hits[0] == hits[1]


def test_k_hits_come_back_and_are_plain_json(finished):
    hits = query_run(finished[0], text="Pleural effusion.", k=3)
    assert json.loads(json.dumps(hits)) == hits
    assert len(hits) == 3
    assert set(hits[0]) == {"study", "score", "label", "image", "text"}


def test_hits_are_shown_in_a_table_as_their_reports_are_written():
    hit = {"study": "7", "score": 0.98765, "label": 1, "image": "7.png", "text": "Effusion [old]."}
    console = PlainConsole(width=80)
    with console.capture() as shown:
        console.print(hits_table([hit, {**hit, "label": 0}, {**hit, "label": -1}]))
    for word in ("7", "0.9877", "abnormal", "│ normal", "unknown", "Effusion [old]."):
        assert word in shown.get()


def test_the_index_is_described_by_its_run_studies_and_model(finished, source):
    run, _ = finished
    said = describe_index(run)
    for words in (f"24 test studies of {run.path}", "fused vectors", f"there from {source}"):
        assert words in said


@pytest.mark.parametrize(
    ("question", "sentence"),
    [
        ({}, "either an image or a text"),
        ({"image": Path("a.png"), "text": "effusion"}, "not both or neither"),
        ({"text": ""}, "the text to search for is empty"),
        ({"text": " \n"}, "the text to search for is empty"),
        ({"text": "effusion \udcff"}, "holds bytes that are no UTF-8, after 'effusion '"),
        ({"image": Path("")}, "the image to search for is '.': name a file"),
        ({"image": Path("gone.png")}, r"gone\.png is missing"),
        ({"image": Path(__file__)}, r"test_query\.py cannot be read as an image"),
        ({"text": "effusion", "k": 25}, "k is 25 and the index holds 24 studies"),
        ({"text": "effusion", "k": 0}, "k is 0"),
        ({"text": "effusion", "k": -3}, "k is -3"),
        ({"text": "effusion", "k": 10**20}, "k is 100000000000000000000 and the index holds"),
        ({"text": "x " * 5_000_000}, "10,000,000 characters"),
        ({"text": "effusion" * 1000}, "8,000 letters or signs without a blank"),
        ({"text": "?! …"}, "holds no word: describe a finding"),
        ({"text": "肺炎"}, r"vocabulary holds no word of the text \(肺, 炎\)"),
        ({"text": "[MASK] [SEP]"}, r"holds no word of the text \(\[MASK\], \[SEP\]\)"),
    ],
)
def test_a_question_that_cannot_be_answered_gets_one_sentence_before_a_model_is_loaded(
    finished, question, sentence, monkeypatch
):
    monkeypatch.setattr("cxr_mtl.explorer.query.load_backbone", None)
    with pytest.raises(InputError, match=sentence):
        query_run(finished[0], **question)


def test_what_of_a_text_is_not_read_is_told(finished, studies):
    told = []
    query_run(finished[0], text="Effusion ☃Ж " + "heart " * 200, k=1, notice=told.append)
    assert told[0].startswith("Read 128 of 204 tokens: the rest, from “heart heart")
    assert told[1] == "Not in the model's vocabulary, so that nothing of it was read: ☃Ж."
    query_run(finished[0], text="No acute disease.", k=1, notice=told.append)
    query_run(finished[0], image=studies["image"][0], k=1, notice=told.append)
    assert len(told) == 2


def test_a_run_without_a_model_or_with_another_ones_index_says_what_to_do(
    finished, studies, tmp_path
):
    run = Run(tmp_path / "new")
    with pytest.raises(InputError, match=r"fine_tuned\.json is missing: run the training"):
        query_run(run, text="effusion")
    run.path.mkdir()
    (run / "fine_tuned").symlink_to(finished[0] / "fine_tuned")
    with pytest.raises(InputError, match=r"index\.json is missing: run chapter 05_retrieval again"):
        query_run(run, text="effusion")
    metadata = studies[["study", "image", "label", "text"]]
    Index.build(fused_vectors(*finished[1]), metadata, "another").save(run / "index")
    with pytest.raises(InputError, match=r"built by the model another, not by \w+: run chapter 05"):
        query_run(run, text="effusion")


def test_a_backbone_that_is_gone_is_named_with_the_command_that_makes_it_again(finished, tmp_path):
    """As after `rm -r runs/cache`, where the demo's models lie."""
    run = Run(shutil.copytree(finished[0].path, tmp_path / "mine"))
    about = read_json(run / "fine_tuned/fine_tuned.json")
    write_json(run / "fine_tuned/fine_tuned.json", about | {"source": "local-dir:cache/models/x"})
    said = (
        "cache/models/x is gone, .*: put it back, or make it again with `cxr-mtl book --run mine`"
    )
    with pytest.raises(InputError, match=said):
        query_run(run, text="effusion")
