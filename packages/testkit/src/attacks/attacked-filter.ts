import { PassThrough } from "node:stream";
import { type FilterKind, runFilter } from "@hardshare/filters";
import { silentLogger, systemClock } from "@hardshare/runtime";

type Decided = Parameters<Parameters<FilterKind<unknown>["start"]>[0]["onDecision"]>[0];

/** A filter, with all that it decided. */
export interface AttackedFilter extends AsyncDisposable {
  /** Port of the filter. */
  readonly port: number;
  /** Decisions since they were last taken away. */
  readonly decisions: Decided[];
}

/** Starts it in this process. */
export async function startAttackedFilter<Rules>(inner: FilterKind<Rules>, rulesFile: string): Promise<AttackedFilter> {
  const decisions: Decided[] = [];
  const kind: FilterKind<Rules> = {
    ...inner,
    start: (tools) =>
      inner.start({
        ...tools,
        onDecision(decision) {
          decisions.push(decision);
          tools.onDecision(decision);
        },
      }),
  };
  const stdout = new PassThrough({ encoding: "utf8" });
  const end = new AbortController();
  const running = runFilter({
    kind,
    rulesFile,
    host: "127.0.0.1",
    port: 0,
    stateFile: undefined,
    decisionsFile: undefined,
    stdout,
    stderr: new PassThrough().resume(),
    onReloadAsked: () => ({ [Symbol.dispose]: () => {} }),
    onCutAsked: () => ({ [Symbol.dispose]: () => {} }),
    signal: end.signal,
    clock: systemClock,
    logger: silentLogger,
  });
  const address = await Promise.race([new Promise<string>((resolve) => stdout.once("data", resolve)), running.then(() => "")]);
  return {
    port: Number(address.trim().split(":")[1]),
    decisions,
    async [Symbol.asyncDispose]() {
      end.abort();
      await running;
    },
  };
}
