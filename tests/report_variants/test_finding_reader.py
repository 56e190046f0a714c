"""The reader: right on sentences labelled by hand, and not blind to what an error may change."""

import pytest
from drawn_reports import TEXTS
from hypothesis import given

from cxr_mtl.report_variants.finding_reader import Finding, read_findings

LABELLED: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Right 7th and 8th rib deformities are noted.", ("deformity present right",)),
    ("Heart size within normal limits for this projection.", ("cardiomegaly absent",)),
    ("The heart silhouette is normal in size and contour.", ("cardiomegaly absent",)),
    ("3. No acute cardiopulmonary abnormality.", ("acute disease absent",)),
    ("Bibasilar interstitial infiltrates are present.", ("opacity present both base",)),
    ("XXXX sternotomy XXXX are grossly intact.", ()),
    (
        "Cardiomediastinal contours within normal limits.",
        ("cardiomegaly absent", "wide mediastinum absent"),
    ),
    ("AP and lateral view of the chest.", ()),
    ("This may represent acute infiltrate or developing density.", ("opacity uncertain",)),
    ("Mild thoracic spine degenerative changes.", ("spine change present mild",)),
    (
        "2. Nodular opacity at the left apex may be exaggerated by overlapping bone silhouettes.",
        ("opacity uncertain left apex",),
    ),
    (
        "Calcified granulomata are present in the right middle lobe and right upper lobe.",
        ("calcification present right middle", "granuloma present right middle"),
    ),
    ("There are low lung volumes.", ("low volume present",)),
    (
        "The right lung demonstrates a large right pleural effusion with associated atelectatic "
        "collapse of the right middle lobe and partial collapse of the right lower lobe.",
        (
            "effusion present right severe",
            "atelectasis present right middle",
            "atelectasis present right lower",
        ),
    ),
    ("No acute or destructive bone abnormality.", ("bone disease absent",)),
    (
        "There are XXXX XXXX opacities, atelectasis versus airspace disease.",
        ("opacity uncertain", "atelectasis uncertain"),
    ),
    (
        "Displaced fracture of the mid one-third of the right clavicle.",
        ("fracture present right",),
    ),
    (
        "The heart size is upper limits normal or mildly enlarged.",
        ("cardiomegaly uncertain",),
    ),
    (
        "3. Scattered XXXX of right base atelectasis.",
        ("atelectasis present right base",),
    ),
    (
        "Minimal streaky opacities in the lung bases, XXXX subsegmental atelectasis.",
        ("opacity present both mild base", "atelectasis present"),
    ),
    ("3. Clear lungs.", ("lung disease absent",)),
    (
        "Note is XXXX of calcifications in the aortic XXXX.",
        ("calcification present",),
    ),
    ("The skeletal structures are unremarkable.", ("bone disease absent",)),
    ("Heart size appears normal.", ("cardiomegaly absent",)),
    ("Degenerative changes in the thoracic spine", ("spine change present",)),
    ("Postsurgical changes of the right chest.", ()),
    ("Limited degenerative change of the spine", ("spine change present",)),
    (
        "Streaky opacities in the lung bases may represent atelectasis or scarring.",
        ("opacity uncertain both base", "atelectasis uncertain", "scarring uncertain"),
    ),
    (
        "Cardiomegaly and mild interstitial pulmonary edema.",
        ("cardiomegaly present", "edema present mild"),
    ),
    (
        "An old calcified granuloma is present in the left upper lobe.",
        ("calcification present left upper", "granuloma present left upper"),
    ),
    (
        "Additionally, pleural thickening is present in the left apex.",
        ("pleural thickening present left apex",),
    ),
    ("There are bilateral pleural effusions.", ("effusion present both",)),
    ("Prosthetic right humeral head.", ()),
    (
        "There is biapical pleural thickening, unchanged from prior.",
        ("pleural thickening present both apex",),
    ),
    (
        "There is a focal area of scarring or XXXX atelectasis identified in the lingula.",
        ("scarring present", "atelectasis present left lingula"),
    ),
    ("Stable left-sided chest tubes. .", ("chest tube present left",)),
    ("Pacemaker is noted.", ("pacemaker present",)),
    ("No definite pulmonary nodules are seen.", ("nodule absent",)),
    (
        "Left-sided perihilar calcified lymph node, unchanged.",
        ("calcification present left perihilar",),
    ),
    ("No bony abnormality.", ("bone disease absent",)),
    (
        "Patchy airspace disease in the lingula without evidence of effusion.",
        ("opacity present left lingula", "effusion absent"),
    ),
    ("Small hiatal hernia noted.", ("hernia present mild",)),
    (
        "There is a 10 mm nodular density projecting over the right posterior 4th rib.",
        ("opacity present right", "measurement present 10 mm"),
    ),
    ("Bilateral apical pleural thickening.", ("pleural thickening present both apex",)),
    (
        "Tortuous thoracic aorta with atherosclerosis.",
        ("aortic change present",),
    ),
    ("The right lung base is excluded from view.", ()),
    ("Small area scarring in the right lower lung zone.", ("scarring present right mild lower",)),
    (
        "Heart size, mediastinal contour, and pulmonary vascularity are similar to comparison exam "
        "and within normal limits.",
        ("cardiomegaly absent", "wide mediastinum absent", "vascular congestion absent"),
    ),
    ("The tip projects over the upper SVC.", ("tip present superior vena cava",)),
    ("2. Probable lateral right 8th rib fracture.", ("fracture uncertain right",)),
    (
        "Bony thorax and soft tissues unremarkable",
        ("bone disease absent", "soft tissue disease absent"),
    ),
    (
        "There is a minimally displaced fracture of the right lateral 7th rib.",
        ("fracture present right mild",),
    ),
    (
        "No pneumonia, effusions, edema, pneumothorax, adenopathy, nodules or masses.",
        (
            "pneumonia absent",
            "effusion absent",
            "edema absent",
            "pneumothorax absent",
            "lymphadenopathy absent",
            "nodule absent",
        ),
    ),
    (
        "Possible small right pleural effusion, without focal consolidation or pneumothorax.",
        ("effusion uncertain right mild", "consolidation absent", "pneumothorax absent"),
    ),
    (
        "This pneumothorax measures up to 3.5 cm in maximum width at the apex.",
        ("pneumothorax present apex", "measurement present 35 mm"),
    ),
    (
        "The central venous catheter has been removed.",
        ("central catheter absent",),
    ),
)
"""Sentences of Open-I, most of them drawn at random, with the labels that a person gave them.

A finding is written as its name, its status and what is said of it: side, severity, place, size.
What the reader has no name for is not labelled.
"""


