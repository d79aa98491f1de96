import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { ManualClock, silentLogger, systemRandom } from "@hardshare/runtime";
import { borrowCluster } from "@hardshare/testkit/lending";
import { expect, inject, test } from "vitest";
import type { ConnectionParts } from "../connection.ts";
import { EVERYTHING } from "../stores/wake-ups.ts";
import { createTestDatabase } from "../testing.ts";
import { connectDatabase } from "./postgres-database.ts";

const template = await borrowCluster(inject("lender"));

/** A way to PostgreSQL that a test can cut: at once, or as soon as somebody wants to listen. */
async function startBadLine({ host, port }: ConnectionParts) {
  const listening: Socket[] = [];
  let attempts = 0;
  let isBad = false;
  const server = createServer((socket) => {
    const onward = connect(join(host, `.s.PGSQL.${port}`));
    for (const end of [socket, onward]) end.on("error", () => {}).on("close", () => [socket, onward].forEach((each) => each.destroy()));
    socket.on("data", (data) => {
      if (data.includes("listen ")) {
        attempts += 1;
        listening.push(socket);
        if (isBad) return void socket.destroy();
      }
      return void onward.write(data);
    });
    onward.pipe(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    attempts: () => attempts,
    fail(bad: boolean) {
      isBad = bad;
      for (const socket of listening) socket.destroy();
    },
    [Symbol.dispose]: () => void server.close(),
  };
}

/** Stands still, and tells each pause before another attempt to connect. */
class WatchedClock extends ManualClock {
  #onPause: () => void = () => {};
  override after(delayMs: number, run: () => void): Disposable {
    const timer = super.after(delayMs, run);
    if (delayMs < 10_000) this.#onPause();
    return timer;
  }
  nextPause(): Promise<void> {
    return new Promise((resolve) => (this.#onPause = resolve));
  }
}

test("an attempt to connect again that ends in the middle is followed by one other, not by two", async () => {
  await using own = await createTestDatabase(template);
  using line = await startBadLine(own.connection);
  const clock = new WatchedClock();
  const connection = { ...own.connection, host: "127.0.0.1", port: line.port };
  await using database = await connectDatabase({ connection, clock, logger: silentLogger, random: systemRandom });
  const heard: string[] = [];
  let onTopic: () => void = () => {};
  database.wakeUps.listen((topic) => {
    heard.push(topic);
    onTopic();
  });
  const nextTopic = () => new Promise<void>((resolve) => (onTopic = resolve));
  const lost = clock.nextPause();
  line.fail(true);
  await lost;
  const failed = clock.nextPause();
  clock.advance(5000);
  await failed;
  await new Promise((resolve) => setImmediate(resolve)); // all that one loss brings about is done
  line.fail(false);
  const back = nextTopic();
  clock.advance(5000);
  await back;
  const told = nextTopic();
  await own.database.transaction((tx) => own.database.wakeUps.notify(tx, "hub:1"));
  await told;
  expect(heard).toEqual([EVERYTHING, "hub:1"]);
  expect(line.attempts()).toBe(3);
});
