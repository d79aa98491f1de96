import { expect, test } from "vitest";
import { PeerWatch } from "./peer-watch.ts";

/** Time that passes when told to. */
class Time {
  #now = 0;
  #timers: { at: number; run: () => void }[] = [];

  monotonicMs(): number {
    return this.#now;
  }

  after(delayMs: number, run: () => void): Disposable {
    const timer = { at: this.#now + delayMs, run };
    this.#timers.push(timer);
    return { [Symbol.dispose]: () => void (this.#timers = this.#timers.filter((other) => other !== timer)) };
  }

  advance(ms: number): void {
    const end = this.#now + ms;
    for (;;) {
      const due = this.#timers.filter((timer) => timer.at <= end).sort((a, b) => a.at - b.at)[0];
      if (due === undefined) break;
      this.#timers = this.#timers.filter((timer) => timer !== due);
      this.#now = Math.max(this.#now, due.at);
      due.run();
    }
    this.#now = end;
  }

  /** The process is stopped for a while: nothing runs, then what is due does, late. */
  stop(ms: number): void {
    this.#now += ms;
    this.advance(0);
  }
}

interface End {
  watch: PeerWatch;
  pings: number;
  /** When and why it took the other for gone. */
  gone: { atMs: number; reason: string } | undefined;
  /** Counted by the socket. */
  bytes: number;
  isPaused: boolean;
  hear(): void;
}

/** One end; `send` gets its pings. */
function makeEnd(time: Time, role: "asks" | "answers", send: () => void): End {
  const end: End = {
    pings: 0,
    gone: undefined,
    bytes: 0,
    isPaused: false,
    hear() {
      end.bytes += 1;
      end.watch.noteHeard();
      end.watch.notePing();
    },
    watch: new PeerWatch({
      role,
      clock: time,
      line: {
        bytesRead: () => end.bytes,
        isPaused: () => end.isPaused,
        ping() {
          end.pings += 1;
          end.watch.noteSaid();
          send();
        },
        gone(reason) {
          end.gone = { atMs: time.monotonicMs(), reason };
          end.watch[Symbol.dispose]();
        },
      },
    }),
  };
  return end;
}

/** A host and its server, `delayMs` apart, until the cable is pulled. */
function makeLine(delayMs: number) {
  const time = new Time();
  const line = { time, delayMs, isPulled: false };
  const carry = (to: () => End) => () => {
    time.after(line.delayMs, () => line.isPulled || to().hear());
  };
  const host: End = makeEnd(
    time,
    "asks",
    carry(() => server),
  );
  const server: End = makeEnd(
    time,
    "answers",
    carry(() => host),
  );
  return { ...line, line, host, server };
}

test("on a calm line one side asks each 1.5 s, the other answers, and that is all", () => {
  const { time, host, server } = makeLine(100);
  time.advance(60_000);
  expect(host.pings).toBe(40);
  expect(server.pings).toBe(40 - 1); // the last one is on its way
  expect([host.gone, server.gone]).toEqual([undefined, undefined]);
});

test("a cable that is pulled shows at the server within 3.4 s, at the median within 3, and then at the host (P15)", () => {
  const delays: number[] = [];
  for (let phase = 0; phase < 1500; phase += 50) {
    const { time, line, host, server } = makeLine(30);
    time.advance(20_000 + phase);
    line.isPulled = true;
    const pulledAt = time.monotonicMs();
    time.advance(5000);
    expect(host.gone?.atMs).toBeLessThan(pulledAt + 4400);
    expect(server.gone?.reason).toBe("heard nothing for 3.2 s");
    delays.push((server.gone?.atMs ?? Number.POSITIVE_INFINITY) - pulledAt);
  }
  delays.sort((a, b) => a - b);
  expect(delays[delays.length / 2]).toBeLessThan(3000);
  expect(delays.at(-1)).toBeLessThan(3400);
});

test("on a line that answers slowly both are more patient, within 5 s all the same, until it has been calm for 15 s", () => {
  const { time, line, host, server } = makeLine(250);
  time.advance(20_000);
  const before = host.pings;
  time.advance(30_000);
  expect(host.pings - before).toBe(60); // one each 0.5 s
  line.delayMs = 20;
  time.advance(18_000);
  const calm = host.pings;
  time.advance(30_000);
  expect(host.pings - calm).toBe(20);
  line.delayMs = 250;
  time.advance(10_000);
  line.isPulled = true;
  time.advance(4000);
  expect(server.gone).toBeUndefined();
  time.advance(1000);
  expect(server.gone?.reason).toBe("heard nothing for 4.2 s");
});

test("a loss that TCP makes good within 2.5 s is no alarm, and what it held up is answered once", () => {
  const { time, line, host, server } = makeLine(50);
  time.advance(30_060); // the server has just heard
  line.isPulled = true;
  const asked = host.pings;
  time.advance(2500);
  line.isPulled = false;
  const answered = server.pings;
  for (let held = host.pings - asked; held > 0; held -= 1) server.hear();
  expect(server.pings - answered).toBe(1);
  time.advance(60_000);
  expect([host.gone, server.gone]).toEqual([undefined, undefined]);
});

test.each(["asks", "answers"] as const)(
  "a peer of the first version, which pings each 1.5 s and answers nothing, and a side that %s suit each other",
  (role) => {
    const time = new Time();
    let saidAtMs = 0;
    let longestSilenceMs = 0;
    const end = makeEnd(time, role, () => {
      longestSilenceMs = Math.max(longestSilenceMs, time.monotonicMs() - saidAtMs);
      saidAtMs = time.monotonicMs();
    });
    for (let count = 0; count < 40; count += 1) {
      time.advance(1500);
      end.hear();
    }
    expect(end.gone).toBeUndefined();
    expect(longestSilenceMs).toBeLessThan(2100); // of the 4.5 s that it takes
  },
);

test("a side that hears much but no question says that it is there", () => {
  const time = new Time();
  const server = makeEnd(time, "answers", () => {});
  for (let count = 0; count < 20; count += 1) {
    time.advance(500);
    server.watch.noteHeard();
  }
  expect(server.pings).toBe(5);
});

test.each(["asks", "answers"] as const)(
  "a process that was stopped and %s reads what waits before it takes anybody for gone, or the line for rough",
  (role) => {
    const time = new Time();
    const end = makeEnd(time, role, () => {});
    for (let count = 0; count < 20; count += 1) {
      time.advance(1510); // an asking side has just asked
      time.stop(60_000);
      end.hear();
    }
    const before = end.pings;
    time.advance(1400);
    expect(end.pings - before).toBeLessThanOrEqual(1);
    expect(end.gone).toBeUndefined();
    time.advance(3000);
    expect(end.gone).toBeDefined();
  },
);

test("a peer in the midst of a long message is there, and while we don't listen ourselves nobody is gone", () => {
  const time = new Time();
  const server = makeEnd(time, "answers", () => {});
  for (let second = 0; second < 60; second += 1) {
    time.advance(1000);
    server.bytes += 1;
  }
  server.isPaused = true;
  time.advance(60_000);
  expect(server.gone).toBeUndefined();
  server.isPaused = false;
  server.watch.noteHeard();
  time.advance(3000);
  expect(server.gone).toBeUndefined();
  time.advance(400);
  expect(server.gone).toBeDefined();
});
