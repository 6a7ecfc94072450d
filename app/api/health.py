"""Whether the server is well."""

from fastapi import APIRouter

from app.access import Action, allowed
from app.api.dependencies import AccountsDep

router = APIRouter()


@router.get("/healthz", include_in_schema=False, dependencies=[allowed(Action.VISIT)])
async def health(accounts: AccountsDep) -> dict[str, str]:
    """Answers when the database does."""
    await accounts.nobody_yet()
    return {"status": "ok"}
