"""What must be said where one of the demo's models meets images that are no phantoms."""

from collections.abc import Iterable
from typing import get_args

from cxr_mtl.base.records import NOTICE, Record
from cxr_mtl.models.demo_architecture import DemoName


def drawn_only_records(models: Iterable[str]) -> list[Record]:
    """Notices for those of the models that were aligned on pictures drawn by a program."""
    return [
        {
            "metric": NOTICE,
            "about": "aligned on drawings",
            "model": name,
            "value": (
                f"{name} was aligned on pictures drawn by a program, with an image tower that was "
                "trained on photographs: what it can do on these images the "
                "strict tables say, beside chance; backbone and general_model take other models, "
                "biomedclip and clip among them"
            ),
        }
        for name in dict.fromkeys(models)
        if name in get_args(DemoName)
    ]
