/** What a server says of deployments, at a server that answers whatever a test tells it to. */
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { HardshareClient } from "@hardshare/client";
import type { CheckFinding } from "@hardshare/protocol";
import { systemClock } from "@hardshare/runtime";
import { afterEach, beforeEach, expect, test } from "vitest";
import { checkServer } from "./check-server.ts";

const ROBOT = "3f2a0000-0000-4000-8000-000000000001";
const OWNED = { id: ROBOT, date_created: "", origin: null, dissolved: null, heartbeat: null, lockout: false, desc: null };
const SEEN = { online: true, host: null, provider: null, instance: null, alerts: [] };

let server: Server;
let owned: object[];
let date: Date;
let answers: Record<string, { status: number; body: object }>;
beforeEach(async () => {
  owned = [{ ...OWNED, ...SEEN }];
  date = new Date();
  answers = {};
  server = createServer((request, response) => {
    const path = (request.url ?? "").split("?")[0] ?? "";
    const known: Record<string, object> = { "/whoami": {}, "/hardshare/list": { owner: "ada", wdeployments: owned } };
    const { status, body } = answers[path] ?? { status: 200, body: known[path] ?? {} };
    response.writeHead(status, { "content-type": "application/json", date: date.toUTCString() }).end(JSON.stringify(body));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
});
afterEach(() => server.close());

const url = () => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

async function check(at = url()): Promise<CheckFinding[]> {
  const found: CheckFinding[] = [];
  const client = new HardshareClient({ url: at, token: "a.b.c" });
  await checkServer({ client, deployments: [ROBOT], clock: systemClock, report: (finding) => found.push(finding) });
  return found;
}

test("nothing is found where all is well", async () => {
  expect(await check()).toEqual([]);
});

test.each([
  [120_000, "behind"],
  [-120_000, "ahead of"],
])("a clock that differs from the server's is found (%i ms)", async (offMs, how) => {
  date = new Date(Date.now() + offMs);
  const [finding] = await check();
  expect(finding).toMatchObject({ code: "clock_wrong", cause: expect.stringMatching(new RegExp(`1(1|2)\\d s ${how} the server's`)) });
});

test("a token that the server does not take, and a server that is not there, are found", async () => {
  answers["/whoami"] = { status: 400, body: { error_message: "wrong authorization token", code: "wrong_token" } };
  expect(await check()).toMatchObject([{ code: "token_invalid" }]);
  expect(await check("http://127.0.0.1:1")).toMatchObject([{ code: "server_unreachable" }]);
});

test("a deployment of somebody else, and one that the server does not know, are found", async () => {
  owned = [];
  answers[`/deployment/${ROBOT}`] = { status: 404, body: { error_message: "no such deployment", code: "not_found" } };
  expect(await check()).toMatchObject([{ code: "deployment_unknown", deployment: ROBOT }]);
  const view = { type: "t", type_version: 1, supported_addons: [], desc: null, region: "", icounter: 0, created: "", queuelen: 0 };
  const ours = { online: true, owner: "bob", provider: null, max_duration: 60, holder: null };
  answers[`/deployment/${ROBOT}`] = { status: 200, body: { id: ROBOT, ...view, ...ours } };
  expect(await check()).toMatchObject([{ code: "wrong_owner", cause: expect.stringContaining("bob") }]);
});

test("who locked a deployment out or dissolved it, when and why, is told with how to go on", async () => {
  const why = { reason: "new wheels", actor: "ada", at: "2026-01-01 00:00:00" };
  owned = [{ ...OWNED, ...SEEN, lockout: true, lockout_info: why }];
  const [locked] = await check();
  expect(locked).toMatchObject({ code: "locked_out", cause: "locked out by ada at 2026-01-01 00:00:00 UTC: new wheels" });
  expect(locked?.fix).toContain(`hardshare unlock ${ROBOT}`);
  owned = [{ ...OWNED, ...SEEN, dissolved: "2026-01-01 00:00 UTC", dissolved_info: why }];
  expect(await check()).toMatchObject([{ code: "dissolved", cause: expect.stringContaining("by ada: new wheels") }]);
});
