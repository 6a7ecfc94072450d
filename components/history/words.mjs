// What is said of versions. Nothing here asks anybody; times are ISO 8601, `now` is in milliseconds.

const ENGLISH = "en-GB"; // as all words here are
const UNITS = [["day", 86_400], ["hour", 3_600], ["minute", 60]];

/** "14:02:11" */
export const clock = (at) => new Date(at).toLocaleTimeString(ENGLISH);

/** "25 November 2026 at 14:02:11" */
export const exactly = (at) => new Date(at).toLocaleString(ENGLISH, { dateStyle: "long", timeStyle: "medium" });

/** How long ago, in the coarsest unit that says it. */
export function ago(at, now) {
  const seconds = (now - Date.parse(at)) / 1000;
  const [unit, length] = UNITS.find(([, each]) => seconds >= each) ?? [];
  return unit ? `${counted(Math.floor(seconds / length), unit)} ago` : "just now";
}

/** Versions, newest first, in groups {day, versions}. */
export function byDay(versions, now) {
  const groups = [];
  for (const version of versions) {
    const day = dayOf(version.at, now);
    if (groups.at(-1)?.day !== day) groups.push({ day, versions: [] });
    groups.at(-1).versions.push(version);
  }
  return groups;
}

function dayOf(at, now) {
  const day = new Date(at);
  const apart = Math.round((new Date(now).setHours(0, 0, 0, 0) - new Date(at).setHours(0, 0, 0, 0)) / 86_400_000);
  if (apart <= 1) return apart === 1 ? "Yesterday" : "Today";
  const year = day.getFullYear() === new Date(now).getFullYear() ? undefined : "numeric";
  return day.toLocaleDateString(ENGLISH, { weekday: "long", day: "numeric", month: "long", year });
}

export const counted = (count, what) => `${count.toLocaleString("en")} ${what}${count === 1 ? "" : "s"}`;

/** "1.2 kB" */
export function sizeWords(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  const power = Math.min(Math.floor(Math.log10(bytes) / 3), 4);
  const number = bytes / 1000 ** power;
  return `${number < 9.95 ? number.toFixed(1) : Math.round(number)} ${["B", "kB", "MB", "GB", "TB"][power]}`;
}

/** What made a version, from its message; `timeOf` gives the time of another one, or null. */
export function reasonWords(message, timeOf = () => null) {
  const timed = (version) => (timeOf(version) ? `the version of ${timeOf(version)}` : `version ${version}`);
  const restored = message.match(/^restored (.*) of (\d+-\d+)$/s);
  if (restored) return `Restored ${restored[1]} from ${timed(restored[2])}`;
  const before = message.match(/^before restoring (\d+-\d+)$/);
  if (before) return `Before restoring ${timed(before[1])}`;
  if (message === "autosave") return "Saved by itself";
  return message ? message[0].toUpperCase() + message.slice(1) : "Saved";
}

/** One line of what a version changed: {sign, tone, words} from [kind, size] before and after, null where there was none. */
export function changeWords(before, after) {
  if (!before) return { sign: "+", tone: "ok", words: "added" };
  if (!after) return { sign: "−", tone: "danger", words: "deleted" };
  return { sign: "•", tone: "warn", words: "changed" };
}

/** What a restore of `path` ("" is everything) would do, from the changes that lead from the newest version to it. */
export function planWords(path, { changes, more }) {
  const within = changes.filter(([one]) => !path || one === path || one.startsWith(`${path}/`)).filter(([, old, fresh]) => (fresh ?? old)[0] !== "d");
  const back = within.filter(([, old]) => !old).length;
  const gone = within.filter(([, , fresh]) => !fresh).length;
  const other = within.length - back - gone;
  const parts = [
    other && `${counted(other, "file")} ${other === 1 ? "changes" : "change"}`,
    back && `${counted(back, "file")} ${back === 1 ? "comes" : "come"} back`,
    gone && `${counted(gone, "file")} ${gone === 1 ? "is" : "are"} removed`,
  ].filter(Boolean);
  const what = parts.length ? `${more ? "At least: " : ""}${parts.join(", ")}.` : "Nothing here differs from the newest version.";
  return (
    `${what} First, everything as it is now is saved as a version: nothing is lost. ` +
    "Open editors follow; programs that run go on. Folders that no version holds, such as node_modules, stay as they are."
  );
}

/** What a restore did. */
export function doneWords({ files, removed }) {
  const did = [files && `${counted(files, "file")} restored`, removed && `${counted(removed, "file")} removed`].filter(Boolean);
  return did.length ? `${did.join(", ")}. What was here before is a version of its own.` : "Nothing had to be changed.";
}

/** What is safe: {text, short, sentence, tone} from `stored` of the REPL's events; `since` is when the first change after
 * the version was seen, in milliseconds of this machine's clock. */
export function receiptOf(stored, since, now) {
  if (stored.problem) {
    const until = stored.at ? ` Everything up to ${clock(stored.at)} is safe.` : "";
    const sentence = `${stored.problem} Later changes are on disk, but not in the store; this is tried again by itself.${until}`;
    return { text: `Not safe: ${stored.problem}`, short: "Not safe", sentence, tone: "danger" };
  }
  if (stored.saving) return { text: "Saving to the store…", short: "Storing…", sentence: "A version of all files is on its way to the store.", tone: "none" };
  if (stored.changed_at) {
    const seconds = Math.max(Math.round((now - since) / 1000), 0);
    const sentence = `Changes of the last ${seconds} s are on disk, but not in the store yet. They are stored half a minute after the first of them.`;
    return { text: `Not yet in the store: ${seconds} s`, short: `Unstored ${seconds} s`, sentence, tone: "none" };
  }
  if (!stored.version) return { text: "Not yet in the store", short: "Unstored", sentence: "No version of this REPL is in the store yet. The first one is on its way.", tone: "none" };
  const sentence = `Everything up to ${exactly(stored.at)} is in the store, as version ${stored.version}, and survives the loss of the sandbox.`;
  const safe = { text: `Safe in the store at ${clock(stored.at)}`, short: `Safe ${clock(stored.at)}`, sentence, tone: "ok" };
  return stored.crowded ? { ...safe, sentence: `${sentence} ${stored.crowded}`, tone: "warn" } : safe;
}
