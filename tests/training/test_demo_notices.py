"""What is said of models that know drawings alone."""

from cxr_mtl.base.records import notices
from cxr_mtl.training.demo_notices import drawn_only_records


def test_each_of_the_demos_models_is_told_once_and_no_other():
    told = notices(drawn_only_records(["demo-biomed", "demo-general", "demo-biomed"]))
    assert [sentence.split()[0] for sentence in told] == ["demo-biomed", "demo-general"]
    assert drawn_only_records(["biomedclip", "hf-hub:a/b", "local-dir:models/demo-biomed"]) == []
