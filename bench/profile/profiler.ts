/** `--profile DIR`: where programs of ours spend their time while a race runs. */
import { watch } from "node:fs";
import { access, mkdir, readFile, rename } from "node:fs/promises";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { Program } from "./processor-time.ts";

const PRELOAD = new URL("preload.mjs", import.meta.url);
const SHOWN_FUNCTIONS = 8;
/** Samples of waiting, and of the profiler's own start. */
const NOT_WORK = ["(idle)", "dispatch"];

/** What is read of a profile, as V8 writes it; times in microseconds. */
interface CpuProfile {
  nodes: { id: number; callFrame: { functionName: string; url: string; lineNumber: number } }[];
  samples: number[];
  timeDeltas: number[];
}

export class Profiler {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** @param folder for the profiles; made when it is not there */
  static async open(folder: string): Promise<Profiler> {
    await mkdir(folder, { recursive: true });
    return new Profiler(resolve(folder));
  }

  /** What programs must be started with to be profiled. */
  get variables(): Record<string, string> {
    return { NODE_OPTIONS: `--import=${pathToFileURL(PRELOAD.pathname).href}`, HS_BENCH_PROFILES: this.#folder };
  }

  /** Profiles programs during some work. @returns a line about each, with the functions that took most; files are `<race>-<program>.cpuprofile` */
  async during(race: string, programs: readonly Program[], work: () => Promise<unknown>): Promise<string[]> {
    for (const { pid } of programs) process.kill(pid, "SIGUSR2");
    await work();
    return Promise.all(programs.map((program) => this.#collect(race, program)));
  }

  async #collect(race: string, { name, pid }: Program): Promise<string> {
    const written = join(this.#folder, `${pid}.cpuprofile`);
    const isWritten = new Promise<void>((done) => {
      const look = () =>
        void access(written).then(
          () => (watcher.close(), done()),
          () => {},
        );
      const watcher = watch(this.#folder, look);
      look();
    });
    process.kill(pid, "SIGUSR2");
    await isWritten;
    const file = join(this.#folder, `${race}-${name}.cpuprofile`);
    await rename(written, file);
    return `${file}: ${describe(JSON.parse(await readFile(file, "utf8")) as CpuProfile)}`;
  }
}

/** The functions that took most time themselves (native ones may go by a neighbour's name), waiting for the system included (a write lasts as long as it is not scheduled again). */
function describe({ nodes, samples, timeDeltas }: CpuProfile): string {
  const names = new Map(
    nodes.map(({ id, callFrame: { functionName, url, lineNumber } }) => {
      const place = url === "" ? "" : ` ${url.split("/").slice(-2).join("/")}:${lineNumber + 1}`;
      return [id, `${functionName || "(anonymous)"}${place}`];
    }),
  );
  const times = new Map<string, number>();
  for (const [index, id] of samples.entries()) {
    const name = names.get(id) ?? "?";
    if (!NOT_WORK.includes(name)) times.set(name, (times.get(name) ?? 0) + (timeDeltas[index] ?? 0));
  }
  const total = [...times.values()].reduce((sum, time) => sum + time, 0);
  const most = [...times].toSorted(([, a], [, b]) => b - a).slice(0, SHOWN_FUNCTIONS);
  if (most.length === 0) return "idle";
  return most.map(([name, time]) => `${name} ${((100 * time) / total).toFixed(0)} %`).join(", ");
}
