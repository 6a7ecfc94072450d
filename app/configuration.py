"""The settings of this process, from its environment and `.env`; or what is wrong there, in words for who typed it."""

import os
from difflib import get_close_matches
from pathlib import Path

from dotenv.parser import parse_stream
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from app.settings import FILE, PREFIX, BadSetting, Settings

MISSPELT = 0.8  # of difflib's likeness: SIGNUP is SIGN_UP, SERVICE_HOST is no setting of ours


def read() -> Settings:
    """The settings of this process. Raises BadSetting when one cannot be used, with one sentence."""
    try:
        _refuse_misspelt([*os.environ, *_names_in(Path(FILE))])
        return Settings()
    except UnicodeDecodeError:
        raise BadSetting(f"The file {FILE} cannot be read: it must be UTF-8 text.") from None
    except OSError as error:
        raise BadSetting(f"The file {FILE} cannot be read: {(error.strerror or str(error)).lower()}.") from None
    except ValidationError as error:
        first = error.errors()[0]
        reason = _reason(first)
        if not first["loc"]:
            raise BadSetting(f"{reason}.") from None
        name, *within = map(str, first["loc"])
        place = f"{'.'.join(within)}: " if within else ""
        reason = f"{reason[:1].lower()}{reason[1:]}"
        raise BadSetting(f"{PREFIX}{name.upper()} cannot be used: {place}{reason}.") from None


def _reason(error: ErrorDetails) -> str:
    """What is wrong, for people who need not know Python's types."""
    match error["type"]:
        case "int_parsing" | "int_parsing_size":
            return "it must be a whole number"
        case "float_parsing":
            return "it must be a number"
        case "bool_parsing":
            return "it must be true or false"
        case "greater_than_equal":
            return f"it must be at least {error['ctx']['ge']:.15g}"
        case "less_than_equal":
            return f"it must be at most {error['ctx']['le']:.15g}"
        case "dataclass_type":
            return "it must be an object of JSON"
        case "missing":
            return "it is missing"
        case "unexpected_keyword_argument":
            return "there is no such field"
    return error["msg"].removeprefix("Value error, ").replace("Input should be", "it must be")


def _names_in(file: Path) -> list[str]:
    """Raises BadSetting for a line that would only be warned of, and ignored."""
    if not file.is_file():
        return []
    with file.open(encoding="utf-8") as text:
        lines = list(parse_stream(text))
    for line in lines:
        if line.error:
            blank = len(line.original.string) - len(line.original.string.lstrip("\n"))  # what goes before is part of it
            raise BadSetting(
                f"Line {line.original.line + blank} of the file {file} cannot be read: it must look like NAME=value."
            )
    return [line.key for line in lines if line.key]


def _refuse_misspelt(names: list[str]) -> None:
    """A setting that is ignored in silence may leave open what was meant to be closed."""
    settings = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    ours = {name for name in names if name.upper().startswith(PREFIX)}
    for name in sorted(ours):
        meant = get_close_matches(name.upper(), settings, n=1, cutoff=MISSPELT)
        if meant and name.upper() not in settings:
            raise BadSetting(f"{name} is no setting: {meant[0]} is one.")
