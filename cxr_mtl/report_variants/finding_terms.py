"""The reader's own lists of words: what findings, devices, structures and cues are called.

They are kept apart from the tables of the rules that write variants, so that a mistake of one list
is seen by the other. The names follow the classes of Irvin et al., "CheXpert", AAAI 2019, split
where a report's wording allows it; the cues follow the kinds of Peng et al., "NegBio", AMIA 2018.
"""

FINDINGS = {
    "cardiomegaly": r"(?:borderline )?cardiomegaly|enlarged (?:heart|cardi\w+(?: silhouette)?)"
    r"|(?:enlargement|prominence) of the (?:heart|cardi\w+)(?: silhouette)?|cardiac enlargement"
    r"|(?:heart|cardiac silhouette|cardiomediastinal silhouette)(?: size)?(?: (?:is|are|appears?))?"
    r"(?: (?:again|now|mildly|moderately|markedly|severely|slightly|minimally|borderline|stably))*"
    r" enlarged",
    "wide mediastinum": r"mediastinal widening|widen\w+ (?:of the )?mediastinum",
    "edema": r"(?:(?:pulmonary|interstitial|alveolar|vascular) )*o?edema",
    "heart failure": r"(?:congestive )?heart failure|CHF|cardiac decompensation",
    "vascular congestion": r"(?:(?:pulmonary|central) )?(?:venous|vascular) congestion"
    r"|vascular engorgement",
    "consolidation": r"consolidations?|consolidative (?:process|change)",
    "pneumonia": r"pneumonias?|PNA",
    "opacity": r"(?:opacity|opacities|opacification|opacifications|densities|density)"
    r"|infiltrates?|infiltration|air ?-?space (?:disease|process)",
    "atelectasis": r"(?:atelectasis|atelectases|atelectatic \w+)|collapse",
    "nodule": r"nodules?|mass(?:es)?|masslike|lesions?",
    "granuloma": r"granulomas?|granulomata|granulomatous (?:disease|process|change|infection)s?",
    "effusion": r"(?:(?:pleural|pericardial) )?effusions?|pleural fluid|hydropneumothorax"
    r"|hemo(?:pneumo)?thorax|fluid",
    "pneumothorax": r"(?:hydro|hemo)?pneumothora\w+|PTX",
    "pleural thickening": r"(?:pleural )?thickening",
    "emphysema": r"emphysema\w*|COPD|chronic obstructive pulmonary disease|bullous disease"
    r"|obstructive (?:lung|pulmonary) disease"
    r"|hyperinflat\w+|hyper-?expan\w+|hyper-?aerat\w+",
    "scarring": r"scar(?:ring|s)?|fibrosis|fibrotic \w+|ILD"
    r"|interstitial (?:lung )?(?:disease|changes|markings)",
    "fracture": r"fractures?",
    "deformity": r"deformit\w+",
    "blunting": r"blunt\w+",
    "metastasis": r"metasta\w+",
    "spine change": r"\w*scoliosis|\w*kyphosis|\w*curvature|wedg\w+"
    r"|compression deformit\w+|spondylosis|osteophyt\w+"
    r"|degenerative (?:\w+ )?(?:disease|change)s?|DJD|DISH"
    r"|diffuse idiopathic skeletal hyperostosis",
    "bone disease": r"(?:acute )?(?:bony|bone|osseous|skeletal) (?:abnormalit\w+|findings?|injury"
    r"|process|lesions?)",
    "lymphadenopathy": r"(?:lymph)?adenopathy",
    "hernia": r"hernias?",
    "aortic change": r"(?:tortuous|ectatic|calcified|atherosclerotic)(?: \w+){0,3} aorta"
    r"|aorta(?: is)?(?: \w+)? (?:tortuous|ectatic|calcified)|tortuosity|ectasia"
    r"|atherosclero\w+|aortic (?:\w+ )?calcifications?",
    "raised diaphragm": r"elevat\w+ (?:of )?(?:the )?(?:left |right )?(?:hemi)?diaphragm"
    r"|(?:hemi)?diaphragm\w*(?: is)?(?: \w+)? elevat\w+|eventration",
    "calcification": r"calcifi\w+",
    "low volume": r"low lung volumes?|lung volumes(?: are)? (?:\w+ )?low|hypoinflat\w+"
    r"|hypoventilat\w+"
    r"|hypo-?expan\w+|volume loss",
    "prominence": r"prominen\w+",
    "increase": r"increas\w+|worsen\w+|larger|progress(?:ion|ing|ed|ive)",
    "decrease": r"decreas\w+|improv\w+|smaller|resolving|resolution|regress\w+",
}
ANY_DISEASE = {
    "acute disease": r"(?:acute|active|significant)\b[\w /,-]{0,50}?\b(?:disease|diseases"
    r"|abnormalit\w+|process|processes|findings?|pathology)|(?:acute|active) (?:TB|tuberculosis)"
    r"|cardiopulmonary (?:disease|abnormalit\w+|process)",
}
"""What a report denies as a whole."""

