"""What pages, the API and the gateway are given."""

from dataclasses import dataclass

from app.access import Standing
from app.accounts import Accounts
from app.members import Members
from app.settings import Settings
from orchestrator.service import Orchestrator
from runner.live import Live


@dataclass(frozen=True, slots=True)
class Services:
    """The parts of the running application; also at `request.app.state.services`."""

    settings: Settings
    orchestrator: Orchestrator
    accounts: Accounts
    members: Members
    live: Live[Standing]  # what is open now, by with what it was opened
