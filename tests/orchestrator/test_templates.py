"""The catalogue: well formed and honest about what it needs. `local/test_programs.py` runs the programs."""

import re
from pathlib import Path

import pytest

from orchestrator.templates import Template, load

CATALOGUE = load()
EVERY = pytest.mark.parametrize("template", CATALOGUE.values(), ids=CATALOGUE)


def test_the_catalogue_has_what_people_look_for() -> None:
    wanted = ["python", "flask", "fastapi", "node", "react", "static", "c", "cpp", "go", "java", "bash", "blank"]
    assert list(CATALOGUE) == wanted


@EVERY
def test_it_says_what_it_is(template: Template) -> None:
    assert template.title
    assert template.description.endswith(".")
    assert template.language
    if template.name != "blank":
        assert template.open_file in template.files
        assert template.run_command
        assert template.needs
        assert template.expected_output


@EVERY
def test_what_installs_keeps_its_packages_out_of_small_tmp(template: Template) -> None:
    """/tmp is a few dozen MiB of memory; caches go to the workspace's .cache, which the tree does not watch."""
    assert not any(value.startswith("/tmp") for value in template.environment.values())
    if template.installs:
        assert "irst run" in template.description
        assert "echo" in (template.run_command or "")


def test_missing_tools_are_named_with_what_to_do() -> None:
    def none(tool: str) -> bool:
        return False

    assert CATALOGUE["c"].missing(none) == (
        "cc is not installed on this server. The operator can install a C compiler (Debian: apt install gcc libc6-dev)."
    )
    assert CATALOGUE["c"].missing(lambda tool: tool == "cc") is None
    assert CATALOGUE["blank"].missing(none) is None
    assert "are not installed" in (CATALOGUE["react"].missing(none) or "")


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ('order = 1\ntitle = "A"', "missing"),
        ('order = 1\ntitle = "A"\ndescription = ""\nlanguage = ""\nextra = 1', "extra"),
        ('order = 1\ntitle = "A"\ndescription = ""\nlanguage = ""\nopen_file = "no.py"', "no.py"),
    ],
)
def test_a_template_that_is_not_well_formed_is_refused(tmp_path: Path, toml: str, said: str) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "template.toml").write_text(toml)
    with pytest.raises(ValueError, match=f"template broken.*{re.escape(said)}"):
        load(tmp_path)
