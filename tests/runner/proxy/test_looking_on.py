"""Who may only look at a terminal holds nothing up, takes nothing from those who type, and keeps nothing awake."""

from dataclasses import replace

from runner.protocol.messages import FREE_RUN
from runner.proxy.terminals.attachment import Attachment
from runner.proxy.terminals.terminal import Terminal
from runner.proxy.terminals.typed import PAGES
from runner.viewer import Viewer
from tests.runner.proxy.test_terminal_and_window import ADA, Agent, terminal_of

EVE = Viewer("u9", "Eve", can_write=False)
QUESTION = b"\x1b[6n"


def show_all(terminal: Terminal, attachment: Attachment) -> None:
    """Its page has drawn what there is."""
    while attachment.next_frame():
        pass
    terminal.acknowledge(attachment, terminal.ring.end)


async def test_output_waits_for_nobody_who_may_only_look() -> None:
    agent = Agent()
    terminal = terminal_of(agent)
    terminal.attach(0, EVE)
    assert agent.granted == [FREE_RUN]
    owner = terminal.attach(0, ADA)
    assert agent.granted[-1] == owner.upto
    terminal.detach(owner)
    assert agent.granted[-1] == FREE_RUN


async def test_a_question_that_only_they_have_seen_is_answered_by_who_comes_and_may_type() -> None:
    terminal = terminal_of(Agent())
    eve = terminal.attach(0, EVE)
    terminal.output(0, QUESTION)
    show_all(terminal, eve)
    assert not terminal.may_answer(eve)
    owner = terminal.attach(0, ADA)
    show_all(terminal, owner)
    assert terminal.may_answer(owner)


async def test_their_pages_have_no_others_keys_be_forgotten() -> None:
    terminal, page = terminal_of(Agent()), b"0123456789abcdef"
    owner = terminal.attach(0, ADA, page + b".4")
    terminal.detach(owner)
    for number in range(PAGES):
        terminal.detach(terminal.attach(0, EVE, b"%016x.0" % number))
    assert terminal.attach(0, ADA, page + b".12").taken == 4


async def test_what_was_refused_is_taken_also_when_they_may_type_later() -> None:
    terminal, page = terminal_of(Agent()), b"0123456789abcdef"
    eve, eve_may_type = EVE, replace(EVE, can_write=True)
    for viewer, typed, sent in ((eve_may_type, 4, 0), (eve, 5, 4), (eve_may_type, 0, 9), (eve, 2, 9)):
        attachment = terminal.attach(0, viewer, page + b".%d" % sent)
        assert attachment.taken == sent
        assert attachment.take(typed)
        terminal.detach(attachment)
    assert terminal.attach(0, eve_may_type, page + b".11").taken == 11
    terminal.close(1000)


async def test_they_have_no_full_screen_program_draw_whoever_else_is_there() -> None:
    agent = Agent()
    terminal = terminal_of(agent)
    terminal.output(0, b"\x1b[?1049h")
    terminal.attach(0, ADA)  # and types nothing

    def missed_some(viewer: Viewer) -> Attachment:
        attachment = terminal.attach(0, viewer)
        attachment.has_skipped = True
        show_all(terminal, attachment)
        return attachment

    missed_some(EVE)
    assert agent.sizes == []
    missed_some(ADA)
    assert agent.sizes == [(79, 24)]
    terminal.close(1000)
