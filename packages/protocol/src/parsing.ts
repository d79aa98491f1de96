import type * as z from "zod";
import { AppError, type ErrorCode } from "./errors.ts";

/** A schema of this package, for those who pass one on without knowing the library behind it. */
export type Schema = z.ZodType;
/** What a schema makes of what it accepts. */
export type Parsed<S extends Schema> = z.output<S>;

/**
 * Checks untrusted data against a schema.
 * @param what names the data in the message, e.g. `request body` or a file name
 * @throws AppError (`bad_input` unless told otherwise) that names each wrong field and what was expected
 */
export function parseWith<Schema extends z.ZodType>(
  schema: Schema,
  data: unknown,
  what: string,
  code: ErrorCode = "bad_input",
): z.output<Schema> {
  const result = schema.safeParse(data);
  if (result.success) return result.data;
  const problems = result.error.issues.map((issue) => {
    const field = issue.path.map(String).join(".");
    return { field, expected: issue.message };
  });
  const text = problems.map((problem) => (problem.field ? `${problem.field}: ${problem.expected}` : problem.expected)).join("; ");
  throw new AppError(code, `${what}: ${text}`, {
    details: { problems, ...(problems[0]?.field ? { field: problems[0].field } : {}) },
    cause: result.error,
  });
}
