"""JSON Lines: one object a photo."""

from __future__ import annotations

import json

from ..prediction import Prediction
from . import Extra


class JsonLines:
    """``Prediction.to_dict`` and what was done with the photo; names in ASCII escapes."""

    def head(self) -> str:
        """Nothing."""
        return ""

    def row(self, prediction: Prediction, extra: Extra) -> str:
        """One object and a line feed."""
        return json.dumps(prediction.to_dict() | dict(extra)) + "\n"
