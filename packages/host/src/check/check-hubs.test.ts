import { generateIdentity } from "@hardshare/wire/ssh";
import { afterAll, beforeAll, expect, test } from "vitest";
import { TestServer } from "../testing/test-server.fixture.ts";
import { checkHubs } from "./check-hubs.ts";

let server: TestServer;
beforeAll(async () => {
  server = await TestServer.start(generateIdentity("host").publicKey);
});
afterAll(() => server[Symbol.asyncDispose]());

const { signal } = new AbortController();
const hub = () => ({ name: "hub", host: "127.0.0.1", port: server.hubPort, hostKey: server.hubKey.publicKey });

test("a hub that shows its SSH host key is reached", async () => {
  expect(await checkHubs([hub()], signal)).toEqual([]);
});

test("no hub, one that is not there, and one with another key are found", async () => {
  expect(await checkHubs([], signal)).toMatchObject([{ code: "no_hub" }]);
  expect(await checkHubs([{ ...hub(), port: 1 }], signal)).toMatchObject([{ code: "hub_unreachable" }]);
  const other = { ...hub(), hostKey: generateIdentity("other").publicKey };
  expect(await checkHubs([other], signal)).toMatchObject([
    { code: "hub_unreachable", cause: expect.stringContaining("another SSH host key") },
  ]);
});
