"""The packaged model that a draft's statements are checked with; `python -m tests.bench.checking --fit` makes it."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from router.checking import SupportModel

PACKAGED = Path(__file__).with_name("checking_default.json")


@cache
def packaged_model() -> SupportModel:
    return SupportModel.from_json(json.loads(PACKAGED.read_text("utf-8")))
