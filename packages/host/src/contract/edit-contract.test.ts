import { chmod, mkdir, mkdtemp, readdir, readFile, readlink, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import * as changes from "./contract-changes.ts";
import { type ContractChange, editContract } from "./edit-contract.ts";

const BEFORE = `# my arm
provider: podman        # not docker
env: { LANG: C.UTF-8 }  # text
devices:
  # the board
  - /dev/ttyACM0        # first
terminate: [./stop.sh]
services:
  - name: ROBOT         # the arm
    filter: rrhttp
    target: 10.0.0.2:80
`;

let folder: string;
let file: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "hardshare-contract-"));
  file = join(folder, "arm.yaml");
  await writeFile(file, BEFORE);
});
afterEach(() => rm(folder, { recursive: true }));

const text = () => readFile(file, "utf8");

test.each<[what: string, change: ContractChange, line: string | RegExp]>([
  ["another provider", changes.setProvider("docker"), "provider: docker        # not docker"],
  ["another image", changes.setImage("localhost/mine"), "image: localhost/mine"],
  ["one more device", changes.addDevice("/dev/ttyACM1"), "  - /dev/ttyACM1"],
  ["one device less", changes.removeDevice(["/dev/serial/by-id/x", "/dev/ttyACM0"]), "devices: []"],
  ["one more program for the end", changes.addProgram("terminate", "./off.sh now"), "terminate: [./stop.sh, ./off.sh now]"],
  ["one less", changes.removeProgram("terminate", ["./stop.sh"], "rm-terminate-prog"), "terminate: []"],
  ["the first program inside", changes.addProgram("init_inside", "./setup.sh"), /init_inside:\n {2}- \.\/setup\.sh\n$/],
  ["one more variable", changes.setVariable("TERM", "dumb"), "env: { LANG: C.UTF-8, TERM: dumb }  # text"],
  ["another value of a variable", changes.setVariable("LANG", "true"), 'env: { LANG: "true" }  # text'],
  ["a variable less", changes.removeVariable("LANG"), /^env: \{ *\} {2}# text$/m],
  ["one more service", changes.putService({ name: "CUSTOM", command: "./f --port 0" }), /- name: CUSTOM\n {4}command: \.\/f --port 0\n$/],
  ["a service less", changes.removeService("ROBOT"), "services: []"],
])("a change is written where it belongs, and nothing else: %s", async (_what, change, line) => {
  const edited = await editContract(file, [change]);
  expect(edited.isChanged).toBe(true);
  expect(await text()).toEqual(typeof line === "string" ? expect.stringContaining(line) : expect.stringMatching(line));
  const kept = new Set((await text()).split("\n"));
  expect(BEFORE.split("\n").filter((it) => !kept.has(it)).length).toBeLessThanOrEqual(4);
  expect(await text()).toContain("# my arm");
});

test.each<[what: string, change: ContractChange]>([
  ["provider", changes.setProvider("podman")],
  ["device", changes.addDevice("/dev/ttyACM0")],
  ["program", changes.addProgram("terminate", "./stop.sh")],
  ["variable", changes.setVariable("LANG", "C.UTF-8")],
  ["service", changes.putService({ name: "ROBOT", target: "10.0.0.2:80", filter: "rrhttp" })],
  ["no monitor", changes.setMonitor(undefined)],
])("what the contract says already changes nothing: %s", async (_what, change) => {
  const before = await stat(file);
  expect((await editContract(file, [change])).isChanged).toBe(false);
  expect((await stat(file)).ino).toBe(before.ino);
});

test.each<[what: string, change: ContractChange, says: RegExp]>([
  ["device", changes.removeDevice(["/dev/x"]), /--rm-raw-device: there is no \/dev\/x in `devices`.*\/dev\/ttyACM0/],
  ["program", changes.removeProgram("init_inside", ["x"], "rm-init-inside"), /--rm-init-inside: there is no x.*empty/],
  ["variable", changes.removeVariable("NO"), /--rm-env: there is no variable NO.*LANG/],
  ["service", changes.removeService("NO"), /--rm-service: there is no NO.*ROBOT/],
  ["proxy command", changes.setProxyService((name) => ({ name, command: "x" })), /--assign-proxy-command: only deployments with/],
])("to remove what is not there is refused, and what is there is told: %s", async (_what, change, says) => {
  await expect(editContract(file, [change])).rejects.toMatchObject({ code: "bad_input", message: expect.stringMatching(says) });
  expect(await text()).toBe(BEFORE);
});

test("an edit that would make the contract invalid is refused as a whole, with what is wrong", async () => {
  const both = [changes.setVariable("TERM", "dumb"), changes.putService({ name: "TERM", command: "x" })];
  await expect(editContract(file, both, { filesBeside: [{ name: "x.sh", text: "", mode: 0o700 }] })).rejects.toMatchObject({
    code: "config_invalid",
    message: expect.stringMatching(/was left as it is.*services\.1\.name: expected another name/),
  });
  expect(await text()).toBe(BEFORE);
  expect((await readdir(folder)).filter((name) => !name.endsWith(".lock"))).toEqual(["arm.yaml"]);
});

test("changes that are valid only together are made together", async () => {
  await expect(editContract(file, [changes.setProvider("proxy")])).rejects.toMatchObject({ code: "config_invalid" });
  const proxy = changes.setProxyService((name) => ({ name, filter: "rrhttp", target: "10.0.0.3:80" }));
  await editContract(file, [changes.setProvider("proxy"), changes.removeDevice(["/dev/ttyACM0"]), proxy]);
  expect(await text()).toMatch(/provider: proxy {8}# not docker\n[^]*target: 10\.0\.0\.3:80/);
});

test("a contract that is invalid before is told with line and column, and is left as it is", async () => {
  await writeFile(file, "provider: podman\n  image: x\n");
  await expect(editContract(file, [changes.setImage("y")])).rejects.toMatchObject({
    message: expect.stringMatching(/arm\.yaml:\d+:\d+: /),
  });
  await rm(file);
  await expect(editContract(file, [changes.setImage("y")])).rejects.toMatchObject({ code: "not_configured" });
});

test("mode and symbolic link stay", async () => {
  await mkdir(join(folder, "there"));
  const real = join(folder, "there", "real.yaml");
  await writeFile(real, BEFORE);
  await chmod(real, 0o640);
  await rm(file);
  await symlink("there/real.yaml", file);
  await editContract(file, [changes.setImage("y")]);
  expect(await readlink(file)).toBe("there/real.yaml");
  expect((await stat(real)).mode & 0o777).toBe(0o640);
  expect(await text()).toContain("image: y");
});

test("edits at the same time lose nothing of each other, nor of an editor that writes in between", async () => {
  const devices = Array.from({ length: 8 }, (_, index) => `/dev/ttyUSB${index}`);
  let isWritten = false;
  const slow: ContractChange = (contract) => {
    if (!isWritten) {
      isWritten = true;
      // An editor saves while the edit is on its way.
      editorSaved = text().then((now) => writeFile(file, now.replace("# my arm", "# my own arm")));
    }
    return changes.setImage("y")(contract);
  };
  let editorSaved: Promise<void> | undefined;
  await editContract(file, [slow]);
  await editorSaved;
  await Promise.all(devices.map((device) => editContract(file, [changes.addDevice(device)])));
  for (const device of devices) expect(await text()).toContain(`- ${device}\n`);
  expect(await text()).toContain("first");
});

test("files beside the contract are written, and none that is there is replaced", async () => {
  const beside = { name: "stop.sh", text: "#!/bin/sh\n", mode: 0o700 };
  await editContract(file, [changes.addProgram("terminate", "./stop2.sh")], { filesBeside: [beside] });
  expect((await stat(join(folder, "stop.sh"))).mode & 0o777).toBe(0o700);
  const other = { ...beside, text: "other" };
  await expect(editContract(file, [changes.setImage("z")], { filesBeside: [other] })).rejects.toMatchObject({ code: "conflict" });
  expect(await text()).not.toContain("image: z");
});

const FILTERED = `provider: proxy
services:
  - { name: ROBOT, filter: rrhttp, target: 10.0.0.2:80, rules: mine.yaml, tap: true }
`;

test.each<[what: string, change: ContractChange]>([
  ["service", changes.putService({ name: "ROBOT", filter: "rrhttp", target: "10.0.0.3:80" })],
  ["proxy command", changes.setProxyService((name) => ({ name, filter: "rrhttp", target: "10.0.0.3:80" }))],
])("another target leaves the rules of a filter in force: %s", async (_what, change) => {
  await writeFile(file, FILTERED);
  await editContract(file, [change]);
  expect(await text()).toBe(FILTERED.replace("10.0.0.2", "10.0.0.3"));
});

test.each<[what: string, change: ContractChange]>([
  ["service", changes.putService({ name: "ROBOT", command: "./f" })],
  ["proxy command", changes.setProxyService((name) => ({ name, filter: "serial", target: "/dev/ttyUSB0", rules: "all.yaml" }), true)],
])("what would take the rules of a filter away is refused: %s", async (_what, change) => {
  await writeFile(file, FILTERED);
  await expect(editContract(file, [change])).rejects.toMatchObject({ code: "bad_input", message: expect.stringContaining("mine.yaml") });
  expect(await text()).toBe(FILTERED);
});

test("the file of rules that let every byte pass takes the place of no other", async () => {
  const serial = FILTERED.replace("rrhttp", "serial").replace("10.0.0.2:80", "/dev/ttyUSB0");
  await writeFile(file, serial);
  const every = { name: "ROBOT", filter: "serial", target: "/dev/ttyUSB1", rules: "arm.ROBOT.rules.yaml" } as const;
  await editContract(file, [changes.putService(every, true)]);
  expect(await text()).toBe(serial.replace("USB0", "USB1"));
});

test("another monitor keeps how often it runs and what its failure means", async () => {
  await writeFile(file, `${BEFORE}monitors: [{ run: ./a.sh, every: 5s, on_fail: terminate }]\n`);
  await editContract(file, [changes.setMonitor("./b.sh")]);
  expect(await text()).toContain("monitors: [{ run: ./b.sh, every: 5s, on_fail: terminate }]");
});
