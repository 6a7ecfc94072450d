export { keysOf, matches, rank } from "./commands.mjs";
