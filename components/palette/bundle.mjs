export { COMMAND, keysOf, matches, rank } from "./commands.mjs";
