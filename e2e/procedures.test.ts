/** The filters `rpc` and `tcp`, from inside a container and through the tunnel of a deployment without one. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, expect, test } from "vitest";
import { describeWithContainers } from "./harness/containers.ts";
import { expectSuccess } from "./harness/commands.ts";
import { followEvents, type TimelineEvent } from "./harness/events.ts";
import { processesWith } from "./harness/leftovers.ts";
import { OwnHost } from "./harness/own-host.ts";
import { Plc } from "./harness/plc.ts";
import { expectAnswer, type Person, World } from "./harness/world.ts";

interface Launched {
  id: string;
  ssh_config: string;
}

const RPC_RULES = `
rules:
  - allow: POST /move
    run: [./move.sh, --, "{angle}"]
    body: { type: object, additionalProperties: false, required: [angle], properties: { angle: { type: integer, minimum: -90, maximum: 90 } } }
  - allow: POST /wait
    run: [./wait.sh]
  - allow: GET /whose
    run: [./whose.sh]
`;
const TCP_RULES = 'rules: [{ allow: "*", at_once: 2, idle: 1h }]\n';

/** Asks a controller for a register, or sets it, on one connection; prints what it answered as numbers. */
const MODBUS = `
import os, socket, struct, sys
host, port = os.environ["PLC"].rsplit(":", 1)
link = socket.create_connection((host, int(port)), 20)
for function, register, value in [(6, 7, 42), (3, 7, 1)]:
    link.sendall(struct.pack(">HHHBBHH", 1, 0, 6, 1, function, register, value))
    print(list(link.recv(256))[7:])
if "stay" in sys.argv:
    sys.stdout.flush()
    try:
        print("told", link.recv(1))
    except ConnectionResetError:
        print("reset")
`;

