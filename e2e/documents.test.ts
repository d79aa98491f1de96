import { mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { startMosquitto } from "@hardshare/testkit/mosquitto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { describeWithContainers } from "./harness/containers.ts";
import { expectSuccess, HARDSHARE, run } from "./harness/commands.ts";
import { Machine } from "./harness/machine.ts";
import { findFreePort } from "./harness/network.ts";
import { Plc } from "./harness/plc.ts";
import { Person, World } from "./harness/world.ts";

const GUIDES = new URL("../docs/guides/", import.meta.url);

let world: World;
let bin: string;

beforeAll(async () => {
  world = await World.create();
  bin = join(world.folder, "bin");
  await mkdir(bin);
  await writeFile(join(bin, "hardshare"), `#!/bin/sh\nexec ${process.execPath} ${HARDSHARE} "$@"\n`, { mode: 0o755 });
});

afterAll(async () => {
  await world[Symbol.asyncDispose]();
});

/** The shell examples of a guide, in order. */
async function examplesOf(guide: string): Promise<string[]> {
  const text = await readFile(fileURLToPath(new URL(guide, GUIDES)), "utf8");
  return [...text.matchAll(/^```sh\n([^]*?)^```$/gm)].map((match) => match[1] ?? "");
}

/** Commands that run until Ctrl-C. */
const GOES_ON = /until Ctrl-C|^(?:npx )?hardshare (?:serve|hub|ad)\b/;

/**
 * Runs the examples of a guide one after the other, as a reader would, with the places that stand for the reader's own
 * things replaced. A command that runs until Ctrl-C goes on in the background until the end, once it has said on standard
 * output that it is ready.
 */
async function follow(person: Person, examples: readonly string[], replaced: Record<string, string>): Promise<void> {
  const folder = readerFolder(person);
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "my.token"), person.token);
  // A job may have ended by itself meanwhile, as `hardshare forward` does with its instance.
  const lines = ["set -eu", "trap 'jobs -p | xargs -r kill || true; wait' EXIT"];
  for (const line of examples
    .join("\n")
    .replaceAll(/\\\n\s*/g, "")
    .split("\n")) {
    let command = line;
    for (const [from, to] of Object.entries(replaced)) command = command.replaceAll(from, to);
    if (GOES_ON.test(line))
      lines.push(
        "mkfifo said",
        `${command.replace(/#.*/, "")} > said &`,
        "exec 9< said",
        "head -n 1 <&9 | grep .", // nothing when it ended instead
        "cat <&9 &",
        "rm said",
      );
    else lines.push(command);
  }
  const script = lines.join("\n");
  const result = await run("bash", ["-c", script], { env: { ...person.env, PATH: `${bin}:${process.env["PATH"]}` }, cwd: folder });
  expect(result.code, `${script}\n---\n${result.stdout}\n${result.stderr}`).toBe(0);
}

function readerFolder(person: Person): string {
  return join(world.folder, `reader-${person.name}`);
}

test("every example of «Run the infrastructure» works as it is written", async () => {
  const reader = new Person(world.folder, "ines");
  const server = join(readerFolder(reader), "server");
  const hub = join(readerFolder(reader), "hub");
  const [port, sshPort] = [await findFreePort(), await findFreePort()];
  await follow(reader, await examplesOf("run-the-infrastructure.md"), {
    "hardshare serve": `hardshare serve --data-dir ${server} --port ${port}`,
    "hardshare hub": `hardshare hub --data-dir ${hub} --ssh-port ${sshPort}`,
    "/var/lib/hardshare/server": server,
    "http://127.0.0.1:8484": `http://127.0.0.1:${port}`,
    "hub.example.org": "127.0.0.1",
  });
  expect(await readFile(join(readerFolder(reader), "ada.token"), "utf8")).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+\n$/);
});

test("every example of «Cookbook: an HTTP robot» works as it is written", async () => {
  const reader = new Person(world.folder, "hera");
  await follow(reader, await examplesOf("http-robot.md"), {});
  const text = await readFile(fileURLToPath(new URL("http-robot.md", GUIDES)), "utf8");
  const files = [...text.matchAll(/^```yaml\n([^]*?)^```$/gm)].map((match) => match[1] ?? "").filter((file) => /^rules:/m.test(file));
  expect(files).toHaveLength(2);
  for (const [index, file] of files.entries()) {
    const path = join(readerFolder(reader), `${index}.rules.yaml`);
    await writeFile(path, file);
    await expectSuccess(process.execPath, [HARDSHARE, "filter", "test", path, "GET /api/network"], { env: reader.env });
  }
});

test("every example of «Cookbook: named procedures» works as it is written", async () => {
  const port = await findFreePort();
  await follow(await world.user("paula"), await examplesOf("named-procedures.md"), {
    "https://robots.example.org": world.ready.url,
    // Others on this machine may use the written one.
    "--local-port 8080": `--local-port ${port}`,
    "127.0.0.1:8080": `127.0.0.1:${port}`,
  });
});

