"""Matrices of an ONNX model in eight or sixteen bits: what they give, and what is left alone."""

import numpy as np
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from cxr_mtl.explorer.small_weights import shrink
from cxr_mtl.models.eight_bits import rounded

RNG = np.random.default_rng(0)
WIDE = RNG.normal(size=(80, 64)).astype(np.float32)
SMALL = RNG.normal(size=(64, 8)).astype(np.float32)


def model_of(matrix):
    """y = x · matrix · SMALL."""
    nodes = [
        helper.make_node("MatMul", ["x", "wide"], ["between"]),
        helper.make_node("MatMul", ["between", "small"], ["y"]),
    ]
    shapes = {"x": ["n", 80], "y": ["n", 8]}
    ends = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n, shape in shapes.items()
    ]
    weights = [numpy_helper.from_array(matrix, "wide"), numpy_helper.from_array(SMALL, "small")]
    graph = helper.make_graph(nodes, "two products", ends[:1], ends[1:], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def outcome(model, x):
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"x": x})[0]


def by_rows(matrix):
    return rounded(torch.from_numpy(matrix)).numpy()


def by_columns(matrix):
    return np.ascontiguousarray(by_rows(np.ascontiguousarray(matrix.T)).T)


@pytest.mark.parametrize("coded", [by_rows, by_columns])
def test_a_matrix_that_was_rounded_to_eight_bits_loses_nothing_in_them(coded):
    model, x = model_of(coded(WIDE)), RNG.normal(size=(5, 80)).astype(np.float32)
    before, size = outcome(model, x), model.ByteSize()
    shrink(model)
    np.testing.assert_allclose(outcome(model, x), before, atol=1e-5)
    kept = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    assert kept["wide.codes"] == TensorProto.INT8
    assert model.ByteSize() < size - 2.5 * WIDE.size


def test_any_other_matrix_is_kept_in_sixteen_bits():
    model, x = model_of(WIDE), RNG.normal(size=(5, 80)).astype(np.float32)
    shrink(model)
    kept = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    assert kept["wide.half"] == TensorProto.FLOAT16
    expected = x @ WIDE.astype(np.float16).astype(np.float32) @ SMALL
    np.testing.assert_allclose(outcome(model, x), expected, atol=1e-4)


def test_a_small_matrix_stays_as_it_is():
    model = model_of(WIDE)
    shrink(model)
    (small,) = (tensor for tensor in model.graph.initializer if tensor.name == "small")
    assert np.array_equal(numpy_helper.to_array(small), SMALL)
