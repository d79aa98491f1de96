import fc from "fast-check";

/**
 * How long properties (`*.prop.test.ts`) are tried: 200 random cases each and at most 1.5 s, the same each time, so that
 * what fails is the change's; with HARDSHARE_LONG 15 s each, and others each time. One that fails prints its seed and
 * path, and `FUZZ_SEED=… FUZZ_PATH=…` runs that very case again.
 */
const { HARDSHARE_LONG, FUZZ_SEED, FUZZ_PATH } = process.env;
const isLong = HARDSHARE_LONG !== undefined;
const seed = FUZZ_SEED ?? (isLong ? undefined : "42");

fc.configureGlobal({
  numRuns: isLong ? 100_000 : 200,
  interruptAfterTimeLimit: isLong ? 15_000 : 1500,
  ...(seed === undefined ? {} : { seed: Number(seed) }),
  ...(FUZZ_PATH === undefined ? {} : { path: FUZZ_PATH }),
});
