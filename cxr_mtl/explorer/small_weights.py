"""An ONNX model with its matrices in fewer bits, each given back as float32 before it is used."""

import numpy as np
import torch
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from torch import Tensor

from cxr_mtl.models.eight_bits import coded, decoded

LEAST = 4096  # numbers of a matrix; what is smaller stays as it is


def shrink(model: ModelProto) -> None:
    """Keep each large matrix in eight bits where that changes no number, else in sixteen, in place.

    Eight bits change nothing of what was rounded to them before: see `models.eight_bits`.
    """
    graph = model.graph
    for tensor in list(graph.initializer):
        large = len(tensor.dims) == 2 and np.prod(tensor.dims) >= LEAST
        if large and tensor.data_type == TensorProto.FLOAT:
            parts, nodes = _smaller(tensor)
            graph.initializer.remove(tensor)
            graph.initializer.extend(parts)
            for node in reversed(nodes):
                graph.node.insert(0, node)


def _smaller(tensor: TensorProto) -> tuple[list[TensorProto], list[NodeProto]]:
    """What stands in a matrix's place, and the nodes that give it back under its name.

    Not by `DequantizeLinear`: onnxruntime would fuse it with the product behind it, and round the
    other factor to eight bits, too.
    """
    name = tensor.name
    matrix = torch.from_numpy(numpy_helper.to_array(tensor).copy())
    # A linear map may stand transposed: its rows are then columns.
    for turned in (False, True):
        rows = matrix.T if turned else matrix
        codes, scales = coded(rows)
        if decoded(codes, scales).equal(rows):
            parts = {f"{name}.codes": codes, f"{name}.scales": scales[:, None]}
            plain = f"{name}.plain"
            return _initializers(parts, turned), [
                helper.make_node("Cast", [f"{name}.codes"], [plain], to=TensorProto.FLOAT),
                helper.make_node("Mul", [plain, f"{name}.scales"], [name]),
            ]
    half = f"{name}.half"
    cast = helper.make_node("Cast", [half], [name], to=TensorProto.FLOAT)
    return _initializers({half: matrix.half()}, turned=False), [cast]


def _initializers(parts: dict[str, Tensor], turned: bool) -> list[TensorProto]:
    arrays = {n: (part.T if turned else part).contiguous().numpy() for n, part in parts.items()}
    return [numpy_helper.from_array(array, n) for n, array in arrays.items()]
