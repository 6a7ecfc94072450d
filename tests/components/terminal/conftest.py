"""One server for the tests of this folder."""

import pytest

from tests.components.terminal.serving import Served, serving_terminals
from tests.folders import shared


@pytest.fixture(scope="module")
def served(request: pytest.FixtureRequest) -> Served:
    return shared(request, serving_terminals)
