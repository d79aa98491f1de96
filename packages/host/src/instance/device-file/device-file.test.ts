import { once } from "node:events";
import { closeSync, constants, openSync, readSync, writeSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock, systemRandom } from "@hardshare/runtime";
import { afterEach, beforeEach, expect, test } from "vitest";
import { killLabelledProcesses } from "../../programs/labelled-processes.ts";
import { DeviceFileLink } from "./device-file-link.ts";
import { startKeeper } from "./keeper-process.ts";

let folder: string;
let socket: string;
let instanceId: string;
let path: string;
const links: DeviceFileLink[] = [];
/** A filter, for the link: the newest connection, and all that came on any. */
let service: Server;
let connection: Socket | undefined;
let came = "";
let accepts = true;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "hardshare-keeper-"));
  socket = join(folder, "0.sock");
  instanceId = systemRandom.uuid();
  [came, accepts, connection] = ["", true, undefined];
  service = createServer((socket) => {
    if (!accepts) {
      socket.destroy();
      return;
    }
    connection = socket;
    socket.on("data", (bytes: Buffer) => (came += bytes.toString("latin1")));
    socket.on("error", () => {});
  }).listen(0, "127.0.0.1");
  await once(service, "listening");
  path = await startKeeper({ instanceId, socket, path: process.env["PATH"], signal: new AbortController().signal });
});
afterEach(async () => {
  for (const link of links.splice(0)) await link[Symbol.asyncDispose]();
  connection?.destroy();
  service.close();
  await killLabelledProcesses(instanceId, systemClock);
  await rm(folder, { recursive: true });
});

function openLink(onLost = () => {}): DeviceFileLink {
  const { port } = service.address() as { port: number };
  const dial = async () => {
    if (!accepts) throw new Error("does not run");
    const made = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
    await once(made, "connect");
    return made;
  };
  const link = new DeviceFileLink({ socket, dial, clock: systemClock, random: systemRandom, onLost });
  links.push(link);
  return link;
}

/** A program that has the device file open. */
function openFile() {
  const fd = openSync(path, constants.O_RDWR | constants.O_NOCTTY | constants.O_NONBLOCK);
  return {
    write: (text: string) => writeSync(fd, text, undefined, "latin1"),
    read: () => {
      const buffer = Buffer.alloc(65_536);
      try {
        return buffer.toString("latin1", 0, readSync(fd, buffer));
      } catch {
        return "";
      }
    },
    [Symbol.dispose]: () => closeSync(fd),
  };
}

const carried = (text: string) => expect.poll(() => came).toContain(text);

test("what a program writes into the device file comes to the service, and back, every byte", async () => {
  openLink();
  using file = openFile();
  const bytes = Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte)).join("");
  await expect.poll(() => connection !== undefined).toBe(true);
  file.write(bytes);
  await carried(bytes);
  connection?.write(Buffer.from(bytes, "latin1"));
  let answer = "";
  await expect.poll(() => (answer += file.read())).toBe(bytes);
});

test("the device file lasts while services and daemons come and go; what is written meanwhile is lost", async () => {
  const first = openLink();
  using file = openFile();
  await expect.poll(() => connection !== undefined).toBe(true);
  file.write("one;");
  await carried("one;");
  accepts = false;
  const cut = once(connection!, "close");
  connection?.destroy();
  await cut;
  await first[Symbol.asyncDispose](); // as the daemon ends
  file.write("lost;");
  accepts = true;
  connection = undefined;
  openLink();
  await expect.poll(() => connection !== undefined).toBe(true);
  await expect.poll(() => file.write("two;") && came.includes("two;")).toBe(true);
  expect(came).not.toContain("lost");
});

test("the end of the keeper is told, and is the end of the device file", async () => {
  let isLost = false;
  openLink(() => (isLost = true));
  await expect.poll(() => connection !== undefined).toBe(true);
  await killLabelledProcesses(instanceId, systemClock);
  await expect.poll(() => isLost).toBe(true);
});

// As much as the buffers on the way take, or somewhat more or less.
test.each([160, 200, 240, 280, 320])("the end of a service does not wait for a program that reads nothing of %d kB", async (kilobytes) => {
  const link = openLink();
  using _file = openFile();
  await expect.poll(() => connection !== undefined).toBe(true);
  accepts = false;
  const said = connection!;
  await new Promise<void>((resolve) => said.write(Buffer.alloc(kilobytes * 1000, "."), () => resolve()));
  said.destroy();
  for (let turn = 0; turn < 100; turn += 1) await new Promise((resolve) => setImmediate(resolve)); // the link hears of it
  await link[Symbol.asyncDispose]();
});
