"""What a person can have the workbench do, by the palette, a key or a button."""

from collections.abc import Callable, Mapping
from typing import Any

from app.access import Action, ReplRole
from components.palette import Command

Do = Callable[[str], Any]

START_IT, STOP_IT = "Start this REPL", "Stop this REPL"
COMMANDS = (
    Command("save", "Save the file", "Mod+S"),
    Command("run", "Run the program", "Mod+Enter"),
    Command("stop", "Stop the program"),
    Command("runs", "Runs"),
    Command("run-again", "Run the last command again"),
    Command("download-text", "Download the terminal as text"),
    Command("download-cast", "Download the terminal as asciicast"),
    Command("editor", "Go to the editor"),
    Command("tree", "Go to the files"),
    Command("terminal", "Go to the terminal", "Mod+`"),
    Command("new-terminal", "New terminal"),
    Command("terminal-find", "Find in the terminal", own_keys="Mod+Shift+F"),
    Command("terminal-clear", "Clear the terminal", own_keys="Mod+Shift+K"),
    Command("terminal-take-over", "Take over typing in the terminal"),
    Command("terminal-links", "Open a file or address named in the terminal", own_keys="Mod+Shift+O"),
    Command("terminal-split", "Split the terminal"),
    Command("terminal-part", "Show terminals one at a time again"),
    Command("terminal-rename", "Rename the terminal"),
    Command("terminal-settings", "Terminal settings and keys"),
    Command("screen-reader", "Terminals: read out by a screen reader, or not"),
    Command("files", "Show or hide the files", "Mod+B"),
    Command("panel", "Show or hide the panel below", "Mod+J"),
    Command("preview", "Show or hide the preview"),
    Command("reload-preview", "Reload the preview"),
    Command("history", "History"),
    Command("share", "Share this REPL"),
    Command("save-version", "Save a version now"),
    Command("theme", "Switch between light and dark"),
    Command("extend", "Keep this REPL awake"),
    Command("start", START_IT),
    Command("sleep", STOP_IT),
    Command("diagnose", "Check the connection"),
    Command("home", "Go to your REPLs"),
)

WHILE_STOPPED = frozenset({"start", "run-again", "history", "share", "runs", "theme", "diagnose", "home"})
NEEDS: Mapping[str, Action] = {
    **dict.fromkeys(("save", "run", "stop", "run-again", "save-version", "new-terminal"), Action.WRITE),
    **dict.fromkeys(("terminal-take-over", "terminal-split", "terminal-rename"), Action.WRITE),
    **dict.fromkeys(("preview", "reload-preview"), Action.PREVIEW),
    "start": Action.START,
    "sleep": Action.STOP,
    "extend": Action.EXTEND,
    "share": Action.SHARE,
}


def left_out(role: ReplRole) -> frozenset[str]:
    """What somebody who is this to a REPL cannot have done."""
    return frozenset(command for command, action in NEEDS.items() if not role.may(action))
