// Changes of UTF-8 texts: [start, cut, insert] in bytes of the text before.

export const bytesOf = (text) => new TextEncoder().encode(text);

const continues = (text, at) => at < text.length && (text[at] & 0xc0) === 0x80;

export function equal(a, b) {
  if (a.length !== b.length) return false;
  for (let at = 0; at < a.length; at++) if (a[at] !== b[at]) return false;
  return true;
}

export function apply(text, splices) {
  const size = splices.reduce((sum, [, cut, insert]) => sum + insert.length - cut, text.length);
  const result = new Uint8Array(size);
  let from = 0;
  let to = 0;
  for (const [start, cut, insert] of splices) {
    result.set(text.subarray(from, start), to);
    to += start - from;
    result.set(insert, to);
    to += insert.length;
    from = start + cut;
  }
  result.set(text.subarray(from), to);
  return result;
}

/** The one splice between the common ends; the server looks into it more finely. */
export function difference(before, after) {
  if (equal(before, after)) return [];
  const shorter = Math.min(before.length, after.length);
  let head = 0;
  while (head < shorter && before[head] === after[head]) head++;
  while (head && (continues(before, head) || continues(after, head))) head--;
  let tail = 0;
  while (tail < shorter - head && before[before.length - 1 - tail] === after[after.length - 1 - tail]) tail++;
  while (tail && continues(before, before.length - tail)) tail--;
  return [[head, before.length - head - tail, after.slice(head, after.length - tail)]];
}
