"""The front page's figure: every record of its question drawn, and the same bytes each time."""

import pytest

from cxr_mtl.base.errors import InputError
from cxr_mtl.figures.common import MODEL_COLOURS
from cxr_mtl.figures.front_page import CONTROL_COLOUR, MARKERS, answer_figure, write_answer


def records():
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
    for axis in answer_figure(records()).axes:
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
        answer_figure([record for record in records() if record["protocol"] == "fused"])


def test_the_same_records_make_the_same_file(tmp_path):
    for name in ("a.svg", "b.svg"):
        write_answer(tmp_path / name, records())
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
