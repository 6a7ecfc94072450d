"""What a Repl starts with, as its template says."""

from collections.abc import Mapping

from orchestrator.backends.base import SandboxSpec
from orchestrator.domain import Limits, Repl
from orchestrator.templates import Template

PORT = 3000  # what most frameworks listen on


def first_files(repl: Repl, template: Template) -> Mapping[str, bytes]:
    """Beside what is copied: a copy is the whole of it."""
    return {} if repl.copy_of is not None else template.files


def sandbox_spec(repl: Repl, template: Template | None, limits: Limits, environment: Mapping[str, str]) -> SandboxSpec:
    """Of the recorded epoch. `environment` wins over the template's. No template: it was removed from the catalogue
    since.
    """
    port = template.port if template is not None and template.port else PORT
    return SandboxSpec(
        repl_id=repl.id,
        epoch=repl.epoch,
        template=repl.template,
        environment={
            "HOST": "0.0.0.0",
            "DEVEX_REPL_ID": repl.id,
            "DEVEX_REPL_SLUG": repl.slug,
            **(template.environment if template is not None else {}),
            "PORT": str(port),
            **environment,
        },
        run_command=template.run_command if template is not None else None,
        size=limits.size_of(repl.template),
        egress=limits.egress,
    )
