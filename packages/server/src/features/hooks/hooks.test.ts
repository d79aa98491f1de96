/** Hooks of deployments through the API of a real server: who may, where alerts go, and what is told when they do not arrive. */
import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Moments } from "../../testing/moments.ts";
import { TestMailServer } from "../../testing/test-mail-server.ts";
import { startTestGround, type TestGround, type TestUser, TestWorld, USER_KEY } from "../../testing/test-world.fixture.ts";
import { webhookSignature } from "./send-webhook.ts";

let ground: TestGround;
let folder: string;
let world: TestWorld;
/** A server of an operator who named no mail server, and allows no webhook inside. */
let bare: TestWorld;
let mail: TestMailServer;
let owner: TestUser;
let other: TestUser;
const moments = new Moments();
const posts: { headers: IncomingMessage["headers"]; body: string }[] = [];
const receiver = createServer((request, response) => {
  void text(request).then((body) => {
    posts.push({ headers: request.headers, body });
    response.end();
    moments.pass();
  });
});
const hookUrl = () => `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/alerts`;

beforeAll(async () => {
  receiver.listen(0, "127.0.0.1");
  await once(receiver, "listening");
  ground = await startTestGround();
  mail = await TestMailServer.start();
  folder = await mkdtemp(join(tmpdir(), "hooks-test-"));
  const mailFile = join(folder, "mail.yaml");
  await writeFile(mailFile, `url: ${mail.url}\nfrom: robots@example.org\n`);
  world = await TestWorld.start(ground, { hooksMayReach: ["127.0.0.1"], mailFile });
  bare = await TestWorld.start(ground);
  await world.addHub();
  owner = await world.addUser("owner");
  other = await world.addUser("other");
}, 60_000);
afterAll(async () => {
  await world?.[Symbol.asyncDispose]();
  await bare?.[Symbol.asyncDispose]();
  await mail?.[Symbol.asyncDispose]();
  receiver.closeAllConnections();
  receiver.close();
  await rm(folder, { recursive: true, force: true });
});

const postOf = (deployment: string, words: string) =>
  moments.until(() => posts.find(({ body }) => body.includes(deployment) && body.includes(words)));

test("alerts of the host, of lock-outs and of the owner are posted, signed with the secret that was told once", async () => {
  const { host, deploymentId } = await world.addHost(owner);
  const set = await owner.call("POST", `/deployment/${deploymentId}/hook/webhook`, { url: hookUrl() });
  const { secret } = set.body as { secret: string };
  expect(secret).toMatch(/^whsec_[\w-]{43}$/);
  expect((await owner.call("POST", `/deployment/${deploymentId}/hook/webhook`, { url: hookUrl() })).body).toEqual({ secret: null });

  await host.lockOut(deploymentId, "l1", "monitor failed: ./battery.py ended with exit code 1");
  const { headers, body } = await postOf(deploymentId, "locked out: monitor failed: ./battery.py");
  const timestamp = Number(headers["x-hardshare-timestamp"]);
  expect(headers["x-hardshare-signature"]).toBe(webhookSignature(secret, timestamp, body));
  expect(JSON.parse(body)).toMatchObject({ kind: "alert", deployment: deploymentId, instance: null });

  const alerts = [{ id: "a1", at: new Date().toISOString(), message: "monitor failed: ./lidar.py" }];
  await host.describe({ alerts });
  await postOf(deploymentId, "./lidar.py");
  await host.describe({ alerts, maxDurationS: 60 });

  expect((await owner.call("POST", `/deployment/${deploymentId}/alert`, { msg: "the door is open" })).body).toEqual({
    webhooks: 1,
    emails: 0,
  });
  await postOf(deploymentId, "the door is open");
  expect(posts.filter((post) => post.body.includes("./lidar.py"))).toHaveLength(1);
  await world.moment(async () => (await owner.call("GET", `/deployment/${deploymentId}/hooks`)).body.webhook.delivered !== null);

  await owner.call("POST", `/deployment/${deploymentId}/hook/webhook`, { url: null });
  expect((await owner.call("GET", `/deployment/${deploymentId}/hooks`)).body).toEqual({ webhook: null, emails: [] });
  expect((await owner.call("POST", `/hardshare/alert/${deploymentId}`, { msg: "nobody hears it" })).body).toEqual({
    webhooks: 0,
    emails: 0,
  });
});

test("an E-stop of the owner is posted", async () => {
  const { deploymentId } = await world.addHost(owner);
  await owner.call("POST", `/deployment/${deploymentId}/hook/webhook`, { url: hookUrl() });
  await owner.call("POST", `/deployment/${deploymentId}/estop`);
  await postOf(deploymentId, "E-stop by owner");
});

test("letters go to each address, as the existing client sets them", async () => {
  const { deploymentId } = await world.addHost(owner);
  const set = await owner.call("POST", `/hardshare/hook/email/${deploymentId}`, {
    emails: ["olga@example.org", "lab@example.org", "olga@example.org"],
  });
  expect([set.status, set.body]).toEqual([200, {}]);
  const told = await owner.call("POST", `/hardshare/alert/${deploymentId}`, { msg: "battery is löw\nBcc: eve@example.org" });
  expect(told.body).toEqual({ webhooks: 0, emails: 2 });
  const letters = await mail.moments.until(() => mail.letters.length >= 2 && mail.letters);
  expect(letters.map(({ to }) => to.join()).toSorted((a, b) => a.localeCompare(b))).toEqual(["lab@example.org", "olga@example.org"]);
  expect(letters[0]?.from).toBe("robots@example.org");
  const [head = ""] = letters[0]?.content.split("\n\n") ?? [];
  expect(head).toMatch(/^Subject: .*battery/m);
  expect(head).not.toMatch(/^Bcc/m);
});

