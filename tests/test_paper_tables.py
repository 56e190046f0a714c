import pytest

from cxr_mtl.errors import InputError
from cxr_mtl.paper_tables import PAPER_TABLES, paper_value


def test_paper_value_reads_the_right_cell():
    assert paper_value(1, "text_to_image", "accuracy", 10, "fine_tuned") == 0.925
    assert paper_value(2, "image_to_text", "f1", None, "clip") == 0.9112
    assert paper_value(2, "text_to_image", "f1", None, "clip") is None
    assert "Liang" in PAPER_TABLES["source"]


def test_a_model_the_paper_has_not_is_refused():
    with pytest.raises(InputError, match="no model demo-biomed"):
        paper_value(1, "text_to_image", "accuracy", 10, "demo-biomed")
