import { systemRandom } from "@hardshare/runtime";
import { expect, test } from "vitest";
import { seal, unseal } from "./sealing.ts";

test("what is sealed opens with the same key for the same owner only, and only unchanged", () => {
  const key = systemRandom.bytes(32);
  const sealed = seal(key, "secret ✓", "instance 1", systemRandom);
  expect(Buffer.from(sealed).toString("latin1")).not.toContain("secret");
  expect(unseal(key, sealed, "instance 1")).toBe("secret ✓");
  expect(() => unseal(key, sealed, "instance 2")).toThrow();
  expect(() => unseal(systemRandom.bytes(32), sealed, "instance 1")).toThrow();
  const changed = Uint8Array.from(sealed);
  changed[changed.length - 1] = (changed.at(-1) ?? 0) ^ 1;
  expect(() => unseal(key, changed, "instance 1")).toThrow();
});
