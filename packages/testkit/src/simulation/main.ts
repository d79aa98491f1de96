/** `npm run simulate -- SEED [--messages]`: one simulation with all that happened in it; `SEED-SEED`: all of these, with what went wrong. */
import { simulate } from "./simulate.ts";

const [from, to] = (process.argv[2] ?? "1").split("-").map(Number) as [number, number?];
if (to === undefined) {
  const result = await simulate(from, { hasMessages: process.argv.includes("--messages") });
  process.stdout.write(`${result.trace.lines.join("\n")}\n`);
  process.stdout.write(
    `\nseed ${from}: ${result.kinds.join(", ")}; ${result.faults} faults, ${result.launches} launches, ${result.deeds} deeds\n`,
  );
  for (const problem of result.problems) process.stdout.write(`PROBLEM ${problem}\n`);
  process.exitCode = result.problems.length > 0 ? 1 : 0;
} else {
  let [failed, launches, faults] = [0, 0, 0];
  for (let seed = from; seed <= to; seed += 1) {
    const result = await simulate(seed);
    launches += result.launches;
    faults += result.faults;
    if (result.problems.length === 0) continue;
    failed += 1;
    process.stdout.write(`seed ${seed} (${result.kinds.join(", ")}):\n${result.problems.map((problem) => `  ${problem}\n`).join("")}`);
  }
  process.stdout.write(`${to - from + 1} seeds, ${failed} failed; ${faults} faults, ${launches} launches\n`);
  process.exitCode = failed > 0 ? 1 : 0;
}
