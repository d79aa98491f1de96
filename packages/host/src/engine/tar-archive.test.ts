import { runProgram } from "@hardshare/runtime";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { makeTarArchive } from "./tar-archive.ts";

test("tar reads names, modes, owners and contents back", async () => {
  const folder = await mkdtemp(join(tmpdir(), "hs-tar-"));
  const path = join(folder, "a.tar");
  const deep = `${"folder/".repeat(20)}file`;
  try {
    await writeFile(
      path,
      makeTarArchive(
        [
          { path: "root/.ssh", mode: 0o700, uid: 0, gid: 0 },
          { path: "root/.ssh/authorized_keys", mode: 0o600, uid: 1000, gid: 7, content: "x".repeat(512) },
          { path: deep, mode: 0o644, uid: 0, gid: 0, content: "grün\n" },
        ],
        Date.UTC(2026, 0, 2, 3, 4),
      ),
    );
    const listed = await runProgram("tar", ["--numeric-owner", "--utc", "-tvf", path], {});
    expect(listed.stderr).toBe("");
    expect(listed.stdout.replaceAll(/ +/g, " ").split("\n")).toEqual([
      "drwx------ 0/0 0 2026-01-02 03:04 root/.ssh/",
      "-rw------- 1000/7 512 2026-01-02 03:04 root/.ssh/authorized_keys",
      `-rw-r--r-- 0/0 6 2026-01-02 03:04 ${deep}`,
      "",
    ]);
    expect((await runProgram("tar", ["-xOf", path, deep], {})).stdout).toBe("grün\n");
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("paths that lead elsewhere, or that the format cannot hold, are refused", () => {
  for (const path of ["/etc/passwd", "../up", "a/../b", "a//b", "", `a\0b`, "x".repeat(101), `${"y".repeat(200)}/z`]) {
    expect(() => makeTarArchive([{ path, mode: 0o644, uid: 0, gid: 0, content: "" }], 0), path).toThrow("into a container");
  }
});
