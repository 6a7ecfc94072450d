"""The `devex` command. What goes wrong is said in one sentence; a bad setting ends with 2, anything else with 1."""

import asyncio
import gc
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from app import config_page, configuration, data_dir
from app.settings import BadSetting, Settings
from runner.errors import DevexError

if TYPE_CHECKING:
    from app.accounts import Accounts

# The commands import what they need themselves: `devex version` need not wait for NiceGUI.

cli = typer.Typer(help="DEVEX: places to run code, in the browser.", no_args_is_help=True, add_completion=False)

BAD_SETTING, FAILED = 2, 1


@cli.command()
def serve() -> None:
    """Serve until Ctrl-C, which also stops the REPLs; after SIGTERM they run on and the next server finds them."""
    gc.disable()  # nothing that is imported is garbage; the server enables it once it serves
    from app import logs, start

    with exit_on_error():
        chosen = configuration.read()
        logs.set_up(chosen)
        start.serve(chosen)


@cli.command()
def doctor() -> None:
    """Check what this machine can and cannot do; ends with 1 when something is wrong."""
    from app import start

    with exit_on_error():
        checks = asyncio.run(start.doctor(configuration.read()))
    for check in checks:
        mark = {True: "ok", False: "WRONG", None: "?"}[check.ok]
        print(f"{mark:5} {check.name}: {check.detail}" + (f" -> {check.action}" if check.action else ""))
    if any(check.ok is False for check in checks):
        sys.exit(FAILED)


@cli.command()
def migrate() -> None:
    """Bring the database to this version (the server does it by itself when it starts)."""

    async def done(_: Settings) -> str:
        return "The database is up to date."

    _with_database(done)


@cli.command()
def verify(
    repl: Annotated[str, typer.Argument(help="Id or slug.")] = "",
    everything: Annotated[bool, typer.Option("--all", help="Of every REPL, those in the trash included.")] = False,
) -> None:
    """Read every stored version of a REPL again and check every hash; ends with 1 when something is wrong."""
    if bool(repl) is everything:
        raise typer.BadParameter("name one REPL, or all with --all")
    from app import operations
    from app.storage.records import TortoiseRecords

    async def read_again(chosen: Settings) -> str:
        repls = await TortoiseRecords().list_all() if everything else [await operations.named(repl)]
        await operations.verify_versions(chosen, repls)
        return "Every version is as it was written."

    _with_database(read_again)


@cli.command()
def export(
    repl: Annotated[str, typer.Argument(help="Id or slug.")],
    file: Annotated[Path, typer.Argument(help="A new file.")],
) -> None:
    """Write a REPL's files and history into a file that `devex import` understands, here or elsewhere."""
    from app import moving, operations

    async def write(chosen: Settings) -> str:
        return await moving.export(chosen, await operations.named(repl), file)

    _with_database(write)


@cli.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="What `devex export` wrote.")],
    owner: Annotated[str, typer.Option(help="Whose REPL it becomes.")],
) -> None:
    """Make a new REPL of an exported one. A running server lays out its files when somebody looks at it."""
    from app import moving

    async def read(chosen: Settings) -> str:
        user = await _accounts(chosen).named(owner)
        repl = await moving.import_bundle(chosen, file, user.id)
        return f"{repl.slug} is {user.name}'s. It is at {chosen.origin}/repl/{repl.id}"

    _with_database(read)


@cli.command("migrate-store")
def migrate_store(
    to: Annotated[str, typer.Option(help="The other store, as DEVEX_STORE would name it; DEVEX_S3_… tell of S3.")],
) -> None:
    """Copy every version to another store; begin again where it was cut off. See docs/operations.md."""
    from app import operations

    _with_database(lambda chosen: operations.migrate_store(chosen, to))


@cli.command()
def recover(
    owner: Annotated[str, typer.Option(help="Who gets REPLs that are in the store and in no list.")] = "",
) -> None:
    """After a database was put back or the machine was lost: take files that are gone from the newest versions."""
    from app import operations

    async def look(chosen: Settings) -> str:
        user = await _accounts(chosen).named(owner) if owner else None
        return await operations.recover(chosen, user.id if user else None)

    _with_database(look)


@cli.command()
def invite() -> None:
    """Print an address with which one person can sign up."""
    from app.accounts.links import invitation_url

    async def address(chosen: Settings) -> str:
        return invitation_url(chosen.origin, await _accounts(chosen).invite())

    _with_database(address)


@cli.command("setup-link")
def setup_link() -> None:
    """Print an address with which one person becomes an administrator."""
    from app.accounts.links import setup_url

    async def address(chosen: Settings) -> str:
        return setup_url(chosen.origin, await _accounts(chosen).setup_link())

    _with_database(address)


@cli.command()
def token(
    user: Annotated[str, typer.Argument(help="Whose it is: it may do what they may with their REPLs.")],
    name: Annotated[str, typer.Option(help="What it is for.")] = "command line",
    days: Annotated[int, typer.Option(min=1, max=365, help="For how long it is good.")] = 90,
) -> None:
    """Print a token with which scripts act for a user. It is revoked on the user's account page."""

    async def made(chosen: Settings) -> str:
        accounts = _accounts(chosen)
        _, secret = await accounts.sessions.new_token((await accounts.named(user)).id, name, days)
        return secret

    _with_database(made)


@cli.command("egress-proxy")
def egress_proxy(
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 in a pod.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="TCP port to listen on; 0 takes a free one.")] = 3128,
) -> None:
    """Let pods out to what DEVEX_EGRESS_ALLOW and DEVEX_EGRESS_EXCEPT name. See docs/operations.md."""
    from app import egress, logs

    with exit_on_error():
        chosen = configuration.read()
        logs.set_up(chosen)
        asyncio.run(egress.serve(chosen, host, port))


@cli.command("config-doc")
def config_doc() -> None:
    """Print docs/configuration.md."""
    print(config_page.page(), end="")


@cli.command()
def version() -> None:
    """Print the version."""
    try:
        print(version_of("devex"))
    except PackageNotFoundError:
        print("run from source, not installed")


@contextmanager
def exit_on_error() -> Iterator[None]:
    """End the command with a sentence for a DevexError: it is no bug, so there is no traceback."""
    try:
        yield
    except BadSetting as error:
        _end(error, BAD_SETTING)
    except DevexError as error:
        _end(error, FAILED)


def _end(error: DevexError, code: int) -> NoReturn:
    print(f"{error.message} {error.action}", file=sys.stderr)
    sys.exit(code)


def _accounts(chosen: Settings) -> "Accounts":
    from app.accounts import Accounts
    from orchestrator.clock import SystemClock

    return Accounts(SystemClock(), sign_up=chosen.sign_up, session_days=chosen.session_days)


def _with_database(work: Callable[[Settings], Coroutine[Any, Any, str]]) -> None:
    from app.storage import database

    async def run(chosen: Settings) -> str:
        url = database.url_of(chosen.database_url.get_secret_value(), chosen.data_dir)
        async with database.opened(url):
            return await work(chosen)

    with exit_on_error():
        chosen = configuration.read()
        data_dir.prepare(chosen.data_dir)
        print(asyncio.run(run(chosen)))


if __name__ == "__main__":
    cli()
