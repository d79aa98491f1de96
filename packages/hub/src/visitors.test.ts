import { expect, test } from "vitest";
import { MAX_PORT_VISITORS, MAX_VISITORS, Visitors } from "./visitors.ts";

test("strangers who fill the public port leave places for users who logged in", () => {
  const visitors = new Visitors();
  const visitor = () => ({ address: "192.0.2.7", cut: () => {} });
  for (let count = 0; count < MAX_PORT_VISITORS; count += 1) expect(visitors.add(visitor(), MAX_PORT_VISITORS)).toBe(true);
  expect(visitors.add(visitor(), MAX_PORT_VISITORS)).toBe(false);
  for (let count = MAX_PORT_VISITORS; count < MAX_VISITORS; count += 1) expect(visitors.add(visitor())).toBe(true);
  expect(visitors.add(visitor())).toBe(false);
});
