"""One page a module. Pages decide what is shown; what is allowed is decided in app.access."""

from app.access import Action, allowed
from app.pages import account, admin, dashboard, sign_in, workbench
from app.services import Services
from components import theme


def register(services: Services) -> None:
    """Add every page to NiceGUI's app; call once, before the server starts."""
    theme.serve([allowed(Action.VISIT)])
    for module in (sign_in, dashboard, workbench, account, admin):
        module.register(services)