describeWithContainers("named procedures and a controller behind filters", () => {
  let world: World;
  let owner: Person;
  let host: OwnHost;
  let plc: Plc;
  let folder: string;
  let instance: Launched;
  const ids: Record<"container" | "procedures" | "controller", string> = { container: "", procedures: "", controller: "" };

  beforeAll(async () => {
    world = await World.create();
    owner = await world.user("olga");
    host = new OwnHost(owner);
    plc = await Plc.start();
    await owner.prepare("init", "--server", world.ready.url);
    folder = join(world.folder, "lab");
    await mkdir(folder);
    await writeFile(join(folder, "lab.rules.yaml"), RPC_RULES);
    await writeFile(join(folder, "plc.rules.yaml"), TCP_RULES);
    for (const [name, script] of [
      ["move.sh", 'printf "%s\\n" "$@" >> ledger; echo moved'],
      ["wait.sh", "echo waiting >> ledger; exec sleep 987653"],
      ["whose.sh", 'printf "%s" "$HARDSHARE_INSTANCE"'],
    ] as const) {
      await writeFile(join(folder, name), `#!/bin/sh\n${script}\n`);
      await chmod(join(folder, name), 0o755);
    }
    const lab = `{ name: LAB, filter: rpc, rules: ${folder}/lab.rules.yaml }`;
    const controller = `{ name: PLC, filter: tcp, target: "${plc.address}", rules: ${folder}/plc.rules.yaml }`;
    ids.container = await host.share(`provider: podman\nservices: [${lab}, ${controller}]\n`);
    ids.procedures = await host.share(`provider: proxy\nservices: [${lab}]\n`);
    ids.controller = await host.share(`provider: proxy\nservices: [${controller}]\n`);
    await host.advertise();
    instance = await owner.json<Launched>("launch", ids.container, "--wait");
  });

  afterAll(async () => {
    await host?.[Symbol.asyncDispose]();
    await plc?.[Symbol.asyncDispose]();
    await world?.[Symbol.asyncDispose]();
  });

  const inside = (command: string, input = "") =>
    expectSuccess("ssh", ["-F", instance.ssh_config, ids.container, command], { env: owner.env, input });
  const ledger = () => readFile(join(folder, "ledger"), "utf8");

  test("a program inside calls procedures by name; what the rules refuse runs nothing", async () => {
    expect(await inside(`curl -s -d '{"angle":-45}' "http://$LAB/move"`)).toBe("moved\n");
    expect(await inside(`curl -s -d '{"angle":91}' "http://$LAB/move"`)).toContain("must be <= 90");
    expect(await inside(`curl -s -d '{"angle":"1; reboot"}' "http://$LAB/move"`)).toContain("must be integer");
    expect(await ledger()).toBe("--\n-45\n");
  });

  test("a procedure carries the label of its instance, by which it is found and ended", async () => {
    expect(await inside('curl -s "http://$LAB/whose"')).toBe(instance.id);
  });

  test("a program inside reaches the controller, and is cut when the rules do not allow it any more", async () => {
    expect(await inside("python3 -", MODBUS)).toBe("[6, 0, 7, 0, 42]\n[3, 2, 0, 42]\n");
    expect(plc.ledger).toContain("7=42");
    const staying = spawn("ssh", ["-F", instance.ssh_config, ids.container, "python3 - stay"], {
      env: { ...process.env, ...owner.env },
      stdio: ["pipe", "pipe", "ignore"],
    });
    staying.stdin.end(MODBUS);
    const lines = createInterface(staying.stdout)[Symbol.asyncIterator]();
    const said = async () => ((await lines.next()) as { value?: string }).value;
    expect([await said(), await said()]).toEqual(["[6, 0, 7, 0, 42]", "[3, 2, 0, 42]"]);
    await writeFile(join(folder, "plc.rules.yaml"), "rules: [{ block: '*', because: maintenance }]\n");
    await expectAnswer(owner.run(["reload"]));
    expect(await said()).toMatch(/^(?:told b''|reset)$/);
    const isCut = ({ kind, data }: TimelineEvent) =>
      kind === "filter" && String(data["because"]).endsWith("not allowed any more: maintenance");
    expect((await followEvents(world.ready.url, owner, instance.id, isCut)).some(isCut)).toBe(true);
    await writeFile(join(folder, "plc.rules.yaml"), TCP_RULES);
    await expectAnswer(owner.run(["reload"]));
  });

  test("an E-stop ends the procedure that runs", async () => {
    const waiting = inside('curl -s -X POST "http://$LAB/wait"').catch(() => "cut");
    const isCalled = ({ kind, data }: TimelineEvent) => kind === "filter" && data["rule"] === "POST /wait";
    await followEvents(world.ready.url, owner, instance.id, isCalled);
    await expectAnswer(owner.run(["estop", ids.container]));
    await waiting;
    await followEvents(world.ready.url, owner, instance.id, ({ kind, data }) => kind === "state" && data["state"] === "TERMINATED");
    expect(await processesWith(instance.id)).toEqual([]);
  });

  test("without a container the tunnel ends at the procedures", async () => {
    const launched = await owner.json<Launched>("launch", ids.procedures, "--wait");
    await using forward = owner.start<{ port: number }>("forward", launched.id);
    const { port } = await forward.ready;
    const answer = await fetch(`http://127.0.0.1:${port}/move`, { method: "POST", body: '{"angle":30}' });
    expect(await answer.text()).toBe("moved\n");
    expect((await fetch(`http://127.0.0.1:${port}/shell`)).status).toBe(403);
    expect(await ledger()).toMatch(/--\n30\n$/);
    await expectAnswer(owner.run(["terminate", launched.id]));
  });

  test("without a container the tunnel ends at the controller, and the look of the hub is no connection to it", async () => {
    const before = plc.ledger.length;
    const launched = await owner.json<Launched>("launch", ids.controller, "--wait");
    expect(plc.connections).toBe(0);
    await using forward = owner.start<{ port: number }>("forward", launched.id);
    const { port } = await forward.ready;
    const socket = connect(port, "127.0.0.1");
    socket.write(Buffer.from([0, 1, 0, 0, 0, 6, 1, 6, 0, 8, 0, 9]));
    const [answer] = (await once(socket, "data")) as [Buffer];
    expect([...answer]).toEqual([0, 1, 0, 0, 0, 6, 1, 6, 0, 8, 0, 9]);
    expect(plc.ledger.slice(before)).toEqual(["8=9"]);
    socket.destroy();
    await expectAnswer(owner.run(["terminate", launched.id]));
  });
});
