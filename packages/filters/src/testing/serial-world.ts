import { mkdtemp, rename, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Clock, silentLogger, systemClock } from "@hardshare/runtime";
import { openBudgetBook } from "../rules/budget-book.ts";
import { LimitKeeper } from "../rules/limits.ts";
import type { LiveRules } from "../rules/live-rules.ts";
import { type CompiledSerialRules, parseSerialRules } from "../rules/serial-rules.ts";
import type { Judgement, RunningFilter } from "../run/filter-kind.ts";
import { startSerialFilter } from "../serial/serial-filter.ts";
import { PseudoTerminal } from "../terminal/pseudo-terminal.ts";
import { RawClient } from "./raw-client.ts";

/** For tests: rules of a text, without a file. */
export function serialRules(text: string, clock: Clock = systemClock): CompiledSerialRules {
  return parseSerialRules(text, "test.yaml", new LimitKeeper({ clock, book: openBudgetBook({ file: undefined, clock }) }));
}

/** For tests: a serial device at a path that stays, which can be unplugged and plugged in. Keeps all that it got. */
export class PluggedDevice implements AsyncDisposable {
  readonly folder: string;
  #terminal: PseudoTerminal | undefined;
  #received = "";
  #waiting: { until: (received: string) => boolean; resolve: (received: string) => void }[] = [];
  #onDrain: () => void = () => {};

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async plugIn(): Promise<PluggedDevice> {
    const device = new PluggedDevice(await mkdtemp(join(tmpdir(), "hardshare-serial-")));
    await device.plugIn();
    return device;
  }

  get path(): string {
    return join(this.folder, "ttyTest");
  }

  /** All that it got, a character for each byte. */
  get received(): string {
    return this.#received;
  }

  async plugIn(): Promise<void> {
    this.#terminal = await PseudoTerminal.open({
      onData: (bytes) => {
        this.#received += bytes.toString("latin1");
        this.#waiting = this.#waiting.filter(({ until, resolve }) => {
          if (!until(this.#received)) return true;
          resolve(this.#received);
          return false;
        });
      },
      onDrain: () => this.#onDrain(),
      onClosed: () => {},
    });
    await symlink(this.#terminal.path, join(this.folder, "new"));
    await rename(join(this.folder, "new"), this.path);
  }

  async unplug(): Promise<void> {
    const terminal = this.#terminal;
    this.#terminal = undefined;
    await rm(this.path, { force: true });
    await terminal?.[Symbol.asyncDispose]();
  }

  /** Takes nothing from the line from now on, as a device does that is busy; or takes again. */
  stall(isStalled: boolean): void {
    if (isStalled) this.#terminal?.pause();
    else this.#terminal?.resume();
  }

  say(text: string): void {
    this.#terminal?.write(Buffer.from(text, "latin1"));
  }

  /** Says so many bytes, as fast as they are taken. */
  async sayMuch(bytes: number): Promise<void> {
    for (let left = bytes; left > 0; left -= 4096) {
      this.#terminal?.write(Buffer.alloc(Math.min(left, 4096), "."));
      if (this.#terminal?.isDrained === false) await new Promise<void>((resolve) => (this.#onDrain = resolve));
    }
  }

  /** All that it got, as soon as that holds `part`. */
  receive(part: string): Promise<string> {
    return this.receiveUntil((received) => received.includes(part));
  }

  receiveUntil(until: (received: string) => boolean): Promise<string> {
    if (until(this.#received)) return Promise.resolve(this.#received);
    return new Promise((resolve) => this.#waiting.push({ until, resolve }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.unplug();
    await rm(this.folder, { recursive: true });
  }
}

/** For tests: a `serial` filter in front of a device. */
export class SerialWorld implements AsyncDisposable {
  readonly device: PluggedDevice;
  readonly decisions: Judgement[] = [];
  readonly rules: LiveRules<CompiledSerialRules> & { current: CompiledSerialRules };
  #filter: RunningFilter | undefined;
  readonly #clients: RawClient[] = [];

  private constructor(device: PluggedDevice, rules: string) {
    this.device = device;
    this.rules = { current: serialRules(rules), reload: async () => {} };
  }

  /** @param rules text of a rules file */
  static async start(rules: string): Promise<SerialWorld> {
    const world = new SerialWorld(await PluggedDevice.plugIn(), rules);
    world.#filter = await startSerialFilter({
      host: "127.0.0.1",
      port: 0,
      device: world.device.path,
      baud: 115_200,
      rules: world.rules,
      onDecision: (judgement) => world.decisions.push(judgement),
      clock: systemClock,
      logger: silentLogger,
    });
    return world;
  }

  connect(): RawClient {
    const client = new RawClient(this.#filter?.address ?? "");
    this.#clients.push(client);
    return client;
  }

  async cutAll(): Promise<void> {
    await this.#filter?.cutAll();
  }

  /** Puts other rules in force. */
  reload(rules: string): void {
    this.rules.current = serialRules(rules);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) client[Symbol.dispose]();
    await this.#filter?.[Symbol.asyncDispose]();
    await this.device[Symbol.asyncDispose]();
  }
}
