import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Contract } from "@hardshare/protocol";
import { parseYamlWith, systemClock } from "@hardshare/runtime";
import { afterEach, beforeEach, expect, test } from "vitest";
import { readHostConfig } from "../registration/host-config.ts";
import { importConfiguration } from "./import-configuration.ts";

const ID = "00000000-0000-4000-8000-000000000001";
let folder: string;
let home: string;
let from: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "hardshare-import-"));
  home = join(folder, "home");
  from = join(folder, "rerobots");
  await mkdir(join(from, "tokens"), { recursive: true });
});
afterEach(() => rm(folder, { recursive: true }));

const deployment = (more: object = {}) => ({
  id: ID,
  owner: "ada",
  cprovider: "podman",
  cargs: [],
  container_name: "rrc",
  init_inside: [],
  terminate: [],
  monitor: null,
  image: "rerobots/hs-generic",
  url: null,
  ssh_key: null,
  ...more,
});

async function given(wdeployments: object[], more: object = {}): Promise<void> {
  const main = { version: 0, wdeployments, ssh_key: join(from, "ssh/tun"), api_tokens: {}, default_org: null, known_orgs: [], ...more };
  await writeFile(join(from, "main"), JSON.stringify(main));
}
const take = (path = from) =>
  importConfiguration({ from: path, home, server: "https://robots.example.org", cwd: folder, clock: systemClock });
const contractOf = async (id = ID) => parseYamlWith(Contract, await readFile(join(home, "deployments", `${id}.yaml`), "utf8"), id);
const tokenUntil = (exp: number) =>
  `e30.${Buffer.from(JSON.stringify({ sub: "ada", iss: "rerobots.net", aud: "rerobots.net", exp })).toString("base64url")}.c2ln`;

test("a configuration of version 0.13.1 becomes contracts under the same ids, and this computer a host", async () => {
  await given([deployment({ terminate: ["/usr/bin/true"] })]);
  const imported = await take();
  expect(imported.warnings).toEqual([]);
  expect(await contractOf()).toMatchObject({
    provider: "podman",
    image: "localhost/hardshare/generic",
    terminate: [{ run: "/usr/bin/true" }],
  });
  expect(await readHostConfig(home)).toMatchObject({ server: "https://robots.example.org", deployments: [] });
  expect(imported.deployments[0]?.notes).toEqual([expect.stringContaining("in place of rerobots/hs-generic")]);
});

test("all that a newer configuration says is taken over, or told", async () => {
  await writeFile(join(folder, "misty.yaml"), "default: block\nrules: []\n");
  await given([
    deployment({
      cprovider: "docker",
      image: "localhost/mine",
      cargs: ["--device=/dev/ttyACM0:/dev/ttyACM0", "--device", "/dev/ttyUSB1:/dev/ttyUSB1", "--privileged", "-v", "/:/host"],
      env: { LANG: "C.UTF-8", PATH: "/opt" },
      services: { robot: "rrhttp --config misty.yaml 10.0.0.2:80", SERIAL: "/usr/bin/rrserial /dev/ttyUSB0", OWN: "/opt/serve --port 0" },
      init_inside: ["echo hello > /hello", "./run.sh"],
      terminate: ["/opt/stop --now", "echo off | nc 10.0.0.2 99"],
      monitor: "test -e /dev/null && true",
      container_name: "mine",
      url: "https://example.org",
      colour: "red",
    }),
  ]);
  const imported = await take(join(from, "main"));
  const contract = await contractOf();
  expect(contract).toMatchObject({
    provider: "docker",
    image: "localhost/mine",
    devices: ["/dev/ttyACM0", "/dev/ttyUSB1"],
    env: { LANG: "C.UTF-8" },
    services: [
      { name: "ROBOT", filter: "rrhttp", target: "10.0.0.2:80", rules: join(folder, "misty.yaml") },
      { name: "SERIAL", filter: "serial", target: "/dev/ttyUSB0", baud: 115_200, rules: `${ID}.SERIAL.rules.yaml` },
      { name: "OWN", command: "/opt/serve --port 0" },
    ],
  });
  expect(contract.terminate.map(({ run }) => run)).toEqual([
    "/opt/stop --now",
    expect.stringMatching(/^\.\/.*\.terminate-[0-9a-f]{8}\.sh$/),
  ]);
  expect(contract.monitors).toMatchObject([{ run: expect.stringMatching(/\.monitors-[0-9a-f]{8}\.sh$/), on_fail: "lock" }]);
  const inside = await Promise.all(contract.init_inside.map(({ run }) => readFile(join(home, "deployments", run), "utf8")));
  expect(inside).toEqual(["#!/bin/sh\necho hello > /hello\n", "#!/bin/sh\n./run.sh\n"]);
  expect((await stat(join(home, "deployments", contract.terminate[1]?.run ?? ""))).mode & 0o777).toBe(0o700);
  expect(imported.warnings).toEqual([expect.stringContaining("wdeployments.0: there is no field colour here")]);
  const notes = imported.deployments[0]?.notes.join("\n") ?? "";
  for (const what of [
    "env.PATH",
    "--privileged",
    "-v",
    "/:/host",
    "container_name mine",
    "url https://example.org",
    "services.robot is ROBOT",
  ]) {
    expect(notes).toContain(what);
    expect(await readFile(imported.deployments[0]?.contract ?? "", "utf8")).toContain(what);
  }
});

