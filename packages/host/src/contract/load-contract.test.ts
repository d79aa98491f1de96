import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AppError } from "@hardshare/protocol";
import { expect, test } from "vitest";
import { DEFAULT_CONTRACT } from "./default-contract.ts";
import { loadContract, parseContract } from "./load-contract.ts";

function problemsOf(text: string): string[] {
  try {
    parseContract(text, "robot.yaml", "/etc");
  } catch (error) {
    expect((error as AppError).code).toBe("config_invalid");
    return (error as AppError).message.split("\n");
  }
  throw new Error("the contract was accepted");
}

test("the contract of a new deployment is valid and gives nothing", () => {
  const { contract } = parseContract(DEFAULT_CONTRACT, "f", "/");
  expect(contract).toMatchObject({ provider: "podman", network: "isolated", devices: [], services: [], max_duration: 8 * 3600 });
  expect(contract).toEqual(parseContract("", "f", "/").contract);
});

test("everything that the commented contract shows is valid when uncommented", () => {
  const fields = DEFAULT_CONTRACT.split("\n")
    .filter((line) => /^# (?:[a-z_]+:|  )/.test(line))
    .map((line) => line.slice(2));
  const { contract } = parseContract(fields.join("\n"), "f", "/");
  expect(contract.services).toHaveLength(3);
  expect(contract.devices).toEqual(["/dev/ttyACM0"]);
  expect(contract.limits.memory).toBe(1024 ** 3);
});

test("an instance lasts for a time that has an end", () => {
  for (const time of ["0s", "99999999d", "1e300"]) expect(problemsOf(`max_duration: ${time}`).join()).toContain("max_duration");
});

test.each(["memory: 0m", "memory: 0.0001k", "memory: 15m", `memory: ${"9".repeat(20)}g`, "cpus: 1e-10", "cpus: 0"])(
  "a limit that an engine would take for none is refused: %s",
  (limit) => {
    expect(problemsOf(`limits: { ${limit} }`).join()).toMatch(/limits\.(?:memory|cpus): /);
  },
);

test("the least limits are accepted", () => {
  const { limits } = parseContract("limits: { memory: 16m, cpus: 0.01 }", "f", "/").contract;
  expect(limits).toMatchObject({ memory: 16 * 1024 ** 2, cpus: 0.01 });
});

test.each([
  ["devices: [/dev/serial/by-path/pci-0000:00:14.0-usb-0:1:1.0]", /devices\.0: .*by-id.*readlink -f/],
  ["devices: [/dev/../etc/shadow]", /devices\.0: expected a path without `\.\.`/],
  ["services: [{ name: LD_PRELOAD, command: ./a }]", /services\.0\.name: expected another name/],
  ["services: [{ name: HARDSHARE_USER, command: ./a }]", /services\.0\.name: expected another name/],
  ["env: { PATH: /tmp }", /env\.PATH: expected another name/],
  ["env: { ARM: x }\nservices: [{ name: ARM, command: ./a }]", /services\.0\.name: expected another name, because `env` has ARM/],
  ["services: [{ name: ARM, filter: http, target: 'arm:99999', rules: r.yaml }]", /target: expected a port from 1 to 65535/],
  ["init: ['  ']", /init\.0: expected a program/],
  ["init: [{ run: ' ' }]", /init\.0\.run: expected a program/],
  ["init: [{ run: ./a, timeout: 0s }]", /init\.0\.timeout: expected more than 0s/],
  [
    "devices: [/dev/ttyUSB0]\nservices: [{ name: ARM, filter: serial, target: /dev/ttyUSB1, rules: r, device: /dev/ttyUSB0 }]",
    /services\.0\.device: expected a path that no other device has/,
  ],
  ["monitors: [{ run: ' ' }]", /monitors\.0\.run: expected a program/],
  ["monitors: [{ run: ./m, every: 0.5s }]", /monitors\.0\.every: expected at least 1s/],
  ["monitors: [{ run: ./m, on_fail: warn }]", /monitors\.0\.on_fail: .*"lock"\|"alert"\|"terminate"/],
  ["cooldown: 0s", /cooldown: expected more than 0s/],
  ["cooldown: { every: 30s }", /cooldown\.run: /],
  ["hours: { open: [mon 08:00-18:00] }", /hours\.time_zone: /],
  ["hours: { time_zone: UTC, open: [weekdays] }", /hours\.open\.0: expected days and times, such as `mon-fri 08:00-18:00`/],
  ["hours: { time_zone: UTC, open: [] }", /hours\.open: expected days and times; without `hours` it is always open/],
  ["network: bridge", /network: .*isolated.*internet.*open/],
  ["provider: proxy\nnetwork: open\nservices: [{ name: ARM, command: ./a }]", /network: expected isolated, because `provider: proxy`/],
  ["provider: docker-rootless\nnetwork: internet", /network: expected isolated, because packet rules cannot be had/],
  ["services: [{ name: ARM, command: ' ' }]", /services\.0\.command: expected a program/],
])("what would fail at a launch is refused in the file: %s", (text, problem) => {
  expect(problemsOf(text).join()).toMatch(problem);
});

test("each problem is told with file, line, column, field and what was expected", () => {
  const text = [
    "provider: podmann",
    "limits: { memory: lots }",
    "services:",
    "  - name: robot",
    "    filter: http",
    "    target: 192.168.1.2",
    "    rules: r.yaml",
    "  - name: ARM",
    "    comand: ./arm",
    "init:",
    "  - { run: ./a.sh, timeout: soon }",
    "colour: red",
  ].join("\n");
  expect(problemsOf(text)).toEqual([
    expect.stringMatching(/^robot\.yaml:1:11: provider: expected one of "podman"/),
    expect.stringMatching(/^robot\.yaml:2:19: limits\.memory: expected a size such as 512m/),
    expect.stringMatching(/^robot\.yaml:4:11: services\.0\.name: expected capital letters/),
    expect.stringMatching(/^robot\.yaml:6:13: services\.0\.target: expected host:port/),
    expect.stringMatching(/^robot\.yaml:8:5: services\.1\.command: expected a program, or `filter` with http, .* or /),
    expect.stringMatching(/^robot\.yaml:9:5: services\.1\.comand: there is no field/),
    expect.stringMatching(/^robot\.yaml:11:29: init\.0\.timeout: "soon" is no duration/),
    expect.stringMatching(/^robot\.yaml:12:1: colour: there is no field/),
  ]);
});

test.each([
  [
    "{ name: ARM, filter: mqtt, target: 'a:1', rules: r, password_file: p }",
    [expect.stringMatching(/services\.0\.password_file: expected `username` too/)],
  ],
  [
    "{ name: ARM, filter: htp, target: 'a:1' }",
    [expect.stringMatching(/^2:26: services\.0\.filter: expected http, .* or .*; .*`command`/)],
  ],
  ["{ name: ARM, filter: [http], rules: x }", [expect.stringMatching(/^2:26: services\.0\.filter: expected http/)]],
  ["{ name: ARM, filter: http, target: 'a:1' }", ["2:5: services.0.rules: expected string, but it is missing"]],
  [
    "{ name: ARM, filter: serial, target: 'arm:1', rules: r }",
    [expect.stringMatching(/^2:42: services\.0\.target: expected the path of a device/)],
  ],
  ["{ name: ARM, command: ./a, rules: r }", ["2:32: services.0.rules: there is no field of this name here"]],
  ["{ name: ARM, command: ./a, tap: yes please }", [expect.stringMatching(/^2:37: services\.0\.tap: expected boolean/)]],
  ["ARM", ["2:5: services.0: expected mapping, received string"]],
])("a service that is wrong is told by the form that was meant: %s", (service, problems) => {
  const told = problemsOf(`services:\n  - ${service}`).map((line) => line.replace("robot.yaml:", ""));
  expect(told).toEqual(problems);
});

test("a proxy without exactly one service, or with what needs a container, is refused", () => {
  expect(problemsOf("provider: proxy\ninit_inside: [./a.sh]\n").join()).toMatch(
    /services: expected exactly one service.*init_inside: expected none/,
  );
});

test("a contract file that is missing is told with its path", async () => {
  const folder = await mkdtemp(join(tmpdir(), "hardshare-contract-"));
  await expect(loadContract(join(folder, "x.yaml"))).rejects.toMatchObject({
    code: "not_configured",
    message: expect.stringContaining(folder),
  });
  await writeFile(join(folder, "x.yaml"), "max_duration: 30m\n");
  expect(await loadContract(join(folder, "x.yaml"))).toMatchObject({ folder, contract: { max_duration: 1800 } });
  await rm(folder, { recursive: true });
});
