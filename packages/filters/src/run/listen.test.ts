import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import { silentLogger } from "@hardshare/runtime";
import { expect, test } from "vitest";
import { listen } from "./listen.ts";

const portOf = (address: string) => Number(address.split(":").at(-1));

test("what the kernel took and the server did not is reset when it begins anew, and never read", async () => {
  const server = createServer();
  let accepted = 0;
  server.on("connection", (socket) => void ((accepted += 1), socket.on("error", () => {}).resume()));
  const listening = await listen(server, { host: "127.0.0.1", port: 0, logger: silentLogger });
  const before = connect(portOf(listening.address), "127.0.0.1");
  const broken = new Promise((resolve) => before.on("error", () => {}).once("close", resolve));
  await new Promise<void>((resolve) => process.nextTick(resolve)); // it is with the kernel now
  await listening.renew();
  await broken;
  expect(accepted).toBe(0);
  const after = connect(portOf(listening.address), "127.0.0.1");
  await once(server, "connection");
  after.destroy();
  await listening.close();
  expect(accepted).toBe(1);
});

test("it begins anew at the port that was asked for, also while connections are open", async () => {
  const asked = createServer().listen(0, "127.0.0.1");
  await once(asked, "listening");
  const { port } = asked.address() as AddressInfo;
  await new Promise((resolve) => asked.close(resolve));
  const server = createServer((socket) => socket.pipe(socket));
  const listening = await listen(server, { host: "127.0.0.1", port, logger: silentLogger });
  const open = connect(port, "127.0.0.1");
  open.write("a");
  await once(open, "data");
  await listening.renew();
  expect(listening.address).toBe(`127.0.0.1:${port}`);
  const other = connect(port, "127.0.0.1");
  other.write("b");
  await once(other, "data");
  const closed = listening.close();
  open.end();
  other.end();
  await closed;
});
