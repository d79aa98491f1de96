/** What a race is, and how its figures are told. */
import type { World } from "../e2e/harness/world.ts";
import type { Profiler } from "./profile/profiler.ts";

/** Figures of one side of a race, in `unit`. */
export interface Figures {
  p50: number;
  p99: number;
  count: number;
}

/** One line of the table: ours beside a peer, from the same run. */
export interface Row {
  /** Id of the promise in promises.md. */
  race: string;
  what: string;
  unit: "ms" | "MB/s" | "1/s" | "MB" | "%" | "";
  ours: Figures;
  /** Without figures: what is known of others and can't be run here is its name. */
  peer: { name: string; figures: Figures | null } | null;
  /** What ours must reach, as promises.md says it. */
  target: string;
  /** Whether it did, in this run; null where nothing is promised. */
  isReached: boolean | null;
  note?: string;
}

export interface RaceContext {
  world: World;
  /** Fewer repetitions: to see that the races run, not how fast. */
  isShort: boolean;
  /** As long as the promise says. */
  isLong: boolean;
  /** Whether this race was asked for. */
  isWanted: (id: string) => boolean;
  /** With `--profile`, for races that can be profiled. */
  profiler: Profiler | undefined;
  /** What is going on, for people. */
  tell: (line: string) => void;
}

export interface Race {
  ids: readonly string[];
  run(context: RaceContext): Promise<Row[]>;
}

/** Median and 99th percentile (nearest rank) of measurements. */
export function figuresOf(values: readonly number[]): Figures {
  const sorted = [...values].sort((a, b) => a - b);
  const rank = (share: number) => sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(share * sorted.length) - 1))] ?? Number.NaN;
  return { p50: rank(0.5), p99: rank(0.99), count: sorted.length };
}

/** Milliseconds that something takes. */
export async function timed(work: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  await work();
  return performance.now() - startedAt;
}

/** The table for people. */
export function formatRows(rows: readonly Row[]): string {
  const head = ["", "race", "ours p50", "p99", "peer", "p50", "p99", "ratio", "must reach"];
  const lines = rows.map((row) => [
    row.isReached === null ? " " : row.isReached ? "+" : "-",
    `${row.race} ${row.what}`,
    withUnit(row.ours.p50, row.unit),
    withUnit(row.ours.p99, row.unit),
    row.peer?.name ?? "",
    row.peer?.figures ? withUnit(row.peer.figures.p50, row.unit) : "",
    row.peer?.figures ? withUnit(row.peer.figures.p99, row.unit) : "",
    row.peer?.figures ? `${(row.ours.p50 / row.peer.figures.p50).toFixed(2)} x` : "",
    row.target,
  ]);
  const widths = head.map((title, column) => Math.max(title.length, ...lines.map((line) => line[column]?.length ?? 0)));
  const format = (cells: readonly string[]) =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd();
  const notes = rows.flatMap((row) => (row.note === undefined ? [] : [`${row.race}: ${row.note}`]));
  return [format(head), ...lines.map(format), ...(notes.length > 0 ? ["", ...notes] : [])].join("\n");
}

function withUnit(value: number, unit: Row["unit"]): string {
  const text = value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
  return unit === "" ? text : `${text} ${unit}`;
}
