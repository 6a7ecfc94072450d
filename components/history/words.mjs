// What is said of versions. Nothing here asks anybody; times are ISO 8601, `now` is in milliseconds.

const ENGLISH = "en-GB"; // as all words here are
const UNITS = [["day", 86_400], ["hour", 3_600], ["minute", 60]];

/** "14:02:11" */
export const clock = (at) => new Date(at).toLocaleTimeString(ENGLISH);

/** "25 November 2026 at 14:02:11" */
export const exactly = (at) => new Date(at).toLocaleString(ENGLISH, { dateStyle: "long", timeStyle: "medium" });

/** "25 Nov, 14:02:11"; the year only where it is not this one. */
export function shortly(at) {
  const day = new Date(at);
  const year = day.getFullYear() === new Date().getFullYear() ? undefined : "numeric";
  return `${day.toLocaleDateString(ENGLISH, { day: "numeric", month: "short", year })}, ${clock(at)}`;
}

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

/** What made a version; another one that it speaks of is told by its time if it is one of `listed`. */
export function reasonOf({ message }, listed) {
  const timed = (version) => {
    const other = listed.find((one) => one.version === version);
    return other ? `the version of ${clock(other.at)}` : `version ${version}`;
  };
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

/** How much of what is restored is back, in percent; null while nobody can tell. */
export function percentOf({ files, of_files, bytes, of_bytes }) {
  if (!of_files) return null;
  return Math.floor((100 * (of_bytes ? bytes : files)) / (of_bytes || of_files));
}

/** `restoring` of the REPL's events, while it lasts. */
export function restoringWords(restoring) {
  const { path } = restoring;
  const percent = percentOf(restoring);
  const what = path === null ? "Bringing your files back…" : `Restoring ${path || "everything"}…`;
  return percent === null ? what : `${what} ${percent}\u00a0%`;
}

/** `saving` of what is stored. */
export function savingWords({ files, sent_bytes }) {
  const sent = sent_bytes ? `, ${sizeWords(sent_bytes)} sent` : "";
  return files ? `Saving to the store… ${counted(files, "file")}${sent}` : "Saving to the store…";
}

/** What was lost with a sandbox whose files came back as they were at `restoring.at`; "" when it was nothing. `seen` is
 * what this page had last heard was stored, null when it was not there. */
export function lostWords(restoring, seen) {
  if (!restoring.cut_off || (seen?.version && !seen.problem && !seen.changed_at && !seen.saving)) return "";
  const back = `The sandbox was lost without notice. Your files are as they were at ${exactly(restoring.at)}`;
  const from = seen?.changed_at && Date.parse(seen.changed_at) > Date.parse(restoring.at) ? ` (from ${clock(seen.changed_at)} on)` : "";
  return `${back}; what was changed after that${from} is lost${named(seen?.changed)}.`;
}

const NAMED = 5; // files, in a sentence

function named(paths = []) {
  if (!paths.length) return "";
  const more = paths.length > NAMED ? " and more" : "";
  return `: ${paths.slice(0, NAMED).join(", ")}${more}`;
}

/** What is safe: {text, short, sentence, tone} from `stored` and `restoring` of the REPL's events; `since` is when the first
 * change after the version was seen, in milliseconds of this machine's clock. */
export function receiptOf(stored, restoring, since, now) {
  if (restoring && !restoring.done) {
    const text = restoringWords(restoring);
    const percent = percentOf(restoring);
    return { text, short: percent === null ? "Restoring…" : `${percent} % back`, sentence: `${text} A version of what came of it follows.`, tone: "none" };
  }
  if (stored.problem) {
    const until = stored.at ? ` Everything up to ${clock(stored.at)} is safe.` : "";
    const sentence = `${stored.problem} Later changes are on disk, but not in the store; this is tried again by itself.${until}`;
    return { text: `Not safe: ${stored.problem}`, short: "Not safe", sentence, tone: "danger" };
  }
  if (stored.saving) return { text: savingWords(stored.saving), short: "Storing…", sentence: "A version of all files is on its way to the store.", tone: "none" };
  if (stored.changed_at) {
    const seconds = Math.max(Math.round((now - since) / 1000), 0);
    const sentence = `Changes of the last ${seconds} s are on disk, but not in the store yet${named(stored.changed)}. They are stored half a minute after the first of them.`;
    return { text: `Not yet in the store: ${seconds} s`, short: `Unstored ${seconds} s`, sentence, tone: "none" };
  }
  if (!stored.version) {
    const sentence = "This REPL has just come up. Within half a minute its files are compared with the newest version in the store, and what is not in there is saved.";
    return { text: "Not yet compared with the store", short: "Not compared", sentence, tone: "none" };
  }
  const sentence = `Everything up to ${exactly(stored.at)} is in the store, as version ${stored.version}, and survives the loss of the sandbox.`;
  const safe = { text: `Safe in the store at ${clock(stored.at)}`, short: `Safe ${clock(stored.at)}`, sentence, tone: "ok" };
  return stored.crowded ? { ...safe, sentence: `${sentence} ${stored.crowded}`, tone: "warn" } : safe;
}
