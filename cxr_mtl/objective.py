"""What the weight search maximises: the validation retrieval of a last layer trained afresh."""

from dataclasses import dataclass

from torch import Tensor

from cxr_mtl.features import Features
from cxr_mtl.last_layer import LastLayer
from cxr_mtl.losses import LossWeights
from cxr_mtl.search import Report
from cxr_mtl.trainer import TrainingConfig, train


@dataclass(frozen=True)
class TrainingObjective:
    """Trains a copy of `start` with given weights; an object, so that worker processes can call it.

    The weights named in `config` are not used. Shapes: labels [studies] of 0, 1 or -1 (unknown),
    rows [n] into features and labels.
    """

    start: LastLayer
    features: Features
    labels: Tensor
    train_rows: Tensor
    validation_rows: Tensor
    config: TrainingConfig
    learned_temperature: float | None = None
    device: str = "cpu"

    def __call__(self, weights: LossWeights, report: Report) -> float:
        """Mean reciprocal rank of the validation studies after the last epoch, both directions.

        `report(epoch, value)` is told it after every epoch.
        """
        trained = train(
            self.start,
            self.features,
            self.labels,
            self.train_rows,
            self.validation_rows,
            self.config.model_copy(update={"weights": weights}),
            learned_temperature=self.learned_temperature,
            device=self.device,
            on_epoch=lambda epoch: report(int(epoch["epoch"]), epoch["validation_mrr"]),
        )
        return float(trained.epochs["validation_mrr"].iloc[-1])