def written(finding: Finding) -> str:
    said = (finding.side, finding.severity, finding.place, finding.size)
    return " ".join(filter(None, (finding.name, finding.status, *said)))


@pytest.mark.parametrize(("sentence", "labels"), LABELLED, ids=lambda value: str(value)[:40])
def test_a_sentence_is_read_as_a_person_labelled_it(sentence, labels):
    assert {written(finding) for finding in read_findings(sentence)} == set(labels)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Small left effusion.", "Small right effusion."),
        ("Small left effusion.", "Large left effusion."),
        ("Small left effusion.", "No left effusion."),
        ("Left upper lobe nodule.", "Left lower lobe nodule."),
        ("There is a 4 mm nodule.", "There is a 4 cm nodule."),
        ("The lungs are clear.", "The lungs are not clear."),
        ("Heart size is upper limits of normal.", "Heart size is slightly enlarged."),
        ("Heart size is upper limits of normal.", "Heart size is normal."),
        ("Right PICC with tip in the SVC.", "Right PICC with tip in the right atrium."),
        ("Right PICC with tip in the SVC.", "Right chest port with tip in the SVC."),
        ("Pneumonia.", "Possible pneumonia."),
        ("The effusion has resolved.", "The effusion is stable."),
    ],
)
def test_other_content_is_read_otherwise(first, second):
    assert read_findings(first) != read_findings(second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("No pleural effusion.", "Pleural effusion is absent."),
        ("No effusion or PTX.", "Effusion and pneumothorax are absent."),
        ("Left pleural effusion.", "Pleural effusion on the left."),
        ("A 3.5 cm mass.", "A 35 mm mass."),
        ("RLL PNA.", "Right lower lobe pneumonia."),
        ("Lungs clear.", "The lungs are clear."),
        ("No significant change in left effusion.", "Left effusion, unchanged."),
    ],
)
def test_other_words_of_equal_content_are_read_alike(first, second):
    assert read_findings(first) == read_findings(second)


@given(TEXTS)
def test_any_text_can_be_read_and_a_text_twice_says_no_more(text):
    assert read_findings(f"{text}. {text}") >= read_findings(f"{text}.")


def test_a_text_without_words_says_nothing():
    assert read_findings("") == read_findings(" . ") == frozenset()
