import type { Computer } from "./simulated-process.ts";
import { FAIR } from "./simulated-network.ts";
import type { Program, SimulatedWorld } from "./simulated-world.ts";
import { NO_MISHAPS } from "./simulated-works.ts";

/** What may happen in a run; a run draws some of them. */
export const FAULT_KINDS = [
  "kill",
  "failpoint",
  "pause",
  "partition",
  "storm",
  "power",
  "mishaps",
  "full_disk",
  "container",
  "clock",
  "store",
  "backup",
] as const;
export type FaultKind = (typeof FAULT_KINDS)[number];

/** How far a host's clock may be off: more than any deadline here. */
const MAX_JUMP_MS = 60_000;
/** Longest time between two faults. */
const MAX_GAP_MS = 6000;

/** Injects faults until told to stop; then mends everything. */
export class Faults {
  readonly #world: SimulatedWorld;
  readonly #kinds: readonly FaultKind[];
  #isOver = false;
  readonly counts = new Map<FaultKind, number>();
  /** Spans of time whose changes a restored backup has undone. */
  readonly undone: { fromMs: number; toMs: number }[] = [];

  constructor(world: SimulatedWorld, kinds: readonly FaultKind[]) {
    this.#world = world;
    this.#kinds = kinds;
    if (kinds.length > 0) this.#next();
  }

  /** No more of them: everything runs, every line passes, every disk has room. */
  stop(): void {
    this.#isOver = true;
    const { network, programs, hosts, time } = this.#world;
    network.weather = FAIR;
    network.mendAll();
    for (const { running } of this.#world.servers) running?.connection.faults?.regainWakeUps();
    for (const { place } of hosts) {
      place.computer.wallAheadMs = 0;
      place.mishaps = NO_MISHAPS;
      place.disk.isFull = false;
    }
    this.#world.onStep = () => {};
    for (const program of programs) {
      program.process?.resume();
      time.after(100, () => program.start());
    }
  }

  #next(): void {
    const { random, time } = this.#world;
    time.after(random.between(100, MAX_GAP_MS), () => {
      if (this.#isOver) return;
      const kind = random.pick(this.#kinds);
      this.counts.set(kind, (this.counts.get(kind) ?? 0) + 1);
      this.#inject(kind);
      this.#next();
    });
  }

  #inject(kind: FaultKind): void {
    const { random, time, trace, network, hosts, programs, servers, store } = this.#world;
    const later = (maxMs: number, undo: () => void) =>
      void time.after(random.between(50, maxMs), () => {
        if (!this.#isOver) undo();
      });
    switch (kind) {
      case "kill": {
        const program = random.pick(programs);
        if (!program.isRunning) return;
        trace.note("fault", `kill ${program.name}`);
        this.#kill(program, 8000);
        return;
      }
      case "failpoint": {
        const victim = random.pick(programs);
        let skip = random.below(40);
        this.#world.onStep = (program, name) => {
          if (program !== victim || !program.isRunning) return;
          skip -= 1;
          if (skip >= 0) return;
          this.#world.onStep = () => {};
          trace.note("fault", `kill ${program.name} at ${name}`);
          this.#kill(program, 4000);
        };
        return;
      }
      case "pause": {
        const program = random.pick(programs);
        trace.note("fault", `pause ${program.name}`);
        const { process } = program;
        process?.pause();
        later(20_000, () => process?.resume());
        return;
      }
      case "partition": {
        const [a, b] = [random.pick(this.#computers), random.pick(this.#computers)];
        if (a === b) return;
        trace.note("fault", `cut ${a.name} ${b.name}`);
        network.cut(a, b);
        later(25_000, () => {
          trace.note("fault", `mend ${a.name} ${b.name}`);
          network.mend(a, b);
        });
        return;
      }
      case "storm":
        trace.note("fault", "storm");
        network.weather = { maxLatencyMs: 1500, loss: 0.03, duplication: 0.03 };
        later(10_000, () => {
          trace.note("fault", "fair again");
          network.weather = FAIR;
        });
        return;
      case "power": {
        const { place, daemon } = random.pick(hosts);
        trace.note("fault", `power lost at ${place.computer.name}`);
        network.forget(place.computer);
        daemon.kill();
        place.reboot();
        later(20_000, () => daemon.start());
        return;
      }
      case "mishaps": {
        const { place } = random.pick(hosts);
        place.mishaps = { init: 0.3, terminate: 0.05, baseline: 0.05, safeState: 0.05, filterStart: 0.2 };
        later(15_000, () => (place.mishaps = NO_MISHAPS));
        return;
      }
      case "full_disk": {
        const { disk, computer } = random.pick(hosts).place;
        trace.note("fault", `disk of ${computer.name} is full`);
        disk.isFull = true;
        later(15_000, () => {
          trace.note("fault", `disk of ${computer.name} has room`);
          disk.isFull = false;
        });
        return;
      }
      case "container": {
        const { place } = random.pick(hosts);
        void place.engine.listContainers({}).then(([container]) => {
          if (container?.isRunning !== true) return;
          trace.note("fault", `container ${container.name} dies`);
          place.engine.endContainer(container.id, 1);
        });
        return;
      }
      case "clock": {
        const { computer } = random.pick(hosts).place;
        computer.wallAheadMs = random.between(-MAX_JUMP_MS, MAX_JUMP_MS);
        trace.note("fault", `clock of ${computer.name} is set ${Math.round(computer.wallAheadMs)} ms ahead`);
        return;
      }
      case "store": {
        const server = random.pick(servers).running;
        const own = server?.connection.faults;
        if (server === undefined || own === undefined) return;
        const isCut = random.chance(0.5);
        trace.note("fault", `${server.process.name} loses ${isCut ? "the connection of a transaction" : "its wake-ups"}`);
        if (isCut) return own.cutTransaction();
        own.loseWakeUps();
        return later(8000, () => own.regainWakeUps());
      }
      case "backup": {
        const restore = store.backUp?.();
        if (restore === undefined) return;
        const fromMs = time.nowMs;
        return later(10_000, () => {
          trace.note("fault", `the store goes back to ${(fromMs / 1000).toFixed(3)}`);
          this.undone.push({ fromMs, toMs: time.nowMs });
          for (const server of servers) server.kill();
          restore();
          time.after(random.between(100, 3000), () => servers.forEach((server) => server.start()));
        });
      }
    }
  }

  get #computers(): Computer[] {
    return this.#world.programs.map(({ computer }) => computer);
  }

  #kill(program: Program<unknown>, backWithinMs: number): void {
    program.kill();
    const { random, time } = this.#world;
    time.after(random.between(100, backWithinMs), () => program.start());
  }
}
