import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { runProgram } from "@hardshare/runtime";
import { afterAll, beforeAll, expect, test } from "vitest";
import { COMMAND, type Ran, runHere } from "./testing.ts";

let folder: string;
let variables: Record<string, string | undefined>;
let serve: ChildProcess;
let server: { url: string; adminTokenFile: string };

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "hardshare-cli-"));
  await chmod(folder, 0o711); // the database of a server that runs as root belongs to another user
  variables = {
    PATH: process.env["PATH"],
    HOME: folder,
    HARDSHARE_HOME: join(folder, "home"),
    HARDSHARE_STATE: join(folder, "state"),
  };
  serve = spawn(process.execPath, [...COMMAND, "serve", "--data-dir", join(folder, "server"), "--port", "0", "--format", "json"], {
    stdio: ["pipe", "pipe", "ignore"],
    env: { ...variables, HARDSHARE_LIFELINE: "1" },
  });
  if (serve.stdout === null) throw new Error("no output of the server");
  const line = await Promise.race([
    once(createInterface(serve.stdout), "line").then(([text]) => text as string),
    once(serve, "exit").then(([code]) => Promise.reject(new Error(`the server ended with exit code ${code}`))),
  ]);
  server = JSON.parse(line) as typeof server;
}, 60_000);
afterAll(async () => {
  const ended = serve.exitCode === null ? once(serve, "exit") : undefined;
  serve.stdin?.end(); // its lifeline
  await ended;
  await rm(folder, { recursive: true });
});

/** The real program as a process of its own. */
async function spawned(args: string[], more: Record<string, string> = {}): Promise<Ran> {
  return runProgram(process.execPath, [...COMMAND, ...args], { env: { ...variables, ...more }, cwd: tmpdir() });
}

/** The same program without `main.ts`, in this process: quicker. */
async function hardshare(args: string[], more: Record<string, string> = {}, input?: string): Promise<Ran> {
  return runHere(args, { ...variables, ...more }, { uid: process.getuid?.() ?? -1, home: folder }, input);
}

test("a command that waits gives Node's threads some work each second, because a wake-up of theirs may have been lost", async () => {
  const hook = `import fs from "node:fs"; import { syncBuiltinESMExports } from "node:module";
    const { access } = fs; fs.access = (...args) => { process.stderr.write("work\\n"); access(...args); }; syncBuiltinESMExports();`;
  const args = ["--import", `data:text/javascript,${encodeURIComponent(hook)}`, ...COMMAND, "filter", "spare"];
  const child = spawn(process.execPath, args, { stdio: ["pipe", "ignore", "pipe"], env: variables });
  const exited = once(child, "exit");
  const lines = createInterface(child.stderr)[Symbol.asyncIterator]();
  for (let count = 0; count < 2; count += 1) expect((await lines.next()).value).toBe("work");
  child.stdin.end();
  expect(await exited).toEqual([0, null]); // it keeps nobody from ending
});

test("help shows the verbs in three groups, and every verb has examples", async () => {
  const { stdout, exitCode } = await hardshare(["--help"]);
  expect(exitCode).toBe(0);
  expect(stdout).toMatch(/Use a robot:[^]*launch[^]*Share a robot:[^]*register[^]*Run the infrastructure:[^]*doctor/);
  expect((await hardshare(["launch", "--help"])).stdout).toContain("$ hardshare launch sim_robot --for 30m --wait");
});

test.each([
  ["an unknown verb", ["frobnicate"], /^hardshare: unknown command 'frobnicate'/],
  ["a missing argument", ["launch"], /^hardshare: missing required argument 'id\|type'/],
  ["an unknown format", ["search", "--format", "xml"], /^hardshare: option '--format <format>' argument 'xml' is invalid/],
  ["a duration that is none", ["launch", "sim", "--for", "soon"], /^hardshare: --for: "soon" is no duration; write a number and a unit/],
  ["a port that is none", ["serve", "--port", "many"], /^hardshare: "many" is no port; expected a number up to 65535/],
])("%s is a usage error: exit code 2, told on standard error", async (_name, args, message) => {
  const { exitCode, stdout, stderr } = await hardshare(args);
  expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: "" });
  expect(stderr).toMatch(message);
  expect(stderr).not.toMatch(/^\s+at /m);
});

