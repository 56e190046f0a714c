"""Ablations: what a variant comes to, and that none is trained twice."""

import json

import numpy as np
import pytest
import torch

from cxr_mtl.ablations import training_runs as ablations
from cxr_mtl.ablations.training_runs import interpolated, run_variants
from cxr_mtl.ablations.variants import Variant, with_data_choice
from cxr_mtl.base.errors import InputError
from cxr_mtl.base.fingerprints import library_sources
from cxr_mtl.base.imports import missing_import
from cxr_mtl.models.backbones import load_backbone
from cxr_mtl.models.features import FrozenPrefix, compute_features
from cxr_mtl.models.last_layer import LastLayer, freeze, trainable_names
from cxr_mtl.training.fine_tuned import save_fine_tuned
from cxr_mtl.training.losses import LossWeights
from cxr_mtl.training.trainer import TrainingConfig, embed_rows, train

CONFIG = TrainingConfig(epochs=1, batch_size=7, learning_rate=1e-3, temperature=None)
TRAIN, VALIDATION, TEST = torch.arange(14), torch.arange(14, 19), torch.arange(19, 24)
CLIP = Variant("CLIP", "losses", {"weights": LossWeights(0, 0, 1)}, 1)
SEED = Variant("seed 1", "seed", {"seed": 1}, 1)
PROJECTIONS = Variant("unfrozen blocks 0", "unfrozen blocks", {}, 0)
TWO_BLOCKS = Variant("unfrozen blocks 2", "unfrozen blocks", {}, 2)
FINDINGS = Variant("findings only", "data", {}, 1, "findings only")
DROPPED = Variant("no test report in training", "data", {}, 1, "no test report in training")


@pytest.fixture
def table(studies):
    """The drawn studies with sections and a split; the text of study 0 is also a test study's."""
    sections = studies["text"].str.extract(r"(?P<findings>.*) (?P<impression>Study \d+\.)")
    table = studies.assign(**sections, split="train")
    table.loc[14:18, "split"] = "validation"
    table.loc[19:, "split"] = "test"
    columns = ["text", "findings", "impression"]
    table.loc[0, columns] = table.loc[20, columns]
    return table


@pytest.fixture
def run(backbone, table, tmp_path):
    def run(variants, **options):
        return run_variants(
            variants, CONFIG, backbone, table, tmp_path / "kept", tmp_path / "cache", **options
        )

    return run


@pytest.fixture
def trained_names(monkeypatch):
    """Names of the variants that are trained in this process, in order."""
    names, call = [], ablations._Training.__call__

    def count(self, variant):
        names.append(variant.name)
        return call(self, variant)

    monkeypatch.setattr(ablations._Training, "__call__", count)
    return names


def by_hand(variant, untrained_folder, table, cache):
    """The oracle: the training chapter's own steps, from a fresh backbone."""
    backbone = load_backbone(f"local-dir:{untrained_folder}")
    if variant.data_choice:
        table = with_data_choice(table, variant.data_choice)
    features = compute_features(backbone, table, variant.unfrozen_blocks, cache)
    freeze(backbone.model, variant.unfrozen_blocks)
    trained = train(
        LastLayer(backbone.model, variant.unfrozen_blocks),
        features,
        torch.tensor(table["label"].to_numpy()),
        torch.tensor(np.flatnonzero(table["split"] == "train")),
        VALIDATION,
        variant.config(CONFIG),
        learned_temperature=backbone.learned_temperature,
    )
    mrr = trained.epochs["validation_mrr"].iloc[-1]
    return *embed_rows(trained.last_layer, features, TEST), mrr


def test_each_variant_is_the_training_of_its_own_layers_values_and_data(
    run, untrained_folder, table, tmp_path
):
    variants = [CLIP, PROJECTIONS, TWO_BLOCKS, FINDINGS, DROPPED]
    outcomes = run(variants)
    assert [outcome.variant for outcome in outcomes] == variants
    for outcome in outcomes:
        images, texts, mrr = by_hand(outcome.variant, untrained_folder, table, tmp_path / "alone")
        # These two are made of the features of others, which round otherwise.
        rounding = 1e-5 if outcome.variant in (PROJECTIONS, FINDINGS) else 0
        np.testing.assert_allclose(outcome.images, images, rtol=0, atol=rounding)
        np.testing.assert_allclose(outcome.texts, texts, rtol=0, atol=rounding)
        assert outcome.images.shape == (len(TEST), 128)
        assert outcome.validation_mrr == pytest.approx(mrr)
        assert outcome.seconds > 0


