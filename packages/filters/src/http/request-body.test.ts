import { expect, test } from "vitest";
import { PART_BYTES, RequestBody } from "./request-body.ts";

/** A body that writes down how much it holds, and a taker that writes down what it got. */
function makeBody() {
  const events: string[] = [];
  let heldBytes = 0;
  const body = new RequestBody((changeBytes) => (heldBytes += changeBytes));
  const taker = {
    take: (bytes: Buffer) => void events.push(bytes.toString()),
    end: () => void events.push("end"),
    leave: () => void events.push("leave"),
  };
  return { body, taker, events, readHeld: () => heldBytes };
}

test("what comes before somebody takes it is held, then given in order", () => {
  const { body, taker, events, readHeld } = makeBody();
  body.push(Buffer.from("a"));
  body.push(Buffer.from("bc"));
  expect(readHeld()).toBe(3 + 2 * PART_BYTES); // also for parts of a byte memory is bounded
  body.start(taker);
  body.push(Buffer.from("d"));
  body.complete();
  expect(events).toEqual(["a", "bc", "d", "end"]);
  expect(readHeld()).toBe(0);
});

test("while it is paused all is held, its end too", () => {
  const { body, taker, events, readHeld } = makeBody();
  body.start({ ...taker, take: (bytes) => (taker.take(bytes), body.pause()) });
  for (const text of ["a", "b", "c"]) body.push(Buffer.from(text));
  body.complete();
  expect([events, readHeld()]).toEqual([["a"], 2 + 2 * PART_BYTES]);
  body.resume();
  body.resume();
  expect(events).toEqual(["a", "b", "c"]);
  body.resume();
  expect(events.at(-1)).toBe("end");
});

test("what was put back comes first for the next who takes it", () => {
  const { body, taker, events } = makeBody();
  body.push(Buffer.from("b"));
  body.start({
    ...taker,
    take(bytes) {
      body.stop();
      body.putBack(bytes);
      body.putBack(Buffer.from("a"));
    },
  });
  body.complete();
  expect(events).toEqual([]);
  body.start(taker);
  expect(events).toEqual(["a", "b", "end"]);
});

test("when its client leaves nothing is held any more, and its taker is told", () => {
  const { body, taker, events, readHeld } = makeBody();
  body.start(taker);
  body.pause();
  body.push(Buffer.from("a"));
  body.ignore();
  body.push(Buffer.from("b"));
  body.complete();
  body.ignore();
  expect([events, readHeld()]).toEqual([["leave"], 0]);
});
