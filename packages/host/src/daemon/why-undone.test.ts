import { expect, test } from "vitest";
import { whyUndone } from "./why-undone.ts";

const up = { isUp: true, endReason: undefined, deadline: { wallMs: 0, uptimeMs: 0, bootId: "boot" } };
const now = { provider: "podman", problem: undefined, bootId: "boot" } as const;

test("a container that was up, since the computer was started, can be adopted", () => {
  expect(whyUndone(up, now)).toBeUndefined();
});

test("what cannot be adopted says why", () => {
  expect(whyUndone({ ...up, endReason: "user" }, now)).toBe("it was ending (user)");
  expect(whyUndone({ ...up, isUp: false }, now)).toBe("its launch was under way");
  expect(whyUndone(up, { ...now, provider: "proxy" })).toBe("its filter ended with that daemon");
  expect(whyUndone(up, { ...now, bootId: "next" })).toBe("this computer was started again since");
  expect(whyUndone(up, { ...now, problem: "no contract" })).toBe("no contract");
});
