import { once } from "node:events";
import { createConnection } from "node:net";
import { ErrorBody } from "@hardshare/protocol";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startTestGround, type TestGround, type TestUser, TestWorld } from "./testing/test-world.fixture.ts";

let ground: TestGround;
let world: TestWorld;
let owner: TestUser;
let other: TestUser;
let admin: TestUser;
let deploymentId: string;
beforeAll(async () => {
  ground = await startTestGround();
  world = await TestWorld.start(ground);
  owner = await world.addUser("owner");
  other = await world.addUser("other");
  admin = await world.admin();
  deploymentId = (await owner.call("POST", "/hardshare/register", { desc: "a small robot" })).body.id;
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
});

const UNKNOWN = "00000000-0000-4000-8000-000000000000";
const HASH = "a".repeat(64);

/** Every route that needs a token. */
const PRIVATE_ROUTES: readonly (readonly [string, string])[] = [
  ["GET", `/deployment/${UNKNOWN}/rules`],
  ["POST", `/deployment/${UNKNOWN}/rule`],
  ["DELETE", `/deployment/${UNKNOWN}/rule/1`],
  ["POST", `/deployment/${UNKNOWN}/lockout`],
  ["DELETE", `/deployment/${UNKNOWN}/lockout`],
  ["POST", "/new"],
  ["POST", `/new/${UNKNOWN}`],
  ["POST", "/new/some_type"],
  ["GET", "/instances"],
  ["GET", "/instances/some_type"],
  ["GET", `/instance/${UNKNOWN}`],
  ["GET", `/instance/${UNKNOWN}/sshkey`],
  ["GET", `/instance/${UNKNOWN}/events`],
  ["POST", `/terminate/${UNKNOWN}`],
  ["POST", "/hardshare/register"],
  ["GET", "/hardshare/list"],
  ["POST", `/hardshare/terminate/${UNKNOWN}`],
  ["GET", `/firewall/${UNKNOWN}`],
  ["POST", `/firewall/${UNKNOWN}`],
  ["DELETE", `/firewall/${UNKNOWN}`],
  ["POST", `/revoke/${HASH}`],
  ["GET", "/whoami"],
  ["POST", "/hubs/register"],
  ["POST", "/admin/users"],
  ["GET", "/admin/users"],
  ["POST", "/admin/tokens"],
];

