// What one character is, and how many columns it takes: Unicode's grapheme clusters, by xterm's add-on. It gives a column
// to characters that nobody sees (zero width space, marks of direction); programs count none for them.
import { UnicodeGraphemesAddon } from "@xterm/addon-unicode-graphemes";

const UNSEEN = /^[\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff]$/;
const FIRST_UNSEEN = 0x200b;
const JOINED = 1; // of xterm's properties: kind << 3 | width << 1 | joins
const NARROW = 1 << 1;
const MOST_JOINED = 15; // the longest emoji are 11 code points; a browser that draws thousands in one place stands still

export function useGraphemes(term) {
  let provider;
  new UnicodeGraphemesAddon().activate({ unicode: { register: (one) => (provider = one) } }); // the last is by clusters
  let joined = 0;
  const properties = (code, preceding) =>
    code >= FIRST_UNSEEN && UNSEEN.test(String.fromCodePoint(code))
      ? preceding | JOINED
      : provider.charProperties(code, preceding === JOINED ? 0 : preceding); // nothing joins what has no column
  const charProperties = (code, preceding) => {
    if (code < 0x7f && preceding >> 3 === 0) {
      joined = 0; // nearly all there is, and asked for each
      return NARROW;
    }
    const found = properties(code, preceding);
    if (!(found & JOINED)) joined = 0;
    else if (++joined > MOST_JOINED) {
      joined = 0;
      return provider.charProperties(code, 0); // a character of its own
    }
    return found;
  };
  term.unicode.register({ version: "devex", wcwidth: (code) => provider.wcwidth(code), charProperties });
  term.unicode.activeVersion = "devex";
}
