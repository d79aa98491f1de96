import { ERROR_CATALOGUE } from "@hardshare/protocol";
import { code, GENERATED, table } from "./markdown.mjs";

/** docs/reference/errors.md */
export function errorsPage() {
  const rows = Object.entries(ERROR_CATALOGUE).map(([name, { httpStatus, exitCode, isRetryable, meaning }]) => [
    code(name),
    String(httpStatus),
    String(exitCode),
    isRetryable ? "yes" : "no",
    meaning,
  ]);
  return `${GENERATED}

# Errors

Every failure has one code. The HTTP API answers with its status and a JSON body that has the code and a message; the
command line writes the message to standard error and ends with its exit code. *Retry*: the same call may succeed later
without any change.

${table(["code", "HTTP", "exit", "retry", "what it means"], rows)}

Exit codes: 0 done, 1 error, 2 usage, 3 busy, 4 not used, 5 denied, 6 host offline, 7 refused by a filter. \`hardshare ssh\`
ends with the remote command's code, and with 255 for any failure of its own.
`;
}
