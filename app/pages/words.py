"""Small decisions about what to show, without a page."""

from datetime import datetime

from app.access import Action, ReplRole
from orchestrator.domain import Goal, Phase, Repl

_BADGES = {
    "python": ("Py", "#3f7fc1"),
    "flask": ("Fl", "#3f8f8a"),
    "fastapi": ("Fa", "#159a7f"),
    "node": ("No", "#4b9a4b"),
    "react": ("Re", "#2595b5"),
    "go": ("Go", "#1f96b4"),
    "c": ("C", "#6a78c8"),
    "cpp": ("C++", "#6a78c8"),
    "java": ("Ja", "#c2623a"),
    "static": ("Ht", "#d0602f"),
    "blank": ("∅", "#7b8494"),
}

_STOPPED = {130: "Interrupted", 143: "Stopped (SIGTERM)"}  # by Ctrl-C and by the Stop button
_ENDINGS = {
    126: "a file cannot be executed: set its permissions",
    127: "a command was not found: install it, or correct the run command",
    137: "killed, perhaps because it used too much memory: let it use less",
}

# In the order in which they must be looked for: later signs are in earlier ones' names as well.
_BROWSERS = (
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
_SYSTEMS = (
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS", "a Mac"),
    ("Linux", "Linux"),
)


def badge_of(template: str) -> str:
    """The few letters that stand for a template."""
    return _BADGES[template][0] if template in _BADGES else template[:2].capitalize()


def shared_words(owner: str, role: ReplRole) -> str:
    """Whose it is, and what one may do with it."""
    return f"shared by {owner}" + ("" if role.may(Action.WRITE) else " · view only")


def colour_of(template: str) -> str:
    """The colour of the letters."""
    return _BADGES[template][1] if template in _BADGES else "#6a78c8"


def ago(then: datetime, now: datetime) -> str:
    """How long ago, in the coarsest unit that says it: "3 hours ago"."""
    seconds = max((now - then).total_seconds(), 0)
    for unit, length_s in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= length_s:
            count = int(seconds // length_s)
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"


def unsafe_words(repl: Repl, now: datetime) -> str:
    """Of a REPL that does not run: why its last changes are on this machine's disk only; "" when they are not."""
    if not repl.unsafe or repl.phase is Phase.RUNNING:
        return ""
    until = f" Everything up to {ago(repl.saved_at, now)} is safe." if repl.saved_at else ""
    return f"Not safe in the store: {repl.unsafe} Its files are kept here, and this is tried again.{until}"


def safety_words(repl: Repl, now: datetime) -> str:
    """Of a REPL that does not run: where its files are."""
    if unsafe := unsafe_words(repl, now):
        return unsafe
    if repl.saved_version and not repl.unsaved:
        return f"Its files are safe in the store, as version {repl.saved_version}."
    return "Its files are safe."


def stopping_words(repl: Repl) -> str:
    """What takes a stop its time, and why it stops where nobody has asked for that."""
    why = f"{repl.stop_reason} " if repl.goal is Goal.RUN and repl.stop_reason else ""
    if not repl.unsafe:
        return f"{why}A version of its files is saved to the store first."
    return (
        f"{why}Its last changes are not in the store yet: {repl.unsafe} This is tried again. "
        "The files are kept, whatever comes of it."
    )


def restart_words(repl: Repl, seen_at: datetime) -> str:
    """To who has not looked since `seen_at`: that it stopped, and started again by itself; "" when it did not."""
    runs = repl.phase is Phase.RUNNING and repl.goal is Goal.RUN  # with another goal somebody has just stopped it
    if not runs or not repl.stop_reason or repl.phase_at <= seen_at:
        return ""
    return f"{repl.stop_reason} It was started again, with its files. Run again what you need: programs have ended."


def span(seconds: float) -> str:
    """A duration to read at a glance: "40 ms", "0.4 s", "12 s", "3 min", "2 h 5 min"."""
    if seconds < 0.1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = int(seconds // 60)
    hours, rest = divmod(minutes, 60)
    if not hours:
        return f"{minutes} min"
    return f"{hours} h {rest} min" if rest else f"{hours} h"


def size_words(size_bytes: int) -> str:
    """An amount of data or memory to read at a glance: "512 B", "1.2 kB", "34 MB"."""
    size, unit = float(size_bytes), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if size < 999.5:
            break
        size, unit = size / 1000, larger
    return f"{size:.1f} {unit}" if size < 9.95 and unit != "B" else f"{size:.0f} {unit}"


def stopped_words(code: int | None, *, forced: bool) -> str:
    """How a program ended that somebody stopped, so that nothing went wrong; "" for one that ended by itself."""
    if forced:
        return "Stopped by force (SIGKILL)"
    return _STOPPED.get(code, "") if code is not None else ""


def ending_words(code: int | None) -> str:
    """How a program ended by itself, from its exit code as a shell says it; None: its sandbox ended first."""
    if code is None:
        return "Ended with its sandbox"
    return f"Exit code {code}, {_ENDINGS[code]}" if code in _ENDINGS else f"Exit code {code}"


def browser_words(user_agent: str) -> str:
    """What a person calls a browser: "Firefox on Linux"."""
    browser = next((name for sign, name in _BROWSERS if sign in user_agent), "")
    system = next((name for sign, name in _SYSTEMS if sign in user_agent), "")
    return f"{browser} on {system}" if browser and system else browser or user_agent[:60] or "Unknown browser"


def command_words(command: str) -> str:
    """What to show of a run command: of a script, the line that becomes the program, or how it begins."""
    lines = [line.strip() for line in command.strip().splitlines()]
    if program := next((line for line in reversed(lines) if line.startswith("exec ")), ""):
        return program.removeprefix("exec ")
    return f"{lines[0]} …" if len(lines) > 1 else "".join(lines)
