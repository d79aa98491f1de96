import { createHmac } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { type AddressInfo, createServer as createTcpServer } from "node:net";
import { text } from "node:stream/consumers";
import { ManualClock, systemClock } from "@hardshare/runtime";
import { afterEach, expect, test } from "vitest";
import { OutsideAddresses } from "./outside-addresses.ts";
import { type ResolvedAddress, sendWebhook, type WebhookDeps } from "./send-webhook.ts";

const undo: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of undo.splice(0)) await end();
});

interface Received {
  headers: IncomingMessage["headers"];
  body: string;
}

/** A receiver on 127.0.0.1 that answers as told, and keeps what it gets. */
async function receiver(answer: (response: ServerResponse) => void): Promise<{ port: number; received: Received[] }> {
  const received: Received[] = [];
  const server = createServer((request, response) => {
    void text(request).then((body) => {
      received.push({ headers: request.headers, body });
      answer(response);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  undo.push(() => (server.closeAllConnections(), server.close()));
  return { port: (server.address() as AddressInfo).port, received };
}

const LOCAL: ResolvedAddress = { address: "127.0.0.1", family: 4 };
function deps(more: Partial<WebhookDeps> = {}): WebhookDeps {
  return { outside: new OutsideAddresses(["127.0.0.1"]), resolve: async () => [LOCAL], clock: systemClock, ...more };
}
const send = (url: string, more: Partial<WebhookDeps> = {}, signal = new AbortController().signal) =>
  sendWebhook({ url, body: '{"message":"battery is löw"}', secret: "whsec_x", deliveryId: "d1" }, deps(more), signal);

test("the body is posted, signed over the time and the body, to the address that was checked, under the name of the URL", async () => {
  const { port, received } = await receiver((response) => response.writeHead(204).end());
  let resolved = 0;
  await send(`http://hooks.example:${port}/in?x=1`, { resolve: async () => ((resolved += 1), [LOCAL]) });
  expect(resolved).toBe(1);
  const [{ headers, body } = { headers: {}, body: "" }] = received;
  expect(body).toBe('{"message":"battery is löw"}');
  expect(headers).toMatchObject({ host: `hooks.example:${port}`, "content-type": "application/json", "x-hardshare-delivery": "d1" });
  const timestamp = String(headers["x-hardshare-timestamp"]);
  expect(Math.abs(Number(timestamp) - Date.now() / 1000)).toBeLessThan(60);
  const expected = createHmac("sha256", "whsec_x").update(`${timestamp}.${body}`, "utf8").digest("hex");
  expect(headers["x-hardshare-signature"]).toBe(`v1=${expected}`);
});

test("no redirect is followed", async () => {
  const inside = await receiver((response) => response.end());
  const { port } = await receiver((response) => response.writeHead(307, { location: `http://127.0.0.1:${inside.port}/` }).end());
  await expect(send(`http://127.0.0.1:${port}`)).rejects.toThrow("answered with status 307");
  expect(inside.received).toEqual([]);
});

test("a name of which any address is inside a network is refused, and so is such an address itself, however it is written", async () => {
  const { port, received } = await receiver((response) => response.end());
  const outside = new OutsideAddresses([]);
  const names = [LOCAL, { address: "::ffff:127.0.0.1", family: 6 }, { address: "fe80::1", family: 6 }];
  for (const address of names) {
    const resolve = async () => [{ address: "1.1.1.1", family: 4 }, address];
    await expect(send(`http://hooks.example:${port}`, { outside, resolve })).rejects.toMatchObject({ code: "access_denied" });
  }
  for (const host of ["127.0.0.1", "127.1", "0x7f000001", "2130706433", "[::1]", "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]", "0"]) {
    await expect(send(`http://${host}:${port}`, { outside }), host).rejects.toMatchObject({ code: "access_denied" });
  }
  await expect(send("http://hooks.example", { resolve: async () => [] })).rejects.toMatchObject({ code: "access_denied" });
  expect(received).toEqual([]);
});

test("one who answers with an endless body is not listened to, and one who says nothing is left after the time limit", async () => {
  const endless = await receiver((response) => {
    response.writeHead(200);
    const timer = setInterval(() => response.write("x".repeat(65_536)), 1);
    response.on("close", () => clearInterval(timer));
  });
  await send(`http://127.0.0.1:${endless.port}`);
  const silent = createTcpServer();
  silent.listen(0, "127.0.0.1");
  await once(silent, "listening");
  undo.push(() => silent.close());
  const clock = new ManualClock();
  const connected = once(silent, "connection");
  const sent = send(`http://127.0.0.1:${(silent.address() as AddressInfo).port}`, { clock });
  const [socket] = await connected;
  undo.push(() => socket.destroy());
  clock.advance(10_000);
  await expect(sent).rejects.toMatchObject({ code: "timed_out" });
});

test("nobody there, a name that nobody knows, and a server that stops are told apart", async () => {
  await expect(send("http://127.0.0.1:1")).rejects.toMatchObject({
    code: "connection_lost",
    message: expect.stringContaining("ECONNREFUSED"),
  });
  const resolve = () => Promise.reject(new Error("ENOTFOUND"));
  await expect(send("http://hooks.example", { resolve })).rejects.toThrow("the name hooks.example cannot be resolved: ENOTFOUND");
  await expect(send("http://127.0.0.1:1", {}, AbortSignal.abort())).rejects.toMatchObject({ code: "cancelled" });
});
