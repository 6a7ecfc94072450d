export { Beside } from "./beside.mjs";
