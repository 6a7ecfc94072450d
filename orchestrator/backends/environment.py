"""What programs find around them, whichever backend runs them: folders, and their environment."""

from collections.abc import Mapping

from orchestrator.backends.base import SandboxSpec

WORKSPACE = "/workspace"
TMP = "/tmp"  # noqa: S108 (the sandbox's own)
SOCKETS = "/run/devex"  # read-only: what the proxy listens on
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"  # of the machine's own folders, which sandboxes see as they are
# What a killed program may have left on in a terminal: looks, regions, keys' modes, the mouse, the alternate screen.
_AS_BEFORE = r"[[ -t 1 && $TERM != dumb ]] && printf '\e[!p\e[?1000;1002;1003;1006;1047l'"
_BASE: Mapping[str, str] = {
    "HOME": WORKSPACE,
    "USER": "runner",
    "LOGNAME": "runner",
    "SHELL": "/bin/bash",
    "PATH": f"{WORKSPACE}/.local/bin:{SYSTEM_PATH}",
    "LANG": "C.UTF-8",
    "TMPDIR": TMP,
    "PROMPT_COMMAND": _AS_BEFORE,
    "HISTFILE": f"{TMP}/.bash_history",  # what was typed, secrets too, is not to go along with the files
    # The system is read-only and cannot be broken: pip installs below HOME, npm -g too.
    "PIP_BREAK_SYSTEM_PACKAGES": "1",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "npm_config_prefix": f"{WORKSPACE}/.local",
    "npm_config_update_notifier": "false",
}
_LOCAL = "localhost,127.0.0.1,::1"


def program_environment(spec: SandboxSpec, *, way_out: str | None) -> dict[str, str]:
    """`way_out` is the address of the HTTP proxy that they have to go by."""
    return {**_BASE, **(_by_proxy(way_out) if way_out else {}), **spec.environment}


def _by_proxy(url: str) -> dict[str, str]:
    proxies = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), url)
    return {**proxies, "no_proxy": _LOCAL, "NO_PROXY": _LOCAL, "NODE_USE_ENV_PROXY": "1"}
