import { MAX_DECISION_SUMMARY_CHARS } from "@hardshare/protocol";

/** A request in short, such as `POST /api/drive/time`. */
export function summarise({ method, target }: { readonly method: string; readonly target: string }): string {
  const text = `${method} ${target}`;
  return text.length > MAX_DECISION_SUMMARY_CHARS ? `${text.slice(0, MAX_DECISION_SUMMARY_CHARS - 1)}…` : text;
}
