import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { describeWithContainers } from "./harness/containers.ts";
import { expectSuccess } from "./harness/commands.ts";
import { containersWith, processesLeft } from "./harness/leftovers.ts";
import { Machine } from "./harness/machine.ts";
import { OwnHost } from "./harness/own-host.ts";
import { expectAnswer, type Person, World } from "./harness/world.ts";

interface Launched {
  id: string;
  status: string;
  ssh_config: string;
}

const RULES = String.raw`
messages: { realtime: ["!", "?"] }
refusal: "error: {because}"
rules:
  - allow: G0( X(?<x>-?\d+))?( Y(?<y>-?\d+))?
    groups:
      x: { type: integer, minimum: 0, maximum: 100 }
      y: { type: integer }
    clamp: { y: [-20, 20] }
  - allow: "[!?]|M114"
`;

describeWithContainers("a machine with real firmware behind the serial filter", () => {
  let world: World;
  let owner: Person;
  let host: OwnHost;
  let machine: Machine;
  let deployment: string;
  let launched: Launched;

  beforeAll(async () => {
    world = await World.create();
    owner = await world.user("olga");
    host = new OwnHost(owner);
    await owner.prepare("init", "--server", world.ready.url);
    machine = await Machine.start(world.folder);
    const rules = join(world.folder, "machine.rules.yaml");
    await writeFile(rules, RULES);
    deployment = await host.share(
      `provider: podman\nservices: [{ name: ARM, filter: serial, target: ${machine.path}, rules: ${rules}, device: /dev/ttyUSB0 }]\n`,
    );
    await host.advertise();
    launched = await owner.json<Launched>("launch", deployment, "--wait");
  });

  afterAll(async () => {
    await host?.[Symbol.asyncDispose]();
    await machine?.[Symbol.asyncDispose]();
    await world?.[Symbol.asyncDispose]();
  });

  /** Runs a script of bash in the instance. */
  const inside = (script: string) =>
    expectSuccess("ssh", ["-F", launched.ssh_config, deployment, "bash", "-s"], { env: owner.env, input: script });
  /** Sends lines by the device file, and prints what is answered, until the position is told. */
  const byFile = (...lines: string[]) => inside(talk("exec 3<>/dev/ttyUSB0", lines));
  const byTcp = (...lines: string[]) => inside(talk('exec 3<>"/dev/tcp/${ARM/://}"', lines));
  const talk = (open: string, lines: readonly string[]) => `
${open}
printf ${lines.map((line) => `'${line}'`).join("")}'M114\\n' >&3
while IFS= read -t 20 -r line <&3; do printf '%s\\n' "\${line%$'\\r'}"; [[ $line == X:* ]] && break; done
`;
  /** Repeats a line until the machine answers: what was written before the way stands again is lost, as it has to be. */
  const untilAnswered = (line: string) =>
    inside(`exec 3<>/dev/ttyUSB0\nuntil echo '${line}' >&3 && read -t 1 -r answer <&3; do :; done; printf '%s' "\${answer%$'\\r'}"`);

  test("runs what the rules allow, by TCP and by its device file; what they refuse never reaches it", async () => {
    const said = (await byTcp("G0 X10 Y-5\\n", "G0 X1000\\n", "M112\\n")).trim().split("\n");
    expect(said.filter((line) => line.startsWith("error:"))).toEqual([
      "error: /x must be <= 100",
      "error: no filter rule of the owner allows this message",
    ]);
    expect(said.filter((line) => !line.startsWith("error:"))).toEqual(["ran: G0 X10 Y-5", "ok", "ran: M114", "X:10 Y:-5"]);
    expect(await byFile("G0 X20?\\r", "G0 Y99\\r\\n", "M1", "12\\n", "!")).toMatch(/<Idle\|X:10\|Y:-5>\n[^]*hold\n[^]*X:20 Y:20\n$/);
    expect(await machine.ledger()).toEqual(["G0 X10 Y-5", "M114", "G0 X20", "G0 Y20", "hold", "M114"]);
  });

  test("is shown as a serial device that ordinary tools set up", async () => {
    expect(await inside("stty -F /dev/ttyUSB0 9600 raw -echo && stty -F /dev/ttyUSB0 speed && test -c /dev/ttyUSB0 && echo device")).toBe(
      "9600\ndevice\n",
    );
  });

  test("is reached again by the same device file after its filter crashed", async () => {
    process.kill(await machine.opener(), "SIGKILL");
    expect(await untilAnswered("G0 X31")).toBe("ran: G0 X31");
  });

  test("is reached again by the same device file after the host daemon was killed and came back", async () => {
    const adopted = world.up.untilLog(new RegExp(`${launched.id}.*"status":"probed"`));
    await host.daemon.stop("SIGKILL");
    await host.advertise();
    await adopted;
    expect(await untilAnswered("G0 X32")).toBe("ran: G0 X32");
    expect((await containersWith(`io.hardshare.instance=${launched.id}`)).length).toBe(1);
  });

  test("is not launched while its device is missing, or is another filter's, and the launch says what to do", async () => {
    const rules = join(world.folder, "machine.rules.yaml");
    for (const [target, words] of [
      ["/dev/ttyNone", "the device /dev/ttyNone is not there: plug it in"],
      [machine.path, `the device ${machine.path} is busy: node`],
    ] as const) {
      const other = await host.share(`provider: proxy\nservices: [{ name: ARM, filter: serial, target: ${target}, rules: ${rules} }]\n`);
      await expectAnswer(owner.run(["ad", other]));
      const { code, stderr } = await owner.run(["launch", other, "--wait"]);
      expect(code).toBe(1);
      expect(stderr).toContain(words);
    }
  });

  test("is left with nothing of the instance at its end, and no refused command ever reached it", async () => {
    await expectAnswer(owner.run(["terminate", launched.id]));
    expect(await processesLeft(launched.id)).toEqual([]);
    expect(await containersWith(`io.hardshare.instance=${launched.id}`)).toEqual([]);
    for (const entry of await machine.ledger()) expect(entry).toMatch(/^(?:G0 X\d{1,2}(?: Y-5)?|G0 Y20|M114|hold)$/);
  });
});
