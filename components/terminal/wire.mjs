// Messages of a terminal's WebSocket; runner/proxy/terminals/wire.py says what they mean.

const INPUT = 1, RESIZE = 2, ACK = 3, PING = 5, TURN = 6;
const OUTPUT = 17, GAP = 18, EXITED = 19, SIZE = 20, PONG = 21, READY = 22, PEOPLE = 23, REFUSED = 24, MODES = 25, TAKEN = 26;
/** A close code. */
export const NO_SUCH_TERMINAL = 4404;

function encode(kind, length, fill) {
  const view = new DataView(new ArrayBuffer(1 + length));
  view.setUint8(0, kind);
  fill(view);
  return view.buffer;
}

export const input = (bytes) => encode(INPUT, bytes.length, (view) => new Uint8Array(view.buffer).set(bytes, 1));
export const resize = (cols, rows) => encode(RESIZE, 4, (view) => (view.setUint16(1, cols), view.setUint16(3, rows)));
export const ack = (offset) => encode(ACK, 8, (view) => view.setBigUint64(1, BigInt(offset)));
export const turn = (person) => encode(TURN, 4, (view) => view.setUint32(1, person));
export const ping = () => encode(PING, 4, (view) => view.setUint32(1, 1));

const offsetAt = (view, at) => Number(view.getBigUint64(at));
const jsonOf = (frame) => JSON.parse(new TextDecoder().decode(new Uint8Array(frame, 1)));

/** {kind: "ready", about} | {kind: "output", from, bytes} | {kind: "gap", from, to} | {kind: "exited", about}
 * | {kind: "size", cols, rows} | {kind: "pong"} | {kind: "people", about} | {kind: "refused", about} | {kind: "modes", bytes} | {kind: "taken", count}; null for what this side does not know. */
export function decode(frame) {
  const view = new DataView(frame);
  switch (view.getUint8(0)) {
    case READY: return { kind: "ready", about: jsonOf(frame) };
    case OUTPUT: return { kind: "output", from: offsetAt(view, 1), bytes: new Uint8Array(frame, 9) };
    case GAP: return { kind: "gap", from: offsetAt(view, 1), to: offsetAt(view, 9) };
    case EXITED: return { kind: "exited", about: jsonOf(frame) };
    case SIZE: return { kind: "size", cols: view.getUint16(1), rows: view.getUint16(3) };
    case PEOPLE: return { kind: "people", about: jsonOf(frame) };
    case REFUSED: return { kind: "refused", about: jsonOf(frame) };
    case MODES: return { kind: "modes", bytes: new Uint8Array(frame, 1) };
    case TAKEN: return { kind: "taken", count: offsetAt(view, 1) };
    case PONG: return { kind: "pong" };
  }
  return null;
}
