"""What routes are given by FastAPI, besides the Access of app/access.py."""

from typing import Annotated

from fastapi import Depends, Request

from app.accounts import Accounts, Visitor
from app.addresses import network_of
from app.gateway.previews import Previews
from app.members import Members
from app.services import Services
from orchestrator.service import Orchestrator

# Coroutines, though nothing is waited for: FastAPI calls plain functions in a thread.


async def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


async def _accounts(request: Request) -> Accounts:
    return (await _services(request)).accounts


async def _members(request: Request) -> Members:
    return (await _services(request)).members


async def _orchestrator(request: Request) -> Orchestrator:
    return (await _services(request)).orchestrator


async def _previews(request: Request) -> Previews:
    previews: Previews = request.app.state.previews
    return previews


async def _visitor(request: Request) -> Visitor:
    address = request.client.host if request.client else ""
    return Visitor(network_of(address), request.headers.get("user-agent", ""))


ServicesDep = Annotated[Services, Depends(_services)]
AccountsDep = Annotated[Accounts, Depends(_accounts)]
MembersDep = Annotated[Members, Depends(_members)]
OrchestratorDep = Annotated[Orchestrator, Depends(_orchestrator)]
PreviewsDep = Annotated[Previews, Depends(_previews)]
VisitorDep = Annotated[Visitor, Depends(_visitor)]
