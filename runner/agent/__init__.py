"""The agent: the untrusted side of a REPL. Terminals, programs, a relay to ports, inside the sandbox.

Standard library only, and of it only C modules (`_socket`, `select`, `termios`, ...) and `os`, so that a sandbox
answers at once and an idle one is cheap. `python3 -I -S`, measured: interpreter 9 ms and this package 7 ms; asyncio
alone would be 37 ms, json 8 ms, typing 9 ms. ptyprocess imports 46 modules, which takes longer than the interpreter's
own start: it stays with the tools (`tests/bench/bare.py`). Nothing here may grant anything: user code can replace all
of it.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path


def agent_files() -> "dict[str, Path]":
    """-> {path below the directory to install into (/opt/runner): source file}. Run as `python3 -I -S agent.py`."""
    from pathlib import Path  # trusted side only: the agent must not pay for it

    package = Path(__file__).resolve().parent
    root = package.parent.parent
    modules = [package.parent / "__init__.py", *package.glob("*.py"), *(package.parent / "protocol").glob("*.py")]
    files = {str(module.relative_to(root)): module for module in sorted(modules) if module.name != "__main__.py"}
    return {"agent.py": package / "__main__.py", **files}


def install(directory: "Path", python: str = "/usr/bin/python3") -> None:
    """Copy the agent into `directory` and compile it with the sandbox's own `python`: uncompiled it starts later."""
    import shutil
    import subprocess

    for relative, source in agent_files().items():
        target = directory / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    # Unchecked: the copies never change, and their times may when an image is built.
    compiler = [python, "-I", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", str(directory)]
    subprocess.run(compiler, check=True)
