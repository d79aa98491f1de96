import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expectSuccess } from "./commands.ts";

/** A lifecycle program that notes each run and, when told so, waits in it until it is let go. */
export class HeldProgram {
  /** What a contract names it by. */
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  static async make(folder: string, name: string): Promise<HeldProgram> {
    const program = new HeldProgram(join(folder, `${name}.sh`));
    const { path } = program;
    await expectSuccess("mkfifo", [`${path}.runs`, `${path}.go`]);
    const steps = [`echo "$HARDSHARE_INSTANCE" >> ${path}.ledger`, `[ -e ${path}.hold ] || exit 0`];
    const wait = [`echo "$HARDSHARE_INSTANCE" > ${path}.runs`, `cat ${path}.go`];
    await writeFile(path, `#!/bin/sh\n${[...steps, ...wait].join("\n")}\n`, { mode: 0o755 });
    return program;
  }

  /** From now on each run waits. */
  async hold(): Promise<void> {
    await writeFile(`${this.path}.hold`, "");
  }

  /** Resolves when a run waits. @returns the instance it runs for */
  async untilHeld(): Promise<string> {
    return (await expectSuccess("cat", [`${this.path}.runs`])).trim();
  }

  /** Lets the run go that waits, and those that follow. */
  async letGo(): Promise<void> {
    await this.holdNoMore();
    await writeFile(`${this.path}.go`, "");
  }

  /** Those that follow do not wait; one that waits was killed. */
  async holdNoMore(): Promise<void> {
    await rm(`${this.path}.hold`, { force: true });
  }

  /** How often it ran for an instance. */
  async runsFor(instance: string): Promise<number> {
    const ledger = await readFile(`${this.path}.ledger`, "utf8").catch(() => "");
    return ledger.split("\n").filter((line) => line === instance).length;
  }
}
