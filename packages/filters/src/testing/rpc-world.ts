import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLogger, systemClock } from "@hardshare/runtime";
import type { CompiledHttpRules } from "../rules/http-rules.ts";
import { rpcFilterKind, rrpcFilterKind } from "../rpc/rpc-filter-kind.ts";
import type { Judgement, RunningFilter } from "../run/filter-kind.ts";
import { makeLimits } from "./filter-world.ts";

/** Writes down with which arguments, and with what on standard input, it was run; NUL, which neither can hold, ends each. */
const RECORDER = `{ for each; do printf 'A%s\\0' "$each"; done; printf S; cat; printf '\\0'; } >> ledger; printf done`;

/** For tests: an `rpc` filter, with a folder of programs. */
export class RpcWorld implements AsyncDisposable {
  readonly decisions: Judgement[] = [];
  readonly folder: string;
  readonly #live: { current: CompiledHttpRules; reload(): Promise<void> };
  readonly #parse: (text: string) => CompiledHttpRules;
  #filter: RunningFilter | undefined;

  private constructor(folder: string, kind: ReturnType<typeof rpcFilterKind>, rules: string) {
    this.folder = folder;
    this.#parse = (text) => kind.parseRules(text, join(folder, "test.yaml"), makeLimits());
    this.#live = { current: this.#parse(rules), reload: async () => {} };
  }

  /**
   * @param rules text of a rules file; `./record` and the programs are in its folder
   * @param programs scripts of sh by their names
   */
  static async start(rules: string, { programs = {}, isRrpc = false }: { programs?: Record<string, string>; isRrpc?: boolean } = {}) {
    const folder = await mkdtemp(join(tmpdir(), "hardshare-rpc-"));
    const scripts = Object.entries(programs).map(([name, script]) => [name, `#!/bin/sh\n${script}\n`] as const);
    for (const [name, text] of [["record", `#!/bin/sh\ncd "\${0%/*}"\n${RECORDER}\n`] as const, ...scripts]) {
      await writeFile(join(folder, name), text);
      await chmod(join(folder, name), 0o755);
    }
    const kind = isRrpc ? rrpcFilterKind() : rpcFilterKind();
    const world = new RpcWorld(folder, kind, rules.replaceAll("FOLDER", folder));
    world.#filter = await kind.start({
      host: "127.0.0.1",
      port: 0,
      rules: world.#live,
      onDecision: (judgement) => world.decisions.push(judgement),
      clock: systemClock,
      logger: silentLogger,
    });
    return world;
  }

  get address(): string {
    return this.#filter?.address ?? "";
  }

  /** Calls a procedure as an ordinary client does. */
  async call(method: string, path: string, body?: unknown, signal?: AbortSignal) {
    const response = await fetch(`http://${this.address}${path}`, {
      method,
      ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
      ...(signal === undefined ? {} : { signal }),
    });
    return {
      status: response.status,
      type: response.headers.get("content-type"),
      length: response.headers.get("content-length"),
      text: await response.text(),
    };
  }

  /** What `./record` was run with. */
  async ledger(): Promise<{ args: string[]; stdin: string }[]> {
    const text = await readFile(join(this.folder, "ledger"), "utf8").catch(() => "");
    const runs: { args: string[]; stdin: string }[] = [];
    let args: string[] = [];
    for (const entry of text.split("\0").slice(0, -1)) {
      if (entry.startsWith("A")) {
        args.push(entry.slice(1));
        continue;
      }
      runs.push({ args, stdin: entry.slice(1) });
      args = [];
    }
    return runs;
  }

  async cutAll(): Promise<void> {
    await this.#filter?.cutAll();
  }

  /** Puts other rules in force. */
  reload(rules: string): void {
    this.#live.current = this.#parse(rules);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#filter?.[Symbol.asyncDispose]();
    this.#filter = undefined;
    await rm(this.folder, { recursive: true, force: true });
  }
}
