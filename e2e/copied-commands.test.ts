import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { run } from "./harness/commands.ts";
import { describeWithContainers } from "./harness/containers.ts";
import { containersWith, processesLeft } from "./harness/leftovers.ts";
import { findFreePort } from "./harness/network.ts";
import { expectAnswer, World } from "./harness/world.ts";

const CHECKOUT = fileURLToPath(new URL("..", import.meta.url));
/** The last line that `up` prints for people. */
const LAST_LINE = "Ctrl-C ends everything.";

let world: World;
let printed: string;
/** Has nothing but a home folder. */
let home: string;

beforeAll(async () => {
  world = await World.createForPeople();
  printed = await world.up.untilOutput(LAST_LINE);
  home = join(world.folder, "newcomer");
  await mkdir(home);
});

afterAll(async () => {
  await world[Symbol.asyncDispose]();
});

/** The commands of the printed blocks, each under its heading. */
function blocks(): Map<string, string[]> {
  const found = new Map<string, string[]>();
  let heading = "";
  for (const line of printed.split("\n")) {
    if (/^\S.*:$/.test(line)) found.set((heading = line), []);
    else if (/^ {2}(?:HARDSHARE_HOME=|npx hardshare |curl )/.test(line)) found.get(heading)?.push(line.trim());
  }
  return found;
}

/** Pastes a block of commands into a shell in the checkout, in which `input` is typed where a command reads it. */
async function paste(heading: RegExp, input = ""): Promise<string> {
  const [, commands] = [...blocks()].find(([candidate]) => heading.test(candidate)) ?? [];
  if (commands === undefined) throw new Error(`no commands under ${heading} in\n${printed}`);
  const localPort = await findFreePort(); // another test run may use the printed one
  const script = commands.join("\n").replaceAll("8090", String(localPort));
  const { stdout, stderr } = await expectAnswer(run("bash", ["-ec", script], { cwd: CHECKOUT, env: { HOME: home }, input }));
  return `${stdout}\n${stderr}`;
}

describeWithContainers("the commands that `up` prints, copied by a newcomer into a shell in the checkout", () => {
  test("sign in", async () => {
    expect(await paste(/^Sign in/)).toContain("admin");
  });

  test("give a shell in a container beside the robot, pass an allowed request and refuse another, and end it", async () => {
    const [, id = ""] = /^ {2}(\S+) +sim_robot +podman$/m.exec(printed) ?? [];
    const output = await paste(/^A shell in a container/, "hostname\n");
    expect(output).toMatch(/^hs-[\da-f]{8}$/m);
    expect(output).toMatch(/"chargePercent":\s*\d/);
    expect(output).toMatch(/"rule":\s*"POST \/api\/reboot"/);
    expect(id).not.toBe("");
    expect(await containersWith(`io.hardshare.deployment=${id}`)).toEqual([]);
  });

  test("reach the robot through a filter, which answers 200 and 403, and end it", async () => {
    const output = await paste(/^The robot's HTTP API/);
    expect([...output.matchAll(/^HTTP\/1\.1 (\d+)/gm)].map(([, status]) => status)).toEqual(["200", "403"]);
  });

  test("have the rules of its owner read again, and tell how its host is", async () => {
    const output = await paste(/^You are their owner too/);
    expect(output).toContain("holds for the next instance");
    expect(output).toMatch(/^DEPLOYMENT +PROVIDER +NETWORK +OFFERED/m);
  });

  test("leave nothing: no instance, no process", async () => {
    const left = await run("npx", ["hardshare", "--format", "json", "instances"], { cwd: CHECKOUT, env: { HOME: home } });
    expect(JSON.parse(left.stdout)).toEqual([]);
    expect(await processesLeft(home)).toEqual([]);
  });
});
