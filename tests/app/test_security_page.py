import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_tests_that_the_page_names_exist() -> None:
    named = re.findall(r"`(test_\w+)::(test_\w+)`", (ROOT / "docs" / "security.md").read_text())
    assert len(named) > 50
    files = {path.stem: path.read_text() for path in (ROOT / "tests").rglob("test_*.py")}
    assert [one for one in named if not re.search(rf"def {one[1]}\(", files.get(one[0], ""))] == []
