import type { BodyCondition } from "../rules/request-conditions.ts";
import type { StrictRequest } from "./strict-request.ts";

/** Kinds of bodies that clients give to JSON: the last is what `curl -d` says of everything. */
const JSON_LIKE = /^(?:application\/(?:[\w.-]+\+)?json|text\/plain|text\/json|application\/x-www-form-urlencoded)$/;

/** Why a body that is to be judged as JSON, or as text, could be read as something else by the device. */
export function findOtherReading({ contentType, contentEncoding }: StrictRequest, { isText }: BodyCondition): string | undefined {
  if (contentEncoding !== undefined && contentEncoding !== "identity")
    return "expected a body that is not compressed, because it is judged";
  if (contentType === undefined || isText === true) return undefined;
  const [kind = "", ...parameters] = contentType.split(";").map((part) => part.trim());
  if (!JSON_LIKE.test(kind)) return `expected a JSON body, not ${kind}`;
  const charset = parameters.find((parameter) => parameter.startsWith("charset"));
  return charset === undefined || /^charset="?(?:utf-?8|us-ascii)"?$/.test(charset)
    ? undefined
    : "expected a body in UTF-8, because it is judged";
}

/** The headers that go with a body that was written anew. */
export function describeJudgedBody(headers: readonly string[]): string[] {
  const kept = headers.filter((_text, index) => !/^content-(?:type|encoding|md5|digest)$/i.test(headers[index - (index % 2)] ?? ""));
  return [...kept, "Content-Type", "application/json"];
}
