import { EVERYTHING, type WakeUps } from "@hardshare/db";
import { expect, test } from "vitest";
import { Refresher } from "./refresher.ts";
import { WakeUpRouter } from "./wake-up-router.ts";

test("after lost wake-ups everybody looks, but only a few at a time", async () => {
  let wake: (topic: string) => void = () => {};
  const wakeUps: WakeUps = {
    notify: async () => {},
    listen(onTopic) {
      wake = onTopic;
      return { [Symbol.dispose]: () => {} };
    },
  };
  using router = new WakeUpRouter(wakeUps);
  let [running, most, failures] = [0, 0, 0];
  const looked = Array.from({ length: 3000 }, (_, index) => {
    return new Promise<void>((resolve) => {
      const look = async () => {
        most = Math.max(most, ++running);
        await new Promise((done) => setImmediate(done));
        running -= 1;
        resolve();
        if (index % 2 === 0) throw new Error("store gone");
      };
      const refresher = new Refresher(
        () => router.look(look),
        () => (failures += 1),
      );
      router.subscribe(`host:${index}`, () => refresher.request(null));
    });
  });
  wake(EVERYTHING);
  await Promise.all(looked);
  await new Promise((done) => setImmediate(done));
  expect({ most, running, failures }).toEqual({ most: 8, running: 0, failures: 1500 });
});
