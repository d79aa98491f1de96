import { expect, test } from "vitest";
import { readTarget } from "./request-target.ts";

test.each([
  ["/", [""]],
  ["/a", ["a"]],
  ["/a/b/", ["a", "b", ""]],
  ["/a?b=c/../d//e%2e", ["a"]],
  ["/caf%C3%A9/a%20b", ["café", "a b"]],
  ["/a;v=1/b@c:d", ["a;v=1", "b@c:d"]],
  ["/...", ["..."]],
])("the target %j is read as the path %j", (target, path) => {
  expect(readTarget(target)).toEqual({ path });
});

test.each([
  ["http://robot/a", "must be a path"],
  ["*", "must be a path"],
  ["robot:80", "must be a path"],
  ["", "must be a path"],
  ["//a", "empty segment"],
  ["/a//b", "empty segment"],
  ["/a/.", "`..` segment"],
  ["/a/./b", "`..` segment"],
  ["/a/../b", "`..` segment"],
  ["/a/..;x/b", "`..` segment"],
  ["/;x/a", "parameters only"],
  ["/a/;x=1/b", "parameters only"],
  ["/a/;", "parameters only"],
  ["/%2e%2e/a", "segment"],
  ["/%2E%2E/a", "segment"],
  ["/a%2Fb", "encoded /"],
  ["/a%5Cb", "encoded \\"],
  ["/a%3Bb", "encoded ;"],
  ["/a%3Fb", "encoded ?"],
  ["/a%00", "control character"],
  ["/a%0D%0A", "control character"],
  ["/a%7F", "control character"],
  ["/%72eboot", "normalises to r"],
  ["/caf%c3%a9", "normalises to %C3"],
  ["/%C0%AF", "not valid UTF-8"],
  ["/%", "not valid UTF-8"],
  ["/%zz", "not valid UTF-8"],
  ["/%2572eboot", "percent-encoded twice"],
  ["/a\\b", "backslash"],
  ["/a b", "must be percent-encoded"],
  ["/a#b", "must be percent-encoded"],
  ["/a?b#c", "must be percent-encoded"],
  ["/a\u0001", "must be percent-encoded"],
  ["/\u00e9", "must be percent-encoded"],
  ["/a|b", "must be percent-encoded"],
])("the target %j is refused: %s", (target, problem) => {
  expect(readTarget(target)).toEqual({ problem: expect.stringContaining(problem) });
});