/** Who, method, path, body; status, code, field or text that the answer must name. */
const BAD_INPUT: readonly (readonly ["owner" | "other" | "admin", string, string, unknown, number, string, string])[] = [
  ["owner", "GET", "/deployment/xyz", undefined, 400, "bad_input", "id"],
  ["owner", "GET", `/deployment/${UNKNOWN}`, undefined, 404, "not_found", "no workspace deployment found with given ID"],
  ["owner", "GET", "/deployments?page=0", undefined, 400, "bad_input", "page"],
  ["owner", "GET", "/deployments?page=x", undefined, 400, "bad_input", "page"],
  ["owner", "GET", "/deployments?max_per_page=-1", undefined, 400, "bad_input", "max_per_page"],
  ["owner", "GET", "/deployments?sort_by=colour", undefined, 400, "bad_input", "sort_by"],
  ["owner", "GET", "/deployments/a%20b", undefined, 400, "bad_input", "type"],
  ["owner", "GET", `/deployment/${UNKNOWN}/rules`, undefined, 404, "not_found", "no workspace deployment"],
  ["owner", "POST", "/deployment/DID/rule", undefined, 400, "bad_input", "post body required, but not given"],
  ["owner", "POST", "/deployment/DID/rule", { cap: "CAP_FLY" }, 400, "bad_input", "unrecognized capability"],
  ["owner", "POST", "/deployment/DID/rule", { cap: "CAP_INSTANTIATE", user: "a b" }, 400, "bad_input", "user"],
  ["owner", "POST", "/deployment/DID/rule", "{not json", 400, "bad_input", "body not valid JSON"],
  ["owner", "POST", "/deployment/DID/rule", [], 400, "bad_input", "object"],
  ["other", "POST", "/deployment/DID/rule", { cap: "CAP_INSTANTIATE" }, 403, "access_denied", "owner"],
  ["owner", "DELETE", "/deployment/DID/rule/x", undefined, 400, "bad_input", "rule"],
  ["owner", "DELETE", "/deployment/DID/rule/999", undefined, 404, "not_found", "rule"],
  ["other", "DELETE", "/deployment/DID/rule/1", undefined, 403, "access_denied", "owner"],
  ["owner", "POST", "/deployment/DID/lockout", { reason: 5 }, 400, "bad_input", "reason"],
  ["other", "POST", "/deployment/DID/lockout", {}, 403, "access_denied", "owner"],
  ["other", "DELETE", "/deployment/DID/lockout", {}, 403, "access_denied", "owner"],
  ["owner", "POST", "/deployment/DID/lockout", { reason: "a\0b" }, 400, "bad_input", "reason"],
  ["owner", "POST", "/deployment/DID/lockout", { reason: "half \ud83e" }, 400, "bad_input", "reason"],
  ["owner", "GET", "/deployments?q=%00", undefined, 400, "bad_input", "q"],
  ["owner", "GET", "/instances?user=%00", undefined, 400, "bad_input", "user"],
  ["owner", "POST", "/hardshare/register", { desc: "\0" }, 400, "bad_input", "desc"],
  ["owner", "POST", `/deployment/${UNKNOWN}/lockout`, {}, 404, "not_found", "no workspace deployment"],
  ["owner", "POST", "/new", {}, 404, "not_found", "wds"],
  ["owner", "POST", "/new", { wds: ["x"] }, 404, "not_found", "wds"],
  ["owner", "POST", "/new", [], 400, "bad_input", "body"],
  ["owner", "POST", "/new", "null", 400, "bad_input", "body"],
  ["owner", "POST", `/new/${UNKNOWN}`, {}, 404, "not_found", "no matching wdeployment found"],
  ["owner", "POST", "/new", { wds: ["DID", UNKNOWN] }, 404, "not_found", "some given IDs have no matching wdeployment"],
  ["owner", "POST", "/new/a-b", {}, 400, "bad_input", "a-b"],
  ["owner", "POST", "/new/DID", { expire_d: "1h" }, 400, "bad_input", "value for option `expire_d` has wrong type"],
  ["owner", "POST", "/new/DID", { expire_d: 0 }, 400, "bad_input", "value for option `expire_d` must be positive"],
  ["owner", "POST", "/new/DID", { expire_d: 1.5 }, 400, "bad_input", "value for option `expire_d` has wrong type"],
  ["owner", "POST", "/new/DID", { reserve: "yes" }, 400, "bad_input", "value for option `reserve` has wrong type"],
  ["owner", "POST", "/new/DID", { sshkey: 5 }, 400, "bad_input", "value for option `sshkey` has wrong type"],
  ["owner", "POST", "/new/DID", { keepalive: "yes" }, 400, "bad_input", "value for option `keepalive` has wrong type"],
  ["owner", "POST", "/new/DID", { eurl: "" }, 400, "bad_input", "value for option `eurl` has wrong type"],
  ["owner", "POST", "/new/DID", { vpn: 1 }, 400, "bad_input", "value for option `vpn` has wrong type"],
  ["owner", "POST", "/new/DID", { allow_noop: null }, 400, "bad_input", "value for option `allow_noop` has wrong type"],
  ["owner", "POST", "/new/DID", { repo: "https://example.org" }, 400, "bad_input", "value for option `repo` has wrong type"],
  ["owner", "POST", "/new/DID", { repo: {} }, 400, "bad_input", "value for option `repo` missing url"],
  ["owner", "POST", "/new/DID", { sshkey: `ssh-ed25519 AAAA ${"x".repeat(1025)}` }, 400, "bad_input", "comment of at most 1024"],
  ["owner", "POST", "/new/DID", { sshkey: "ssh-ed25519 AAAA" }, 400, "bad_input", "sshkey"],
  ["owner", "POST", "/new/DID", { sshkey: "-----BEGIN OPENSSH PRIVATE KEY-----" }, 400, "bad_input", "sshkey"],
  ["owner", "POST", "/new/DID", {}, 503, "host_offline", "workspace deployment temporarily unavailable, try again later"],
  ["owner", "GET", "/instances?sort_by=colour", undefined, 400, "bad_input", "sort_by"],
  ["owner", "GET", "/instances?user=other", undefined, 403, "access_denied", "user"],
  ["owner", "GET", "/instance/xyz", undefined, 400, "bad_input", "id"],
  ["owner", "GET", `/instance/${UNKNOWN}`, undefined, 404, "not_found", "instance not found"],
  ["owner", "GET", `/instance/${UNKNOWN}/events?after=x`, undefined, 400, "bad_input", "after"],
  ["owner", "POST", `/terminate/${UNKNOWN}`, undefined, 404, "not_found", "instance not found"],
  ["owner", "POST", "/hardshare/register", { type: "Big Robot" }, 400, "bad_input", "type"],
  ["owner", "POST", "/hardshare/register", { desc: "x".repeat(81) }, 400, "bad_input", "desc"],
  ["owner", "POST", "/hardshare/register", { host: { key: "nonsense", signature: "AAAA" } }, 400, "bad_input", "host.key"],
  ["owner", "POST", "/firewall/xyz", {}, 400, "bad_input", "id"],
  ["owner", "POST", "/revoke/abc", undefined, 400, "bad_input", "sha256"],
  ["owner", "POST", "/hubs/register", {}, 403, "access_denied", "superuser"],
  ["admin", "POST", "/hubs/register", {}, 400, "bad_input", "key"],
  ["owner", "POST", "/admin/users", { name: "x" }, 403, "access_denied", "superuser"],
  ["owner", "GET", "/admin/users", undefined, 403, "access_denied", "superuser"],
  ["owner", "POST", "/admin/tokens", { user: "owner" }, 403, "access_denied", "superuser"],
  ["admin", "POST", "/admin/users", { name: "a b" }, 400, "bad_input", "name"],
  ["admin", "POST", "/admin/users", undefined, 400, "bad_input", "name"],
  ["admin", "POST", "/admin/users", { name: "owner" }, 409, "conflict", "name"],
  ["admin", "POST", "/admin/tokens", { user: "nobody" }, 404, "not_found", "user"],
  ["admin", "POST", "/admin/tokens", { user: "owner", days: -1 }, 400, "bad_input", "days"],
  ["owner", "GET", "/no/such/route", undefined, 400, "unrecognized_command", "unrecognized command"],
  ["owner", "PUT", "/whoami", {}, 400, "unrecognized_command", "unrecognized command"],
  ["owner", "GET", "/deployment/%zz", undefined, 400, "bad_input", "path"],
  ["owner", "POST", "/admin/users", `"${"x".repeat(300_000)}"`, 413, "bad_input", "large"],
];

