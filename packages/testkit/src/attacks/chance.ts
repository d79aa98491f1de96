/** Chance that can be had again: all of it is drawn from a number. */
export interface Chance {
  readonly draw: <Value>(values: readonly Value[]) => Value;
  /** A whole number from 0 to less than `count`. */
  readonly below: (count: number) => number;
  readonly happens: (chance: number) => boolean;
}

/** The same for the same number. */
export function makeChance(seed: number): Chance {
  const next = makeRandom(seed);
  const below = (count: number) => Math.floor(next() * count);
  return { draw: (values) => values[below(values.length)] as never, below, happens: (chance) => next() < chance };
}

/** The generator mulberry32. */
function makeRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
