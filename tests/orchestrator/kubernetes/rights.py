"""The Role of k8s/base, kept as an API server's RBAC keeps it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from starlette.requests import Request
from starlette.responses import Response

from orchestrator.backends.kubernetes.api import Right
from tests.orchestrator.kubernetes.cluster_api import ClusterApi, refusal

FILE = Path(__file__).resolve().parents[3] / "k8s" / "base" / "rights.yaml"


def rights_of(role: dict[str, Any]) -> set[Right]:
    return {
        Right(group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def the_role() -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in yaml.safe_load_all(FILE.read_text()) if one["kind"] == "Role")
    return found


@dataclass
class Rbac:
    """A fault of the API server: 403 for what is not allowed. `used` is what was, and was asked for."""

    cluster: ClusterApi
    used: set[Right] = field(default_factory=set)
    refused: list[Right] = field(default_factory=list)

    def __post_init__(self) -> None:
        role = the_role()
        self._allowed, self._namespace = rights_of(role), role["metadata"]["namespace"]

    def __call__(self, request: Request) -> Response | None:
        parts = request.url.path.strip("/").split("/")
        if "namespaces" not in parts:
            return None
        at = parts.index("namespaces")
        for right in self._asked(request, parts[1] if parts[0] == "apis" else "", parts[at + 2 :]):
            if right not in self._allowed or parts[at + 1] != self._namespace:
                self.refused.append(right)
                return refusal(403, "Forbidden", f'{right.resource} is forbidden: cannot {right.verb} "{right.group}"')
            self.used.add(right)
        return None

    def _asked(self, request: Request, group: str, parts: list[str]) -> list[Right]:
        plural, name, sub = (*parts, "", "")[:3]
        resource = f"{plural}/{sub}" if sub else plural
        match request.method:
            case "GET" if not name:
                verbs = ["watch" if request.query_params.get("watch") == "true" else "list"]
            case "GET":
                verbs = ["get"]
            case "POST":
                verbs = ["create"]
            case "PATCH" if "apply-patch" in request.headers["content-type"]:
                # Server-side apply of what is not there makes it, and is asked for both.
                verbs = ["patch"] if (plural, name) in self.cluster.objects else ["patch", "create"]
            case other:
                verbs = [other.lower()]
        return [Right(group, resource, {"put": "update"}.get(verb, verb)) for verb in verbs]
