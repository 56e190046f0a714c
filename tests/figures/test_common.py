"""Figures show the data they were given: points, lines and labels, not pixels."""

import matplotlib.pyplot as plt
import numpy as np
import optuna
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from optuna.distributions import FloatDistribution
from PIL import Image

from cxr_mtl.figures import common
from cxr_mtl.retrieval.tsne_maps import EmbeddingMap
from cxr_mtl.training.losses import LOSS_TERMS, PAPER_WEIGHTS, LossWeights
from cxr_mtl.training.weight_search import RANGES


@pytest.fixture(autouse=True)
def _closed():
    plt.switch_backend("agg")
    yield
    plt.close("all")


def line(axis, label):
    return next(drawn for drawn in axis.lines if drawn.get_label() == label)


def points(axis, label):
    return next(d for d in axis.collections if d.get_label() == label).get_offsets().data


@pytest.fixture
def study():
    """Six complete trials, best the third, and a pruned one that no figure may show."""
    study = optuna.create_study(direction="maximize")
    distributions = {name: FloatDistribution(*ends) for name, ends in RANGES.items()}
    for number, value in enumerate([0.10, 0.12, 0.30, 0.20, 0.05, 0.25, None]):
        share = (number + 1) / 8
        params = {n: low + share * (high - low) for n, (low, high) in RANGES.items()}
        states = optuna.trial.TrialState
        state = states.PRUNED if value is None else states.COMPLETE
        study.add_trial(
            optuna.trial.create_trial(
                value=value, params=params, distributions=distributions, state=state
            )
        )
    return study


VALUES = [0.10, 0.12, 0.30, 0.20, 0.05, 0.25]


def test_a_contact_sheet_shows_each_image_with_its_caption_and_leaves_the_rest_blank(tmp_path):
    paths = [str(tmp_path / f"{grey}.png") for grey in (10, 20, 200)]
    for path, grey in zip(paths, (10, 20, 200), strict=True):
        Image.new("L", (12, 8), grey).save(path)
    sheet = common.contact_sheet(paths, ["a", "b\nc", "d"], columns=2)
    assert len(sheet.axes) == 4
    shown = [axis.images[0].get_array()[0, 0] for axis in sheet.axes[:3]]
    assert shown == [10, 20, 200]
    assert [axis.texts[0].get_text() for axis in sheet.axes[:3]] == ["a", "b\nc", "d"]
    assert not sheet.axes[3].images
    assert not any(axis.axison for axis in sheet.axes)
    assert sheet.axes[0].images[0].get_clim() == (0, 255)


def test_training_curves_draw_every_step_and_epoch():
    steps = pd.DataFrame(
        {"step": range(1, 41), "learning_rate": 1e-5, "head_learning_rate": 1e-4}
    ).assign(**{n: np.linspace(9 - i, 1, 40) for i, n in enumerate(common.LOSS_COLOURS)})
    epochs = pd.DataFrame(
        {"epoch": [1, 2], "mrr_image_to_text": [0.1, 0.3], "mrr_text_to_image": [0.2, 0.4]}
    )
    losses, rates, retrieval = common.training_curves(steps, epochs).axes
    legend = [text.get_text() for text in losses.get_legend().get_texts()]
    assert legend == list(common.LOSS_WORDS.values())
    thin = [drawn for drawn in losses.lines if drawn.get_label() not in legend]
    for drawn, name in zip(thin, common.LOSS_WORDS, strict=True):
        np.testing.assert_array_equal(drawn.get_ydata(), steps[name])
        middle = np.asarray(line(losses, common.LOSS_WORDS[name]).get_ydata())[20]
        assert middle == pytest.approx(steps[name][13:28].mean())
    assert set(line(rates, "fusion head").get_ydata()) == {1e-4}
    assert set(line(rates, "last layer").get_ydata()) == {1e-5}
    assert list(line(retrieval, "image → report").get_ydata()) == [0.1, 0.3]
    assert list(line(retrieval, "report → image").get_ydata()) == [0.2, 0.4]


def test_the_search_history_shows_complete_trials_and_the_best_so_far(study):
    history, importance = common.search_history(study).axes
    np.testing.assert_allclose(points(history, "trial"), list(enumerate(VALUES, 1)))
    best = np.maximum.accumulate(VALUES)
    np.testing.assert_allclose(line(history, "best so far").get_ydata(), best)
    named = {label.get_text() for label in importance.get_yticklabels()}
    assert named == set(map(str, LOSS_TERMS.values()))
    assert sum(bar.get_width() for bar in importance.patches) == pytest.approx(1)