test("every route that needs a token answers 400 `wrong authorization token` without a valid one", async () => {
  for (const token of [null, "nonsense", `${owner.token}x`]) {
    for (const [method, path] of PRIVATE_ROUTES) {
      const headers: Record<string, string> = token === null ? {} : { authorization: `Bearer ${token}` };
      const response = await fetch(`${world.url}${path}`, { method, headers });
      expect(response.status, `${method} ${path}`).toBe(400);
      expect(await response.json()).toMatchObject({ error_message: "wrong authorization token", code: "wrong_token" });
    }
  }
});

test("every bad input is answered with status, code and what was expected, in the shape of all errors", async () => {
  const users = { owner, other, admin };
  for (const [who, method, path, body, status, code, text] of BAD_INPUT) {
    const name = `${who} ${method} ${path} ${JSON.stringify(body)?.slice(0, 80)}`;
    const filled = (part: unknown) => (part === undefined ? undefined : JSON.parse(JSON.stringify(part).replace("DID", deploymentId)));
    const answer = await users[who].call(method, path.replace("DID", deploymentId), filled(body));
    expect(answer.status, `${name}: ${answer.text}`).toBe(status);
    const error = ErrorBody.required({ error: true, code: true, details: true }).parse(answer.body);
    expect(error.code, name).toBe(code);
    expect(`${error.error_message} ${JSON.stringify(error.details)}`, name).toContain(text);
    expect(error.error).toBe(error.error_message);
    expect(error.result_message, name).toBe(status === 503 ? error.error_message : undefined);
    expect(answer.headers.get("access-control-allow-origin"), name).toBe("*");
  }
  expect((await owner.call("GET", "/hardshare/list")).body.wdeployments).toHaveLength(1); // nothing half done
});

