import { expect, test } from "vitest";
import { MAX_PORT_VISITORS, MAX_PORT_VISITORS_PER_SOURCE, MAX_VISITORS, Visitors } from "./visitors.ts";

test("strangers who fill the public port leave places for users who logged in", () => {
  const visitors = new Visitors();
  let host = 0;
  const visitor = () => ({ address: `10.0.${(host += 1) >> 8}.${host & 255}`, cut: () => {} });
  for (let count = 0; count < MAX_PORT_VISITORS; count += 1) expect(visitors.addFromPort(visitor())).toBe(true);
  expect(visitors.addFromPort(visitor())).toBe(false);
  for (let count = MAX_PORT_VISITORS; count < MAX_VISITORS; count += 1) expect(visitors.add(visitor())).toBe(true);
  expect(visitors.add(visitor())).toBe(false);
});

test("one stranger can't fill the public port", () => {
  const visitors = new Visitors();
  const visitor = (address: string) => ({ address, cut: () => {} });
  for (let count = 0; count < MAX_PORT_VISITORS_PER_SOURCE; count += 1)
    expect(visitors.addFromPort(visitor(`2001:db8::${count + 1}`))).toBe(true);
  expect(visitors.addFromPort(visitor("2001:db8::ffff"))).toBe(false);
  expect(visitors.addFromPort(visitor("192.0.2.7"))).toBe(true);
});
