import { once } from "node:events";
import { type IncomingMessage, request as httpRequest, type RequestListener } from "node:http";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { type Clock, silentLogger, systemClock } from "@hardshare/runtime";
import type { DeviceAddress } from "../run/device-address.ts";
import { startHttpFilter } from "../http/http-filter.ts";
import { type CompiledHttpRules, parseHttpRules } from "../rules/http-rules.ts";
import { openBudgetBook } from "../rules/budget-book.ts";
import { LimitKeeper } from "../rules/limits.ts";
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
export function startFilter(device: DeviceAddress, rules = ALLOW_ALL, clock: Clock = systemClock) {
  return startLiveFilter(device, parseHttpRules(rules, "test.yaml", makeLimits(clock)), clock);
}

/** For tests: such a filter, whose rules can be replaced. */
export async function startLiveFilter(device: DeviceAddress, rules: CompiledHttpRules, clock: Clock = systemClock) {
  const decisions: Judgement[] = [];
  const live = { current: rules, reload: async () => {} };
  const filter = await startHttpFilter({
    host: "127.0.0.1",
    port: 0,
    device,
    rules: live,
    onDecision: (judgement) => decisions.push(judgement),
    clock,
    logger: silentLogger,
  });
  const setRules = (next: CompiledHttpRules) => void (live.current = next);
  return { filter, decisions, setRules, [Symbol.asyncDispose]: () => filter[Symbol.asyncDispose]() };
}

/** For tests: limits that no earlier process used anything of. */
export function makeLimits(clock: Clock = systemClock): LimitKeeper {
  return new LimitKeeper({ clock, book: openBudgetBook({ file: undefined, clock }) });
}

/** For tests: a request of an ordinary HTTP client; `answered` settles with the head of the answer. */
export function ask(filter: RunningFilter, method: string, path: string, body?: Readable, headers: Record<string, string> = {}) {
  const [host, port] = filter.address.split(":");
  const request = httpRequest({ host, port: Number(port), method, path, headers, agent: false });
  const answered = once(request, "response").then(([answer]) => answer as IncomingMessage);
  const sent = body === undefined ? Promise.resolve(request.end()) : pipeline(body, request);
  return { answered, sent };
}
