"""The languages' images have the tools of the templates that run in them, as far as that shows without Debian's mirror.

Whether Debian has the packages shows when they are built: `make images`.
"""

from orchestrator import templates
from tests.k8s.built import ROOT

BRINGS = {
    "python3": ["python3"],
    "nodejs": ["node"],
    "npm": ["npm"],
    "golang-go": ["go"],
    "gcc": ["cc"],
    "g++": ["c++"],
    "default-jdk-headless": ["java", "javac"],
}
"""Tools by Debian's package, in /usr/bin."""
OF_THE_BASE = {"bash"}
ALONE = {"python": ["python", "flask", "fastapi", "static"], "node": ["node", "react"], "go": ["go"], "c": ["c", "cpp"]}
"""Templates for which an image of one language is meant."""


def images() -> dict[str, list[str]]:
    """Packages by image."""
    common = next(line for line in (ROOT / "k8s/images/build").read_text().splitlines() if line.startswith("common="))
    lines = [line.split() for line in (ROOT / "k8s/images/languages").read_text().splitlines() if line[0] != "#"]
    return {name: [*common.split('"')[1].split(), *packages] for name, *packages in lines}


def tools(packages: list[str]) -> set[str]:
    return OF_THE_BASE.union(*(BRINGS.get(package, []) for package in packages))


def test_each_image_has_the_tools_of_its_templates() -> None:
    found, known = images(), templates.load()
    assert found.keys() == {*ALONE, "all"}
    for image, of in [*ALONE.items(), ("all", list(known))]:
        for name in of:
            assert set(known[name].needs) <= tools(found[image]), f"{name} in {image}"
