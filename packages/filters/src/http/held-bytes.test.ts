import { expect, test } from "vitest";
import { HeldBytes } from "./held-bytes.ts";

test("bytes that come one by one take up at most twice their size, and are all there", () => {
  const held = new HeldBytes();
  const chunk = Buffer.alloc(1);
  for (let count = 0; count < 100_000; count += 1) {
    chunk[0] = count % 251;
    held.add(chunk);
  }
  expect(held.size).toBe(100_000);
  expect(held.all.every((byte, index) => byte === index % 251)).toBe(true);
  expect(held.all.buffer.byteLength).toBeLessThanOrEqual(200_000);
});

test("nothing is held of what was not added, and a large piece at once takes up its own size", () => {
  const held = new HeldBytes();
  expect(held.all).toHaveLength(0);
  held.add(Buffer.alloc(50_000, "x"));
  expect(held.all.toString()).toBe("x".repeat(50_000));
  expect(held.all.buffer.byteLength).toBe(50_000);
});
