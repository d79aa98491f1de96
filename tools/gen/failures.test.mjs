import { expect, test } from "vitest";
import { compareWithResults, parseFailureTests } from "./failure-tests.mjs";
import { failuresPage } from "./failures-page.mjs";

const SOURCE = `
testFailure(
  {
    component: "hub",
    failure: "killed",
    userSees: "connections break",
    survives: "instances",
    promise: "G9",
    recovery: "from its start until it is reached",
    withinMs: 5000,
  },
  async () => {},
);
`;

test("the page has a row for each test of a failure, with what was measured", () => {
  const page = failuresPage(parseFailureTests("e2e/x.test.ts", SOURCE), { recordedOn: "on a day", recoveredMs: { "hub: killed": 1234 } });
  expect(page).toContain("| killed | connections break | instances | 1.3 s, from its start until it is reached | 5.0 s | G9 |");
});

test("a row that is not written out in the test's source is an error that names the field", () => {
  expect(() => parseFailureTests("e2e/x.test.ts", SOURCE.replace('"killed"', "`killed ${how}`"))).toThrow(
    "e2e/x.test.ts: a call of testFailure has no literal failure",
  );
});

test("a test without results, and results without a test, are named", () => {
  const tests = parseFailureTests("e2e/x.test.ts", SOURCE);
  expect(compareWithResults(tests, { "hub: killed": 1 })).toEqual([]);
  expect(compareWithResults(tests, { "hub: burnt": 1 })).toEqual([
    'e2e/x.test.ts: "hub: killed" was never recorded',
    'e2e/failures.json: "hub: burnt" has no test any more',
  ]);
  expect(compareWithResults([...tests, ...tests], { "hub: killed": 1 })).toEqual([
    'e2e/x.test.ts: another test declares "hub: killed" too',
  ]);
});
