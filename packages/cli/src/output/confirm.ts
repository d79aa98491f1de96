import { once } from "node:events";
import { createInterface } from "node:readline";
import { AppError } from "@hardshare/protocol";
import type { Invocation } from "../context.ts";

/**
 * Asks on standard error, and reads one line from standard input: from a person, or from a pipe.
 * @throws AppError `cancelled` unless the answer is yes, also when there is none
 */
export async function confirm({ context, output }: Invocation, question: string): Promise<void> {
  output.progress(`${question} [y/N]`);
  const lines = createInterface({ input: context.stdin });
  const line = once(lines, "line", { signal: context.interrupted }).then(([text]) => String(text));
  const end = once(lines, "close").then(() => "");
  const answer = await Promise.race([line, end]).catch(() => "");
  line.catch(() => {}); // it may be aborted after the end
  lines.close();
  if (/^(?:y|yes)$/i.test(answer.trim())) return;
  throw new AppError("cancelled", "nothing was changed, because the answer was not yes (`--yes` answers in advance)");
}
