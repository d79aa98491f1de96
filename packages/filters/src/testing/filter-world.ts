import { once } from "node:events";
import { type IncomingMessage, request as httpRequest, type RequestListener } from "node:http";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { type Clock, silentLogger, systemClock } from "@hardshare/runtime";
import type { DeviceAddress } from "../http/device-connection.ts";
import { startHttpFilter } from "../http/http-filter.ts";
import { parseHttpRules } from "../rules/http-rules.ts";
import { fixedRules } from "../rules/live-rules.ts";
import type { Judgement, RunningFilter } from "../run/filter-kind.ts";
import { type RecordingDevice, startRecordingDevice } from "./recording-device.ts";

/** For tests: a filter in front of a recording device. */
export interface FilterWorld extends AsyncDisposable {
  readonly device: RecordingDevice;
  readonly filter: RunningFilter;
  readonly decisions: Judgement[];
}

const ALLOW_ALL = "default: allow";

/**
 * @param rules text of a rules file
 * @param answer what the device does; else it answers every request with its own body
 */
export async function startWorld(rules = ALLOW_ALL, answer?: RequestListener): Promise<FilterWorld> {
  const device = await startRecordingDevice(answer);
  const { filter, decisions } = await startFilter({ host: "127.0.0.1", port: device.port }, rules);
  return {
    device,
    filter,
    decisions,
    async [Symbol.asyncDispose]() {
      await filter[Symbol.asyncDispose]();
      await device[Symbol.asyncDispose]();
    },
  };
}

/** For tests: a filter in front of a device of the test's own. */
export async function startFilter(device: DeviceAddress, rules = ALLOW_ALL, clock: Clock = systemClock) {
  const decisions: Judgement[] = [];
  const filter = await startHttpFilter({
    host: "127.0.0.1",
    port: 0,
    device,
    rules: fixedRules(parseHttpRules(rules, "test.yaml")),
    onDecision: (judgement) => decisions.push(judgement),
    clock,
    logger: silentLogger,
  });
  return { filter, decisions, [Symbol.asyncDispose]: () => filter[Symbol.asyncDispose]() };
}

/** For tests: a request of an ordinary HTTP client; `answered` settles with the head of the answer. */
export function ask(filter: RunningFilter, method: string, path: string, body?: Readable, headers: Record<string, string> = {}) {
  const [host, port] = filter.address.split(":");
  const request = httpRequest({ host, port: Number(port), method, path, headers, agent: false });
  const answered = once(request, "response").then(([answer]) => answer as IncomingMessage);
  const sent = body === undefined ? Promise.resolve(request.end()) : pipeline(body, request);
  return { answered, sent };
}