test("without a login a verb says how to sign in, for people and for programs", async () => {
  const { exitCode, stderr } = await hardshare(["search", "--format", "json"], { HARDSHARE_HOME: join(folder, "nobody") });
  expect(exitCode).toBe(1);
  const [text, json] = stderr.trim().split("\n");
  expect(text).toBe("hardshare: no server is known: sign in with `hardshare login --server URL --token-file FILE`");
  expect(JSON.parse(json ?? "")).toMatchObject({ error: { code: "not_configured" } });
});

test("a server that can't be reached is told with its address", async () => {
  const closed = createServer().listen(0, "127.0.0.1");
  await once(closed, "listening");
  const url = `http://127.0.0.1:${(closed.address() as AddressInfo).port}`;
  await new Promise((resolve) => closed.close(resolve));
  const { exitCode, stderr } = await hardshare(["whoami", "--server", url, "--token-file", server.adminTokenFile]);
  expect(exitCode).toBe(1);
  expect(stderr).toContain(`can't reach the server at ${url} (ECONNREFUSED)`);
});

test("a foreign token is denied and not kept", async () => {
  const { exitCode, stderr } = await hardshare(["login", "--server", server.url], { HARDSHARE_HOME: join(folder, "other") });
  expect(exitCode).toBe(2);
  expect(stderr).toContain("login needs --token-file FILE");
  const forged = join(folder, "forged");
  const genuine = await readFile(server.adminTokenFile, "utf8");
  await writeFile(forged, `${genuine.trim().slice(0, -8)}AAAAAAAA`);
  const denied = await hardshare(["login", "--server", server.url, "--token-file", forged], { HARDSHARE_HOME: join(folder, "other") });
  expect(denied.exitCode).toBe(5);
  expect(denied.stderr).toMatch(/^hardshare: wrong authorization token; sign in with/);
  await expect(stat(join(folder, "other", "login.yaml"))).rejects.toThrow(/ENOENT/);
});

test("login copies the token, and afterwards verbs know where to go", async () => {
  const signedIn = await hardshare(["login", "--server", server.url, "--token-file", server.adminTokenFile, "--format", "json"]);
  expect(JSON.parse(signedIn.stdout)).toMatchObject({ user: "admin", server: server.url });
  expect((await stat(server.adminTokenFile)).isFile()).toBe(true);
  expect(JSON.parse((await hardshare(["whoami", "--format", "json"])).stdout)).toMatchObject({ user: "admin", superuser: true });

  const unknown = await hardshare(["launch", "no_such_type"]);
  expect(unknown).toMatchObject({ exitCode: 1, stdout: "" });
  expect(unknown.stderr).toContain('"no_such_type" is neither a workspace type nor the beginning of a deployment\'s id');
  expect((await hardshare(["info", "00000000-0000-4000-8000-000000000000"])).stderr).toContain("no deployment or instance has an id");
});

test("a user who was added can sign in with the token made for him, and may not administrate", async () => {
  const admin = ["--server", server.url, "--token-file", server.adminTokenFile];
  expect((await hardshare(["admin", "user", "add", "bob", ...admin])).exitCode).toBe(0);
  const out = join(folder, "bob.token");
  expect((await hardshare(["admin", "token", "bob", "--days", "1", "--out", out, ...admin])).exitCode).toBe(0);
  expect((await stat(out)).mode & 0o777).toBe(0o600);
  const bob = ["--server", server.url, "--token-file", out];
  expect((await hardshare(["whoami", "--format", "json", ...bob])).stdout).toContain('"user":"bob"');
  expect((await hardshare(["admin", "user", "list", ...bob])).exitCode).toBe(5);
});

