import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { STATUS_CODES } from "node:http";
import { basename } from "node:path";
import { type Clock, type Logger, signalGroup } from "@hardshare/runtime";
import type { AnswerSink, DeviceRequest, ForwardResult, Responder } from "../http/device-link.ts";
import { HeldMemory } from "../http/held-body.ts";
import type { CompiledHttpRule } from "../rules/http-rules.ts";
import { BUSY, type Procedure } from "../rules/procedure.ts";
import { ignoreBody, readCall } from "./read-call.ts";
import { ProcedureTurns } from "./procedure-turns.ts";
import { runProcedure } from "./run-procedure.ts";

interface Answer {
  readonly status: number;
  readonly contentType: string;
  readonly body: Buffer;
}

/** Runs the procedures of one filter. */
export class ProcedureRunner {
  readonly turns: ProcedureTurns;
  readonly #options: { turns: ProcedureTurns; launcher: readonly string[]; clock: Clock; logger: Logger };
  readonly #memory = new HeldMemory();
  readonly #running = new Set<ChildProcess>();

  constructor(options: { turns: ProcedureTurns; launcher: readonly string[]; clock: Clock; logger: Logger }) {
    this.turns = options.turns;
    this.#options = options;
  }

  /** Answers for one client connection; what it is asked ends with that. */
  respond(): Responder {
    const gone = new AbortController();
    const { logger } = this.#options;
    return {
      forward: (request, sink, settle, rule) => {
        this.#forward(request, sink, { rule, signal: gone.signal }).then(settle, (error: unknown) => {
          logger.error("a call could not be answered: its connection is closed", { error });
          settle("broken");
        });
      },
      cut: () => gone.abort(),
      [Symbol.dispose]: () => gone.abort(),
    };
  }

  /** Kills all that run. Settles when they have ended. */
  async kill(): Promise<void> {
    const ends: Promise<unknown>[] = [];
    for (const child of this.#running) {
      if (child.exitCode === null && child.signalCode === null) ends.push(once(child, "exit"));
      if (child.pid !== undefined) signalGroup(child.pid, "SIGKILL");
    }
    await Promise.all(ends);
  }

  async #forward(
    request: DeviceRequest,
    sink: AnswerSink,
    { rule, signal }: { rule: CompiledHttpRule | undefined; signal: AbortSignal },
  ): Promise<ForwardResult> {
    const answer = await this.#call(request, sink, { procedure: rule?.procedure, signal });
    if (signal.aborted) return "broken";
    const { status, contentType, body } = answer;
    const rawHeaders = ["Content-Type", contentType, "Content-Length", String(body.length)];
    sink.begin({ status, statusMessage: STATUS_CODES[status] ?? "", rawHeaders, isKeptAlive: true });
    return new Promise((resolve) => {
      const leave = () => resolve("broken");
      signal.addEventListener("abort", leave, { once: true });
      sink.end(body, () => {
        signal.removeEventListener("abort", leave); // the connection may carry many calls
        resolve("done");
      });
    });
  }

  async #call(
    request: DeviceRequest,
    sink: AnswerSink,
    { procedure, signal }: { procedure: Procedure | undefined; signal: AbortSignal },
  ): Promise<Answer> {
    const { clock, launcher, logger } = this.#options;
    // On trial, when nothing that the rules say is blocked.
    if (procedure === undefined) {
      ignoreBody(request);
      return explain(404, { error: "no procedure", because: "no filter rule of the owner has a procedure for this" });
    }
    const input = await readCall(request, sink, { memory: this.#memory, clock });
    if ("status" in input) return explain(input.status, { error: "procedure not called", because: input.because });
    const call = procedure.fill(input);
    if ("problem" in call) return explain(call.status, { error: "procedure not called", because: call.problem });
    using turn = await this.turns.take(procedure, signal);
    if (turn === undefined) return explain(503, { error: "procedure not called", because: BUSY });
    let child: ChildProcess | undefined;
    const outcome = await runProcedure(call, {
      folder: procedure.folder,
      timeoutMs: procedure.timeoutMs,
      outputLimitBytes: procedure.output_limit,
      memory: this.#memory,
      clock,
      signal,
      launcher,
      onStarted: (started) => {
        child = started;
        this.#running.add(started);
      },
    });
    if (child !== undefined) this.#running.delete(child);
    if ("output" in outcome) return { status: 200, contentType: procedure.content_type, body: outcome.output };
    const { because, isTimeout, exitStatus, stderr } = outcome;
    logger.warn("a procedure failed", { procedure: procedure.name, because, stderr });
    return explain(isTimeout ? 504 : 500, {
      error: "procedure failed",
      because: because.replace(call.argv[0], basename(call.argv[0])), // where it lies is the owner's matter
      ...(exitStatus === null ? {} : { exit_status: exitStatus }),
      ...(stderr === "" ? {} : { stderr }),
    });
  }
}

function explain(status: number, told: Readonly<Record<string, unknown>>): Answer {
  return { status, contentType: "application/json; charset=utf-8", body: Buffer.from(`${JSON.stringify(told)}\n`) };
}
