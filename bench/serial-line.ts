/** P11: the `serial` filter between a client and a device at 3 Mbaud, beside the client on the device itself. */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { closeSync, constants, openSync, writeSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { ReadStream } from "node:tty";
import { spawn } from "node:child_process";
import { PseudoTerminal } from "@hardshare/filters/terminal";
import { HARDSHARE } from "../e2e/harness/commands.ts";
import { processorMs } from "./profile/processor-time.ts";
import { figuresOf, type Race, type RaceContext, type Row } from "./race.ts";

/** What 3 Mbaud carry each way: 8 bits, a start and a stop bit for each byte. */
const BYTES_PER_SECOND = 300_000;
const EVERY_MS = 5;
const RULES = String.raw`rules: [{ allow: 'G1 X(?<x>\d+) Y(?<y>\d+) N\d+', groups: { x: { type: integer, maximum: 400 } } }]`;
const PING = "G1 X100 Y200 N1\n";
/** When nothing came for so long, nothing more will. */
const SETTLES_MS = 3000;

/** Where a client's bytes go and come from. */
interface Line extends AsyncDisposable {
  write(bytes: Buffer): void;
  onData: (bytes: Buffer) => void;
}

export const serialLine: Race = {
  ids: ["P11"],
  async run({ world, isShort, isLong, profiler, tell }: RaceContext): Promise<Row[]> {
    const device = await Device.open();
    const rules = join(world.folder, "line.rules.yaml");
    await writeFile(rules, RULES);
    const trips = isShort ? 50 : 1000;
    const direct = await measure(device, openDirect(device.path), trips);
    const args = ["filter", "run", "serial", "--target", device.path, "--baud", "3000000", "--rules", rules];
    const filter = spawn(process.execPath, [HARDSHARE, ...args], {
      stdio: ["ignore", "pipe", "ignore"],
      env: { ...process.env, ...profiler?.variables },
    });
    try {
      const [address] = (await once(filter.stdout, "data")) as [Buffer];
      const port = Number(address.toString().trim().split(":")[1]);
      const filtered = await measure(device, await openTcp(port), trips);
      const seconds = isShort ? 2 : isLong ? 3600 : 10;
      tell(`P11 both ways at ${BYTES_PER_SECOND / 1000} kB/s for ${seconds} s …`);
      const before = processorMs(filter.pid ?? 0);
      const running = openTcp(port).then((line) => runAtFullSpeed(device, line, seconds));
      if (profiler !== undefined) {
        const programs = [{ name: "filter", pid: filter.pid ?? 0 }];
        for (const line of await profiler.during("P11", programs, () => running)) tell(line);
      }
      const { lost, times } = await running;
      const share = (processorMs(filter.pid ?? 0) - before) / (10 * seconds);
      const added = filtered.p50 - direct.p50;
      return [
        {
          race: "P11",
          what: "a line to the device and its answer",
          unit: "ms",
          ours: filtered,
          peer: { name: "the device itself", figures: direct },
          target: "<= 1 ms added",
          isReached: added <= 1,
          note: `${added.toFixed(3)} ms added, ${(filtered.p99 - direct.p99).toFixed(3)} ms at p99`,
        },
        {
          race: "P11",
          what: `the same while ${BYTES_PER_SECOND / 1000} kB/s go each way`,
          unit: "ms",
          ours: times,
          peer: null,
          target: "",
          isReached: null,
        },
        {
          race: "P11",
          what: `bytes lost in ${seconds} s at 3 Mbaud, both ways`,
          unit: "",
          ours: figuresOf([lost]),
          peer: null,
          target: "0 (in an hour: --long)",
          isReached: lost === 0,
          note: `the filter took ${share.toFixed(0)} % of a core for that`,
        },
      ];
    } finally {
      filter.kill("SIGKILL");
      await device[Symbol.asyncDispose]();
    }
  },
};

/** A device that answers each line, or counts what comes and talks by itself. */
class Device implements AsyncDisposable {
  onData: (bytes: Buffer) => void = () => {};
  #terminal: PseudoTerminal | undefined;
  #waiting: Buffer[] = [];

  static async open(): Promise<Device> {
    const device = new Device();
    device.#terminal = await PseudoTerminal.open({
      onData: (bytes) => device.onData(bytes),
      onDrain: () => device.say(),
      onClosed: () => {},
    });
    return device;
  }

  get path(): string {
    return this.#terminal?.path ?? "";
  }

  say(...bytes: Buffer[]): void {
    this.#waiting.push(...bytes);
    if (this.#waiting.length === 0 || this.#terminal?.isDrained !== true) return;
    this.#terminal.write(Buffer.concat(this.#waiting.splice(0)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#terminal?.[Symbol.asyncDispose]();
  }
}

