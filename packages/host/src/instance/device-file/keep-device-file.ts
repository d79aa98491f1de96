import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { PseudoTerminal } from "@hardshare/filters/terminal";

/** Bytes that wait for a program inside before what the device says is read no more. */
const MAX_WAITING_BYTES = 64 * 1024;

/**
 * Keeps one device file of an instance: a pseudo-terminal that is shown in the container, for as long as this process
 * lives. What programs inside write goes to whoever is connected to the socket (the daemon, which carries it to the
 * filter), and what comes from there goes to them. Nothing waits for anybody: what is written while nobody is connected
 * is dropped, as is what the device says while no program has the file open.
 * @param socketPath Unix socket for one client at a time; a new one takes the place of the one before
 * @returns path of the pseudo-terminal
 */
export async function keepDeviceFile(socketPath: string): Promise<string> {
  let client: Socket | undefined;
  /** What the device said, on its way inside. */
  let waiting: Buffer[] = [];
  const pass = () => {
    while (waiting.length > 0 && terminal.isDrained) {
      const bytes = Buffer.concat(waiting);
      waiting = [];
      if (terminal.isOpen) terminal.write(bytes);
    }
    if (waiting.length === 0) client?.resume();
  };
  const terminal = await PseudoTerminal.open({
    onData(bytes) {
      if (client?.writable !== true) return;
      if (!client.write(bytes)) terminal.pause();
    },
    onDrain: pass,
    onClosed: pass,
  });
  const server = createServer((socket) => {
    client?.destroy();
    client = undefined;
    terminal.readAll(); // what was written before is not for this one
    client = socket;
    waiting = [];
    terminal.resume();
    socket.on("data", (bytes: Buffer) => {
      if (socket !== client) return;
      waiting.push(bytes);
      pass();
      if (waiting.reduce((sum, each) => sum + each.length, 0) > MAX_WAITING_BYTES) socket.pause();
    });
    socket.on("drain", () => terminal.resume());
    socket.on("error", () => {}); // `close` follows
    socket.once("close", () => {
      if (socket !== client) return;
      client = undefined;
      terminal.resume(); // what is still written inside is dropped
    });
  });
  server.listen(socketPath);
  await once(server, "listening");
  return terminal.path;
}
