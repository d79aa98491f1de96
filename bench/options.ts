/** The command line of `npm run bench`. */
import { parseArgs } from "node:util";

const OPTIONS = {
  help: { type: "boolean" },
  short: { type: "boolean" },
  long: { type: "boolean" },
  json: { type: "string" },
  profile: { type: "string" },
} as const;

/** @throws TypeError on an option that there is not */
export function readOptions(args: string[]) {
  const { values, positionals } = parseArgs({ args, allowPositionals: true, options: OPTIONS });
  return { options: values, wanted: positionals };
}

/** @param races their ids */
export function describeOptions(races: readonly string[]): string {
  return `npm run bench [-- P1 P6 …] [options]
  --short        fewer repetitions: to see that the races run, not how fast
  --long         P11: an hour
  --json FILE    writes the rows
  --profile DIR  P6, P7, P8, P10, P11: writes DIR/<race>-{hub,host,server,filter}.cpuprofile (for Chrome's or VS Code's profiler)
                 and tells the functions that took most time; the profiled figures are not comparable
races: ${races.join(" ")}
`;
}