function openDirect(path: string): Line {
  const fd = openSync(path, constants.O_RDWR | constants.O_NOCTTY);
  const stream = new ReadStream(openSync(path, constants.O_RDWR | constants.O_NOCTTY));
  const line: Line = {
    write: (bytes) => void writeSync(fd, bytes),
    onData: () => {},
    async [Symbol.asyncDispose]() {
      stream.destroy();
      closeSync(fd);
    },
  };
  stream.on("data", (bytes: Buffer) => line.onData(bytes));
  return line;
}

async function openTcp(port: number): Promise<Line> {
  const socket = connect({ host: "127.0.0.1", port, noDelay: true });
  await once(socket, "connect");
  const line: Line = {
    write: (bytes) => void socket.write(bytes),
    onData: () => {},
    async [Symbol.asyncDispose]() {
      socket.destroy();
    },
  };
  socket.on("data", (bytes: Buffer) => line.onData(bytes));
  return line;
}

/** Round trips, one after the other: the device answers when a whole line has come. */
async function measure(device: Device, opened: Line, count: number) {
  await using line = opened;
  device.onData = (bytes) => {
    if (bytes.includes(0x0a)) device.say(Buffer.from("ok\n"));
  };
  const times: number[] = [];
  for (let trip = -5; trip < count; trip += 1) {
    const startedAt = performance.now();
    const answered = new Promise<void>((resolve) => (line.onData = () => resolve()));
    line.write(Buffer.from(PING));
    await answered;
    if (trip >= 0) times.push(performance.now() - startedAt);
  }
  return figuresOf(times);
}

/** Counts bytes and remembers what they were. */
class Meter {
  bytes = 0;
  readonly #hash = createHash("sha1");

  add(bytes: Buffer): void {
    this.bytes += bytes.length;
    this.#hash.update(bytes);
  }

  /** Bytes that did not come; all when any came otherwise than it was sent. */
  lostOf(sent: Meter): number {
    if (this.bytes !== sent.bytes) return sent.bytes - this.bytes;
    return this.#hash.digest("hex") === sent.#hash.digest("hex") ? 0 : sent.bytes;
  }
}

/** Numbered lines in both directions at full speed; each line of the device repeats the newest number that came to it. */
async function runAtFullSpeed(device: Device, opened: Line, seconds: number) {
  await using line = opened;
  const [up, down] = [
    { sent: new Meter(), came: new Meter() },
    { sent: new Meter(), came: new Meter() },
  ];
  const sentAt = new Map<number, number>();
  const times: number[] = [];
  let newest = 0;
  let rest = "";
  let [hasCome, onCome] = [() => false, () => {}];
  device.onData = (bytes) => {
    up.came.add(bytes);
    const whole = bytes.subarray(0, bytes.lastIndexOf("\n"));
    newest = Number(whole.subarray(whole.lastIndexOf("N") + 1).toString("latin1")) || newest;
    if (hasCome()) onCome();
  };
  line.onData = (bytes) => {
    down.came.add(bytes);
    const lines = (rest + bytes.toString("latin1")).split("\n");
    rest = lines.pop() ?? "";
    for (const text of lines) {
      const number = Number(text.slice(0, 9));
      const at = sentAt.get(number);
      if (at === undefined) continue;
      times.push(performance.now() - at);
      for (const known of sentAt.keys()) if (known <= number) sentAt.delete(known);
    }
    if (hasCome()) onCome();
  };
  const startedAt = performance.now();
  let number = 0;
  while (performance.now() - startedAt < seconds * 1000) {
    const due = (BYTES_PER_SECOND * (performance.now() - startedAt)) / 1000;
    const burst: Buffer[] = [];
    for (let missing = due - up.sent.bytes; missing > 0;) {
      number += 1;
      const bytes = Buffer.from(`G1 X${number % 400} Y${number % 97} N${number}\n`);
      up.sent.add(bytes);
      burst.push(bytes);
      missing -= bytes.length;
    }
    sentAt.set(number, performance.now()); // the last of each burst is timed
    line.write(Buffer.concat(burst));
    while (down.sent.bytes < due) {
      const bytes = Buffer.from(`${String(newest).padStart(9, "0")} ok position X100.00 Y200.00\n`);
      down.sent.add(bytes);
      device.say(bytes);
    }
    await pause(EVERY_MS); // the pace of the line
  }
  const whole = new Promise<void>((resolve) => (onCome = resolve));
  hasCome = () => up.came.bytes >= up.sent.bytes && down.came.bytes >= down.sent.bytes;
  for (let before = -1; !hasCome() && before !== up.came.bytes + down.came.bytes;) {
    before = up.came.bytes + down.came.bytes;
    await Promise.race([whole, pause(SETTLES_MS)]); // on a busy machine much may still be on its way
  }
  return { lost: up.came.lostOf(up.sent) + down.came.lostOf(down.sent), times: figuresOf(times) };
}
