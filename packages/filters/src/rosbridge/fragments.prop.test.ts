import fc from "fast-check";
import { expect, test } from "vitest";
import { Fragments } from "./fragments.ts";

const LIMIT = 1000;

test("a message that was cut anywhere and came in any order is joined as it was", () => {
  fc.assert(
    fc.property(
      fc.string({ maxLength: 200 }),
      fc.array(fc.nat(200), { maxLength: 8 }),
      fc.infiniteStream(fc.nat()),
      (text, cuts, order) => {
        const places = [0, ...cuts.map((cut) => cut % (text.length + 1)).toSorted((a, b) => a - b), text.length];
        const pieces = places.slice(1).map((end, num) => ({ num, data: text.slice(places[num], end) }));
        const shuffled = pieces.map((piece) => ({ piece, rank: order.next().value })).toSorted((a, b) => a.rank - b.rank);
        const fragments = new Fragments(LIMIT);
        const told = shuffled.map(({ piece }) => fragments.add({ op: "fragment", id: "a", total: pieces.length, ...piece }));
        expect(told.slice(0, -1)).toEqual(told.slice(0, -1).map(() => undefined));
        expect(told.at(-1)).toEqual({ text });
      },
    ),
  );
});

test("whatever comes, no more is held than the limit, and what is told whole never exceeds it", () => {
  const fragment = fc.record({
    op: fc.constant("fragment"),
    id: fc.oneof(fc.constantFrom("a", "b", 1), fc.string({ maxLength: 3 })),
    num: fc.oneof(fc.nat(4), fc.integer()),
    total: fc.oneof(fc.integer({ min: 1, max: 4 }), fc.integer()),
    data: fc.string({ maxLength: 400 }),
  });
  fc.assert(
    fc.property(fc.array(fragment, { maxLength: 60 }), (all) => {
      const fragments = new Fragments(LIMIT);
      for (const each of all) {
        const told = fragments.add(each);
        if (told !== undefined && "text" in told) expect(told.text.length).toBeLessThanOrEqual(LIMIT);
      }
    }),
  );
});

test("a message that was given up does not keep later ones from being joined", () => {
  const fragments = new Fragments(LIMIT);
  const piece = { op: "fragment", total: 2, data: "x".repeat(480) };
  expect(fragments.add({ ...piece, id: "given up", num: 0 })).toBeUndefined();
  expect(fragments.add({ ...piece, id: "next", num: 0 })).toBeUndefined();
  expect(fragments.add({ ...piece, id: "next", num: 1 })).toEqual({ text: "x".repeat(960) });
  expect(fragments.add({ ...piece, id: "large", num: 0, data: "x".repeat(LIMIT + 1) })).toHaveProperty("problem");
});

test("empty fragments are not held without bound either", () => {
  const fragments = new Fragments(LIMIT);
  const send = (id: string, num: number) => fragments.add({ op: "fragment", id, num, total: 10_000, data: "" });
  for (const id of ["a", "b"]) for (let num = 0; num < 6000; num += 1) expect(send(id, num)).toBeUndefined();
  expect(send("b", 0)).toHaveProperty("problem"); // it is held
  expect(send("a", 0)).toBeUndefined(); // it was forgotten
});