DEVICES = {
    "endotracheal tube": r"endotracheal tubes?|ETT|ET tube",
    "gastric tube": r"(?:nasogastric|orogastric|enteric|feeding|NG|OG|dobbhoff) tubes?|NGT|OGT",
    "tracheostomy": r"tracheostomy(?: tubes?)?",
    "PICC": r"PICC(?: lines?)?|peripherally inserted central catheters?(?: lines?)?",
    "dialysis catheter": r"dialysis catheters?",
    "port": r"port-a-cath\w*|mediport|(?:chest|infusion|venous access) ports?",
    "central catheter": r"central (?:venous )?(?:catheters?|lines?)|CVC"
    r"|(?:jugular|IJ|subclavian)(?: [\w-]+)? (?:catheters?|lines?)",
    "chest tube": r"(?:chest|thoracostomy|pleural) (?:tubes?|drains?)",
    "pacemaker": r"pacemakers?|pacer|pacing (?:device|leads?)",
    "defibrillator": r"defibrillators?|AICD|ICD|cardioverter-defibrillators?",
    "valve prosthesis": r"(?:prosthetic|mechanical|artificial) (?:\w+ )?valves?"
    r"|valve (?:prosthes[ie]s|replacement)",
    "stent": r"stents?",
    "clips": r"(?:surgical |cholecystectomy |mediastinal )?clips",
    "balloon pump": r"balloon pump|IABP",
    "catheter": r"(?:(?:venous|hemodialysis) )*catheters?",
    "tip": r"(?-i:[Tt]ips?)|leads?|electrodes?",
    "shunt": r"(?:ventriculoperitoneal|VP) shunt|(?-i:TIPS)"
    r"|transjugular intrahepatic portosystemic shunt",
}
POSITIONS = {
    "superior vena cava": r"superior vena (?:cava|XXXX)|SVC",
    "cavoatrial junction": r"(?:cavo-?atrial|caval atrial|atriocaval|cavoatrial) junction",
    "right atrium": r"right atrium|right atrial",
    "right ventricle": r"right ventric\w+|RV",
    "inferior vena cava": r"inferior vena cava|IVC",
    "brachiocephalic vein": r"brachiocephalic|innominate",
    "subclavian vein": r"subclavian vein",
    "axillary vein": r"axillary vein",
    "left ventricle": r"left ventric\w+|LV",
    "above the carina": r"above (?:the )?carina",
    "below the carina": r"below (?:the )?carina",
    "main bronchus": r"main(?:stem)? bronchus",
    "azygos vein": r"azygos(?: vein)?",
    "stomach": r"stomach|gastric (?:body|fundus)",
    "esophagus": r"esophagus",
}
PLACES = {
    "upper": r"upper|RUL|LUL|RUQ|LUQ|suprahilar",
    "middle": r"middle lobe|RML|mid ?-?lung|midlung|mid-lung|mid zone",
    "lower": r"lower|RLL|LLL",
    "base": r"bas(?:e|es|al|ilar)|bibasilar|bibasal",
    "apex": r"ap(?:ex|ices|ical)|biapical",
    "perihilar": r"perihilar|hilar",
    "lingula": r"lingula\w*",
}
SEVERITIES = {
    "mild": r"mild(?:ly)?|minimal(?:ly)?|trace|tiny|slight(?:ly)?|small|subtle|minor",
    "moderate": r"moderate(?:ly)?",
    "severe": r"severe(?:ly)?|large|marked(?:ly)?|massive|extensive|gross",
}
LEFT = r"left(?:-sided|ward)?(?! ventric| atri)|LUL|LLL|LUQ|lingula\w*"
RIGHT = r"right(?:-sided|ward)?(?! ventric| atri)|RUL|RML|RLL|RUQ"
BOTH = r"bilateral(?:ly)?|both|b/l|bibasilar|bibasal|biapical|bases|apices"
STRUCTURES = {
    "cardiomegaly": r"heart|cardiac|cardio ?-?mediastinal",
    "wide mediastinum": r"mediastin\w+|cardio ?-?mediastinal",
    "lung disease": r"lungs?(?! volumes?)|lung fields|pulmonary parenchyma",
    "bone disease": r"osseous|bony|bones?|skeletal|ribs?|spine",
    "vascular congestion": r"pulmonary vascul\w+|vascularity|vasculature",
    "pleural disease": r"pleural spaces?",
    "acute disease": r"(?:(?:ab)?normal|negative|unremarkable)(?: \w+)? (?:chest|exam\w*)"
    r"|chest (?:exam\w* )?(?:is|radiograph)",
    "soft tissue disease": r"soft tissues?",
}
"""What each structure has if it is not normal."""

