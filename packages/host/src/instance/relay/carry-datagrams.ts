import { createSocket } from "node:dgram";
import { once } from "node:events";
import { connect } from "node:net";

/** Datagrams whose answers are waited for at the same time; more are dropped, as datagrams may be. */
const MAX_WAITING = 64;
const ANSWER_WITHIN_MS = 10_000;
const LENGTH_BYTES = 2;

/** Carries datagrams that come to a port of 127.0.0.1 to a Unix socket, and the answers back. Resolves when it does. */
export async function carryDatagrams(port: number, path: string): Promise<void> {
  const server = createSocket("udp4");
  let waiting = 0;
  server.on("message", (question, { address, port: from }) => {
    if (waiting >= MAX_WAITING) return;
    waiting += 1;
    const outside = connect(path);
    let answer = Buffer.alloc(0);
    outside.setTimeout(ANSWER_WITHIN_MS, () => outside.destroy());
    outside.on("error", () => {}); // it is closed after that
    outside.once("close", () => (waiting -= 1));
    outside.on("data", (chunk: Buffer) => {
      answer = Buffer.concat([answer, chunk]);
      if (answer.length < LENGTH_BYTES || answer.length < LENGTH_BYTES + answer.readUInt16BE(0)) return;
      server.send(answer.subarray(LENGTH_BYTES), from, address, () => {}); // whoever asked may be gone
      outside.destroy();
    });
    const length = Buffer.alloc(LENGTH_BYTES);
    length.writeUInt16BE(question.length);
    outside.write(Buffer.concat([length, question]));
  });
  server.on("error", () => {}); // of one datagram
  server.bind(port, "127.0.0.1");
  await once(server, "listening");
}
