"""Figures with intervals: every record drawn where its value is."""

import pytest

from cxr_mtl.base.errors import InputError
from cxr_mtl.figures.common import MODEL_COLOURS
from cxr_mtl.figures.intervals import (
    CONTROL_COLOUR,
    GREY,
    MARKERS,
    answer_figure,
    difference_plot,
    interpolation_plot,
    interval_plot,
    write_answer,
)


def record(**values):
    return {"low": 0.1, "high": 0.3, "value": 0.2, **values}


def points(axis):
    return {
        (line.get_xdata()[0], line.get_ydata()[0]): line.get_color()
        for line in axis.lines
        if line.get_marker() == "o"
    }


def test_models_have_their_colours_and_controls_are_grey():
    models = ["a", "b", "c", "control"]
    records = [
        record(model=m, protocol=p, value=0.1 * i)
        for p in ("fused", "cross_modal")
        for i, m in enumerate(models)
    ]
    figure = interval_plot(records, "protocol", chance=0.025, title="recall@10")
    assert [axis.get_title() for axis in figure.axes] == ["fused (the paper's)", "strict"]
    for axis in figure.axes:
        drawn = points(axis)
        assert list(drawn.values()) == [*MODEL_COLOURS, GREY]
        assert [x for x, _ in drawn] == pytest.approx([0, 0.1, 0.2, 0.3])


def test_a_value_without_interval_is_a_point_alone():
    chance = record(model="chance", protocol="fused", low=None, high=None)
    axis = interval_plot([chance], "protocol", chance=0.2, title="recall@10").axes[0]
    assert len(axis.lines) == 2  # the point and the dashed line


@pytest.mark.parametrize(
    ("value", "p", "band", "coloured"),
    [
        (0.05, 0.01, 0.02, True),
        (-0.05, 0.01, 0.02, True),
        (0.05, 0.2, 0.02, False),
        (0.01, 0.01, 0.02, False),
        (0.05, None, 0.02, False),
        (0.05, 0.01, None, False),
    ],
)
def test_only_what_is_significant_and_outside_the_band_is_coloured(value, p, band, coloured):
    row = record(group="losses", variant="CLIP", value=value, p=p)
    axis = difference_plot([row], band=band).axes[0]
    assert points(axis) == {(value, 0): MODEL_COLOURS[0] if coloured else GREY}
    assert [label.get_text() for label in axis.get_yticklabels()] == ["losses: CLIP"]


def test_the_interpolation_runs_over_all_shares():
    records = [record(alpha=alpha, value=alpha / 10) for alpha in (0.0, 0.5, 1.0)]
    axis = interpolation_plot(records).axes[0]
    assert list(axis.lines[0].get_xdata()) == [0.0, 0.5, 1.0]
    assert list(axis.lines[0].get_ydata()) == pytest.approx([0, 0.05, 0.1])


def answers():
    models = {"fine_tuned": 0.5, "base": 0.3, "general": 0.1, "random": 0.025, "shuffled": 0.02}
    return [
        {
            "metric": "recall",
            "k": 10,
            "relevance": "own_study",
            "protocol": protocol,
            "direction": direction,
            "model": model,
            "value": value,
            "low": value - 0.01,
            "high": value + 0.01,
        }
        for protocol in ("fused", "cross_modal")
        for direction in MARKERS
        for model, value in models.items()
    ] + [
        {"metric": "mrr", "k": None, "protocol": "fused", "model": "fine_tuned", "value": 0.9},
    ]


def test_each_protocol_shows_the_models_in_their_colours_and_the_random_vectors():
    for axis in answer_figure(answers()).axes:
        drawn = [line for line in axis.lines if len(line.get_xdata()) == 1]
        points = {(line.get_color(), line.get_xdata()[0]) for line in drawn}
        assert points == {
            (MODEL_COLOURS[0], 0.5),
            (MODEL_COLOURS[1], 0.3),
            (MODEL_COLOURS[2], 0.1),
            (CONTROL_COLOUR, 0.025),
        }
        assert {line.get_marker() for line in drawn} == {marker for marker, _ in MARKERS.values()}
        names = [label.get_text() for label in axis.get_yticklabels()]
        assert names == ["fine-tuned", "base", "general", "random vectors"]


def test_a_protocol_without_records_is_refused():
    with pytest.raises(InputError, match="protocol cross_modal"):
        answer_figure([record for record in answers() if record["protocol"] == "fused"])


def test_the_same_records_make_the_same_file(tmp_path):
    for name in ("a.svg", "b.svg"):
        write_answer(tmp_path / name, answers())
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
