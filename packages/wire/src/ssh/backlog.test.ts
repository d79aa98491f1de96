import { expect, test } from "vitest";
import { Backlog } from "./backlog.ts";

test("bytes come out in the order in which they went in, whatever the sizes", () => {
  const backlog = new Backlog();
  const sizes = [1, 20_000, 3, 16_384, 16_383, 40_000, 5];
  const expected = Buffer.concat(sizes.map((size, index) => Buffer.alloc(size, index)));
  sizes.forEach((size, index) => backlog.add(Buffer.alloc(size, index)));
  expect(backlog.length).toBe(expected.length);
  const taken: Buffer[] = [];
  for (let chunk = backlog.take(); chunk !== undefined; chunk = backlog.take()) taken.push(chunk);
  expect(Buffer.concat(taken).equals(expected)).toBe(true);
  expect(backlog.length).toBe(0);
});

test("single bytes share buffers", () => {
  const backlog = new Backlog();
  for (let count = 0; count < 100_000; count += 1) backlog.add(Buffer.of(1));
  let buffers = 0;
  while (backlog.take() !== undefined) buffers += 1;
  expect(buffers).toBe(7);
});
