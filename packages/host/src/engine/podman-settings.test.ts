import { describe, expect, test } from "vitest";
import { hardLimit, hasCapability, type PodmanFacts } from "./podman-facts.ts";
import { podmanCandidates, renderContainersConf } from "./podman-settings.ts";

const usual: PodmanFacts = {
  podman: "/usr/bin/podman",
  crun: "/usr/bin/crun",
  runc: undefined,
  isRoot: true,
  canRaiseLimits: true,
  maxOpenFiles: 1_048_576,
  maxProcesses: 4_194_304,
  cgroupLayout: "v2",
  fingerprint: "",
};
const first = (changes: Partial<PodmanFacts>) => podmanCandidates({ ...usual, ...changes })[0];

describe("what podman is told", () => {
  test("on a usual machine nothing is forced, so that the owner's own configuration holds", () => {
    expect(podmanCandidates(usual)).toEqual([{}]);
    expect(renderContainersConf({})).toBeUndefined();
  });

  test("with mixed control groups runc is taken, since crun refuses them", () => {
    expect(first({ cgroupLayout: "hybrid", runc: "/usr/sbin/runc" })).toEqual({ runtime: "runc" });
  });

  test("without the right to raise limits they stay as low as this process's own", () => {
    expect(first({ canRaiseLimits: false, maxOpenFiles: 20_000, maxProcesses: 32_768 })).toEqual({
      maxOpenFiles: 20_000,
      maxProcesses: 32_768,
    });
    expect(first({ canRaiseLimits: false, maxOpenFiles: Infinity })).toEqual({});
  });

  test("when the likeliest does not work, lower limits and the other runtime are tried", () => {
    expect(podmanCandidates({ ...usual, runc: "/usr/sbin/runc", maxOpenFiles: 20_000 })).toEqual([
      {},
      { maxOpenFiles: 20_000 },
      { runtime: "runc" },
      { maxOpenFiles: 20_000, runtime: "runc" },
    ]);
  });

  test("without root podman sets limits itself", () => {
    expect(podmanCandidates({ ...usual, isRoot: false, canRaiseLimits: false, maxOpenFiles: 1024 })).toEqual([{}]);
  });

  test("what is missing is named, with the command that installs it", () => {
    expect(() => podmanCandidates({ ...usual, podman: undefined })).toThrow("sudo apt-get install podman");
    expect(() => podmanCandidates({ ...usual, crun: undefined })).toThrow("sudo apt-get install runc");
    expect(() => podmanCandidates({ ...usual, cgroupLayout: "hybrid" })).toThrow("sudo apt-get install runc");
  });

  test("soft and hard limit are written alike, because podman 4.3 exchanges them", () => {
    expect(renderContainersConf({ runtime: "runc", maxOpenFiles: 20_000, maxProcesses: 4096 })).toMatchInlineSnapshot(`
      "# Written by hardshare: what podman needs on this machine. Only hardshare's own podman reads it.
      [containers]
      default_ulimits = ["nofile=20000:20000", "nproc=4096:4096"]

      [engine]
      runtime = "runc"
      "
    `);
  });
});

test("reads capabilities and limits as the kernel writes them", () => {
  expect(hasCapability("Name:\tnode\nCapEff:\t000001fffeffffff\n", 24n)).toBe(false);
  expect(hasCapability("Name:\tnode\nCapEff:\t000001ffffffffff\n", 24n)).toBe(true);
  const limits =
    "Limit                     Soft Limit           Hard Limit           Units\nMax open files            1024                 20000                files\n";
  expect(hardLimit(limits, "Max open files")).toBe(20_000);
  expect(hardLimit("Max processes             unlimited            unlimited            processes\n", "Max processes")).toBe(Infinity);
});
