import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DeploymentId, type NewDeployment, registerTranscript } from "@hardshare/protocol";
import { generateIdentity, verifyWith } from "@hardshare/wire/ssh";
import { afterEach, beforeEach, expect, test } from "vitest";
import type * as z from "zod";
import { editHostConfig, readHostConfig } from "./host-config.ts";
import { initHost } from "./init-host.ts";
import { registerDeployment } from "./register-deployment.ts";

const HOST = "00000000-0000-4000-8000-00000000000a";
let home: string;
let server: Server;
let url: string;
let answer: { status: number; body: unknown };
let asked: z.input<typeof NewDeployment> | undefined;
let serverKey: string;

beforeEach(async () => {
  home = join(await mkdtemp(join(tmpdir(), "hardshare-home-")), "home");
  serverKey = generateIdentity("server").publicKey;
  answer = { status: 200, body: { id: "00000000-0000-4000-8000-000000000001", owner: "ada", host: HOST, serverKey } };
  server = createServer((request, response) => {
    let text = "";
    request.on("data", (chunk) => (text += String(chunk)));
    request.on("end", () => {
      asked = JSON.parse(text) as typeof asked;
      response.writeHead(answer.status, { "content-type": "application/json" }).end(JSON.stringify(answer.body));
    });
  });
  asked = undefined;
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterEach(async () => {
  server.close();
  await rm(join(home, ".."), { recursive: true, force: true });
});

const register = (options: Partial<Parameters<typeof registerDeployment>[0]> = {}) =>
  registerDeployment({ home, token: "secret", ...options });

test("init makes a private identity key and a configuration, once", async () => {
  const { publicKey } = await initHost({ home, server: url });
  expect((await stat(join(home, "identity"))).mode & 0o777).toBe(0o600);
  expect((await stat(home)).mode & 0o777).toBe(0o700);
  expect((await readFile(join(home, "identity.pub"), "utf8")).trim()).toBe(publicKey);
  expect(await readHostConfig(home)).toMatchObject({ server: url, deployments: [] });
  await expect(initHost({ home })).rejects.toMatchObject({ code: "conflict", message: expect.stringContaining(home) });
});

test("without init every command says to run it", async () => {
  await expect(readHostConfig(home)).rejects.toMatchObject({ code: "not_configured", message: expect.stringContaining("hardshare init") });
  await expect(register()).rejects.toMatchObject({ code: "not_configured" });
});

test("registering sets a computer up as a host when it is none, and leaves nothing when that fails", async () => {
  answer = { status: 400, body: { error_message: "wrong authorization token", code: "wrong_token" } };
  await expect(register({ server: url })).rejects.toMatchObject({ code: "wrong_token" });
  await expect(readHostConfig(home)).rejects.toMatchObject({ code: "not_configured" });
  await expect(stat(join(home, "identity"))).rejects.toMatchObject({ code: "ENOENT" });

  answer = { status: 200, body: { id: "00000000-0000-4000-8000-000000000001", owner: "ada", host: HOST, serverKey } };
  await register({ server: url });
  expect(await readHostConfig(home)).toMatchObject({ server: url, deployments: [{ owner: "ada" }] });
  expect((await stat(join(home, "identity"))).mode & 0o777).toBe(0o600);
});

test("registering proves the identity key, pins the server's, and writes a contract", async () => {
  const { publicKey } = await initHost({ home, server: url });
  const registered = await register({ type: "fixed_misty2", desc: "Misty" });
  expect(registered).toMatchObject({ id: "00000000-0000-4000-8000-000000000001", owner: "ada" });
  expect(asked).toMatchObject({ type: "fixed_misty2", desc: "Misty", host: { key: publicKey } });
  const hash = createHash("sha256").update("secret").digest("hex");
  expect(verifyWith(publicKey, registerTranscript("host", publicKey, hash), asked?.host?.signature ?? "")).toBe(true);
  expect(await readHostConfig(home)).toMatchObject({
    server: url,
    server_key: serverKey,
    host: HOST,
    deployments: [{ id: registered.id, owner: "ada" }],
  });
  expect(await readFile(registered.contract, "utf8")).toContain("# provider: podman");
});

test("a second deployment needs permission, and keeps the comments of the configuration", async () => {
  await initHost({ home, server: url });
  await register();
  await expect(register()).rejects.toMatchObject({ code: "conflict", message: expect.stringContaining("--permit-more") });
  const path = join(home, "config.yaml");
  await writeFile(path, `# mine\n${await readFile(path, "utf8")}`);
  answer.body = { ...(answer.body as object), id: "00000000-0000-4000-8000-000000000002" };
  await register({ permitMore: true, contract: "provider: proxy\nservices: [{ name: ROBOT, command: ./f }]\n" });
  expect(await readFile(path, "utf8")).toMatch(/^# mine\n/);
  expect((await readHostConfig(home)).deployments.map(({ id }) => id.at(-1))).toEqual(["1", "2"]);
});

test("a deployment whose id is given keeps it, and the contract that it has here", async () => {
  const id = "00000000-0000-4000-8000-000000000001";
  await initHost({ home, server: url });
  const contract = join(home, "deployments", `${id}.yaml`);
  await writeFile(contract, "provider: nothing\n");
  await expect(register({ id: DeploymentId.parse(id) })).rejects.toMatchObject({ code: "config_invalid" });
  await writeFile(contract, "provider: docker   # imported\n");
  await expect(register({ id: DeploymentId.parse(id), contract: "" })).rejects.toMatchObject({ code: "conflict" });
  expect(asked).toBeUndefined();
  await register({ id: DeploymentId.parse(id) });
  expect(asked).toMatchObject({ id });
  expect(await readFile(contract, "utf8")).toBe("provider: docker   # imported\n");
  await expect(register({ id: DeploymentId.parse(id), permitMore: true })).rejects.toMatchObject({ code: "conflict" });
});

test("a server that gives another id than the asked one is too old, and nothing is written", async () => {
  await initHost({ home, server: url });
  const id = DeploymentId.parse("00000000-0000-4000-8000-000000000009");
  await expect(register({ id })).rejects.toMatchObject({ code: "version_mismatch" });
  expect((await readHostConfig(home)).deployments).toEqual([]);
});

test("a server that shows another key than the pinned one is refused, and nothing is written", async () => {
  await initHost({ home, server: url });
  await register();
  const before = await readFile(join(home, "config.yaml"), "utf8");
  answer.body = { ...(answer.body as object), serverKey: generateIdentity("other").publicKey };
  await expect(register({ permitMore: true })).rejects.toMatchObject({ code: "identity_refused" });
  expect(await readFile(join(home, "config.yaml"), "utf8")).toBe(before);
});

test("what the server refuses, and a server that is not there, are told", async () => {
  await initHost({ home });
  await expect(register()).rejects.toMatchObject({ code: "not_configured", message: expect.stringContaining("--server") });
  answer = { status: 400, body: { error_message: "wrong authorization token", code: "wrong_token" } };
  await expect(register({ server: url })).rejects.toMatchObject({ code: "wrong_token", message: "wrong authorization token" });
  await expect(register({ server: "http://127.0.0.1:1" })).rejects.toMatchObject({ code: "server_unreachable" });
  asked = undefined;
  await expect(register({ server: url, contract: "provider: nothing\n" })).rejects.toMatchObject({ code: "config_invalid" });
  expect(asked).toBeUndefined();
});

test("an edit that would not fit the schema is not written", async () => {
  await initHost({ home, server: url });
  await expect(editHostConfig(home, (document) => document.set("server", "ftp://x"))).rejects.toMatchObject({ code: "config_invalid" });
  expect(await readHostConfig(home)).toMatchObject({ server: url });
});