NORMAL = (
    r"normal|unremarkable|within (?:normal )?limits|WNL|clear(?! of)|intact|negative chest"
    r"|not enlarged"
)
ABNORMAL = r"not (?:normal|clear|unremarkable|intact|within)|(?:is|are|size) abnormal|^abnormal"
BORDERLINE = r"upper limits?(?: of)? normal|top(?:-| )normal|borderline|upper normal"
NEGATION = (
    r"no|without|w/o|not|negative for|free of|clear of|absence of|nor|lack of|resolution of"
    r"|resolved|removal of|free from"
)
NEGATION_ENDS = (
    r"\b(?:is|are|was|were|has|have|with|there|but|which|shows?|may|could|except|other than)\b"
    r"|\bw/(?!o)|,? and (?:the|there|mild|stable)\b"
    r"|, (?:stable|mild\w*|minimal\w*|unchanged|persistent|chronic|old|probable|possible)\b"
)
NEGATED_AFTER = (
    r"(?:(?:is|are|was|were) )?(?:absent\b|(?:no longer|not) (?:\w+ )?(?:seen|identified|present"
    r"|visualized|appreciated|evident|demonstrated|noted)\b)"
    r"|(?:has|have) (?:\w+ )?(?:resolved|cleared|been removed)\b|resolved\b"
)
UNCERTAIN = (
    r"may|might|could|possib\w+|probabl\w+|questionabl\w+|question|suspected|suspicious for"
    r"|concerning for|versus|vs|likely|suggest\w*|suspicion|differential|cannot"
    r"|not (?:be )?excluded|borderline|and/or|equivocal|r/o|rule out|uncertain"
    r"|presumably|potential\w*"
)
NO_CHANGE = (
    r"(?:no|without|w/o)(?: (?:significant|interval|definite|acute|substantial|apparent|obvious"
    r"|appreciable|great|gross|XXXX))* (?:changes?|difference|progression)(?: (?:in|of|from))?"
)