test("the public routes ignore an invalid token", async () => {
  const headers = { authorization: "Bearer nonsense" };
  for (const path of ["/", "/workspaces", "/deployments?info=t", `/deployment/${deploymentId}`, "/token-key"]) {
    expect((await fetch(`${world.url}${path}`, { headers })).status, path).toBe(200);
  }
});

test("any origin may call: OPTIONS is answered for every path", async () => {
  const response = await fetch(`${world.url}/new/whatever`, { method: "OPTIONS", headers: { origin: "https://example.org" } });
  expect(response.status).toBe(200);
  expect(response.headers.get("access-control-allow-headers")).toContain("Authorization");
  expect(response.headers.get("access-control-allow-methods")).toBe("GET,POST,DELETE");
});

test("a body is JSON whatever its Content-Type says", async () => {
  for (const type of [
    undefined,
    "text/plain",
    "application/x-www-form-urlencoded",
    "application/json; charset=utf-8",
    "application/octet-stream",
    "json",
    "",
    "a/b/c",
    ";",
  ]) {
    const { hostname, port } = new URL(world.url);
    const socket = createConnection(Number(port), hostname);
    const body = '{"cap": "CAP_INSTANTIATE", "user": "other"}';
    const lines = [
      `POST /deployment/${deploymentId}/rule HTTP/1.1`,
      "Host: x",
      `Authorization: Bearer ${owner.token}`,
      ...(type === undefined ? [] : [`Content-Type: ${type}`]),
      `Content-Length: ${body.length}`,
      "Connection: close",
    ];
    socket.write(`${lines.join("\r\n")}\r\n\r\n${body}`);
    let answer = "";
    socket.on("data", (chunk: Buffer) => (answer += chunk.toString()));
    await once(socket, "close");
    expect(answer.split("\r\n", 1)[0], type).toBe("HTTP/1.1 200 OK");
    expect(answer).toContain('{"rule_id":2}');
  }
});

test("who does not log in learns that a deployment is locked out or held, but not by whom and why", async () => {
  const path = `/deployment/${deploymentId}`;
  await owner.call("POST", `${path}/lockout`, { reason: "repair at Ada's desk" });
  const view = (await world.anonymous()("GET", path)).body;
  expect(view.lockout).toBe(true);
  expect(view.lockout_info).toBeUndefined();
  expect((await other.call("GET", path)).body.lockout_info).toMatchObject({ reason: "repair at Ada's desk", actor: "owner" });
  await owner.call("DELETE", `${path}/lockout`);
});

test("deployments are listed, searched, filtered and paged as existing clients do it", async () => {
  const all = (await world.anonymous()("GET", "/deployments?info=t")).body;
  expect(all).toMatchObject({
    workspace_deployments: [deploymentId],
    page_count: 1,
    info: { [deploymentId]: { type: "user_provided", region: "", queuelen: 0, desc: "a small robot", online: false, owner: "owner" } },
  });
  const find = async (query: string) => (await world.anonymous()("GET", `/deployments${query}`)).body.workspace_deployments.length;
  expect(await find("?q=SMALL+robot")).toBe(1);
  expect(await find("?q=large+robot")).toBe(0);
  expect(await find("?types=%21user_provided")).toBe(0);
  expect(await find("?types=user_provided,fixed_misty2")).toBe(1);
  expect(await find("/fixed_misty2")).toBe(0);
  expect(await find("?page=1&max_per_page=5")).toBe(1);
  expect((await world.anonymous()("GET", "/workspaces")).body).toEqual({ workspace_types: ["user_provided"] });
  const view = (await owner.call("GET", `/deployment/${deploymentId.toUpperCase()}`)).body;
  expect(view).toMatchObject({ id: deploymentId, addons_config: {}, icounter: 0, holder: null });
  expect(view.lockout).toBeUndefined();
});

