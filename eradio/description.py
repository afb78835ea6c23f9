"""Frozen, validated descriptions: the data at the centre of the program."""

import hashlib
import json
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from eradio.errors import EradioError


class Description(BaseModel):
    """A frozen model with a canonical JSON form, a digest of it, and errors that are sentences."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def canonical(self) -> str:
        """JSON with sorted keys and no spaces: equal descriptions give equal text."""
        return canonical_json(self.model_dump(mode="json"))

    def digest(self) -> str:
        """First 16 hexadecimal digits of the SHA-256 of the canonical form."""
        return digest_of(self.model_dump(mode="json"))

    @classmethod
    def parse(cls, data: Any, where: str) -> Self:
        """Validate plain data.

        Raises:
            EradioError: one sentence for each mistake, naming the key and `where` it stands.
        """
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise EradioError(f"{where}: {_sentences(error, cls)}") from None

    @classmethod
    def from_yaml(cls, path: Path | str) -> Self:
        """Read and validate a YAML file (safe loader).

        Raises:
            EradioError: the file is missing, is no YAML, or does not describe a `cls`.
        """
        return cls.parse(read_yaml(path), str(path))


def canonical_json(data: Any) -> str:
    """Plain data as JSON with sorted keys and no spaces."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest_of(data: Any) -> str:
    """First 16 hexadecimal digits of the SHA-256 of plain data in canonical form."""
    return hashlib.sha256(canonical_json(data).encode()).hexdigest()[:16]


def read_yaml(path: Path | str) -> Any:
    """Plain data of a YAML file.

    Raises:
        EradioError: the file cannot be read, or is no YAML.
    """
    try:
        return yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise EradioError(f"Cannot read {path}: {error.strerror}. Check the path.") from None
    except (yaml.YAMLError, ValueError) as error:  # a date that is none is a ValueError of its own
        mark = getattr(error, "problem_mark", None)
        line = f" at line {mark.line + 1}" if mark else ""
        raise EradioError(f"{path} is not valid YAML{line}. Correct the file.") from None


def _sentences(error: ValidationError, cls: type[BaseModel]) -> str:
    parts = []
    for item in error.errors():
        key = ".".join(str(part) for part in item["loc"])
        if item["type"] == "extra_forbidden":
            known = ", ".join(cls.model_fields) if len(item["loc"]) == 1 else "those its section documents"
            parts.append(f"'{key}' is not a known key; known keys are {known}.")
        elif item["type"] == "missing":
            parts.append(f"'{key}' is missing; add it.")
        else:
            text = item["msg"].removeprefix("Value error, ").rstrip(".")
            given = "" if isinstance(item["input"], dict | list) else f" (given: {item['input']!r})"
            where = f"'{key}': " if key else ""
            parts.append(f"{where}{text}{given}.")
    return " ".join(parts)
