"""Matrices in eight bits: a code for each number and a scale for each row."""

import torch
from torch import Tensor

LARGEST_CODE = 127


def coded(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """The nearest codes, int8 [rows, columns], and scales, float32 [rows], of a float32 matrix.

    A row's largest magnitude has the code 127 or -127.
    """
    largest = matrix.abs().amax(1)
    scales = torch.where(largest > 0, largest, 1) / LARGEST_CODE
    return (matrix / scales[:, None]).round().to(torch.int8), scales


def decoded(codes: Tensor, scales: Tensor) -> Tensor:
    """The float32 matrix that codes and scales stand for."""
    return codes * scales[:, None]


def rounded(matrix: Tensor) -> Tensor:
    """A float32 matrix [rows, columns] to eight bits: each number moves by half a scale at most."""
    return decoded(*coded(matrix))
