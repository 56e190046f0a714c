"""The lessons' figures show the numbers, the positives and the points they were given."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle

from cxr_mtl.figures.common import LABEL_COLOURS
from cxr_mtl.figures.lessons import heat_maps, pairs_on_circle
from cxr_mtl.training.toy_batch import ToyBatch


@pytest.fixture(autouse=True)
def _closed():
    plt.switch_backend("agg")
    yield
    plt.close("all")


def outlined(axis):
    frames = [patch for patch in axis.patches if isinstance(patch, Rectangle)]
    return {(int(frame.get_y()), int(frame.get_x())) for frame in frames}


def test_heat_maps_write_every_number_and_outline_the_positives():
    left, right = np.array([[0.5, -0.25, 1], [0, 1, np.nan]]), torch.ones(2, 3) / 3
    wanted = np.array([[True, False, False], [False, True, False]])
    figure = heat_maps(
        {"left": (left, wanted), "right": (right, ~wanted)}, ["x", "y"], ["a", "b", "c"], (-1, 1)
    )
    first, second, scale = figure.axes
    assert [axis.get_title() for axis in (first, second)] == ["left", "right"]
    assert [text.get_text() for text in first.texts] == ["0.50", "-0.25", "1.00", "0.00", "1.00"]
    assert [text.get_text() for text in second.texts] == ["0.33"] * 6
    assert outlined(first) == {(0, 0), (1, 1)}
    assert outlined(second) == {(0, 1), (0, 2), (1, 0), (1, 2)}
    assert [label.get_text() for label in first.get_xticklabels()] == ["a", "b", "c"]
    assert [label.get_text() for label in first.get_yticklabels()] == ["x", "y"]
    assert first.collections[0].get_clim() == second.collections[0].get_clim() == (-1, 1)
    assert scale.get_ylim() == (-1, 1)


def test_pairs_are_joined_and_coloured_by_label_at_their_places():
    batch = ToyBatch.from_degrees(images=[0, 90], reports=[30, 200], labels=[0, 1])
    (axis,) = pairs_on_circle({"two": batch}).axes
    assert axis.get_title() == "two"
    normal, abnormal = axis.lines[:3], axis.lines[3:]
    for drawn, i, name in ((normal, 0, "normal"), (abnormal, 1, "abnormal")):
        line, image, report = drawn
        ends = np.stack([batch.images[i], batch.reports[i]])
        np.testing.assert_allclose(line.get_xydata(), ends)
        np.testing.assert_allclose(image.get_xydata()[0], batch.images[i])
        np.testing.assert_allclose(report.get_xydata()[0], batch.reports[i])
        assert {to_hex(d.get_color()) for d in drawn} == {LABEL_COLOURS[name]}
        assert [d.get_marker() for d in (image, report)] == ["o", "s"]


def test_names_stand_outside_and_neighbours_share_a_place_also_across_0_degrees():
    batch = ToyBatch.from_degrees([5, 100, 355, 180], [0, 0, 0, 0], [0, 0, 1, 1])
    (axis,) = pairs_on_circle({"": batch}).axes
    places = {text.get_text(): np.array(text.get_position()) for text in axis.texts}
    assert set(places) == {"C A", "B", "D"}
    assert all(np.linalg.norm(place) > 1.1 for place in places.values())
    assert places["C A"][0] > 1.1 > abs(places["C A"][1])
    assert places["D"][0] < -1.1


@pytest.mark.parametrize(("panels", "rows", "columns"), [(2, 1, 2), (4, 2, 2), (5, 2, 3)])
def test_a_figure_of_several_batches_has_a_panel_each_and_one_legend(panels, rows, columns):
    batch = ToyBatch.from_degrees([0], [30], [0])
    titles = [f"state {number}" for number in range(panels)]
    figure = pairs_on_circle(dict.fromkeys(titles, batch))
    assert [axis.get_title() for axis in figure.axes] == titles
    grid = figure.axes[0].get_subplotspec().get_gridspec()
    assert (grid.nrows, grid.ncols) == (rows, columns)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "image",
        "its report",
        "normal",
        "abnormal",
    ]
