import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { mqttFilterKind } from "./mqtt-filter-kind.ts";

const folder = mkdtempSync(join(tmpdir(), "hardshare-mqtt-"));
afterAll(() => rmSync(folder, { recursive: true }));

test.each([
  ["empty", ""],
  ["without a first line", "\nsecret"],
  ["too long", "x".repeat(65_536)],
])("a password file that is %s is refused before a client comes", (_how, text) => {
  const passwordFile = join(folder, "password");
  writeFileSync(passwordFile, text);
  expect(() => mqttFilterKind({ target: "a:1", username: "owner", passwordFile })).toThrow(/on the first line of .*password/);
});

test("a password needs a user name, and its file has to be there", () => {
  const passwordFile = join(folder, "none");
  expect(() => mqttFilterKind({ target: "a:1", passwordFile })).toThrow(/--username/);
  expect(() => mqttFilterKind({ target: "a:1", username: "owner", passwordFile })).toThrow(/cannot read the password file/);
});