test("every example of «Cookbook: a robot with ROS» works as it is written", async () => {
  const reader = new Person(world.folder, "rhoda");
  const [port, rosbridge, filter] = [await findFreePort(), await findFreePort(), await findFreePort()];
  const text = await readFile(fileURLToPath(new URL("ros.md", GUIDES)), "utf8");
  const program = /^```js\n([^]*?)^```$/m.exec(text)?.[1] ?? "";
  await mkdir(readerFolder(reader), { recursive: true });
  await symlink(fileURLToPath(new URL("../node_modules", import.meta.url)), join(readerFolder(reader), "node_modules"));
  await writeFile(join(readerFolder(reader), "program.mjs"), program);
  const run = `ROS=127.0.0.1:9098 ${process.execPath} program.mjs > seen && grep "x: 2" seen`;
  const examples = await examplesOf("ros.md");
  expect(examples).toHaveLength(3);
  await follow(reader, [...examples, run], { "8009": `${port}`, "9099": `${rosbridge}`, "9098": `${filter}` });
});

test("every example of «Coming from the existing client» works as it is written", async () => {
  const reader = await world.user("vera");
  const folder = join(reader.home, ".rerobots");
  await mkdir(folder, { recursive: true });
  const old = {
    id: "3f2a0c6e-5b1d-4c0e-9a57-2f1b8f6f3f01",
    owner: "vera",
    cprovider: "proxy",
    cargs: ["rrhttp", new URL(world.ready.robot.url).host],
    container_name: "rrc",
    init_inside: [],
    terminate: [],
    monitor: null,
    image: null,
    url: null,
    ssh_key: null,
  };
  const main = { version: 0, wdeployments: [old], ssh_key: join(folder, "ssh/tun"), api_tokens: {}, default_org: null, known_orgs: [] };
  await writeFile(join(folder, "main"), JSON.stringify(main));
  await follow(reader, await examplesOf("coming-from-the-existing-client.md"), { "https://robots.example.org": world.ready.url });
});

describeWithContainers("guides", () => {
  test("every example of README.md works as it is written", async () => {
    // `npm start` has tests of its own, and `npm test` is what runs this one.
    const examples = (await examplesOf("../../README.md")).filter((example) => !example.startsWith("npm start"));
    expect(examples).not.toEqual([]);
    await follow(await world.user("rhea"), examples, { "https://robots.example.org": world.ready.url, "sudo npx hardshare": "hardshare" });
  });

  test("every example of «Cookbook: a PLC behind tcp» works as it is written", async () => {
    await using plc = await Plc.start();
    await follow(await world.user("petra"), await examplesOf("plc.md"), {
      "https://robots.example.org": world.ready.url,
      "192.168.1.20:502": plc.address,
    });
  });

  test("every example of «Use a robot» works as it is written", async () => {
    const port = await findFreePort();
    await follow(await world.admin(), await examplesOf("use-a-robot.md"), {
      "https://robots.example.org": world.ready.url,
      // Others on this machine may use the written one.
      "--local-port 8080": `--local-port ${port}`,
      "127.0.0.1:8080": `127.0.0.1:${port}`,
      "launch misty": "launch sim_robot",
      "launch sim_proxy": "launch sim_robot_http",
    });
  });

  test("every example of «A G-code machine» works as it is written, on real firmware", async () => {
    await using machine = await Machine.start(world.folder);
    const reader = await world.user("gerda");
    await follow(reader, await examplesOf("g-code-machine.md"), {
      "https://robots.example.org": world.ready.url,
      "/dev/serial/by-id/usb-machine": machine.path,
    });
    expect(await machine.ledger()).toEqual(["G0 X10 Y-5"]);
  });

  test("every example of «Devices behind a broker of MQTT» works as it is written, with mosquitto", async () => {
    await using broker = await startMosquitto();
    const reader = await world.user("maud");
    await follow(reader, await examplesOf("mqtt-device.md"), {
      "https://robots.example.org": world.ready.url,
      "127.0.0.1:1883": `127.0.0.1:${broker.port}`,
    });
    await broker.heard('robots/a/speed {"speed":8}');
    expect(broker.ledger).toEqual(['robots/a/speed {"speed":8}']);
  });

  test("every example of «Share a robot» works as it is written", async () => {
    const ada = await world.user("ada");
    await follow(ada, await examplesOf("share-a-robot.md"), {
      "https://robots.example.org": world.ready.url,
      "sudo apt-get install": "apt-cache policy", // the set-up of tests has installed them
      "dissolve 3f2a": "dissolve --yes", // the only one; nobody is there to be asked
    });
  });
});
