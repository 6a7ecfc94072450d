// Messages of the documents WebSocket; runner/documents/wire.py says what they mean.
import * as decoding from "lib0/decoding";
import * as encoding from "lib0/encoding";

export const KIND = {
  SYNC: 0, OPEN: 2, OPENED: 3, CLOSE: 4, SAVED: 5, RESET: 6, PING: 8, PONG: 9, REBASE: 10, REBASED: 11, FLUSH: 12, NOTICE: 13,
  MOVED: 14,
};
export const STEP_1 = 0, STEP_2 = 1, UPDATE = 2;
export const READ_ONLY = 1;
export const CONTENT = "content"; // the text's name in a document

const FIELDS = {
  [KIND.SYNC]: { channel: "int", step: "int", payload: "bytes" },
  [KIND.OPEN]: { path: "str", guid: "str", digest: "str" },
  [KIND.OPENED]: { path: "str", channel: "int", guid: "str", flags: "int", reason: "str" },
  [KIND.CLOSE]: { channel: "int" },
  [KIND.SAVED]: { channel: "int", digest: "str", atMs: "int", whole: "int", splices: "splices" },
  [KIND.RESET]: { channel: "int", reason: "str" },
  [KIND.PING]: { number: "int" },
  [KIND.PONG]: { number: "int" },
  [KIND.REBASE]: { channel: "int", base: "bytes", splices: "splices" },
  [KIND.REBASED]: { channel: "int" },
  [KIND.FLUSH]: { channel: "int" },
  [KIND.NOTICE]: { channel: "int", code: "str", message: "str" },
  [KIND.MOVED]: { channel: "int", path: "str" },
};

const WRITE = {
  int: encoding.writeVarUint,
  str: encoding.writeVarString,
  bytes: encoding.writeVarUint8Array,
  splices: (encoder, splices) => {
    encoding.writeVarUint(encoder, splices.length);
    for (const [start, cut, insert] of splices) {
      encoding.writeVarUint(encoder, start);
      encoding.writeVarUint(encoder, cut);
      encoding.writeVarUint8Array(encoder, insert);
    }
  },
};

const READ = {
  int: decoding.readVarUint,
  str: decoding.readVarString,
  bytes: decoding.readVarUint8Array,
  splices: (decoder) =>
    Array.from({ length: decoding.readVarUint(decoder) }, () => [
      decoding.readVarUint(decoder), decoding.readVarUint(decoder), decoding.readVarUint8Array(decoder),
    ]),
};

export function encode(kind, message) {
  const encoder = encoding.createEncoder();
  encoding.writeVarUint(encoder, kind);
  for (const [name, type] of Object.entries(FIELDS[kind])) WRITE[type](encoder, message[name]);
  return encoding.toUint8Array(encoder);
}

export function decode(frame) {
  const decoder = decoding.createDecoder(frame);
  const kind = decoding.readVarUint(decoder);
  const fields = Object.entries(FIELDS[kind] ?? {}).map(([name, type]) => [name, READ[type](decoder)]);
  return { kind, ...Object.fromEntries(fields) };
}