def test_a_choice_of_text_and_a_depth_of_none_run_only_what_is_not_known(
    run, table, tmp_path, monkeypatch
):
    ran = {"images": 0, "texts": 0}
    for name in ran:
        plain = getattr(FrozenPrefix, name)

        def counted(self, inputs, *more, name=name, plain=plain):
            ran[name] += len(inputs)
            return plain(self, inputs, *more)

        monkeypatch.setattr(FrozenPrefix, name, counted)
    table.loc[5:9, "findings"] = ""  # these reports stay as they are
    table.loc[5:9, "impression"] = table.loc[5:9, "text"]
    run([CLIP])
    reports = set(table["text"])
    shape_probe = 1
    assert ran == {"images": len(table) + shape_probe, "texts": len(reports) + shape_probe}
    ran.update(images=0, texts=0)
    run([CLIP, PROJECTIONS, FINDINGS])
    others = set(with_data_choice(table, "findings only")["text"]) - reports
    assert 0 < len(others) < len(reports) - 4
    assert ran["images"] <= 2 * shape_probe
    assert ran["texts"] <= len(others) + 2 * shape_probe


def test_the_backbone_stays_as_it_was(run, backbone):
    before = {name: tensor.clone() for name, tensor in backbone.model.state_dict().items()}
    required = [p.requires_grad for p in backbone.model.parameters()]
    run([CLIP, PROJECTIONS])
    assert all(torch.equal(before[n], t) for n, t in backbone.model.state_dict().items())
    assert [p.requires_grad for p in backbone.model.parameters()] == required


