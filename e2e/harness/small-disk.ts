import { mkdir, rm, statfs } from "node:fs/promises";
import { join } from "node:path";
import { expectSuccess, run } from "./commands.ts";

/** A small file system of its own at a folder, which a test fills to the last byte and makes room on again. */
export class SmallDisk implements AsyncDisposable {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async mount(folder: string, sizeMb: number): Promise<SmallDisk> {
    await mkdir(folder, { recursive: true });
    await expectSuccess("mount", ["-t", "tmpfs", "-o", `size=${sizeMb}m,mode=755`, "hardshare-test", folder]);
    return new SmallDisk(folder);
  }

  async fill(): Promise<void> {
    const { bavail, bsize } = await statfs(this.#folder);
    if (bavail > 0) await expectSuccess("fallocate", ["--length", String(bavail * bsize), this.#filling]);
  }

  async makeRoom(): Promise<void> {
    await rm(this.#filling);
  }

  get #filling(): string {
    return join(this.#folder, "filling");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await run("umount", ["--lazy", this.#folder]);
  }
}