test("a process ends with the exit code of what happened: 255 for any failure of ssh's that is ours", async () => {
  expect((await spawned(["frobnicate"])).exitCode).toBe(2);
  const { exitCode, stderr } = await spawned(["ssh", "--server", server.url, "--token-file", server.adminTokenFile, "--", "true"]);
  expect(exitCode).toBe(255);
  expect(stderr).toMatch(/there is no instance to choose.* \[not_found\]/);
  expect((await hardshare(["ssh", "--bogus"])).exitCode).toBe(255);
});

test("a robot says where it is, serves, and ends when it is asked to", async () => {
  const robot = spawn(process.execPath, [...COMMAND, "sim", "--format", "json"], { stdio: ["ignore", "pipe", "ignore"], env: variables });
  const [line] = (await once(createInterface(robot.stdout), "line")) as [string];
  const { url } = JSON.parse(line) as { url: string };
  expect((await fetch(`${url}/api/battery`)).status).toBe(200);
  robot.kill("SIGTERM");
  expect(await once(robot, "exit")).toEqual([0, null]);
});

test("a port that is taken is told so", async () => {
  const { port } = new URL(server.url);
  const { exitCode, stderr } = await hardshare(["sim", "--port", port]);
  expect(exitCode).toBe(1);
  expect(stderr).toContain(port);
});

test("a deployment can be ruled and locked by its owner", async () => {
  const registered = await fetch(`${server.url}/hardshare/register`, {
    method: "POST",
    headers: { authorization: `Bearer ${(await readFile(server.adminTokenFile, "utf8")).trim()}` },
    body: JSON.stringify({ type: "arm", desc: "an arm" }),
  });
  const { id } = (await registered.json()) as { id: string };
  expect((await hardshare(["rules", "--drop-all"])).stdout).toBe("no access rules: only the owner may launch instances\n");
  const ruled = JSON.parse((await hardshare(["rules", id.slice(0, 6), "--permit", "bob", "--format", "json"])).stdout) as {
    rules: unknown;
  };
  expect(ruled.rules).toMatchObject([{ user: "bob", capability: "CAP_INSTANTIATE" }]);
  expect((await hardshare(["rules", "--permit", "bob", "--forbid", "bob"])).exitCode).toBe(2);
  expect((await hardshare(["rules", "--permit", "no user"])).stderr).toMatch(/^hardshare: --permit: expected/);

  for (const answer of ["n\n", "\n", ""]) {
    const declined = await hardshare(["rules", "--permit-all", "--drop-all"], {}, answer);
    expect(declined).toMatchObject({ exitCode: 1, stdout: "", stderr: expect.stringMatching(/\[y\/N\]\nhardshare: nothing was changed/) });
  }
  expect((await hardshare(["rules", "--permit-all"], {}, "y\n")).stdout).toMatch(/\* +yes/);
  expect((await hardshare(["rules", "--drop-all", "--permit-all", "--yes", "--format", "YAML"])).stdout).toMatch(/user: "\*"/);
  await hardshare(["rules", "--drop-all", "--permit", "bob"]);

  expect((await hardshare(["lock", "--reason", "gripper is loose"])).exitCode).toBe(0);
  expect((await hardshare(["list"])).stdout).toMatch(new RegExp(`${id}: locked out by .*admin.* gripper is loose`));
  const locked = await hardshare(["launch", "arm"]);
  expect(locked.exitCode).toBe(3);
  expect(await readdir(join(folder, "state", "launches"))).toEqual([]);
  await hardshare(["unlock"]);
  const offline = await hardshare(["launch", id.slice(0, 6), "--format", "json"]);
  expect({ code: offline.exitCode, stdout: offline.stdout }).toEqual({ code: 6, stdout: "" });
  expect((await hardshare(["info", id.slice(0, 6)])).stdout).toMatch(/held by: +nobody[^]*access rule: +permits bob/);
  expect((await hardshare(["search", "arm"])).stdout).toMatch(new RegExp(`${id} +arm +offline`));
});

