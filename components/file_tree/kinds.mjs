// Which icon and colour a name gets.
const BY_EXTENSION = {
  py: ["code", "#3b82c4"], ipynb: ["code", "#d9822b"], js: ["code", "#c49a1a"], mjs: ["code", "#c49a1a"], cjs: ["code", "#c49a1a"],
  jsx: ["code", "#2596a8"], ts: ["code", "#3178c6"], tsx: ["code", "#3178c6"], html: ["code", "#d9602b"], vue: ["code", "#3a9d6e"],
  go: ["code", "#1f9cb4"], rs: ["code", "#b0653b"], java: ["code", "#c2502f"], c: ["code", "#6478c8"], h: ["code", "#6478c8"],
  cpp: ["code", "#6478c8"], cc: ["code", "#6478c8"], hpp: ["code", "#6478c8"], rb: ["code", "#c23b4a"], php: ["code", "#7a6fc0"],
  sh: ["terminal", "#4f9a4f"], bash: ["terminal", "#4f9a4f"], css: ["hash", "#7a5fc8"], scss: ["hash", "#c2578f"],
  json: ["braces", "#b08a1e"], yaml: ["braces", "#b0507a"], yml: ["braces", "#b0507a"], toml: ["gear", "#9a6b4a"], ini: ["gear", "#7b8494"],
  cfg: ["gear", "#7b8494"], env: ["gear", "#b08a1e"], md: ["text", "#4a83c4"], txt: ["text", "#7b8494"], log: ["text", "#7b8494"], csv: ["text", "#4f9a4f"],
  png: ["image", "#8a5fc0"], jpg: ["image", "#8a5fc0"], jpeg: ["image", "#8a5fc0"], gif: ["image", "#8a5fc0"], svg: ["image", "#d9822b"], webp: ["image", "#8a5fc0"], ico: ["image", "#8a5fc0"],
};
const BY_NAME = { dockerfile: ["gear", "#3b82c4"], makefile: ["gear", "#9a6b4a"], procfile: ["bolt", "#8a5fc0"], ".replit": ["gear", "#d9602b"], ".devex.toml": ["gear", "#4f6bdf"], license: ["text", "#b08a1e"] };

export function iconOf({ name, kind }) {
  if (kind === "d") return ["folder", "#7f93b8"];
  if (kind === "l") return ["link", "#7b8494"];
  const lower = name.toLowerCase();
  return BY_NAME[lower] ?? BY_EXTENSION[lower.slice(lower.lastIndexOf(".") + 1)] ?? ["file", "#7b8494"];
}