test("access rules: the owner sees all, others those that concern them; adding again returns the same id", async () => {
  const add = async (user: string, cap = "CAP_INSTANTIATE") =>
    (await owner.call("POST", `/deployment/${deploymentId}/rule`, { cap, user })).body.rule_id as number;
  const id = await add("third");
  expect(await add("third")).toBe(id);
  const seen = async (user: TestUser) =>
    (await user.call("GET", `/deployment/${deploymentId}/rules`)).body.rules.map((rule: { user: string }) => rule.user);
  expect(await seen(owner)).toEqual(["owner", "other", "third"]);
  expect(await seen(other)).toEqual(["other"]);
  expect(await owner.call("DELETE", `/deployment/${deploymentId}/rule/${id}`)).toMatchObject({ status: 200, text: "" });
  expect(await seen(owner)).toEqual(["owner", "other"]);
});

test("users and tokens: a superuser makes them, whoami tells them, revoking ends them", async () => {
  expect((await admin.call("GET", "/admin/users")).body.users.map((user: { name: string }) => user.name)).toEqual([
    "admin",
    "other",
    "owner",
  ]);
  const { token, sha256 } = (await admin.call("POST", "/admin/tokens", { user: "other", days: 1 })).body;
  const whoami = (bearer: string) => fetch(`${world.url}/whoami`, { headers: { authorization: `Bearer ${bearer}` } });
  expect(await (await whoami(token)).json()).toMatchObject({ user: "other", org: null, superuser: false });
  expect((await owner.call("POST", `/revoke/${sha256}`)).body.code).toBe("access_denied");
  expect((await whoami(token)).status).toBe(200);
  expect(await other.call("POST", `/revoke/${sha256}`)).toMatchObject({ status: 200, text: "" });
  expect((await whoami(token)).status).toBe(400);
  expect((await other.call("POST", `/revoke/${HASH}`)).status).toBe(200);
});

test("the deployments of an owner are listed with all that he should see", async () => {
  const { body } = await owner.call("GET", "/hardshare/list");
  expect(body).toMatchObject({
    owner: "owner",
    wdeployments: [{ id: deploymentId, lockout: false, dissolved: null, origin: "127.0.0.1", online: false, instance: null, alerts: [] }],
  });
  expect(body.wdeployments[0].date_created).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d UTC$/);
  expect((await other.call("GET", "/hardshare/list")).body.wdeployments).toEqual([]);
});

test("behind a trusted proxy each client is known by its own address", async () => {
  await using proxied = await TestWorld.start(ground, { trustedProxies: ["127.0.0.1/32"], rateLimits: { anonymousPerHour: 1 } });
  const remaining = async (forwarded: string) =>
    (await fetch(`${proxied.url}/workspaces`, { headers: { "x-forwarded-for": forwarded } })).status;
  expect(await remaining("192.0.2.1")).toBe(200);
  expect(await remaining("192.0.2.1")).toBe(403);
  expect(await remaining("192.0.2.2")).toBe(200);
});

test("requests are counted: the headers say how many are left, and too many are refused", async () => {
  await using strict = await TestWorld.start(ground, { rateLimits: { anonymousPerHour: 2, tokenPerHour: 5 } });
  const remaining = async (path = "/workspaces") => {
    const response = await fetch(`${strict.url}${path}`);
    return [response.status, response.headers.get("x-ratelimit-remaining")];
  };
  expect(await remaining()).toEqual([200, "1"]);
  expect(await remaining()).toEqual([200, "0"]);
  expect(await remaining()).toEqual([403, "0"]);
  expect(await remaining("/whoami")).toEqual([400, "0"]);
  const answer = await strict.anonymous()("GET", "/workspaces");
  expect(answer.body.code).toBe("rate_limited");
  expect(Number(answer.headers.get("x-ratelimit-reset"))).toBeGreaterThan(Date.now() / 1000);
  const root = await strict.admin();
  expect((await root.call("GET", "/workspaces")).headers.get("x-ratelimit-limit")).toBe("5");
});
