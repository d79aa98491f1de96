import { PassThrough } from "node:stream";
import { HardshareClient, type Transport } from "@hardshare/client";
import { expect, test } from "vitest";
import { Output } from "../output/output.ts";
import { followUntilEnded, followUntilReady } from "./follow.ts";

const id = "a0000000-0000-4000-8000-000000000002";

/** A client of a server that tells these events and then nothing more; and what a person sees. */
function world(events: readonly (readonly [kind: string, data: Record<string, unknown>])[]) {
  const text = events.map(
    ([kind, data], index) => `data: ${JSON.stringify({ id: index + 1, at: "2026-01-01T00:00:00Z", kind, data })}\n\n`,
  );
  const transport: Transport = async (_target, { signal }) => {
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        for (const event of text) controller.enqueue(new TextEncoder().encode(event));
        signal?.addEventListener("abort", () => controller.error(new Error("aborted")), { once: true });
      },
    });
    return { status: 200, headers: new Headers(), body };
  };
  const stderr = new PassThrough();
  return {
    client: new HardshareClient({ url: "http://server", token: "x.y.z", transport }),
    output: new Output({ stdout: new PassThrough(), stderr, format: "table", commandName: "hardshare", hasColours: false }),
    seen: () => String(stderr.read() ?? ""),
  };
}
const never = new AbortController().signal;

test("waiting for READY shows the timeline and ends with READY", async () => {
  const { client, output, seen } = world([
    ["state", { state: "INIT" }],
    ["step", { step: "container", phase: "done", ms: 80 }],
    ["state", { state: "READY" }],
  ]);
  await followUntilReady(client, id, { output, signal: never });
  expect(seen()).toBe("INIT\n  ✓ container  80 ms\nREADY\n");
});

test("a launch that fails names the step and its last lines", async () => {
  const { client, output } = world([
    ["state", { state: "INIT" }],
    ["log", { step: "init 1", text: Array.from({ length: 30 }, (_, line) => `line ${line + 1}`).join("\n") }],
    ["step", { step: "init 1", phase: "failed", log: "arm is stuck" }],
    ["step", { step: "container", phase: "undone" }],
    ["state", { state: "INIT_FAIL", reason: "init_failed", step: "init 1" }],
  ]);
  const failure = followUntilReady(client, id, { output, signal: never });
  await expect(failure).rejects.toMatchObject({
    code: "launch_failed",
    exitCode: 1,
    message: expect.stringMatching(
      /^the launch failed in step "init 1":\n {4}line 12\n[^]*line 30\n {4}arm is stuck\n\(see `hardshare info /,
    ) as string,
    details: { step: "init 1" },
  });
});

test("an instance that ends otherwise before READY is told so", async () => {
  const { client, output } = world([
    ["state", { state: "TERMINATING", reason: "owner" }],
    ["state", { state: "TERMINATED" }],
  ]);
  await expect(followUntilReady(client, id, { output, signal: never })).rejects.toMatchObject({ code: "wrong_state" });
});

test("waiting for the end shows what happens from then on, not the whole past", async () => {
  const { client, output, seen } = world([
    ["state", { state: "INIT" }],
    ["state", { state: "READY" }],
    ["state", { state: "TERMINATING", reason: "user" }],
    ["state", { state: "TERMINATED" }],
  ]);
  expect(await followUntilEnded(client, id, { output, signal: never, from: "TERMINATING" })).toBe("TERMINATED");
  expect(seen()).toBe("TERMINATING (user)\nTERMINATED\n");
});

test("whoever waits can be interrupted", async () => {
  const { client, output } = world([["state", { state: "INIT" }]]);
  const interruption = new AbortController();
  const waiting = followUntilReady(client, id, { output, signal: interruption.signal });
  setImmediate(() => interruption.abort());
  await expect(waiting).rejects.toMatchObject({ code: "cancelled" });
});
