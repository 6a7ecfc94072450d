// Which terminal of the page a command is for: of those in sight, the one that had the keyboard last.

const terminals = []; // that one first

const inSight = (terminal) => terminal.checkVisibility({ visibilityProperty: true });

/** Counts in from now on; -> how to leave. */
export function joinTerminals(terminal) {
  const toFront = () => {
    terminals.splice(terminals.indexOf(terminal), 1);
    terminals.unshift(terminal);
  };
  terminals.push(terminal);
  terminal.addEventListener("focusin", toFront);
  return () => {
    terminal.removeEventListener("focusin", toFront);
    terminals.splice(terminals.indexOf(terminal), 1);
  };
}

export const isFront = (terminal) => terminals.find(inSight) === terminal;
