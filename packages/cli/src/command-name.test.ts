import { expect, test } from "vitest";
import { commandNameOf, withCommandName } from "./command-name.ts";

test("an installed command is typed by its name, that of a checkout through npx", () => {
  expect(commandNameOf("/usr/local/bin/hardshare")).toBe("hardshare");
  expect(commandNameOf("/src/hardshare/node_modules/.bin/hardshare")).toBe("npx hardshare");
  expect(commandNameOf("/src/hardshare/packages/cli/bin/hardshare.js")).toBe("npx hardshare");
});

test("commands in messages are written as they are typed", () => {
  expect(withCommandName("run `hardshare init` or `hardshare ad`", "npx hardshare")).toBe("run `npx hardshare init` or `npx hardshare ad`");
});
