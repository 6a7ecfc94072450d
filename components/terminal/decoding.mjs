/** A decoder of output as it comes. Not xterm's: that loses characters cut between two messages, and shows nothing for what
 * is no UTF-8. */
export function outputDecoder() {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  return (bytes) => decoder.decode(bytes, { stream: true });
}
