import { connect } from "node:net";

/** How long a filter may wait for bytes that the test believes it has. */
const PATIENCE_MS = 500;

/**
 * Says all of it on a connection of its own, cut into writes at these places, and listens until the filter closes.
 * @param bytes a character is a byte
 * @param isIncomplete the filter is expected to wait for more: the client then leaves
 */
export function say(port: number, { bytes, cuts }: { bytes: string; cuts: readonly number[] }, isIncomplete: boolean): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    let heard = "";
    socket.on("error", () => {});
    socket.on("data", (chunk: Buffer) => (heard += chunk.toString("latin1")));
    const patience = setTimeout(() => socket.end(), PATIENCE_MS);
    socket.once("close", () => {
      clearTimeout(patience);
      resolve(heard);
    });
    const places = [...new Set([...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length])].toSorted((a, b) => a - b);
    const write = (index: number, from: number) => {
      const to = places[index];
      if (to === undefined) {
        if (isIncomplete) socket.end();
        return;
      }
      socket.write(bytes.slice(from, to), "latin1");
      if (index + 1 < places.length) setImmediate(write, index + 1, to);
      else write(index + 1, to);
    };
    write(0, 0);
  });
}