def test_an_interrupted_run_trains_only_what_is_missing(run, trained_names, monkeypatch):
    call = ablations._Training.__call__

    def interrupted(self, variant):
        call(self, variant)
        raise KeyboardInterrupt

    variants = [CLIP, SEED, TWO_BLOCKS]
    with monkeypatch.context() as patch:
        patch.setattr(ablations._Training, "__call__", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(variants)
    assert trained_names == [TWO_BLOCKS.name]  # the longest comes first
    resumed = run(variants)
    assert trained_names == [TWO_BLOCKS.name, CLIP.name, SEED.name]
    again = run(variants, workers=2)
    assert len(trained_names) == 3
    for one, other in zip(resumed, again, strict=True):
        np.testing.assert_array_equal(one.images, other.images)


def test_a_failed_training_leaves_nothing_that_counts_as_trained(run, trained_names, monkeypatch):
    def full_disk(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(ablations, "write_json", full_disk)
        with pytest.raises(InputError, match="the disk is full"):
            run([CLIP])
    run([CLIP])
    assert trained_names == [CLIP.name] * 2


def test_other_values_labels_or_rows_are_trained_anew_and_another_name_is_not(
    run, table, backbone, tmp_path, trained_names
):
    run([CLIP])
    run([Variant("the same", "losses", dict(CLIP.changes), 1)])
    assert trained_names == ["CLIP"]
    run([Variant("CLIP", "losses", {"weights": LossWeights(0, 0, 2)}, 1)])
    folders = (tmp_path / "kept", tmp_path / "cache")
    relabelled = table.assign(label=1 - table["label"])
    run_variants([CLIP], CONFIG, backbone, relabelled, *folders)
    fewer = table.assign(split=table["split"].where(table["study"] != "3", "unused"))
    run_variants([CLIP], CONFIG, backbone, fewer, *folders)
    assert len(trained_names) == 4
    assert len(list((tmp_path / "kept").iterdir())) == 4


def test_what_is_kept_rests_on_the_sources_of_the_training():
    assert missing_import([ablations.TRAINING]) is None
    sources = library_sources([ablations.TRAINING])
    assert {"cxr_mtl/training/trainer.py", "cxr_mtl/training/losses.py"} <= sources.keys()


def test_two_variants_of_one_content_are_trained_once(run, trained_names):
    same = Variant("the same", "losses", dict(CLIP.changes), 1)
    outcomes = run([CLIP, same])
    assert len(trained_names) == 1
    assert [outcome.variant for outcome in outcomes] == [CLIP, same]


def test_what_is_kept_says_what_was_trained(run, tmp_path):
    run([CLIP])
    (file,) = tmp_path.glob("kept/*/result.json")
    result = json.loads(file.read_text())
    assert (result["name"], result["group"], result["unfrozen_blocks"]) == ("CLIP", "losses", 1)
    assert result["changes"] == {"weights": vars(LossWeights(0, 0, 1))}
    assert result["training"]["weights"] == result["changes"]["weights"]


def test_two_workers_come_to_what_one_does(run, backbone, table, tmp_path, trained_names):
    variants = [CLIP, TWO_BLOCKS, FINDINGS]
    folders = (tmp_path / "beside", tmp_path / "cache")
    both = run_variants(
        variants,
        CONFIG,
        backbone,
        table,
        *folders,
        workers=2,
    )
    assert trained_names == []
    for one, other in zip(run(variants), both, strict=True):
        assert one.variant == other.variant
        np.testing.assert_allclose(one.images, other.images, atol=1e-5)
        np.testing.assert_allclose(one.texts, other.texts, atol=1e-5)
        assert one.validation_mrr == pytest.approx(other.validation_mrr)


def test_no_workers_and_damaged_embeddings_are_refused(run, tmp_path):
    with pytest.raises(InputError, match="workers is 0"):
        run([CLIP], workers=0)
    run([CLIP])
    (file,) = tmp_path.glob("kept/*/embeddings.safetensors")
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(InputError, match=r"embeddings\.safetensors is missing or damaged"):
        run([CLIP])


@pytest.fixture
def start(backbone):
    freeze(backbone.model, 1)
    return LastLayer(backbone.model, 1)


def test_interpolation_moves_every_trained_weight_along_a_line(start):
    pretrained = {name: tensor.clone() for name, tensor in start.weights().items()}
    trained = {name: torch.randn_like(tensor) for name, tensor in pretrained.items()}
    for alpha in (0, 0.25, 0.5, 0.75, 1):
        mixed = interpolated(start, trained, alpha)
        for name, tensor in mixed.weights().items():
            expected = (1 - alpha) * pretrained[name] + alpha * trained[name]
            torch.testing.assert_close(tensor, expected)
            if alpha in (0, 1):
                assert torch.equal(tensor, expected)
    assert all(torch.equal(pretrained[name], t) for name, t in start.weights().items())


def test_interpolation_to_other_layers_or_beyond_the_two_models_is_refused(start):
    weights = start.weights()
    with pytest.raises(InputError, match=r"alpha is 1\.5"):
        interpolated(start, weights, 1.5)
    name = min(weights)
    with pytest.raises(InputError, match=f"{name} is trained in only one"):
        interpolated(start, {n: t for n, t in weights.items() if n != name}, 0.5)


@pytest.mark.parametrize("blocks", [0, 1, 2])
def test_a_fine_tuned_model_on_disk_says_how_many_blocks_were_unfrozen(
    backbone, studies, tmp_path, blocks
):
    freeze(backbone.model, blocks)
    features = compute_features(backbone, studies, blocks, tmp_path)
    labels = torch.tensor(studies["label"].to_numpy())
    start = LastLayer(backbone.model, blocks)
    trained = train(
        start, features, labels, TRAIN, VALIDATION, CONFIG,
        learned_temperature=backbone.learned_temperature,
    )  # fmt: skip
    assert set(start.weights()) == set(trainable_names(backbone.model, blocks))
    save_fine_tuned(tmp_path / "fine_tuned", trained, backbone, CONFIG)
    about = json.loads((tmp_path / "fine_tuned" / "fine_tuned.json").read_text())
    assert about["unfrozen_blocks"] == blocks
