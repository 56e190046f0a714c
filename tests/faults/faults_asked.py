"""How many kills are asked for: they take minutes, so a plain run of the tests makes none."""

import os

KILLS = int(os.environ.get("CXR_MTL_KILLS", "0"))
WHY_NOT = "takes minutes: make faults runs it, or CXR_MTL_KILLS=20 pytest tests/faults"
