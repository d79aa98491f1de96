import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Contract, HttpFilterRules } from "@hardshare/protocol";
import { parseYamlWith, systemRandom } from "@hardshare/runtime";
import { afterEach, beforeEach, expect, test } from "vitest";
import { readEnvironment } from "../environment.ts";
import { containerDemo, placeDemoRules, proxyDemo } from "./demo.ts";
import { choosePorts, defaultDataFolder, loadSettings, saveSettings } from "./settings.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "hardshare-up-"));
});
afterEach(() => rm(folder, { recursive: true }));

async function takenPort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: () => new Promise<void>((resolve) => server.close(() => resolve())),
  };
}

test("ports are picked at the first start and kept", async () => {
  const first = await loadSettings(folder, systemRandom);
  const { server } = await choosePorts(folder, first, 0, systemRandom);
  expect(new Set([first.hub_port, first.robot_port, server]).size).toBe(3);
  const second = await loadSettings(folder, systemRandom);
  expect(second).toEqual({ ...first, server_port: server });
  expect(await choosePorts(folder, second, 0, systemRandom)).toEqual({ server });
});

test("a port of the server that is taken says how to choose another", async () => {
  await using taken = await takenPort();
  const settings = await loadSettings(folder, systemRandom);
  await expect(choosePorts(folder, settings, taken.port, systemRandom)).rejects.toMatchObject({
    code: "port_in_use",
    message: `port ${taken.port} is taken by another program: choose another one with --port`,
  });
});

test("a kept port that a stranger has taken is named, with the file that says it", async () => {
  await using taken = await takenPort();
  const settings = { ...(await loadSettings(folder, systemRandom)), hub_port: taken.port };
  await saveSettings(folder, settings);
  await expect(choosePorts(folder, settings, 0, systemRandom)).rejects.toThrow(`write another hub_port into ${join(folder, "up.yaml")}`);
});

test("the default data folder depends on who is asking, and for root on HOME", () => {
  const folderOf = (uid: number, home: string) => defaultDataFolder(readEnvironment({}, { uid, home }));
  expect(folderOf(1000, "/home/ada")).toBe("/home/ada/.local/share/hardshare/up");
  expect(folderOf(0, "/root")).toMatch(/^\/var\/lib\/hardshare\/up-[0-9a-f]{8}$/);
  expect(folderOf(0, "/root")).not.toBe(folderOf(0, "/root/other"));
});

test("the demo's contracts and rules are valid, and rules that were changed stay", async () => {
  const proxy = parseYamlWith(Contract, proxyDemo("127.0.0.1:8000").contract, "proxy");
  expect(proxy).toMatchObject({ provider: "proxy", public_port: true, services: [{ target: "127.0.0.1:8000" }] });
  for (const provider of ["podman", "docker"] as const) {
    const container = parseYamlWith(Contract, containerDemo("127.0.0.1:8000", provider).contract, "container");
    expect(container).toMatchObject({ provider, network: "isolated", devices: [] });
  }

  await placeDemoRules(folder);
  const path = join(folder, "robot.rules.yaml");
  expect(parseYamlWith(HttpFilterRules, await readFile(path, "utf8"), path).default).toBe("block");
  await writeFile(path, "default: allow\n");
  await placeDemoRules(folder);
  expect(await readFile(path, "utf8")).toBe("default: allow\n");
});
