"""The figure shows what was measured and what was computed, and tells them apart."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from cxr_mtl.bench.costs import PLAIN, SINGLE_QUERY
from cxr_mtl.bench.figures import PATH_COLOURS, growth_figure
from cxr_mtl.bench.timing import Timing

EPOCHS = {100: Timing(1.0, 0.9, 1.2, 3), 250: Timing(2.0, 1.5, 4.0, 3)}
PLAIN_EPOCHS = {100: 10.0, 250: 30.0}
STEPS = {
    PLAIN: {0: Timing(6.0, 5.0, 7.0, 3), 1: Timing(8.0, 7.0, 9.0, 3)},
    SINGLE_QUERY: {0: Timing(0.5, 0.4, 0.6, 9), 1: Timing(0.7, 0.6, 0.9, 9)},
}


def search_of(trials):
    numbers = np.arange(1, trials + 1)
    return pd.DataFrame({PLAIN: 600.0 * numbers, SINGLE_QUERY: 5 + 6.0 * numbers}, index=numbers)


@pytest.fixture(autouse=True)
def _closed():
    plt.switch_backend("agg")
    yield
    plt.close("all")


@pytest.fixture
def axes():
    return growth_figure(EPOCHS, PLAIN_EPOCHS, STEPS, search_of(20)).axes


def bars_of(container):
    return [tuple(segment[:, 1]) for segment in container.lines[2][0].get_segments()]


def dashed(axis):
    return {
        line.get_color(): line.get_xydata() for line in axis.lines if line.get_linestyle() == "--"
    }


def test_what_was_measured_is_a_point_with_a_bar_over_its_repeats(axes):
    by_studies, by_blocks, _ = axes
    (epochs,) = by_studies.containers
    np.testing.assert_allclose(epochs.lines[0].get_xydata(), [[100, 1], [250, 2]])
    np.testing.assert_allclose(bars_of(epochs), [(0.9, 1.2), (1.5, 4.0)])
    for drawn, (path, timings) in zip(by_blocks.containers, STEPS.items(), strict=True):
        assert drawn.get_label() == path
        assert drawn.lines[0].get_color() == PATH_COLOURS[path]
        medians = [[blocks, timing.median] for blocks, timing in timings.items()]
        np.testing.assert_allclose(drawn.lines[0].get_xydata(), medians)
        ends = [(timing.low, timing.high) for timing in timings.values()]
        np.testing.assert_allclose(bars_of(drawn), ends)


def test_what_was_computed_is_dashed_a_search_in_minutes(axes):
    by_studies, _, by_trials = axes
    np.testing.assert_allclose(dashed(by_studies)[PATH_COLOURS[PLAIN]], [[100, 10], [250, 30]])
    search = dashed(by_trials)
    assert set(search) == set(PATH_COLOURS.values())
    np.testing.assert_allclose(search[PATH_COLOURS[PLAIN]][-1], [20, 200])
    np.testing.assert_allclose(search[PATH_COLOURS[SINGLE_QUERY]][0], [1, 11 / 60])


def test_one_legend_names_both_paths_and_the_dashes(axes):
    (legend,) = axes[0].figure.legends
    names = [text.get_text() for text in legend.get_texts()]
    assert sorted(names) == sorted([PLAIN, SINGLE_QUERY, "computed, not measured"])


def test_time_is_on_a_logarithmic_scale_in_every_panel(axes):
    assert [axis.get_yscale() for axis in axes] == ["log"] * 3
    assert [axis.get_xscale() for axis in axes] == ["log", "linear", "log"]
    assert list(axes[0].get_xticks()) == [100, 250]
    assert list(axes[1].get_xticks()) == [0, 1]


@pytest.mark.parametrize(
    ("trials", "ticks"), [(20, [1, 2, 5, 10, 20]), (10, [1, 2, 5, 10]), (3, [1, 2, 3]), (1, [1])]
)
def test_the_trials_end_with_the_last_one(trials, ticks):
    axis = growth_figure(EPOCHS, PLAIN_EPOCHS, STEPS, search_of(trials)).axes[2]
    assert list(axis.get_xticks()) == ticks
