"""The words of imaginary studies: how codes are composed, how they are worded, how grouped.

Frequencies are roughly those of the Open-I archive.
"""

from dataclasses import dataclass

from cxr_mtl.data.mesh_codes import SEVERITY

NORMAL = "normal"
_SIDES = ("right", "left", "bilateral")
_ZONES = ("lung/base", "lung/upper lobe", "lung/lower lobe", "lung/middle lobe", "lung/lingula")
ADJECTIVES = {
    "anterior", "posterior", "interstitial", "streaky", "patchy", "round", "multiple", "scattered",
    "diffuse", "focal", "chronic", "healed", "elevated", "flattened", "tortuous", "enlarged",
    "blunted", "irregular", "obscured", *SEVERITY,
}  # fmt: skip


@dataclass(frozen=True)
class Term:
    """How random codes of a heading are composed; each qualifier is drawn independently."""

    weight: int
    sites: tuple[str, ...] = ("",)
    sides: tuple[str, ...] = ()
    grades: tuple[str, ...] = ("",)
    textures: tuple[str, ...] = ("",)


_MILD = ("", "", "mild")
_GRADED = ("", "mild", "moderate", "severe")
_SIZED = ("", "small", "moderate", "large")
_LUNG = ("lung/upper lobe", "lung/lower lobe", "lung/base", "lung/hilum")

TERMS = {
    "Lung": Term(520, ("hypoinflation", "hyperdistention"), grades=_MILD),
    "Opacity": Term(480, _ZONES, _SIDES, _MILD, ("", "patchy", "streaky", "interstitial", "round")),
    "Cardiomegaly": Term(375, grades=(*_GRADED, "borderline")),
    "Pulmonary Atelectasis": Term(347, ("base", "lower lobe", "middle lobe"), _SIDES, _MILD),
    "Calcinosis": Term(
        300, ("lung", "lung/hilum/lymph nodes", "lung/hilum"), _SIDES, textures=("", "multiple")
    ),
    "Calcified Granuloma": Term(284, _LUNG, _SIDES, ("", "small", "large"), ("", "multiple")),
    "Thoracic Vertebrae": Term(258, ("degenerative",), grades=(*_MILD, "severe")),
    "Cicatrix": Term(210, ("lung/base", "lung/apex", "lung/lingula"), _SIDES, _MILD),
    "Spine": Term(182, ("degenerative",), grades=_MILD),
    "Pleural Effusion": Term(172, sides=_SIDES, grades=_SIZED),
    "Markings": Term(
        171, ("bronchovascular", "lung/interstitial"), grades=_MILD, textures=("", "chronic")
    ),
    "Aorta": Term(167, ("tortuous",), grades=_MILD),
    "Diaphragm": Term(144, ("elevated", "flattened"), _SIDES, _MILD),
    "Airspace Disease": Term(132, _ZONES, _SIDES, _MILD, ("", "patchy")),
    "Atherosclerosis": Term(132, ("aorta",)),
    "Density": Term(110, _LUNG, _SIDES, textures=("", "round")),
    "Catheters, Indwelling": Term(129, sides=("right", "left")),
    "Deformity": Term(90, ("ribs", "thoracic vertebrae", "clavicle"), ("right", "left")),
    "Scoliosis": Term(124, ("thoracic vertebrae",), ("right", "left"), _GRADED),
    "Nodule": Term(121, _LUNG, _SIDES, ("", "small", "large"), ("", "multiple")),
    "Surgical Instruments": Term(112, ("mediastinum", "abdomen"), textures=("", "multiple")),
    "Implanted Medical Device": Term(112, sides=("right", "left", "left")),
    "Granulomatous Disease": Term(112, textures=("", "chronic")),
    "Aorta, Thoracic": Term(95, ("tortuous",), grades=_MILD),
    "Fractures, Bone": Term(90, ("ribs", "clavicle"), ("right", "left"), textures=("", "healed")),
    "Costophrenic Angle": Term(81, ("blunted",), _SIDES, _MILD),
    "Pulmonary Congestion": Term(76, grades=_GRADED),
    "Osteophyte": Term(72, ("thoracic vertebrae",), textures=("", "multiple")),
    "Infiltrate": Term(68, _ZONES, _SIDES, _MILD, ("", "patchy")),
    "Spondylosis": Term(63, ("thoracic vertebrae",), grades=_MILD),
    "Emphysema": Term(62, grades=_GRADED),
    "Cardiac Shadow": Term(58, ("enlarged",), grades=_GRADED),
    "Thickening": Term(57, ("pleura", "pleura/apex"), _SIDES, _MILD),
    "Granuloma": Term(53, _LUNG, _SIDES, textures=("", "multiple")),
    "Pulmonary Disease, Chronic Obstructive": Term(50),
    "Hernia, Hiatal": Term(48, grades=_SIZED),
    "Pulmonary Edema": Term(47, grades=_GRADED),
    "Pneumonia": Term(43, _ZONES[:4], _SIDES),
    "Consolidation": Term(33, _ZONES, _SIDES),
    "Diaphragmatic Eventration": Term(34, sides=("right", "left")),
    "Mediastinum": Term(27, ("prominent",)),
    "Pneumothorax": Term(60, ("", "apex"), ("right", "left"), _SIZED),
    "Pulmonary Fibrosis": Term(19, ("base", "upper lobe"), _SIDES),
    "Mass": Term(30, _LUNG, ("right", "left"), ("", "large")),
}


