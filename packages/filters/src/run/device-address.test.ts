import { expect, test } from "vitest";
import { parseTarget } from "./device-address.ts";

test.each([
  ["robot:80", { host: "robot", port: 80 }],
  ["[::1]:8080", { host: "::1", port: 8080 }],
])("the target %s is read", (target, address) => {
  expect(parseTarget(target)).toEqual(address);
});

test.each(["robot", "robot:0", "robot:65536", "http://robot:80", "::1:80", ":80", ""])("the target %j is refused", (target) => {
  expect(() => parseTarget(target)).toThrow(expect.objectContaining({ code: "bad_input", details: { field: "target" } }));
});
