"""Writes docs/profile.schema.json: the JSON schema of what `eradio profile --json` prints.

Run: python tools/write_schema.py
"""

import json
from pathlib import Path

from eradio.profile import Profile

PATH = Path(__file__).parents[1] / "docs" / "profile.schema.json"


def schema() -> str:
    """The schema as text."""
    return json.dumps(Profile.model_json_schema(), indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    PATH.write_text(schema(), encoding="utf-8")
