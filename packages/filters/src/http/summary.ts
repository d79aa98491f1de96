import type { IncomingMessage } from "node:http";
import { MAX_DECISION_SUMMARY_CHARS } from "@hardshare/protocol";

/** A request in short, such as `POST /api/drive/time`. */
export function summarise({ method, url }: IncomingMessage): string {
  const text = `${method ?? ""} ${url ?? ""}`;
  return text.length > MAX_DECISION_SUMMARY_CHARS ? `${text.slice(0, MAX_DECISION_SUMMARY_CHARS - 1)}…` : text;
}
