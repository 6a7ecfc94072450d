"""What every template does wherever its program runs. Subclass, and say how a program is run there."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from orchestrator.templates import Template, load

DEADLINE_S = 100.0  # a first Go build on a busy machine
INSTALL_S = 400.0  # packages from a registry that is far away
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")

SELF_CONTAINED = [template for template in load().values() if template.run_command and not template.installs]
INSTALLING = [template for template in load().values() if template.installs]


class TemplatesContract:
    """Subclasses override `output` and `answers`."""

    def output(self, template: Template) -> AsyncIterator[bytes]:
        """Run the template's command on its files: an async generator of output, which ends the program when closed.

        Running it again finds the files that the last run left.
        """
        raise NotImplementedError

    async def answers(self, port: int) -> bool:
        """Whether the program that runs shows a page on this port."""
        raise NotImplementedError

    @pytest.mark.parametrize("template", SELF_CONTAINED, ids=lambda template: template.name)
    async def test_a_run_prints_what_it_should(self, template: Template) -> None:
        await self.expect(template)

    @pytest.mark.timeout(2 * INSTALL_S)
    @pytest.mark.parametrize("template", INSTALLING, ids=lambda template: template.name)
    async def test_the_first_run_installs_and_the_next_starts_at_once(self, template: Template) -> None:
        """From the package registries of this machine."""
        assert "First run: installing" in await self.expect(template, INSTALL_S)
        assert "irst run" not in await self.expect(template)

    async def expect(self, template: Template, deadline_s: float = DEADLINE_S) -> str:
        """Returns what was printed, once every expected line was and its page is there."""
        said = ""
        try:
            async with asyncio.timeout(deadline_s), aclosing(self.output(template)) as output:  # type: ignore[type-var]
                async for chunk in output:
                    said = ESCAPES.sub("", said + chunk.decode(errors="replace"))
                    if all(line in said for line in template.expected_output):
                        while template.port and not await self.answers(template.port):
                            await asyncio.sleep(0.1)
                        return said
        except TimeoutError:
            what = f"did not print {template.expected_output}, and answer on {template.port}, in {deadline_s} s"
            pytest.fail(f"{template.name} {what}, but printed: {said}")
        pytest.fail(f"{template.name} ended without printing {template.expected_output}, but: {said}")