test("where no mail server is named, the answer says so and is still what existing clients expect", async () => {
  const admin = await bare.admin();
  const { deploymentId } = await bare.addHost(admin);
  const set = await admin.call("POST", `/hardshare/hook/email/${deploymentId}`, { emails: ["olga@example.org"] });
  expect([set.status, set.body]).toEqual([200, { warning: expect.stringContaining("sends no mail") }]);
  const told = await admin.call("POST", `/hardshare/alert/${deploymentId}`, { msg: "battery is low" });
  expect([told.status, told.body]).toEqual([200, { webhooks: 0, emails: 0, warning: expect.stringContaining("--mail-file") }]);
});

test("a webhook inside the operator's network is not reached, and the owner is told why", async () => {
  const admin = await bare.admin();
  const { deploymentId } = await bare.addHost(admin);
  const before = posts.length;
  await admin.call("POST", `/deployment/${deploymentId}/hook/webhook`, { url: hookUrl() });
  await admin.call("POST", `/deployment/${deploymentId}/alert`, { msg: "battery is low" });
  const problem = async () => (await admin.call("GET", `/deployment/${deploymentId}/hooks`)).body.webhook.problem as string | null;
  await bare.moment(async () => (await problem()) !== null);
  expect(await problem()).toContain("has an address that is not one of the internet");
  expect(posts).toHaveLength(before);
});

test.each([
  [{ emails: "olga@example.org" }, "emails not correct format"],
  [{ emails: Array.from({ length: 11 }, () => "olga@example.org") }, "emails not correct format"],
  [{ emails: ["olga"] }, "email not correct format"],
  [{ emails: ["olga@example.org,eve@example.org"] }, "email not correct format"],
  [{ emails: ["olga@example.org\r\nBcc: eve@example.org"] }, "email not correct format"],
  [{}, "emails not correct format"],
])("addresses %j are refused in the words of the existing API", async (body, message) => {
  const { deploymentId } = await world.addHost(owner);
  const answer = await owner.call("POST", `/hardshare/hook/email/${deploymentId}`, body);
  expect([answer.status, answer.body.error_message]).toEqual([400, message]);
});

test.each(["ftp://example.org", "example.org", "https://user:password@example.org", ""])("the webhook `%s` is refused", async (url) => {
  const { deploymentId } = await world.addHost(owner);
  const answer = await owner.call("POST", `/deployment/${deploymentId}/hook/webhook`, { url });
  expect([answer.status, answer.body.error_message]).toEqual([
    400,
    expect.stringContaining("url: expected a URL such as https://example.org/alerts"),
  ]);
});

test("only the owner sees hooks, sets them and raises alerts", async () => {
  const { deploymentId } = await world.addHost(owner);
  for (const [method, path, body] of [
    ["GET", `/deployment/${deploymentId}/hooks`, undefined],
    ["POST", `/deployment/${deploymentId}/hook/webhook`, { url: null }],
    ["POST", `/hardshare/hook/email/${deploymentId}`, { emails: [] }],
    ["POST", `/deployment/${deploymentId}/alert`, { msg: "x" }],
  ] as const) {
    expect((await other.call(method, path, body)).body.code, path).toBe("access_denied");
  }
  const unknown = "00000000-0000-4000-8000-000000000000";
  expect((await owner.call("POST", `/hardshare/alert/${unknown}`, { msg: "x" })).status).toBe(404);
});

test("a deployment that rests is shown so and not launched; existing clients get 503 as when it is busy", async () => {
  const until = new Date(Date.now() + 600_000).toISOString();
  const { host, deploymentId } = await world.addHost(owner, { rest: { why: "cooldown after an instance", until } });
  const resting = { why: "cooldown after an instance", until: expect.stringMatching(/^20\d\d-\d\d-\d\d \d\d:\d\d:\d\d/) };
  expect((await owner.call("GET", `/deployment/${deploymentId}`)).body).toMatchObject({ online: true, resting });
  expect((await owner.call("GET", "/deployments?info=t")).body.info[deploymentId]).toMatchObject({ resting });
  const refused = await owner.call("POST", `/new/${deploymentId}`, { sshkey: USER_KEY });
  expect([refused.status, refused.body.code]).toEqual([503, "resting"]);
  expect(refused.body.error_message).toMatch(
    /^workspace deployment is resting until 20.* UTC \(cooldown after an instance\), try again later$/,
  );

  const closesAt = new Date(Date.now() + 300_000);
  await host.describe({ rest: null, closesAt: closesAt.toISOString() });
  expect((await owner.call("GET", `/deployment/${deploymentId}`)).body.resting).toBeUndefined();
  const launched = await owner.call("POST", `/new/${deploymentId}`, { sshkey: USER_KEY, expire_d: 3000 });
  expect(launched.status, launched.text).toBe(200);
  const { remainingMs } = await host.untilWanted(deploymentId, "run");
  expect(remainingMs).toBeLessThanOrEqual(300_000);
  // What it will do afterwards is not told while somebody holds it.
  await host.describe({ rest: { why: "cooldown after the instance", until: null } });
  expect((await owner.call("GET", `/deployment/${deploymentId}`)).body).toMatchObject({ holder: { user: "owner" } });
  expect((await owner.call("GET", `/deployment/${deploymentId}`)).body.resting).toBeUndefined();
  expect((await owner.call("POST", `/new/${deploymentId}`, { sshkey: USER_KEY })).body.code).toBe("busy");
});
