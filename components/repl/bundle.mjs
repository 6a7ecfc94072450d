export { Failed, call, callJson, encodePath, replUrl } from "./http.mjs";
export { EVENT, follow, socketUrl } from "./events.mjs";
