// xterm.js does what a control sequence says as many times as it says: one with a number of nine digits stops the page.

const COUNTED = [
  ...[..."@ABCDEFGILMPSTXZ`abde"].map((final) => ({ final })),
  { intermediates: " ", final: "@" },
  { intermediates: " ", final: "A" },
  { intermediates: "'", final: "}" },
  { intermediates: "'", final: "~" },
];
const MOST = 10_000; // more than any screen has rows or columns

/** Ignore sequences that ask for more repetitions than a screen could show. */
export function boundCounts(term) {
  for (const sequence of COUNTED) term.parser.registerCsiHandler(sequence, (params) => params.some((count) => count > MOST));
}
