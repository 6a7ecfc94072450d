"""What programs in a sandbox find in their environment."""

from collections.abc import Mapping

from orchestrator.backends.base import SandboxSpec
from orchestrator.backends.local.inside import EGRESS_PORT, TMP, WORKSPACE
from orchestrator.domain import Egress

SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"  # of the machine's own folders, which sandboxes see as they are
_BASE: Mapping[str, str] = {
    "HOME": WORKSPACE,
    "USER": "runner",
    "LOGNAME": "runner",
    "SHELL": "/bin/bash",
    "PATH": f"{WORKSPACE}/.local/bin:{SYSTEM_PATH}",
    "LANG": "C.UTF-8",
    "TMPDIR": TMP,
    "HISTFILE": f"{TMP}/.bash_history",  # what was typed, secrets too, is not to go along with the files
    # The system is read-only and cannot be broken: pip installs below HOME, npm -g too.
    "PIP_BREAK_SYSTEM_PACKAGES": "1",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "npm_config_prefix": f"{WORKSPACE}/.local",
    "npm_config_update_notifier": "false",
}
_LOCAL = "localhost,127.0.0.1,::1"


def program_environment(spec: SandboxSpec) -> dict[str, str]:
    return {**_BASE, **_way_out(spec.egress), **spec.environment}


def _way_out(egress: Egress) -> dict[str, str]:
    if egress is Egress.NONE:
        return {}
    names = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")
    proxies = dict.fromkeys(names, f"http://127.0.0.1:{EGRESS_PORT}")
    return {**proxies, "no_proxy": _LOCAL, "NO_PROXY": _LOCAL, "NODE_USE_ENV_PROXY": "1"}