test("a deployment that the existing client registered is declared, listed, and its contract edited", async () => {
  const more = { HARDSHARE_HOME: join(folder, "bench") };
  const bench = (...args: string[]) => hardshare(args, more);
  expect((await bench("login", "--server", server.url, "--token-file", server.adminTokenFile)).exitCode).toBe(0);
  const answer = await fetch(`${server.url}/hardshare/register`, {
    method: "POST",
    headers: { authorization: `Bearer ${(await readFile(server.adminTokenFile, "utf8")).trim()}` },
  });
  const { id } = (await answer.json()) as { id: string };
  expect((await bench("init")).exitCode).toBe(0);
  expect((await bench("list", "--local")).stdout).toMatch(/^this host has no deployment/);
  expect((await bench("config", "--declare", "7")).stderr).toMatch(/^hardshare: --declare: /);
  expect((await bench("config", "--declare", "00000000-0000-4000-8000-000000000000")).stderr).toContain("no deployment has an id");
  const declared = await bench("config", "--declare", id, "--add-env", "MODE=safe", "--format", "JSON");
  expect(JSON.parse(declared.stdout)).toMatchObject({ declared: { id, owner: "admin" }, isChanged: true, daemon: "not_running" });
  expect((await bench("config", "--declare", id)).stderr).toContain("is in the configuration of this host already");

  const listed = JSON.parse((await bench("list", "--format", "JSON")).stdout) as Record<string, { deployments: { id: string }[] }>;
  expect(listed["local"]?.deployments).toMatchObject([{ id, provider: "podman" }]);
  expect(listed["remote"]?.deployments.map((it) => it.id)).toEqual([id]);
  const all = JSON.parse((await bench("list", "--all", "--format", "json")).stdout) as typeof listed;
  expect(all["remote"]?.deployments.length).toBeGreaterThan(1);
  expect((await bench("list")).stdout).toMatch(/more of admin on other hosts: `hardshare list --all`/);
});

test("tokens are added once the server said that they are good, chosen by organisation, and pruned", async () => {
  const home = join(folder, "tokens-home");
  const more = { HARDSHARE_HOME: home, HARDSHARE_SERVER: server.url };
  const genuine = (await readFile(server.adminTokenFile, "utf8")).trim();
  const claims = (more: object) =>
    Buffer.from(JSON.stringify({ sub: "ada", iss: "rerobots.net", aud: "rerobots.net", ...more })).toString("base64url");
  const foreign = join(folder, "foreign.token");
  await writeFile(foreign, `e30.${claims({ exp: 4_000_000_000, org: "bench" })}.c2ln`);
  expect((await hardshare(["config", "--add-token", foreign], more)).exitCode).toBe(5);

  const added = await hardshare(["config", "--add-token", server.adminTokenFile, "--format", "json"], more);
  const { token } = JSON.parse(added.stdout) as { token: { file: string; user: string } };
  expect(token.user).toBe("admin");
  expect((await stat(token.file)).mode & 0o777).toBe(0o600);
  expect((await readFile(server.adminTokenFile, "utf8")).trim()).toBe(genuine); // copied, not moved
  expect((await hardshare(["whoami", "--format", "json"], more)).stdout).toContain('"user":"admin"');
  expect((await hardshare(["declare-org", "bench"], more)).stderr).toMatch(/no token of the organisation bench is kept here/);

  await writeFile(join(home, "tokens", "foreign"), await readFile(foreign));
  await writeFile(join(home, "tokens", "old"), `e30.${claims({ exp: 1 })}.c2ln`);
  await writeFile(join(home, "tokens", "text"), "hello");
  expect((await hardshare(["declare-org", "bench"], more)).stdout).toBe("acting as ada for bench\n");
  expect((await hardshare(["declare-org"], more)).stdout).toBe("acting as admin, for no organisation\n");
  const pruned = await hardshare(["config", "--prune"], more);
  expect(pruned.stdout).toMatch(/foreign: .* refuses it[^]*old: expired at 1970|old: expired[^]*foreign: .* refuses it/);
  expect((await readdir(join(home, "tokens"))).filter((name) => ["foreign", "old", "text"].includes(name))).toEqual([]);
  expect((await hardshare(["whoami"], more)).exitCode).toBe(0);
});