# How a heading, or a heading with its telling qualifier, is worded.
NOUNS = {
    "Lung/hypoinflation": ("low lung volumes", "hypoinflated lungs", "decreased inspiration"),
    "Lung/hyperdistention": ("hyperexpanded lungs", "hyperinflated lungs"),
    "Cardiomegaly": ("cardiomegaly", "cardiac enlargement", "enlargement of the heart"),
    "Cardiac Shadow": ("cardiac silhouette", "heart"),
    "Pulmonary Atelectasis": ("atelectasis", "subsegmental atelectasis", "volume loss"),
    "Calcinosis": ("calcifications", "calcified nodes"),
    "Calcinosis/lung": ("calcifications", "calcified nodules"),
    "Calcified Granuloma": ("calcified granuloma", "calcified nodule"),
    "Thoracic Vertebrae": ("changes of the thoracic spine", "thoracic spondylosis"),
    "Spine": ("changes of the spine", "spinal changes"),
    "Cicatrix": ("scarring", "scar", "fibrosis"),
    "Markings/bronchovascular": ("prominent bronchovascular markings",),
    "Markings/interstitial": ("prominent interstitial markings", "increased interstitial markings"),
    "Diaphragm": ("hemidiaphragm", "diaphragm"),
    "Airspace Disease": ("airspace disease", "airspace opacity"),
    "Atherosclerosis": ("atherosclerotic calcification", "atherosclerosis"),
    "Catheters, Indwelling": ("central venous catheter", "port catheter", "central line"),
    "Surgical Instruments": ("surgical clips", "postsurgical changes"),
    "Surgical Instruments/mediastinum": ("sternotomy wires", "median sternotomy wires"),
    "Implanted Medical Device": ("pacemaker", "cardiac device with leads"),
    "Granulomatous Disease": ("granulomatous disease", "sequela of granulomatous disease"),
    "Aorta, Thoracic": ("thoracic aorta",),
    "Fractures, Bone": ("fracture",),
    "Costophrenic Angle": ("costophrenic angle", "costophrenic sulcus"),
    "Pulmonary Congestion": ("pulmonary vascular congestion", "vascular congestion"),
    "Emphysema": ("emphysema", "emphysematous changes"),
    "Pulmonary Disease, Chronic Obstructive": ("chronic obstructive pulmonary disease", "COPD"),
    "Hernia, Hiatal": ("hiatal hernia",),
    "Pulmonary Edema": ("pulmonary edema", "edema"),
    "Diaphragmatic Eventration": ("diaphragmatic eventration", "eventration of the diaphragm"),
}
PLACES = {
    "base": "lung base",
    "hilum": "hilum",
    "apex": "lung apex",
    "lymph nodes": "lymph nodes",
    "thoracic vertebrae": "thoracic spine",
    "lumbar vertebrae": "lumbar spine",
}
# Said by the noun already.
SILENT = {
    "lung", "hypoinflation", "hyperdistention", "bronchovascular", "degenerative", "mediastinum",
    "aorta, thoracic",
}  # fmt: skip
UNCOUNTED = (
    "cardiomegaly", "atelectasis", "disease", "scarring", "fibrosis", "edema", "emphysema",
    "congestion", "COPD", "loss", "scoliosis", "atherosclerosis", "pneumonia", "spondylosis",
    "inspiration", "enlargement", "calcification", "thickening", "eventration",
)  # fmt: skip

