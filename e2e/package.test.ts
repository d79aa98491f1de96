/** The one package, installed as people do, without the repository: two commands share a real device from there. */
import { access, mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { expectSuccess, run, RunningCommand } from "./harness/commands.ts";
import { makeFolder } from "./harness/folder.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));

let folder: string;
let program: string;

beforeAll(async () => {
  folder = await makeFolder("package");
  const file = (await expectSuccess(process.execPath, [join(ROOT, "tools/pack.mjs"), folder])).trim().split("\n").at(-1) ?? "";
  await mkdir(join(folder, "installer"));
  const certificates = process.env["HARDSHARE_TEST_EXTRA_CA_CERTS"]; // see vitest.config.ts
  // No script of any package runs, so nothing is compiled: what works now works on a computer without a compiler.
  await expectSuccess("npm", ["install", "--global", "--ignore-scripts", "--prefix", join(folder, "prefix"), file], {
    env: {
      HOME: join(folder, "installer"),
      NPM_CONFIG_USERCONFIG: process.env["NPM_CONFIG_USERCONFIG"] ?? join(process.env["HOME"] ?? "", ".npmrc"),
      ...(certificates === undefined ? {} : { NODE_EXTRA_CA_CERTS: certificates }),
    },
  });
  program = join(folder, "prefix/bin/hardshare");
}, 300_000);
afterAll(() => rm(folder, { recursive: true, force: true }));

test("holds no test, no map and no source", async () => {
  const installed = join(folder, "prefix/lib/node_modules/hardshare");
  const ours = [join(installed, "bin"), join(installed, "program")];
  const found = await expectSuccess("find", [
    ...ours,
    "-name",
    "*.ts",
    "-o",
    "-name",
    "*.map",
    "-o",
    "-name",
    "*.test.*",
    "-o",
    "-name",
    "testing*",
  ]);
  expect(found).toBe("");
  await access(join(installed, "program/images/generic/Containerfile"));
});

test("two commands share a device, and a user reaches it", async () => {
  const person = (name: string) => ({
    HOME: join(folder, name),
    HARDSHARE_HOME: join(folder, name, "config"),
    HARDSHARE_STATE: join(folder, name, "state"),
  });
  const start = <Ready>(name: string, ...args: string[]) => new RunningCommand<Ready>(args, person(name), { program });
  const command = async (name: string, ...args: string[]) =>
    JSON.parse(await expectSuccess(program, [...args, "--format", "json"], { env: person(name) })) as Record<string, unknown>;

  await using server = start<{ url: string; adminTokenFile: string }>(
    "operator",
    "serve",
    "--data-dir",
    join(folder, "server"),
    "--port",
    "0",
  );
  const { url, adminTokenFile } = await server.ready;
  const at = ["--server", url, "--token-file", adminTokenFile];
  await using hub = start("operator", "hub", "--data-dir", join(folder, "hub"), "--ssh-port", "0", ...at);
  await hub.ready;
  await using robot = start<{ url: string }>("robot", "sim");
  const device = new URL((await robot.ready).url).host;

  const contract = join(folder, "contract.yaml");
  await writeFile(join(folder, "rules.yaml"), "default: block\nrules:\n  - allow: GET /api/battery\n");
  await writeFile(
    contract,
    `provider: proxy\nservices: [{ name: ROBOT, filter: http, target: "${device}", rules: ${join(folder, "rules.yaml")} }]\n`,
  );
  const { id } = await command("owner", "register", "--contract", contract, ...at);
  await using daemon = start("owner", "ad");
  await daemon.ready;

  await command("user", "login", ...at);
  const launched = await command("user", "launch", String(id), "--wait");
  expect(launched["status"]).toBe("READY");
  const forward = start<{ port: number }>("user", "forward", String(launched["id"]));
  const { port } = await forward.ready;
  expect((await fetch(`http://127.0.0.1:${port}/api/battery`)).status).toBe(200);
  expect((await fetch(`http://127.0.0.1:${port}/api/reboot`, { method: "POST" })).status).toBe(403);
  await command("user", "terminate");
  expect(await forward.ended).toBe(0);
  expect((await run(program, ["--version"])).stdout.trim()).toMatch(/^\d+\.\d+\.\d+$/);
});
