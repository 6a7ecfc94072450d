"""What every template does wherever its program runs. Subclass, and say how a program is run there."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from orchestrator.templates import Template, load

DEADLINE_S = 100.0  # a first Go build on a busy machine
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")

SELF_CONTAINED = [template for template in load().values() if template.run_command and not template.installs]
INSTALLING = [template for template in load().values() if template.installs]


class TemplatesContract:
    """Subclasses override `output`."""

    def output(self, template: Template) -> AsyncIterator[bytes]:
        """Run the template's command on its files: an async generator of output, which ends the program when closed."""
        raise NotImplementedError

    @pytest.mark.parametrize("template", SELF_CONTAINED, ids=lambda template: template.name)
    async def test_a_run_prints_what_it_should(self, template: Template) -> None:
        await self.expect(template)

    async def expect(self, template: Template, deadline_s: float = DEADLINE_S) -> None:
        """Returns once every expected line was printed."""
        said = ""
        try:
            async with asyncio.timeout(deadline_s), aclosing(self.output(template)) as output:  # type: ignore[type-var]
                async for chunk in output:
                    said = ESCAPES.sub("", said + chunk.decode(errors="replace"))
                    if all(line in said for line in template.expected_output):
                        return
        except TimeoutError:
            pytest.fail(f"{template.name} did not print {template.expected_output} in {deadline_s} s, but: {said}")
        pytest.fail(f"{template.name} ended without printing {template.expected_output}, but: {said}")
