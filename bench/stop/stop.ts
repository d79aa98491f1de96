/** P9: from an E-stop, or the owner's force-terminate, until the last byte reaches the device, while the tunnel is full. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir } from "node:fs/promises";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { HardshareClient } from "@hardshare/client";
import { makeKeyPair } from "@hardshare/client/node";
import { OwnHost } from "../../e2e/harness/own-host.ts";
import { expectAnswer } from "../../e2e/harness/world.ts";
import { figuresOf, type Race, type RaceContext, type Row, timed } from "../race.ts";

const FILES = Object.fromEntries(["device", "pump", "flood"].map((name) => [name, fileURLToPath(new URL(`${name}.mjs`, import.meta.url))]));
/** How long the tunnel is full before the press, and how long the device is watched after it. */
const FULL_MS = 300;
const WATCHED_MS = 1000;
const GOAL_MS = 100;

export const stop: Race = {
  ids: ["P9"],
  async run({ world, isShort }: RaceContext): Promise<Row[]> {
    const device = new Device();
    const owner = await world.user("stopper");
    await using host = new OwnHost(owner);
    await expectAnswer(owner.run(["init", "--server", world.ready.url]));
    await mkdir(owner.home, { recursive: true });
    const command = `${process.execPath} ${FILES["pump"]} ${await device.address}`;
    const id = await host.share(`provider: proxy\npublic_port: true\nservices: [{ name: ROBOT, command: ${JSON.stringify(command)} }]\n`);
    await host.advertise(id);
    const client = new HardshareClient({ url: world.ready.url, token: owner.token });
    const ways = {
      "E-stop": { press: () => client.estopDeployment(id), times: [] as number[] },
      "force-terminate": { press: (instance: string) => client.forceTerminate(instance), times: [] as number[] },
    };
    const trips: number[] = [];
    let bytes = 0;
    try {
      for (let round = 0; round < (isShort ? 2 : 30); round += 1) {
        for (const { press, times } of Object.values(ways)) {
          const launched = await client.launch(id, { sshkey: (await makeKeyPair("bench")).publicKey });
          await untilState(client, launched.id, "READY");
          const { fwd } = await client.instance(launched.id);
          const flood = spawn(process.execPath, [FILES["flood"] ?? "", `${fwd?.ipv4}:${fwd?.port}`], { stdio: "inherit" });
          await device.untilMore();
          await pause(FULL_MS);
          trips.push(await timed(() => client.whoami()));
          const pressedNs = process.hrtime.bigint();
          await press(launched.id);
          await pause(WATCHED_MS);
          const last = await device.last();
          bytes = last.bytes;
          times.push(Math.max(0, Number(last.ns - pressedNs) / 1e6));
          flood.kill("SIGKILL");
          await untilState(client, launched.id, "TERMINATED");
          await client.unlock(id);
        }
      }
    } finally {
      device.end();
    }
    const trip = figuresOf(trips);
    return Object.entries(ways).map(([what, { times }]) => {
      const ours = figuresOf(times);
      return {
        race: "P9",
        what: `${what} -> last byte at the device`,
        unit: "ms" as const,
        ours,
        peer: { name: "one request to the server", figures: trip },
        target: `p99 <= ${GOAL_MS} ms + one round trip`,
        isReached: ours.p99 <= GOAL_MS + trip.p99,
        note: `four streams that fill the tunnel, ${Math.round(bytes / 1e6)} MB in all; all processes on this machine`,
      };
    });
  },
};

async function untilState(client: HardshareClient, id: string, state: string): Promise<void> {
  for await (const { kind, data } of client.instanceEvents(id)) if (kind === "state" && data["state"] === state) return;
  throw new Error(`the instance never was ${state}`);
}

/** The device, as a process of its own, so that what else this one does is not measured. */
class Device {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly address: Promise<string>;

  constructor() {
    this.#child = spawn(process.execPath, [FILES["device"] ?? ""], { stdio: ["pipe", "pipe", "inherit"] });
    if (this.#child.stdout === null) throw new Error("no standard output");
    this.#lines = createInterface(this.#child.stdout)[Symbol.asyncIterator]();
    this.address = this.#next();
  }

  /** When the last byte came, on this computer's monotonic clock, and how many came in all. */
  async last(): Promise<{ ns: bigint; bytes: number }> {
    this.#child.stdin?.write("\n");
    const [ns = "0", bytes = "0"] = (await this.#next()).split(" ");
    return { ns: BigInt(ns), bytes: Number(bytes) };
  }

  /** Resolves when more comes than came so far. */
  async untilMore(): Promise<void> {
    const { bytes } = await this.last();
    while ((await this.last()).bytes === bytes) await pause(5);
  }

  end(): void {
    this.#child.kill("SIGKILL");
    void once(this.#child, "exit");
  }

  async #next(): Promise<string> {
    const { value, done } = await this.#lines.next();
    if (done === true) throw new Error("the device has ended");
    return value;
  }
}