test("a proxy deployment leads to the filter that its program was", async () => {
  await given([deployment({ cprovider: "proxy", image: null, cargs: ["rrhttp", "10.0.0.2:80"], init_inside: ["x"] })]);
  const { deployments } = await take();
  expect(await contractOf()).toMatchObject({ provider: "proxy", services: [{ filter: "rrhttp", target: "10.0.0.2:80" }], init_inside: [] });
  expect(deployments[0]?.notes).toEqual(["not taken over: init_inside: a proxy deployment has no container"]);
});

test("tokens are copied, readable by their user alone; what is none or has expired is told", async () => {
  await given([]);
  const tokens = join(from, "tokens");
  await writeFile(join(tokens, "good"), `${tokenUntil(4_000_000_000)}\n`, { mode: 0o644 });
  await writeFile(join(tokens, "login"), tokenUntil(4_000_000_001));
  await writeFile(join(tokens, "old"), tokenUntil(1_000_000_000));
  await writeFile(join(tokens, "text"), "hello");
  await mkdir(join(tokens, "folder"));
  const taken = await take();
  expect(taken.tokens.map(({ name, problem }) => [name, problem])).toEqual([
    ["folder", "it is no file"],
    ["good", null],
    ["login", null],
    ["old", expect.stringMatching(/^it expired at 2001/)],
    ["text", "it holds no API token"],
  ]);
  expect((await readdir(join(home, "tokens"))).toSorted()).toEqual(["good", "login-imported"]);
  expect((await stat(join(home, "tokens", "good"))).mode & 0o777).toBe(0o600);
  expect((await readdir(tokens)).length).toBe(5);
});

test.each<[what: string, wdeployments: object[], more: object, says: RegExp]>([
  [
    "a provider that is not supported",
    [deployment(), deployment({ id: ID.replace(/1$/, "2"), cprovider: "lxd" })],
    {},
    /0002: cprovider: lxd/,
  ],
  [
    "a rules file that is not there",
    [deployment({ services: { A: "rrhttp --config none.yaml a:1" } })],
    {},
    /services\.A: there is no rules file none\.yaml/,
  ],
  ["a command that its program does not take", [deployment({ services: { A: "rrhttp" } })], {}, /services\.A: expected rrhttp/],
  ["a proxy without a program", [deployment({ cprovider: "proxy" })], {}, /cargs: a proxy deployment needs/],
  ["an id that is none", [deployment({ id: "7" })], {}, /main: wdeployments\.0\.id: /],
  ["a deployment that is there twice", [deployment(), deployment()], {}, /is there twice/],
  ["a field of the wrong type", [deployment({ terminate: "x" })], {}, /wdeployments\.0\.terminate: expected array/],
  ["another version", [], { version: 1 }, /version: expected 0/],
])("nothing is imported by halves: %s is told, and nothing is written", async (_what, wdeployments, more, says) => {
  await given(wdeployments, more);
  await expect(take()).rejects.toMatchObject({ code: "config_invalid", message: expect.stringMatching(says) });
  await expect(stat(home)).rejects.toThrow(/ENOENT/);
});

test("what is no configuration, or not there, is told", async () => {
  await expect(take(join(folder, "none"))).rejects.toMatchObject({ code: "not_found", message: expect.stringContaining("~/.rerobots") });
  await writeFile(join(from, "main"), "provider: podman");
  await expect(take()).rejects.toMatchObject({ code: "config_invalid", message: expect.stringContaining("is not the configuration") });
});

test("a second import replaces nothing that is there", async () => {
  await given([deployment({ terminate: ["/usr/bin/true"] })]);
  await writeFile(join(from, "tokens", "good"), tokenUntil(4_000_000_000));
  await take();
  const contract = join(home, "deployments", `${ID}.yaml`);
  await writeFile(contract, "provider: docker # mine\n");
  await given([deployment({ terminate: ["/usr/bin/false"] })]);
  const again = await take();
  expect(again.deployments).toMatchObject([{ id: ID, isKept: true }]);
  expect(again.tokens).toMatchObject([{ name: "good", file: null }]);
  expect(await readFile(contract, "utf8")).toBe("provider: docker # mine\n");
});

test("when something can't be written, what was written before is removed", async () => {
  await given([deployment({ terminate: ["echo a && echo b"] })]);
  await mkdir(join(home, "deployments", `${ID}.yaml`), { recursive: true });
  await expect(take()).rejects.toThrow();
  expect(await readdir(join(home, "deployments"))).toEqual([`${ID}.yaml`]);
  await expect(stat(join(home, "config.yaml"))).rejects.toThrow(/ENOENT/);
  await expect(stat(join(home, "identity"))).rejects.toThrow(/ENOENT/);
});
