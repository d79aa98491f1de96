import { GENERATED, table } from "./markdown.mjs";

/** How parts are called, in the order in which the page has them. */
const HEADINGS = {
  host: "The host computer or its daemon",
  server: "The server",
  hub: "The hub",
  network: "The network",
  robot: "The robot",
};

/**
 * docs/what-happens-when.md
 * @param {readonly import("./failure-tests.mjs").FailureTest[]} tests
 * @param {{ recordedOn: string, recoveredMs: Record<string, number> }} results
 */
export function failuresPage(tests, results) {
  const sections = Object.entries(HEADINGS).flatMap(([component, heading]) => {
    const rows = tests.filter((test) => test.component === component).map((test) => rowOf(test, results.recoveredMs[test.name]));
    if (rows.length === 0) return [];
    return [
      `## ${heading}\n\n${table(["what happens", "what a user sees", "what survives", "time to recover", "at most", "promise"], rows)}`,
    ];
  });
  return `${GENERATED}

# What happens when something dies

Each row is an end-to-end test with real processes, which brings the failure about, checks what the row says, and fails
when recovery takes longer than *at most* (on a machine with more to do than it has processors: as many times longer).
*Time to recover* is what one run measured, ${results.recordedOn};
a run on another machine, or beside other work, has other figures. \`npm run record\` measures them anew.

Not in the table: the host daemon killed at each of its steps. \`packages/host/src/daemon/kill-walk.test.ts\` kills it
before and after every step of a launch, an end and an adoption, and checks that nothing is left.

${sections.join("\n\n")}
`;
}

/** @param {import("./failure-tests.mjs").FailureTest} test @param {number} ms */
function rowOf({ failure, userSees, survives, recovery, withinMs, promise }, ms) {
  return [failure, userSees, survives, `${seconds(ms)}, ${recovery}`, seconds(withinMs), promise];
}

/** @param {number} ms */
function seconds(ms) {
  return `${ms < 10_000 ? (Math.ceil(ms / 100) / 10).toFixed(1) : Math.ceil(ms / 1000)} s`;
}
