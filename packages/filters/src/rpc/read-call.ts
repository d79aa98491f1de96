import type { Clock } from "@hardshare/runtime";
import { Deadline } from "../http/deadline.ts";
import type { AnswerSink, DeviceRequest } from "../http/device-link.ts";
import { type HeldMemory, holdBody, type NotHeld } from "../http/held-body.ts";
import { readTarget } from "../http/request-target.ts";
import type { ProcedureInput } from "../rules/procedure.ts";
import { BODY_LIMIT_BYTES } from "../rules/request-conditions.ts";

/**
 * Reads a call from the request as it would be written to a device: what was judged, written anew. A body that was not
 * judged, which is so on trial only, is held here. Never settles when the client leaves before it has come.
 */
export async function readCall(
  request: DeviceRequest,
  sink: AnswerSink,
  { memory, clock }: { readonly memory: HeldMemory; readonly clock: Clock },
): Promise<ProcedureInput | NotHeld> {
  const { target, body } = request;
  const read = readTarget(target);
  const path = "problem" in read ? [] : read.path; // it was read before
  if (body === undefined || Buffer.isBuffer(body)) return { target, path, body };
  if (body.expectsContinue) sink.continue();
  using deadline = new Deadline(clock);
  const held = await new Promise<Buffer | NotHeld>((settle) =>
    holdBody(body.stream, { limitBytes: BODY_LIMIT_BYTES, memory, deadline }, settle),
  );
  if (Buffer.isBuffer(held)) return { target, path, body: held };
  ignoreBody(request);
  return held;
}

/** Throws away what still comes of a body that nobody wants, so that the next request can be read. */
export function ignoreBody({ body }: DeviceRequest): void {
  if (body !== undefined && !Buffer.isBuffer(body)) body.stream.ignore();
}
