import fc from "fast-check";

/**
 * How long properties (`*.prop.test.ts`) are tried: 200 random cases each and at most 1.5 s, or 15 s each with HARDSHARE_LONG.
 * One that fails prints its seed and path, and `FUZZ_SEED=… FUZZ_PATH=…` runs that very case again.
 */
const { HARDSHARE_LONG, FUZZ_SEED, FUZZ_PATH } = process.env;
const isLong = HARDSHARE_LONG !== undefined;

fc.configureGlobal({
  numRuns: isLong ? 100_000 : 200,
  interruptAfterTimeLimit: isLong ? 15_000 : 1500,
  ...(FUZZ_SEED === undefined ? {} : { seed: Number(FUZZ_SEED) }),
  ...(FUZZ_PATH === undefined ? {} : { path: FUZZ_PATH }),
});
