import { PassThrough } from "node:stream";
import { AppError } from "@hardshare/protocol";
import { expect, test } from "vitest";
import { tellFailure } from "./failure.ts";

function told(error: unknown): string {
  const stderr = new PassThrough();
  tellFailure(error, stderr, { commandName: "npx hardshare", isJson: false, isVerbose: false });
  return String(stderr.read());
}

test("a full disk is told with what to do", () => {
  const error = Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" });
  expect(told(error)).toBe("hardshare: ENOSPC: no space left on device, write; the disk is full: free some space, then try again\n");
});

test("when ending what was in use fails too, the first failure is told", async () => {
  const fail = async () => {
    await using _used = { [Symbol.asyncDispose]: () => Promise.reject(new Error("cannot be closed")) };
    throw new AppError("store_unavailable", "the disk is full");
  };
  expect(told(await fail().catch((error: unknown) => error))).toBe("hardshare: the disk is full\n");
});

test("a locked deployment is told with its reason and who locked it", () => {
  const error = new AppError("locked_out", "workspace deployment is locked out (unavailable), please contact us ", {
    details: { reason: "arm is loose", actor: "olga" },
  });
  expect(told(error)).toBe(
    "hardshare: the deployment is locked out by olga: arm is loose; its owner lifts that with `npx hardshare unlock`\n",
  );
});
