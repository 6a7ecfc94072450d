"""A real cluster for the tests of the whole, where one is given: see CONTRIBUTING.md.

DEVEX_TEST_KUBECONFIG, and any other setting of the server's with DEVEX_TEST_ before its name.
"""

import os

PREFIX = "DEVEX_TEST_"


def settings() -> dict[str, str]:
    """By name, as tests pass them on; {} when there is none."""
    given = {name.removeprefix(PREFIX).lower(): value for name, value in os.environ.items() if name.startswith(PREFIX)}
    return {"backend": "kubernetes", "k8s_reach": "api", **given} if given else {}