def test_the_slices_mark_the_papers_weights_and_the_best_trial(study):
    *slices, _ = common.search_slices(study).axes
    assert len(slices) == len(RANGES)
    for axis, (name, (low, high)) in zip(slices, RANGES.items(), strict=True):
        tried = [trial.params[name] for trial in study.trials[:6]]
        everything = axis.collections[0].get_offsets().data
        np.testing.assert_allclose(everything, np.column_stack([tried, VALUES]))
        assert list(line(axis, "paper").get_xdata()) == [getattr(PAPER_WEIGHTS, name)] * 2
        np.testing.assert_allclose(points(axis, "best"), [[tried[2], 0.30]])
        assert axis.get_xlim() == (low, high)
        assert axis.get_xlabel() == str(LOSS_TERMS[name])
        assert not any(drawn.get_clip_on() for drawn in axis.collections)


def test_trials_keep_their_numbers_from_1_where_others_were_pruned(study):
    early = optuna.create_study(direction="maximize")
    early.add_trials([study.trials[6], *study.trials[:6]])
    history = common.search_history(early).axes[0]
    np.testing.assert_array_equal(points(history, "trial")[:, 0], range(2, 8))
    colours = common.search_slices(early).axes[0].collections[0].get_array()
    np.testing.assert_array_equal(colours, range(2, 8))


def test_parallel_coordinates_scale_each_weight_by_its_range(study):
    best = LossWeights(bce=0.1, supcon=2.0, clip=1.1)
    axis = common.search_parallel_coordinates(study, best).axes[0]
    assert len(axis.lines) == 6 + 2
    np.testing.assert_allclose(line(axis, "best").get_ydata()[:3], [0, 1, 0.5])
    paper = [(0.69 - 0.1) / 0.9, (1.97 - 0.2) / 1.8, (0.46 - 0.2) / 1.8]
    np.testing.assert_allclose(line(axis, "paper").get_ydata()[:3], paper)
    assert line(axis, "paper").get_linestyle() == "--"
    assert [label.get_text() for label in axis.get_xticklabels()][:3] == [
        "λ₁ (BCE)\n0.1 to 1",
        "λ₂ (SupCon)\n0.2 to 2",
        "λ₃ (CLIP)\n0.2 to 2",
    ]


def test_a_search_of_one_trial_still_has_its_figures(study):
    one = optuna.create_study(direction="maximize")
    one.add_trial(study.trials[0])
    assert len(common.search_slices(one).axes) == len(RANGES) + 1
    assert len(common.search_parallel_coordinates(one, PAPER_WEIGHTS).axes[0].lines) == 3
    assert len(points(common.search_history(one).axes[0], "trial")) == 1


def test_trials_that_all_came_to_one_value_have_no_importances(study):
    alike = optuna.create_study(direction="maximize")
    for trial in study.trials[:3]:
        trial.value = 0.1
        alike.add_trial(trial)
    _, importance = common.search_history(alike).axes
    assert not importance.patches
    assert "do not differ" in importance.texts[0].get_text()


def test_embedding_maps_colour_each_label_and_say_how_far_to_trust_them():
    rng = np.random.default_rng(0)
    labels = np.array([0, 1, 1, 0, 1])
    maps = {n: EmbeddingMap(rng.normal(size=(5, 2)), 0.6, 0.912) for n in ("ours", "theirs")}
    panels = common.embedding_maps(maps, labels).axes
    assert [axis.get_title() for axis in panels] == ["ours", "theirs"]
    for axis, found in zip(panels, maps.values(), strict=True):
        for label, name in ((0, "normal"), (1, "abnormal")):
            np.testing.assert_array_equal(points(axis, name), found.coordinates[labels == label])
            colour = next(d for d in axis.collections if d.get_label() == name).get_facecolor()
            assert to_hex(colour[0]) == common.LABEL_COLOURS[name]
        words = "label accuracy 0.600\ntrustworthiness 0.912"
        assert axis.get_xlabel() == words


def test_no_two_labels_losses_or_models_share_a_colour():
    for colours in (
        list(common.LABEL_COLOURS.values()),
        list(common.LOSS_COLOURS.values()),
        common.MODEL_COLOURS,
    ):
        assert len(set(colours)) == len(colours)