CLEAR = (
    "The lungs are clear.",
    "Lungs are clear bilaterally.",
    "No focal airspace disease.",
    "No focal consolidation is seen.",
)
NO_FLUID = (
    "No pleural effusion or pneumothorax.",
    "There is no pneumothorax or pleural effusion.",
    "No effusion or pneumothorax is identified.",
)
HEART = (
    "The heart is normal in size.",
    "Heart size within normal limits.",
    "Cardiomediastinal silhouette is normal.",
    "The heart size and mediastinal contours are within normal limits.",
)
BONES = ("Bony structures are intact.", "No acute bony abnormality.", "Osseous structures intact.")
NOTHING = (
    "No acute cardiopulmonary abnormality.",
    "No acute disease.",
    "Normal chest.",
    "No acute cardiopulmonary findings.",
    "No evidence of active disease.",
)


@dataclass(frozen=True)
class Group:
    """Headings (or heading/qualifier) that one target stands for."""

    members: tuple[str, ...]
    sided: bool = True
    graded: bool = False


GROUPS = {
    "cardiomegaly": Group(
        ("Cardiomegaly", "Cardiac Shadow/enlarged", "Pericardial Effusion"), False, True
    ),
    "effusion": Group(("Pleural Effusion", "Costophrenic Angle", "Hydropneumothorax"), True, True),
    "opacity": Group(
        ("Opacity", "Airspace Disease", "Infiltrate", "Pneumonia", "Consolidation", "Density")
    ),
    "atelectasis": Group(("Pulmonary Atelectasis",)),
    "calcification": Group(
        ("Calcified Granuloma", "Calcinosis", "Granuloma", "Granulomatous Disease")
    ),
    "nodule": Group(("Nodule", "Mass")),
    "scar": Group(("Cicatrix", "Thickening", "Pulmonary Fibrosis")),
    "edema": Group(("Pulmonary Congestion", "Pulmonary Edema", "Heart Failure"), False, True),
    "markings": Group(("Markings", "Lung Diseases, Interstitial"), False),
    "hyperinflation": Group(
        (
            "Lung/hyperdistention",
            "Emphysema",
            "Pulmonary Emphysema",
            "Pulmonary Disease, Chronic Obstructive",
        ),
        False,
    ),
    "hypoinflation": Group(("Lung/hypoinflation",), False),
    "diaphragm": Group(("Diaphragm", "Diaphragmatic Eventration")),
    "pneumothorax": Group(("Pneumothorax", "Hydropneumothorax")),
    "aorta": Group(("Aorta", "Aorta, Thoracic", "Atherosclerosis"), False),
    "spine": Group(("Thoracic Vertebrae", "Spine", "Osteophyte", "Spondylosis"), False),
    "scoliosis": Group(("Scoliosis",)),
    "bone": Group(("Fractures, Bone", "Deformity")),
    "device": Group(("Catheters, Indwelling", "Implanted Medical Device", "Medical Device")),
    "surgery": Group(("Surgical Instruments", "Sutures", "Stents"), False),
    "hernia": Group(("Hernia, Hiatal",), False),
}
